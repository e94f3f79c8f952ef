"""Export and import: whole, equal on both databases, and closed to what the lifecycle does not allow."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import postgres
import psycopg
import pytest
from tcp_serving import Tcp, serve_tcp

from backend.clock import ManualClock, from_ms
from backend.errors import BadInput, Refused
from backend.interface import Action, Transition
from backend.keys import KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import (
    SYSTEM,
    Actor,
    Agent,
    AgentStatus,
    ClaimRequest,
    Evidence,
    MessageKind,
    MessageType,
    NewMessage,
    NewRule,
    NewTask,
    Outcome,
    Queue,
    RuleScope,
    RunEnd,
    RunPatch,
    SenderType,
    TaskFilter,
    UsageBy,
)
from backend.planning import NewDraft, NewProject
from backend.sessions import NewSession
from backend.transfer.document import SECTIONS, SINCE, Document

ANA = Actor(SenderType.HUMAN, "ana")
BOT = Actor(SenderType.WORKER, "impl-1")
HOSTILE = "\x1b]0;x\x07 \u202e [red]\n'; DROP TABLE tasks; --"
CLAIM = "home-laptop", "impl-1", "demo"


async def lived(backend: LocalBackend, clock: ManualClock) -> None:
    """Something of everything: each state, runs, evidence, a conversation, a project and a draft."""
    await backend.register("home", "laptop", pid=7)
    await backend.create_project(NewProject("p", "P", "ana", HOSTILE, metadata={"a": [1, None]}), actor=ANA)
    await backend.create_draft(NewDraft("d", "D", "ana", "Body", "p", tags=("x", "y")), actor=ANA)

    def new(task_id: str, **given: Any) -> NewTask:
        return NewTask(task_id, task_id.upper(), "implement", "main", "base", "ana", **given)

    await backend.create_task(new("done", body=HOSTILE, metadata={"k": {"ü": 0.5}}, scope="s"), actor=ANA)
    for task_id in ("held", "review", "failed", "ready"):
        clock.advance(1)
        await backend.create_task(new(task_id, file_path=f"{task_id}.md", needs=("db",)), actor=ANA)
    await backend.create_task(new("after", blocked_by=("done", "review")), actor=ANA)
    await backend.create_task(new("later", backlog=True, project_id="p"), actor=ANA)
    await backend.promote_draft("d", [new("made")], actor=ANA)
    for task_id in ("done", "review", "failed", "held"):
        claim = await backend.claim(ClaimRequest(*CLAIM, f"run-{task_id}", 300, task_id=task_id))
        assert claim is not None
        if task_id == "held":
            patch = RunPatch(
                session_id="s1", cost_usd=0.25, tokens_input=5, last_activity_at=clock_time(clock)
            )
            await backend.update_run("run-held", patch)
            continue
        end = RunEnd(Outcome.SUBMITTED, "ok", head_sha="work", exit_code=0, commits_count=2, summary="did it")
        action, said = Action.SUBMIT, {"head_sha": "work", "run_end": end}
        if task_id == "failed":
            action, said = Action.FAIL, {"reason": HOSTILE}
        await backend.transition(Transition(task_id, action, BOT, fence=claim.task.fence, **said))  # type: ignore[arg-type]
    await backend.end_run("run-failed", RunEnd(Outcome.CRASHED, "boom"))
    check = ("tests", "pytest", "work", "base", 0, "ok", "sha256:0", 12, clock_time(clock))
    await backend.add_evidence(Evidence("e1", "review", "run-review", *check))
    await backend.transition(Transition("done", Action.APPROVE, ANA))
    await backend.transition(Transition("done", Action.ACCEPT, SYSTEM, merged_sha="merge"))
    asked = NewMessage(
        "m1", "held", BOT, MessageType.REQUEST, MessageKind.QUESTION, HOSTILE, ("a", "b"), None,
        "run-held", "q1", clock_time(clock) + timedelta(seconds=60), "a",
    )  # fmt: skip
    await backend.post_message(asked)
    await backend.answer("m1", "b", actor=ANA)
    await backend.create_rule(NewRule("r1", "m1", RuleScope.ROLE), actor=ANA)
    note = NewMessage("m2", "held", ANA, MessageType.STATUS, MessageKind.NOTE, "Mind", parent_message_id="m1")
    await backend.post_message(note)
    await backend.pause(actor=ANA, reason="lunch")
    await around(backend, clock)


async def around(backend: LocalBackend, clock: ManualClock) -> None:
    """Sessions, open and over; a machine with agents that is paused; alerts."""
    await backend.open_session(NewSession("i0", "s0", "home-laptop", "impl-1"))
    await backend.end_session("i0", HOSTILE, actor=ANA)
    await backend.register("home", "tower", pid=8)
    await backend.pause(actor=ANA, reason="too hot", machine="home-tower")
    agent = Agent(
        "impl-1", "home-laptop", "implement", "demo", AgentStatus.BUSY, "held", "run-held", 9, None,
        clock_time(clock),
    )  # fmt: skip
    await backend.report_agents("home-laptop", [agent])
    await backend.raise_alert("quota:home-laptop:demo", HOSTILE, until=clock_time(clock) + timedelta(hours=1))
    await backend.raise_alert("over", "it was", until=clock_time(clock) + timedelta(milliseconds=1))
    await backend.raise_alert("budget", "nearly spent", until=None)
    clock.advance(1)


def clock_time(clock: ManualClock) -> Any:
    return from_ms(clock.now_ms())


async def exported(backend: LocalBackend) -> bytes:
    out = io.BytesIO()
    await backend.export_state(out)
    return out.getvalue()


def without_imports(raw: bytes) -> Any:
    """An export but for the note that each import leaves in the log."""
    whole = json.loads(raw)
    whole["events"] = [event for event in whole["events"] if event["entity"] != "store"]
    return whole


@asynccontextmanager
async def sqlite(folder: Path, name: str, clock: ManualClock) -> AsyncIterator[LocalBackend]:
    backend = await LocalBackend.open(folder / f"{name}.db", clock)
    try:
        yield backend
    finally:
        await backend.close()


@asynccontextmanager
async def postgresql(clock: ManualClock) -> AsyncIterator[LocalBackend]:
    with postgres.server().database() as url:
        backend = await LocalBackend.connect(url, clock)
        try:
            yield backend
        finally:
            await backend.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def empty(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalBackend]:
    async with sqlite(tmp_path, "empty", clock) as backend:
        yield backend


@pytest.fixture
async def raw(tmp_path: Path, clock: ManualClock) -> bytes:
    async with sqlite(tmp_path, "old", clock) as backend:
        await lived(backend, clock)
        return await exported(backend)


async def test_there_and_back_again_is_equal(tmp_path: Path, clock: ManualClock, raw: bytes) -> None:
    async with sqlite(tmp_path, "first", clock) as first:
        counts = await first.import_state(raw, actor=ANA)
        assert counts == {name: len(json.loads(raw)[name]) for name in SECTIONS}
        assert all(counts.values()), "there is something of everything"
        without_leases = await exported(first)
    async with postgresql(clock) as far:
        await far.import_state(without_leases, actor=ANA)
        between = await exported(far)
    async with sqlite(tmp_path, "new", clock) as near:
        await near.import_state(between, actor=ANA)
        after = await exported(near)
        assert [event.kind for event in await near.events(entity_id="import")] == ["import"] * 3
    assert without_imports(without_leases) == without_imports(between) == without_imports(after)
    before, there = json.loads(raw), json.loads(without_leases)
    changed = {name for name in SECTIONS if before[name] != there[name]}
    assert changed == {"tasks", "events"}, "only the lease of a task was left out"
    assert [one["id"] for one in there["tasks"] if one not in before["tasks"]] == ["held"]
    assert len(json.loads(raw)["events"]) > 20
    assert {task["queue"] for task in json.loads(raw)["tasks"]} == {
        "done", "claimed", "provisional", "failed", "incoming", "blocked", "backlog",
    }  # fmt: skip


async def test_a_task_that_became_several_and_a_rule_live_on(
    tmp_path: Path, clock: ManualClock, raw: bytes
) -> None:
    async with sqlite(tmp_path, "mid", clock) as mid:
        await mid.import_state(raw, actor=ANA)
        await mid.transition(Transition("review", Action.APPROVE, ANA))
        part = NewTask("part", "Part", "implement", "main", "base", "ana")
        await mid.split_task("review", [part], actor=SYSTEM)
        split = await exported(mid)
    async with postgresql(clock) as backend:
        await backend.import_state(split, actor=ANA)
        assert (await backend.get_task("after")).blocked_by == ("done", "part", "review")
        (rule,) = await backend.list_rules()
        assert (rule.id, rule.scope_id, rule.exact, rule.answer) == ("r1", "implement", True, "b")
        asked = NewMessage(
            "m3", "held", BOT, MessageType.REQUEST, MessageKind.QUESTION, HOSTILE, run_id="run-held"
        )
        assert (await backend.post_message(asked)).answer == "b"


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_what_was_imported_lives_on(tmp_path: Path, clock: ManualClock, raw: bytes, store: str) -> None:
    """The fence still holds, queues count right, claim order stays, and creating again is no error."""
    opened = sqlite(tmp_path, "new", clock) if store == "sqlite" else postgresql(clock)
    async with opened as backend:
        await backend.import_state(raw, actor=ANA)
        assert (await backend.count_queues())[Queue.INCOMING] == 3
        assert (await backend.get_pause()).reason == "lunch"
        assert (await backend.get_task("done")).scope == "s"
        again = NewTask(
            "done", "DONE", "implement", "main", "base", "ana", HOSTILE, metadata={"k": {"ü": 0.5}}, scope="s"
        )
        assert (await backend.create_task(again, actor=ANA)).queue is Queue.DONE
        held = await backend.get_task("held")
        assert (held.queue, held.run_id, held.lease_expires_at) == (Queue.INCOMING, None, None)
        assert held.fence == task(json.loads(raw), "held")["lease_token"]
        submit = Transition("held", Action.SUBMIT, BOT, fence=held.fence, run_id="run-held", head_sha="x")
        assert (await backend.transition(submit)).queue is Queue.PROVISIONAL
        await backend.transition(Transition("review", Action.APPROVE, ANA))
        await backend.transition(Transition("review", Action.ACCEPT, SYSTEM, merged_sha="m"))
        assert (await backend.get_task("after")).queue is Queue.INCOMING
        claimed = await backend.claim(ClaimRequest(*CLAIM, "run-new", 300))
        assert claimed is not None
        assert claimed.task.id == "ready"


async def test_what_a_person_would_miss_comes_along(empty: LocalBackend, raw: bytes) -> None:
    """Sessions, agents, alerts, a machine's own pause, rules, and what runs have used."""
    await empty.import_state(raw, actor=ANA)
    sessions = {one.session_id: one for one in await empty.list_sessions()}
    assert sessions["s0"].reason == HOSTILE
    assert (sessions["s1"].run_id, sessions["s1"].terminated_at) == ("run-held", None)
    assert [(one.name, one.pid, one.task_id) for one in await empty.list_agents()] == [("impl-1", 9, "held")]
    assert {one.key for one in await empty.list_alerts()} == {"quota:home-laptop:demo", "budget"}
    assert (await empty.get_pause(machine="home-tower")).reason == "lunch"
    await empty.resume(actor=ANA)
    assert (await empty.get_pause(machine="home-tower")).reason == "too hot"
    assert not (await empty.get_pause(machine="home-laptop")).paused
    assert [one.id for one in await empty.list_rules()] == ["r1"]
    (used, *_) = await empty.usage(UsageBy.TASK, since=datetime(2000, 1, 1, tzinfo=UTC))
    assert (used.key, used.cost_usd, used.tokens_input) == ("held", 0.25, 5)
    again = await empty.open_session(NewSession("i9", "s0", "home-laptop", "impl-1"))
    assert (again.id, again.terminated_at) == ("i0", None)


async def test_no_secret_and_no_key_is_in_an_export(tmp_path: Path, clock: ManualClock) -> None:
    async with sqlite(tmp_path, "kept", clock) as backend:
        made = await backend.create_key(NewKey("mine", KeyScope.ADMIN), actor=ANA)
        text = (await exported(backend)).decode()
    secret = made.token.rpartition("_")[2]
    assert secret not in text
    assert hashlib.sha256(secret.encode()).hexdigest() not in text


async def test_an_export_of_the_version_before_still_comes_in(empty: LocalBackend, raw: bytes) -> None:
    whole = json.loads(raw)
    for name in SINCE:
        del whole[name]
    whole["version"] = 1
    counts = await empty.import_state(json.dumps(whole).encode(), actor=ANA)
    assert counts["tasks"] == len(whole["tasks"])
    assert [counts[name] for name in SINCE] == [0] * len(SINCE)
    assert await empty.list_sessions() == []


async def test_what_the_store_was_told_before_an_import_stays(empty: LocalBackend, raw: bytes) -> None:
    await empty.register("home", "laptop", pid=1)
    now = Agent(
        "impl-1", "home-laptop", "review", "claude", AgentStatus.IDLE, None, None, 1, None,
        datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    await empty.report_agents("home-laptop", [now])
    await empty.raise_alert("budget", "spent", until=None)
    await empty.open_session(NewSession("i5", "s1", "home-laptop", "other"))
    await empty.import_state(raw, actor=ANA)
    assert [one.role for one in await empty.list_agents()] == ["review"]
    assert {one.key: one.reason for one in await empty.list_alerts()}["budget"] == "spent"
    assert (await empty.get_session("s1")).id == "i5"


async def test_a_store_that_has_tasks_takes_no_import(tmp_path: Path, clock: ManualClock, raw: bytes) -> None:
    async with sqlite(tmp_path, "new", clock) as backend:
        await backend.import_state(raw, actor=ANA)
        before = await exported(backend)
        with pytest.raises(Refused, match="not empty"):
            await backend.import_state(raw, actor=ANA)
        assert await exported(backend) == before


async def test_an_import_goes_on_after_the_log_that_is_there(empty: LocalBackend, raw: bytes) -> None:
    await empty.register("home", "laptop", pid=1)
    await empty.import_state(raw, actor=ANA)
    events = await empty.events()
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]
    assert events[0].kind == "register"


# Hostile and damaged files

Change = Callable[[dict[str, Any]], object]


def task(whole: dict[str, Any], task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in whole["tasks"] if one["id"] == task_id)
    return found


def event(whole: dict[str, Any], task_id: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for one in whole["events"] if (one["entity_id"], one["kind"]) == (task_id, kind)
    )
    return found


WRONG: dict[str, tuple[Change, str]] = {
    "a state that the history does not lead to": (
        lambda w: task(w, "ready").update(queue="backlog"),
        r"tasks\[4\], line \d+: it is backlog, version 1; its history ends at incoming, version 1",
    ),
    "done without a history of it": (
        lambda w: task(w, "ready").update(queue="done", completed_at=w["exported_at"], version=2),
        "its history",
    ),
    "a step that is not allowed": (
        lambda w: event(w, "done", "claim").update(kind="accept"), "accept is not allowed from incoming",
    ),
    "a step that leads elsewhere": (
        lambda w: event(w, "done", "submit").update(to="done"), "submit does not lead to done",
    ),
    "a step nobody knows": (lambda w: event(w, "done", "submit").update(kind="bless"), "nothing that is"),
    "a gap between two steps": (
        lambda w: event(w, "done", "accept").update(**{"from": "claimed"}), "was provisional",
    ),
    "a version left out": (lambda w: event(w, "done", "accept").update(version=9), "version is 9, and 5"),
    "force by a program": (
        lambda w: event(w, "done", "accept").update(kind="forced", reason="because"), "only a person forces",
    ),
    "an event left out": (lambda w: w["events"].pop(3), "seq is"),
    "an event of no task": (lambda w: event(w, "done", "claim").update(entity_id="none"), "none"),
    "a task without its history": (lambda w: task(w, "ready").update(id="other"), "no task 'ready'"),
    "a lease without a run": (lambda w: task(w, "held").update(run_id="run-none"), "no run of it"),
    "a lease of another's run": (lambda w: task(w, "held").update(run_id="run-done"), "no run of it"),
    "half a lease": (lambda w: task(w, "held").update(claimed_by=None), "go together"),
    "another holder": (lambda w: task(w, "held").update(claimed_by="me"), "is impl-1's"),
    "a lease that never ends": (
        lambda w: task(w, "held").update(lease_expires_at="2999-01-01T00:00:00Z"), "more than a day",
    ),
    "a lease in the wrong state": (
        lambda w: task(w, "ready").update(
            {name: task(w, "held")[name] for name in
             ("run_id", "claimed_by", "claimed_at", "orchestrator_id", "lease_expires_at")}
        ), "only a claimed or provisional",
    ),
    "half an approval": (lambda w: task(w, "review").update(approved_sha="work"), "go together"),
    "a failure without reason": (lambda w: task(w, "failed").update(reason=" "), "reason"),
    "blocked by what is done": (lambda w: task(w, "after").update(blocked_by=["done"]), "are done"),
    "incoming and waiting": (lambda w: task(w, "ready").update(blocked_by=["held"]), "unfinished"),
    "a dependency on nothing": (lambda w: task(w, "after").update(blocked_by=["none"]), "no task 'none'"),
    "a circle": (
        lambda w: (task(w, "review").update(blocked_by=["after"]), task(w, "after")), "waits for itself",
    ),
    "attempts that were not": (lambda w: task(w, "done").update(attempt_count=0), "there are 1 runs"),
    "a fence that goes back": (lambda w: task(w, "done").update(lease_token=0), "add up"),
    "a negative counter": (lambda w: task(w, "done").update(rejection_count=-1), "below 0"),
    "an id that is a path": (lambda w: task(w, "ready").update(id="../x"), "is not usable"),
    "a run's id that is a path": (lambda w: w["runs"][0].update(id="a/b"), "is not usable"),
    "an id twice": (lambda w: w["tasks"].append(task(w, "ready")), "has the same"),
    "a file twice": (lambda w: task(w, "ready").update(file_path="held.md"), "file_path"),
    "a run of no task": (lambda w: w["runs"][0].update(task_id="none"), "no task 'none'"),
    "a run of no machine": (lambda w: w["runs"][0].update(orchestrator_id="x"), "no orchestrator"),
    "a run that ended by half": (lambda w: w["runs"][0].update(outcome=None), "do not agree"),
    "evidence of another's run": (lambda w: w["evidence"][0].update(run_id="run-done"), "has no run"),
    "an answer to no question": (lambda w: w["messages"][1].update(answer="x"), "go together"),
    "a parent that comes later": (
        lambda w: w["messages"][0].update(parent_message_id="m2"), "comes after it",
    ),
    "a rule by a program": (lambda w: w["rules"][0].update(author="worker:impl-1"), "only a person makes"),
    "a rule for anything": (lambda w: w["rules"][0].update(exact=False, pattern="*"), "nearly anything"),
    "a rule for another request": (lambda w: w["rules"][0].update(pattern="Why?"), "does not fit message"),
    "a rule for a note": (lambda w: w["rules"][0].update(message_id="m2"), "asks nothing of this kind"),
    "a rule of no request": (lambda w: w["rules"][0].update(message_id="none"), "no message 'none'"),
    "a field nobody knows": (lambda w: task(w, "ready").update(colour="red"), "colour"),
    "a field of the wrong kind": (lambda w: task(w, "ready").update(priority=3), r"priority"),
    "a field left out": (lambda w: task(w, "ready").pop("body"), "body"),
    "a time that is none": (lambda w: task(w, "ready").update(created_at="yesterday"), "created_at"),
    "no digest": (lambda w: task(w, "ready").pop("created_as"), "created_as"),
    "a section left out": (lambda w: w.pop("runs"), "has no runs"),
    "a section too many": (lambda w: w.update(keys=[]), "unknown member"),
    "another version": (lambda w: w.update(version=3), "version 3, and this Octopoid reads 1 to 2"),
    "a version that is no number": (lambda w: w.update(version="2"), "version '2'"),
    "no sessions in a file that should have them": (lambda w: w.pop("sessions"), "has no sessions"),
    "a session twice": (lambda w: w["sessions"].append(w["sessions"][0]), "has the same"),
    "a session of no machine": (lambda w: w["sessions"][0].update(orchestrator_id="x"), "no orchestrator"),
    "a session of no task": (lambda w: w["sessions"][0].update(task_id="none"), "no task 'none'"),
    "a session of another's run": (lambda w: w["sessions"][0].update(run_id="run-done"), "has no run"),
    "a session that ended by half": (lambda w: w["sessions"][1].update(reason=None), "do not agree"),
    "a session without a name": (lambda w: w["sessions"][0].update(session_id=" "), "session_id"),
    "an agent of no machine": (lambda w: w["agents"][0].update(orchestrator_id="x"), "no orchestrator"),
    "an agent twice": (lambda w: w["agents"].append(w["agents"][0]), "has the same"),
    "an alert that says nothing": (lambda w: w["alerts"][0].update(reason=" "), "reason is empty"),
    "a pause of no machine": (lambda w: w["pauses"][0].update(machine=None), "is paused"),
    "a pause that is none": (lambda w: w["pauses"][0].update(paused=False), "is paused"),
    "a project completed by half": (
        lambda w: w["projects"][0].update(status="completed"), "do not agree",
    ),
    "a draft without its tasks": (lambda w: w["drafts"][0].update(task_ids=[]), "promoted into no task"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_what_cannot_be_is_named_and_nothing_is_kept(
    empty: LocalBackend, raw: bytes, name: str
) -> None:
    change, said = WRONG[name]
    before = await exported(empty)
    whole = json.loads(raw)
    change(whole)
    lines = {
        section: [json.dumps(row) for row in whole.pop(section)] for section in SECTIONS if section in whole
    }
    text = json.dumps(whole)[:-1]
    for section, rows in lines.items():
        text += f',\n"{section}": [\n' + ",\n".join(rows) + "\n]"
    with pytest.raises(BadInput, match=said) as refused:
        await empty.import_state((text + "}").encode(), actor=ANA)
    if "line" in refused.value.problem:
        number = int(refused.value.problem.split("line ")[1].split(":")[0])
        section, _, rest = refused.value.problem.partition("[")
        assert text.splitlines()[number - 1].rstrip(",") == lines[section][int(rest.split("]")[0])]
    assert await exported(empty) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no export"), (b"{", "no export"), (b"[]", "no export"), (b"{}", "no export"),
        (b'{"format": "octopoid-export", "schema_version": 13}', "octopoid migrate"),
        (b'{"format": "octopoid", "version": 1, "tasks": 3}', "no export"),
        (b"[" * 100_000, "no export"), (b'{"format": "\xff"}', "no export"),
    ],
)  # fmt: skip
async def test_what_is_no_export_is_refused(empty: LocalBackend, text: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        await empty.import_state(text, actor=ANA)
    assert await empty.events() == []


async def test_the_database_refuses_what_a_check_has_overlooked(
    tmp_path: Path, clock: ManualClock, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every check of ours taken away, the schema of the store still refuses it."""
    monkeypatch.setattr("backend.service.transfer.check", no_check)
    for opened in (sqlite(tmp_path, "new", clock), postgresql(clock)):
        async with opened as backend:
            with pytest.raises((sqlite3.IntegrityError, psycopg.errors.CheckViolation)):
                await backend.import_state(raw, actor=ANA)
            assert await backend.list_tasks(TaskFilter()) == []
            assert await backend.events() == []


async def test_the_audit_refuses_what_the_schema_does_not(
    tmp_path: Path, clock: ManualClock, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.service.transfer.check", no_check)
    whole = json.loads(raw)
    whole["tasks"] = [one for one in whole["tasks"] if one["id"] != "after"]
    task(whole, "ready").update(queue="backlog")
    for opened in (sqlite(tmp_path, "new", clock), postgresql(clock)):
        async with opened as backend:
            with pytest.raises(BadInput, match="does not hold together") as refused:
                await backend.import_state(json.dumps(whole).encode(), actor=ANA)
            assert any(line.startswith("wrong_state") for line in refused.value.details)
            assert await backend.list_tasks(TaskFilter()) == []
            assert await backend.events() == []


def no_check(document: Document, now: object) -> dict[str, int]:
    return {entry.record.id: 0 for entry in document.entries["tasks"]}


# Over HTTP


async def test_only_an_administrator_exports_and_imports(tmp_path: Path, raw: bytes) -> None:
    async with serve_tcp(tmp_path) as site:
        json_body = {"Content-Type": "application/json"}
        work, admin = await site.headers(KeyScope.WORK), await site.headers(KeyScope.ADMIN)
        for headers, status in (({}, 401), (work, 403)):
            assert (await site.http.get("/api/admin/export", headers=headers)).status_code == status
            refused = await site.http.post("/api/admin/import", content=raw, headers={**headers, **json_body})
            assert refused.status_code == status
        assert len(raw) > 10_000
        done = await site.http.post("/api/admin/import", content=raw, headers={**admin, **json_body})
        assert done.json()["imported"]["tasks"] == len(json.loads(raw)["tasks"])
        answer = await site.http.get("/api/admin/export", headers=admin)
        assert answer.headers["content-type"] == "application/json"
        there, before = answer.json()["tasks"], json.loads(raw)["tasks"]
        assert [one["id"] for one in there] == [one["id"] for one in before]
        assert [one["id"] for one in there if one not in before] == ["held"]
        again = await site.http.post("/api/admin/import", content=raw, headers={**admin, **json_body})
        assert (again.status_code, again.json()["slug"]) == (409, "wrong-state")
        assert "oct_" not in answer.text
        digests = [stored.id for stored in await site.backend.list_keys()]
        assert digests
        assert '"digest"' not in answer.text


async def test_an_import_may_be_larger_than_any_other_body(tmp_path: Path, clock: ManualClock) -> None:
    async with sqlite(tmp_path, "old", clock) as old:
        body = "x" * 400_000
        for number in range(4):
            new = NewTask(f"t{number}", "T", "docs", "main", "", "ana", body)
            await old.create_task(new, actor=ANA)
        raw = await exported(old)
    assert len(raw) > 1024 * 1024
    async with serve_tcp(tmp_path, keys=False) as site:
        bad = await post(site, raw[:-2])
        assert (bad.status_code, bad.json()["slug"]) == (422, "bad-export")
        # The way `curl -d @file` sends it: without its line ends.
        assert (await post(site, raw.replace(b"\n", b""))).status_code == 200
        assert (await site.http.get("/api/v1/counts")).json()["queues"]["incoming"] == 4


async def post(site: Tcp, raw: bytes) -> Any:
    return await site.http.post(
        "/api/admin/import?actor=human:ana", content=raw, headers={"Content-Type": "application/json"}
    )


async def test_what_is_wrong_with_the_request_is_said(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path, keys=False) as site:
        assert (await post(site, b"")).status_code == 422
        plain = await site.http.post("/api/admin/import", content=b"{}")
        assert plain.status_code == 415
        odd = await site.http.post("/api/admin/import?colour=red", json={})
        assert odd.status_code == 422
        assert (await site.http.get("/api/admin/export?colour=red")).status_code == 422
        assert (await site.http.post("/api/admin/export", json={})).status_code == 405


async def test_work_goes_on_while_the_state_is_exported(tmp_path: Path, clock: ManualClock) -> None:
    async with sqlite(tmp_path, "old", clock) as backend:
        # More than a pipe holds: the export has to wait for its reader.
        large = NewTask("large", "L", "docs", "main", "", "ana", "x" * 400_000)
        await backend.create_task(large, actor=ANA)
        reading, writing = a_pipe()
        export = asyncio.create_task(backend.export_state(writing))
        try:
            await asyncio.to_thread(reading.read, 1)  # it has begun
            new = NewTask("meanwhile", "M", "docs", "main", "", "ana")
            await backend.create_task(new, actor=ANA)
            assert (await backend.get_task("meanwhile")).title == "M"
        finally:
            rest = asyncio.create_task(asyncio.to_thread(reading.read))
            await export
            writing.close()
            whole = json.loads(b"{" + await rest)
            reading.close()
        assert "meanwhile" not in {one["id"] for one in whole["tasks"]}


def a_pipe() -> tuple[Any, Any]:
    reader, writer = os.pipe()
    return open(reader, "rb", buffering=0), open(writer, "wb", buffering=0)
