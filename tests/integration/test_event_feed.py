"""The log as a live feed: nothing missing, nothing twice, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import ANA, DEADLINE_S, Follower, Served, new_task, serve, soon


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path) as one:
        yield one


async def test_a_watch_gives_the_past_and_then_the_present(served: Served) -> None:
    await served.backend.create_task(new_task("t1"), actor=ANA)
    first = await served.backend.last_seq()
    all_of_it, later = Follower(served.remote), Follower(served.remote, first)
    await soon(lambda: len(all_of_it.seqs) == first)
    await served.backend.create_task(new_task("t2"), actor=ANA)
    last = await served.backend.last_seq()
    await soon(lambda: all_of_it.seqs[-1:] == [last] == later.seqs[-1:])
    assert all_of_it.seqs == [event.seq for event in await served.backend.events()]
    assert later.seqs == [seq for seq in all_of_it.seqs if seq > first]
    await all_of_it.stop()
    await later.stop()


async def test_a_watch_outlives_its_server_without_gap_or_repeat(served: Served) -> None:
    follower = Follower(served.remote)
    for number in range(30):
        await served.backend.create_task(new_task(f"t{number}"), actor=ANA)
        if number % 10 == 5:
            await served.restart()
    last = await served.backend.last_seq()
    await soon(lambda: follower.seqs[-1:] == [last])
    assert follower.seqs == [event.seq for event in await served.backend.events(limit=1000)]
    await follower.stop()


async def test_a_watch_of_many_events_is_whole(served: Served) -> None:
    for number in range(1200):
        await served.backend.create_task(new_task(f"t{number}"), actor=ANA)
    follower = Follower(served.remote)
    await soon(lambda: len(follower.seqs) >= 1200)
    assert follower.seqs == sorted(set(follower.seqs))
    await follower.stop()


async def test_closing_the_client_ends_its_watch(served: Served) -> None:
    follower = Follower(served.remote)
    await served.backend.create_task(new_task("t1"), actor=ANA)
    await soon(lambda: bool(follower.seqs))
    await served.remote.close()
    await asyncio.wait_for(follower.task, DEADLINE_S)


async def test_the_stream_resumes_after_the_last_event_id(served: Served) -> None:
    for number in range(3):
        await served.backend.create_task(new_task(f"t{number}"), actor=ANA)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "1"}
    ids: list[str] = []
    async with served.http.stream("GET", "/api/v1/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                assert json.loads(line[5:])["entity_id"] == f"t{int(ids[-1]) - 1}"
            elif line.startswith("id:"):
                ids.append(line[3:].strip())
            if len(ids) == 2 and line == "":
                break
    assert ids == ["2", "3"]
    bad = await served.http.get("/api/v1/events", headers={**headers, "Last-Event-ID": "x"})
    assert bad.status_code == 422


async def test_a_client_that_leaves_frees_its_stream(served: Served) -> None:
    async with served.http.stream("GET", "/api/v1/events", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        streams = served.server._streams
        assert streams is not None
        await soon(lambda: streams.count == 1)
    await soon(lambda: streams.count == 0)


async def test_long_poll_waits_for_the_first_event(served: Served) -> None:
    seq = await served.backend.last_seq()
    poll = asyncio.create_task(served.http.get(f"/api/v1/events?after={seq}&wait=20"))
    empty = await served.http.get(f"/api/v1/events?after={seq}&wait=0.05")
    assert empty.json() == {"events": []}
    await served.backend.create_task(new_task("t1"), actor=ANA)
    answer = await asyncio.wait_for(poll, DEADLINE_S)
    assert [event["entity_id"] for event in answer.json()["events"]] == ["t1"]


async def test_history_is_the_tasks_own(served: Served) -> None:
    await served.backend.create_task(new_task("t1"), actor=ANA)
    await served.backend.create_task(new_task("t2"), actor=ANA)
    history = (await served.http.get("/api/v1/tasks/t1/history")).json()["events"]
    assert [(event["entity_id"], event["kind"], event["to"]) for event in history] == [
        ("t1", "create", "incoming")
    ]
