"""Pages of lists: what is on them, and what is not read for them."""

from __future__ import annotations

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
from serving import serve

from backend.interface import Action, Backend, Transition
from backend.local import LocalBackend, open_store
from backend.model import (
    Actor,
    ClaimRequest,
    Evidence,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Outcome,
    Priority,
    Queue,
    Run,
    RunEnd,
    SenderType,
    Task,
    TaskFilter,
    TaskPatch,
    TaskType,
)
from backend.pages import Page, Place, RunFilter, Span, place_of
from backend.server.app import create_app
from backend.server.pages import read_runs
from backend.sessions import NewSession
from backend.store.postgres import PAGE_STATEMENTS as POSTGRES_PAGES
from backend.store.postgres import STATEMENTS as POSTGRES
from backend.store.postgres_session import connect
from backend.store.sql_pages import page_statement
from backend.store.sqlite import PAGE_STATEMENTS as SQLITE_PAGES
from backend.store.sqlite import STATEMENTS as SQLITE

ANA = Actor(SenderType.HUMAN, "ana")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MANY = 20_000
QUEUES = (Queue.BACKLOG, Queue.INCOMING, Queue.DONE)
SEED = """
INSERT INTO tasks (id, title, body, queue, priority, role, type, base_branch, base_sha, needs, auto_accept,
    open_blockers, rejection_count, created_by, created_at, updated_at, metadata, created_as)
SELECT 't' || n, 'T', '', CASE n % 10 WHEN 0 THEN 'incoming' WHEN 1 THEN 'backlog' ELSE 'done' END,
    'P' || (n % 4), CASE n % 100 WHEN 0 THEN 'rare' ELSE 'implement' END, 'feature', 'main', 'b', '[]', {no},
    0, n % 3, 'ana', 0, 0, '{{}}', 'x'
FROM {numbers}
"""


NUMBERS = f"""
    (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {MANY}) SELECT n FROM c)
"""


@dataclass(slots=True)
class Crowded:
    """A store with enough in it that reading all of it would show."""

    place: Path | str

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[LocalBackend]:
        place = self.place
        backend = await (LocalBackend.connect(place) if isinstance(place, str) else LocalBackend.open(place))
        try:
            yield backend
        finally:
            await backend.close()

    def plan(self, wanted: TaskFilter, page: Page) -> str:
        """What the engine does for a page; counts are those of a run where the engine gives them."""
        if isinstance(self.place, str):
            statement, values = page_statement({**POSTGRES, **POSTGRES_PAGES}, wanted, page)
            with connect(self.place) as connection:
                rows = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {statement}", values)
                return "\n".join(row[0] for row in rows)
        statement, values = page_statement({**SQLITE, **SQLITE_PAGES}, wanted, page)
        with closing(sqlite3.connect(self.place)) as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            return "\n".join(row[3] for row in rows)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    if request.param == "postgresql":
        with postgres.server().used() as url:
            with connect(url) as connection:
                numbers = f"generate_series(1, {MANY}) AS n"
                connection.execute(SEED.format(no="false", numbers=numbers), prepare=False)
                # The counts follow the log, in which none of these tasks is.
                connection.execute("UPDATE queue_counts SET tasks = (SELECT count(*) FROM tasks"
                                   " WHERE tasks.queue = queue_counts.queue)")  # fmt: skip
                connection.execute("ANALYZE")
            yield Crowded(url)
        return
    path = tmp_path_factory.mktemp("pages") / "octopoid.db"
    for store in open_store(path, 0):
        if not store.connection.execute("PRAGMA query_only").fetchone()[0]:
            store.connection.execute(SEED.format(no="0", numbers=NUMBERS))
        store.close()
    yield Crowded(path)


FILTERS = [
    TaskFilter(),
    TaskFilter(queues=frozenset({Queue.INCOMING})),
    TaskFilter(queues=frozenset({Queue.INCOMING, Queue.DONE})),
    TaskFilter(roles=frozenset({"rare"})),
    TaskFilter(priorities=frozenset({Priority.P1, Priority.P3}), queues=frozenset({Queue.DONE})),
    TaskFilter(text="t19", types=frozenset({TaskType.FEATURE})),
    TaskFilter(project_id="nobody's"),
    TaskFilter(claimed_by="nobody"),
]


@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
async def test_pages_are_the_listing_cut_to_pieces(crowded: Crowded, wanted: TaskFilter) -> None:
    async with crowded.opened() as backend:
        whole = [task.id for task in await backend.list_tasks(wanted)]
        for start in (0, 1, 777, len(whole) - 3, len(whole), len(whole) + 5):
            first = await backend.page_tasks(wanted, Page(7, max(start, 0)))
            assert [task.id for task in first.tasks] == whole[max(start, 0) :][:7]
            assert first.more == (len(whole) > max(start, 0) + 7)
            assert first.total == len(whole)
            if first.more:
                after = await backend.page_tasks(wanted, Page(9, after=place_of(first.tasks[-1])))
                assert [task.id for task in after.tasks] == whole[max(start, 0) + 7 :][:9]
        nothing = await backend.page_tasks(wanted, Page(0))
        assert (nothing.tasks, nothing.total) == ((), len(whole))


PAGES = [Page(50), Page(50, 100), Page(50, after=Place(Priority.P2, False, "t10"))]
STATES = [frozenset[Queue](), frozenset({Queue.INCOMING}), frozenset(QUEUES)]


@pytest.mark.parametrize(("queues", "page"), [*itertools.product(STATES, PAGES)])
async def test_a_page_reads_no_more_than_it_reaches(
    crowded: Crowded, queues: frozenset[Queue], page: Page
) -> None:
    """A page of 50 among very many tasks: each state is walked through its index, and not to the end."""
    found = crowded.plan(TaskFilter(queues=queues), page)
    assert "tasks_by_queue" in found
    if isinstance(crowded.place, str):
        assert "Seq Scan on tasks" not in found
        counts = [float(line.partition("rows=")[2].split()[0]) for line in found.split("actual ")[1:]]
        assert counts
        # Two of a state's rows may be read to leave out what has the same priority.
        assert max(counts) <= len(queues or Queue) * (page.offset + page.limit), found
    else:
        # A state's part of the index is in order: what is sorted are the pieces of a few states.
        assert "SCAN tasks" not in found
        arms = found.count("SEARCH tasks USING INDEX tasks_by_queue (queue=?")
        assert arms == len(queues or Queue), found
        assert page.after is None or found.count("(queue=? AND priority>?") == arms, found


async def test_an_unfiltered_total_counts_nothing(crowded: Crowded, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(*given: Any) -> int:
        raise AssertionError("counted")

    monkeypatch.setattr("backend.store.sql_pages.SqlPages.count", count)
    async with crowded.opened() as backend:
        assert (await backend.page_tasks(TaskFilter(), Page(1))).total == MANY
        done = TaskFilter(queues=frozenset({Queue.DONE}))
        assert (await backend.page_tasks(done, Page(1))).total == MANY * 8 // 10
        rare = TaskFilter(roles=frozenset({"rare"}))
        later = await backend.page_tasks(rare, Page(1, after=Place(Priority.P0, True, "t100")))
        assert (len(later.tasks), later.total) == (1, None)


# Over HTTP, with the store in this process and with one that has only a listing


class ListsOnly:
    """A backend that gives its lists all at once."""

    def __init__(self, backend: LocalBackend) -> None:
        self.list_tasks = backend.list_tasks
        self.list_runs = backend.list_runs
        self.list_sessions = backend.list_sessions
        self.list_messages = backend.list_messages
        self.open_questions = backend.open_questions
        self.undelivered = backend.undelivered
        self.unfinished_messages = backend.unfinished_messages
        self.unfinished_evidence = backend.unfinished_evidence


@pytest.fixture(params=["sqlite", "postgresql", "lists only"])
async def small(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[LocalBackend, Backend]]:
    if request.param == "postgresql":
        with postgres.server().used() as url:
            backend = await LocalBackend.connect(url)
            yield backend, backend
            await backend.close()
        return
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    seen: Any = ListsOnly(backend) if request.param == "lists only" else backend
    yield backend, seen
    await backend.close()


async def create(backend: LocalBackend, number: int) -> Task:
    role = "docs" if number % 2 else "implement"
    new = NewTask(f"t{number}", f"t{number}", role, "main", "base", "ana", priority=[*Priority][number % 3])
    return await backend.create_task(new, actor=ANA)


@pytest.mark.parametrize(
    "query", ["", "&queue=incoming", "&role=docs", "&role=docs,implement&queue=incoming"]
)
async def test_a_cursor_skips_and_repeats_nothing_while_tasks_come_and_move(
    small: tuple[LocalBackend, Backend], query: str
) -> None:
    backend, seen = small
    for number in range(20):
        await create(backend, number)
    transport = httpx.ASGITransport(create_app(seen))
    async with httpx.AsyncClient(transport=transport, base_url="http://octopoid", timeout=60) as http:
        there = (await http.get(f"/api/v1/tasks?limit=100{query}")).json()
        wanted = [task["id"] for task in there["tasks"]]
        assert (there["total"], there["next_cursor"]) == (len(wanted), None)
        page = (await http.get(f"/api/v1/tasks?limit=3{query}")).json()
        got = [task["id"] for task in page["tasks"]]
        await create(backend, 100)
        if not isinstance(seen, ListsOnly):  # a backend without places knows only where the task is now
            await backend.edit_task(got[-1], TaskPatch(priority=Priority.P3), actor=ANA)
        while page["next_cursor"] is not None:
            assert page["total"] >= len(wanted)
            page = (await http.get(f"/api/v1/tasks?limit=3{query}&cursor={page['next_cursor']}")).json()
            assert page["offset"] == len(got)
            got += [task["id"] for task in page["tasks"]]
    assert [one for one in got if one != "t100"][: len(wanted)] == wanted
    assert set(got) >= set(wanted)


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WyJQMSIsZmFsc2UsInQiLC0xLDVd", "WyJQOSIsZmFsc2UsInQiLDEsNV0", "%FF", "A" * 600]
)
async def test_a_cursor_that_is_none_is_422(small: tuple[LocalBackend, Backend], cursor: str) -> None:
    transport = httpx.ASGITransport(create_app(small[1]))
    async with httpx.AsyncClient(transport=transport, base_url="http://octopoid", timeout=60) as http:
        answer = await http.get(f"/api/v1/tasks?cursor={cursor}")
        assert (answer.status_code, answer.json()["slug"]) == (422, "bad-input")


# What only grows: runs, sessions and messages


WORK = 23
"""Tasks that have been worked on: a few pages of each list."""


async def work(backend: LocalBackend) -> None:
    """A run, a session and a question for each of many tasks; a long conversation in the first."""
    await backend.register("c", "m", pid=1)
    bot = Actor(SenderType.WORKER, "a")
    for number in range(WORK):
        task = await create(backend, number)
        claim = ClaimRequest("c-m", "a", "demo", f"r{number}", 300, task_id=task.id)
        assert await backend.claim(claim) is not None
        await backend.open_session(NewSession(f"s{number}", f"s{number}", "c-m", "a", task.id, f"r{number}"))
        asked = NewMessage(
            f"q{number}", task.id, bot, MessageType.REQUEST, MessageKind.QUESTION, "?", run_id=f"r{number}"
        )
        await backend.post_message(asked)
        at = NOON + timedelta(minutes=number)
        await backend.add_evidence(
            Evidence(f"e{number}", task.id, f"r{number}", "tests", "pytest", "w", "b", 0, "ok", "d", 1, at)
        )
    for number in range(WORK):
        note = NewMessage(f"n{number}", "t0", ANA, MessageType.STATUS, MessageKind.NOTE, "so")
        await backend.post_message(note)


LISTS = {
    "runs": ("r", WORK),
    "runs?live=true": ("r", WORK),
    "runs?task_id=t3": ("r", 1),
    "sessions": ("s", WORK),
    "sessions?live=true&worker_id=none": ("s", 0),
    "sessions?status=active": ("s", WORK),
    "messages?state=open": ("q", WORK),
    "messages?state=unfinished": ("", 2 * WORK),
    "evidence": ("e", WORK),
    "tasks/t0/messages": ("", WORK + 1),
    "tasks/t3/runs": ("r", 1),
}


@pytest.mark.parametrize("path", LISTS)
async def test_rows_are_given_page_by_page_though_they_leave_the_list(
    small: tuple[LocalBackend, Backend], path: str
) -> None:
    """What the next page begins after has ended, or was answered, since the page before."""
    backend, seen = small
    await work(backend)
    prefix, many = LISTS[path]
    name = path.rpartition("/")[2].partition("?")[0]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(seen)), base_url="http://octopoid"
    ) as http:
        whole = (await http.get(f"/api/v1/{path}")).json()
        assert (len(whole[name]), whole["next_cursor"]) == (many, None)
        got: list[str] = []
        params: dict[str, str | int] = {"limit": 4}
        while True:
            url = httpx.URL(f"http://octopoid/api/v1/{path}").copy_merge_params(params)
            page = (await http.get(url)).json()
            assert len(page[name]) <= 4
            got += (row["id"] for row in page[name])
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
            await leave(backend, got[-1], path)
    assert list(dict.fromkeys(got)) == [row["id"] for row in whole[name]]
    assert all(one.startswith(prefix) for one in got)


async def leave(backend: LocalBackend, its_id: str, path: str) -> None:
    """Take a row off the lists of what is live, open or unfinished."""
    if path in ("messages?state=unfinished", "evidence"):
        if its_id[0] != "n":  # these are all of one task, and would all leave
            await backend.transition(Transition(f"t{its_id[1:]}", Action.CANCEL, ANA, reason="over"))
        return
    match its_id[0]:
        case "r":
            await backend.end_run(its_id, RunEnd(Outcome.STOPPED, "over"))
        case "s":
            await backend.end_session(its_id, "over", actor=ANA)
        case "q":
            await backend.answer(its_id, "so", actor=ANA)


@pytest.mark.parametrize("given", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=WyJub25lIiwwXQ"])
@pytest.mark.parametrize(
    "path",
    [
        "runs",
        "sessions",
        "messages?state=open",
        "messages?state=unfinished",
        "evidence",
        "tasks/t0/runs",
        "tasks/t0/messages",
    ],
)
async def test_a_page_of_rows_that_cannot_be_is_422(tmp_path: Path, path: str, given: str) -> None:
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(backend)), base_url="http://octopoid"
    ) as http:
        answer = await http.get(f"/api/v1/{path}{'&' if '?' in path else '?'}{given}")
        assert (answer.status_code, answer.json()["slug"]) == (422, "bad-input"), answer.text
        assert answer.json()["next_step"]
    await backend.close()


async def test_a_history_goes_on_after_its_last_event(small: tuple[LocalBackend, Backend]) -> None:
    backend, _ = small
    await create(backend, 0)
    for priority in (Priority.P1, Priority.P3, Priority.P2):
        await backend.edit_task("t0", TaskPatch(priority=priority), actor=ANA)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(backend)), base_url="http://octopoid"
    ) as http:
        whole = (await http.get("/api/v1/tasks/t0/history")).json()["events"]
        first = (await http.get("/api/v1/tasks/t0/history?limit=2")).json()["events"]
        rest = (await http.get(f"/api/v1/tasks/t0/history?after={first[-1]['seq']}")).json()["events"]
        assert (len(first), first + rest) == (2, whole)


async def test_the_client_of_another_process_reads_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.remote.PAGE", 4)
    async with serve(tmp_path) as served:
        backend, far = served.backend, served.remote
        await work(backend)
        runs = await backend.list_runs()
        for number in range(WORK):
            await backend.answer(f"q{number}", "so", actor=ANA)
        assert [run.id for run in await far.list_runs()] == [run.id for run in runs]
        assert len(await far.list_runs(live=True)) == WORK
        assert await far.list_runs(task_id="t3") == [runs[3]]
        assert await far.list_sessions(live=True) == await backend.list_sessions(live=True)
        assert await far.list_messages("t0") == await backend.list_messages("t0")
        assert await far.unfinished_messages() == await backend.unfinished_messages()
        assert await far.unfinished_evidence() == await backend.unfinished_evidence()
        assert len(await far.unfinished_evidence()) == WORK
        assert await far.open_questions() == []
        waiting = [run.id for run in runs]
        assert await far.undelivered(waiting) == await backend.undelivered(waiting)
        assert len(await far.undelivered(waiting)) == WORK


PLANS = {
    ("runs", "only_live_runs"): "USING INDEX runs_live",
    ("runs", "only_task"): "(task_id=?",
    ("sessions", "only_task"): "USING INDEX sessions_by_task (task_id=? AND seq>?)",
    ("messages", "only_open_messages"): "USING INDEX messages_open",
    ("messages", "only_of_unfinished"): "SEARCH messages USING INTEGER PRIMARY KEY (rowid>?)",
    ("messages", "only_undelivered"): "USING INDEX messages_undelivered (run_id=?",
    ("messages", "only_conversation"): "USING INDEX messages_by_conversation (conversation_id=? AND seq>?)",
}


@pytest.mark.parametrize(("noun", "only"), PLANS)
def test_a_page_is_read_through_the_index_meant_for_it(tmp_path: Path, noun: str, only: str) -> None:
    path = tmp_path / "octopoid.db"
    for store in open_store(path, 0):
        store.close()
    statement = "\n".join(SQLITE_PAGES[name] for name in (f"page_of_{noun}", only, "page_rows_end"))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", defaultdict(str))
        plan = "\n".join(row[3] for row in rows)
    assert PLANS[noun, only] in plan, plan


async def test_a_backend_that_has_whole_lists_is_asked_once_for_each_request() -> None:
    asked: list[str | None] = []

    class Whole:
        async def list_runs(self, task_id: str | None = None, *, live: bool = False) -> list[Run]:
            asked.append(task_id)
            return []

    whole: Any = Whole()
    read = read_runs(whole, RunFilter(task_id="t"))
    assert await read(Span(2)) == []
    assert await read(Span(2, "r1")) == []
    assert asked == ["t"]
