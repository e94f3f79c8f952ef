"""What may wait for a server, in which order it goes, and what it becomes part of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.clock import ManualClock
from backend.errors import Refused, StoreBroken
from backend.interface import Action, Transition
from backend.lifecycle import Limits
from backend.model import (
    SYSTEM,
    Actor,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Priority,
    Queue,
    RunPatch,
    SenderType,
    TaskPatch,
)
from backend.offline.cache import Cache, CacheService
from backend.offline.lanes import Lanes
from backend.offline.operations import (
    BY_HOLDER,
    BY_PERSON,
    Create,
    Edit,
    Move,
    OnMessage,
    OnRun,
    Operation,
    Post,
    identity,
    named,
    read,
    write,
)
from backend.offline.outbox import Entry
from backend.offline.queue import make_again, take

ANA = Actor(SenderType.HUMAN, "ana")


def new(task_id: str, **given: Any) -> Create:
    fields = {"title": task_id, "role": "implement", "base_branch": "main", "base_sha": "base"} | given
    return Create(NewTask(id=task_id, created_by="ana", **fields), ANA)


def move(task_id: str, action: Action, **given: Any) -> Move:
    return Move(Transition(task_id, action, ANA, **given))


def question(message_id: str, task_id: str) -> Post:
    return Post(
        NewMessage(message_id, task_id, ANA, MessageType.REQUEST, MessageKind.QUESTION, body="Which?")
    )


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    made = await Cache.open(tmp_path / "cache.db", ManualClock(), Limits())
    yield made
    await made.close()


async def put(cache: Cache, *operations: Operation, sent: bool = False) -> list[Entry]:
    """Take changes in, one after another; returns all that wait."""
    for number, operation in enumerate(operations):
        entry_id = f"{type(operation).__name__.lower()}-{number}"

        def job(service: CacheService, what: Operation = operation, name: str = entry_id) -> object:
            return take(service, what, name, sent=sent)

        await cache.write(job)
    return await cache.read(lambda service: service.outbox.pending())


@pytest.mark.parametrize("action", Action)
def test_what_may_wait(action: Action) -> None:
    by_hand = Move(Transition("t", action, ANA))
    by_run = Move(Transition("t", action, SYSTEM, fence=1, run_id="r"))
    assert by_hand.is_allowed() == (action in BY_PERSON)
    assert by_run.is_allowed() == (action in BY_HOLDER)
    never = {Action.CLAIM, Action.CLAIM_IN_PLACE, Action.FORCE, Action.ACCEPT, Action.RENEW, Action.EXPIRE}
    assert not never & (BY_HOLDER | BY_PERSON)


@pytest.mark.parametrize(
    "operation",
    [
        new("t", blocked_by=("u",), metadata={"a": [1]}),
        Edit("t", TaskPatch(priority=Priority.P0, needs=("db",)), ANA, 3),
        move("t", Action.CANCEL, reason="no", version=2),
        question("m", "t"),
        OnMessage("m", answer="red", actor=ANA),
        OnMessage("m", withdrawn="late"),
        OnRun("r", patch=RunPatch(turns=3)),
    ],
    ids=named,
)
def test_a_change_is_the_same_after_being_stored(operation: Operation) -> None:
    assert read(*write(operation)) == operation


def test_a_change_of_another_version_is_an_error() -> None:
    with pytest.raises(StoreBroken, match="unknown kind 'dance'"):
        read("dance", {})


async def test_the_order_is_that_in_which_changes_were_made(cache: Cache) -> None:
    waiting = await put(cache, new("a"), new("b"), move("a", Action.HOLD), question("m", "b"))
    assert [(entry.task_id, named(entry.operation)) for entry in waiting] == [
        ("a", "create"),
        ("b", "create"),
        ("a", "hold"),
        ("b", "message"),
    ]


async def test_a_change_needs_what_it_builds_on(cache: Cache) -> None:
    waiting = await put(
        cache,
        new("a"),
        new("b", blocked_by=("a",)),
        question("m", "a"),
        OnMessage("m", answer="red", actor=ANA),
        move("a", Action.HOLD),
    )
    create_a, create_b, post, answer, hold = waiting
    assert create_a.needs == ()
    assert create_b.needs == (create_a.id,)
    assert post.needs == (create_a.id,)
    assert set(answer.needs) == {create_a.id, post.id}
    assert hold.needs == (create_a.id,)
    dependants = await cache.read(lambda service: service.outbox.dependants(create_a))
    assert dependants == [create_b, post, answer, hold]


async def test_each_decision_is_made_on_the_version_that_was_seen(cache: Cache) -> None:
    await put(cache, new("a"))
    waiting = await put(cache, move("a", Action.HOLD), move("a", Action.ENQUEUE))
    assert [(entry.operation.base, entry.after) for entry in waiting] == [(None, 1), (1, 2), (2, 3)]
    hold = waiting[1]
    # The server has made the first, and its task is of version 7 by that.
    await cache.write(lambda service: service.outbox.rechain(hold, 7))
    later = await cache.read(lambda service: service.outbox.pending())
    assert [entry.operation.base for entry in later] == [None, 1, 7]
    assert later[2].key != waiting[2].key


async def test_an_edit_of_what_was_never_sent_becomes_part_of_it(cache: Cache) -> None:
    waiting = await put(cache, new("a"), Edit("a", TaskPatch(title="better"), ANA), move("a", Action.HOLD))
    create, hold = waiting
    assert isinstance(create.operation, Create)
    assert create.operation.new.title == "better"
    assert create.after == hold.operation.base == 2


async def test_an_edit_of_what_was_sent_stays_a_change_of_its_own(cache: Cache) -> None:
    [create] = await put(cache, new("a"))
    await cache.write(lambda service: service.outbox.save(replace(create, tries=1)))
    waiting = await put(cache, Edit("a", TaskPatch(title="better"), ANA))
    assert [named(entry.operation) for entry in waiting] == ["create", "edit"]


async def test_what_is_refused_is_not_kept(cache: Cache) -> None:
    await put(cache, new("a"))
    with pytest.raises(Refused, match="can not be approved"):
        await put(cache, move("a", Action.APPROVE))
    assert len(await cache.read(lambda service: service.outbox.pending())) == 1


async def test_what_was_sent_goes_again_under_its_key_even_if_refused_here(cache: Cache) -> None:
    await put(cache, new("a"))
    waiting = await put(cache, move("a", Action.APPROVE), sent=True)
    assert (waiting[1].key, waiting[1].tries, waiting[1].operation.base) == ("move-0", 1, None)


async def test_waiting_changes_go_on_top_of_records_that_were_read_anew(cache: Cache) -> None:
    await put(cache, new("a"), move("a", Action.HOLD))
    await cache.write(lambda service: service.mirror.clear())
    await cache.write(make_again)
    task = await cache.records.get_task("a")
    assert (task.queue, task.version) == ("backlog", 2)
    assert (await cache.records.count_queues())[task.queue] == 1


async def test_a_chain_of_changes_keeps_its_order_when_records_are_read_anew(cache: Cache) -> None:
    """The first of a chain is decided on what was seen, the others each on what the one before makes."""

    def begin(service: CacheService) -> None:
        service.do(new("t"))
        for number, change in enumerate(
            (Edit("t", TaskPatch(title="mine"), ANA), move("t", Action.HOLD), move("t", Action.ENQUEUE))
        ):
            take(service, change, f"c{number}", sent=False)

    await cache.write(begin)
    before = await cache.read(lambda service: service.outbox.pending())
    assert [(entry.operation.base, entry.after) for entry in before] == [(1, 2), (2, 3), (3, 4)]

    def read_anew(service: CacheService) -> None:
        theirs = replace(service.tasks.get("t"), version=2, title="t", priority=Priority.P0)
        service.mirror.put([replace(theirs, queue=Queue.INCOMING)])
        make_again(service)

    await cache.write(read_anew)
    after = await cache.read(lambda service: service.outbox.pending())
    assert [entry.after for entry in after] == [3, 4, 5]
    assert [entry.operation.base for entry in after[1:]] == [3, 4]


async def test_edits_of_what_waits_for_what_keep_their_order(cache: Cache) -> None:
    """One opens a way that goes over tasks of which nothing waits, and a later one would close the circle."""

    def begin(service: CacheService) -> None:
        for name, blockers in (("p", ()), ("y", ("p",)), ("x", ("y",)), ("q", ("x",)), ("a", ()), ("b", ())):
            service.do(new(name, blocked_by=blockers))
        take(service, Edit("x", TaskPatch(blocked_by=()), ANA), "opens", sent=False)
        take(service, Edit("p", TaskPatch(blocked_by=("q",)), ANA), "closes", sent=False)
        take(service, Edit("a", TaskPatch(title="A"), ANA), "a", sent=False)
        take(service, Edit("b", TaskPatch(title="B"), ANA), "b", sent=False)

    await cache.write(begin)
    lanes = await cache.read(lambda service: Lanes(service.outbox.places(), service.outbox.links()))
    places = []
    while (place := lanes.take()) is not None:
        places.append(place)
    assert [place.id for place in places] == ["opens", "a", "b"]
    lanes.settled(places[0])
    last = lanes.take()
    assert last is not None
    assert last.id == "closes"


MOVED = Transition("t", Action.RELEASE, SYSTEM, fence=3, run_id="r")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (Move(MOVED), Move(replace(MOVED, fence=None, run_id=None, version=4)), True),
        (Move(MOVED), Move(replace(MOVED, action=Action.HOLD)), False),
        (Move(MOVED), Move(replace(MOVED, task_id="u")), False),
        (Edit("t", TaskPatch(title="a"), ANA, 1), Edit("t", TaskPatch(title="a"), ANA, 2), True),
        (Edit("t", TaskPatch(title="a"), ANA), Edit("t", TaskPatch(title="b"), ANA), False),
        (question("m", "t"), question("m", "t"), True),
        (question("m", "t"), question("n", "t"), False),
        (OnMessage("m", answer="red", actor=ANA), OnMessage("m", withdrawn="late"), False),
        (new("t"), Edit("t", TaskPatch(title="t"), ANA), False),
    ],
)
def test_what_is_the_same_change_when_a_request_is_done_again(
    one: Operation, other: Operation, alike: bool
) -> None:
    assert (identity(one) == identity(other)) is alike


async def test_what_needs_a_change_that_is_passed_over_is_passed_over_too(cache: Cache) -> None:
    await put(cache, new("a"), new("b", blocked_by=("a",)), new("c"), question("m", "b"))
    lanes = await cache.read(lambda service: Lanes(service.outbox.places(), service.outbox.links()))
    first = lanes.take()
    assert first is not None
    assert first.task_id == "a"
    lanes.close(first)
    second = lanes.take()
    assert second is not None
    assert second.task_id == "c"
    assert lanes.take() is None
