"""The documented workers as they stand, each a process of its own, against a server on TCP."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tcp_serving import ANA, Tcp, serve_tcp

from backend.keys import KeyScope
from backend.model import NewTask, Queue, Task, TaskFilter
from backend.server.events import end_tasks
from backend.server.jobs import sweep

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 60.0


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path) as one:
        yield one


@asynccontextmanager
async def running(site: Tcp, name: str, *program: str) -> AsyncIterator[Process]:
    """A worker's process, with nothing in its environment but the server and a key."""
    key = await site.key(KeyScope.WORK)
    environment = {"PATH": os.environ["PATH"], "OCTOPOID_SERVER": site.url, "OCTOPOID_API_KEY": key.token}
    command = program or (sys.executable, str(DOCS / "examples" / "worker.py"))
    process = await asyncio.create_subprocess_exec(
        *command, name, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.communicate()


async def until(what: str, holds: Callable[[], Awaitable[Any]]) -> Any:
    """What `holds` gives, once it gives something."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await holds()):
                await asyncio.sleep(0.02)
            return found
    raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for: {what}")


async def end_of(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def post(site: Tcp, path: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = await site.http.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def create(site: Tcp, task_id: str) -> None:
    new = NewTask(task_id, f"Task {task_id}", "implement", "main", "", "human:ana")
    await site.backend.create_task(new, actor=ANA)


async def questions(site: Tcp, count: int = 1) -> Any:
    async def asked() -> Any:
        found = await site.backend.open_questions()
        return found if len(found) == count else None

    return await until(f"{count} questions", asked)


async def claimed(site: Tcp) -> list[Task]:
    return await site.backend.list_tasks(TaskFilter(queues=frozenset({Queue.CLAIMED})))


async def test_the_whole_way_of_one_task(site: Tcp) -> None:
    """Created, claimed, asked about, answered by a person in the chat, completed, accepted."""
    site.http.headers.update(await site.headers(KeyScope.WORK))
    order = await post(site, "queue/enqueue", {"title": "Test task", "repository_url": "r"}, 201)
    async with running(site, "builder") as process:
        (question,) = await questions(site)

        async def waits() -> bool:
            (one,) = (await site.http.get("/api/v1/workers")).json()["workers"]
            return (one["name"], one["status"], one["task_id"]) == ("builder", "waiting", order["id"])

        await until("the worker to be shown as waiting", waits)
        assert question.body == "Which library for 'Test task'?"
        said = {"message": "Use library X", "message_type": "response", "parent_message_id": question.id}
        await post(site, "chat/messages", said, 201)
        status, out, err = await end_of(process)
    assert (status, err) == (0, "")
    assert out == f"claimed {order['id']}\ncompleted {order['id']} with Use library X\n"
    done = await post(site, "tasks/" + order["id"] + "/accept", {"accepted_by": "ana"})
    assert done["queue"] == "done"
    (run,) = await site.backend.list_runs(task_id=order["id"])
    assert (run.outcome, run.summary) == ("submitted", "Done with Use library X")


async def test_three_workers_take_three_tasks(site: Tcp) -> None:
    """L-21: nobody has what another has."""
    for number in range(3):
        await create(site, f"t{number}")
    async with running(site, "a") as a, running(site, "b") as b, running(site, "c") as c:
        asked = await questions(site, 3)
        tasks = await claimed(site)
        assert {task.claimed_by for task in tasks} == {"a", "b", "c"}
        assert {question.conversation_id for question in asked} == {"t0", "t1", "t2"}
        for question in asked:
            await site.backend.answer(question.id, f"for {question.conversation_id}", actor=ANA)
        for process in (a, b, c):
            status, out, err = await end_of(process)
            assert (status, err) == (0, "")
            task_id = out.split()[1]
            assert out.endswith(f"completed {task_id} with for {task_id}\n")
    counts = await site.backend.count_queues()
    assert counts[Queue.PROVISIONAL] == 3


async def test_a_session_lives_by_its_heartbeats_and_ends_without(site: Tcp) -> None:
    """Idle for 35 minutes, it ends by the server's own job; the lease does not end with it."""
    site.http.headers.update(await site.headers(KeyScope.WORK))
    await create(site, "t1")
    await post(site, "workers", {"name": "w", "id": "w1"}, 201)
    await post(site, "queue/claim", {"worker_id": "w1", "lease_seconds": 86_400})
    made = await post(site, "sessions", {"session_id": "abc", "worker_id": "w1", "task_id": "t1"}, 201)
    assert (made["worker_id"], made["status"]) == ("w1", "active")
    assert made["run_id"] == (await site.backend.get_task("t1")).run_id

    async def now() -> str:
        return str((await site.http.get("/api/v1/sessions/abc")).json()["status"])

    job = asyncio.create_task(sweep(site.backend, 0.01))
    try:
        site.clock.advance(10 * 60)
        await post(site, "sessions/abc/heartbeat", {})
        site.clock.advance(10 * 60)
        await post(site, "workers/w1/heartbeat", {"lease_seconds": 86_400})
        seen = await site.backend.last_seq()
        assert await now() == "active"
        site.clock.advance(35 * 60)

        async def is_over() -> bool:
            return await now() == "terminated"

        await until("the end of the session", is_over)
    finally:
        await end_tasks(job)
    ended = (await site.http.get(f"/api/v1/sessions/{made['id']}")).json()
    assert ended["reason"] == "idle over 30 minutes"
    listed = (await site.http.get("/api/v1/sessions?worker_id=w1&status=terminated")).json()["sessions"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert (await post(site, "sessions/abc/heartbeat", {}, 409))["details"] == [ended["reason"]]
    kinds = [event.kind for event in await site.backend.events(after=seen, entity_id=made["id"])]
    assert kinds == ["end"]
    assert (await site.backend.get_task("t1")).queue is Queue.CLAIMED


async def test_a_worker_stopped_past_its_lease_hands_nothing_in(site: Tcp) -> None:
    """L-31: it wakes up, has an answer, and is told that somebody else has the task (409)."""
    await create(site, "t1")
    async with running(site, "sleeper") as sleeper:
        (first,) = await questions(site)
        sleeper.send_signal(signal.SIGSTOP)
        try:
            site.clock.advance(301)
            assert [task.id for task in await site.backend.expire_leases()] == ["t1"]
            async with running(site, "other") as other:
                _, second = await questions(site, 2)
                before = await site.backend.get_task("t1")
                assert before.claimed_by == "other"
                sleeper.send_signal(signal.SIGCONT)
                await site.backend.answer(first.id, "too late", actor=ANA)
                status, out, err = await end_of(sleeper)
                assert (status, out) == (1, "claimed t1\n")
                assert "409" in err
                assert await site.backend.get_task("t1") == before
                await site.backend.answer(second.id, "in time", actor=ANA)
                status, out, err = await end_of(other)
                assert (status, err) == (0, "")
        finally:
            if sleeper.returncode is None:
                sleeper.send_signal(signal.SIGCONT)
    task = await site.backend.get_task("t1")
    assert task.queue is Queue.PROVISIONAL
    await site.backend.expire_leases()
    outcomes = {run.agent_name: run.outcome for run in await site.backend.list_runs(task_id="t1")}
    assert outcomes == {"sleeper": "lost", "other": "submitted"}


async def test_a_worker_that_is_killed_loses_its_lease_and_is_shown_offline(site: Tcp) -> None:
    await create(site, "t1")
    async with running(site, "mortal") as process:
        await questions(site)
        process.send_signal(signal.SIGKILL)
        await end_of(process)
    site.clock.advance(301)
    await site.backend.expire_leases()
    assert (await site.backend.get_task("t1")).queue is Queue.INCOMING
    headers = await site.headers(KeyScope.READ)
    (worker,) = (await site.http.get("/api/v1/workers", headers=headers)).json()["workers"]
    assert worker["status"] == "offline"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl or jq is not here")
async def test_the_worker_in_shell_does_one_task(site: Tcp) -> None:
    await create(site, "t1")
    async with running(site, "shell", "/bin/sh", str(DOCS / "examples" / "worker.sh")) as process:
        assert await end_of(process) == (0, "claimed t1\ncompleted t1\n", "")
    async with running(site, "shell", "/bin/sh", str(DOCS / "examples" / "worker.sh")) as process:
        assert await end_of(process) == (0, "nothing to do\n", "")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
async def test_the_documented_calls_work_as_written(tmp_path: Path) -> None:
    text = (DOCS / "workers.md").read_text(encoding="utf-8")
    calls = re.findall(r"^    (curl (?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert len(calls) == 10
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\nmax-time = 30\n")
    async with serve_tcp(tmp_path, keys=False) as site:
        for call in calls:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", call,
                env={"PATH": os.environ["PATH"], "URL": site.url, "HOME": str(tmp_path)},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            status, out, err = await end_of(process)
            assert (status, err) == (0, ""), (call, out)
            if "wait=25" in call:
                assert "Library X" in out
        assert (await site.backend.get_task("t1")).queue is Queue.DONE
