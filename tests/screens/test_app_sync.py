"""How the screen shows a server that is away, and what that server did not take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import FixedDesk, ago, empty, fleet

from backend.errors import Refused
from backend.sync import Choice, Conflict, SyncMode, SyncState, Waiting
from octopoid_tui.screens.sync import screen as sync_screen
from octopoid_tui.screens.sync.screen import SyncScreen

URL = "https://octopoid.example.org"
ONLINE = SyncState(SyncMode.ONLINE, 0, 0, URL, ago(hours=2), None)
AWAY = SyncState(SyncMode.OFFLINE, 3, 1, URL, ago(minutes=4), "connection refused")
TASK = "01kc7m2q9x4c2"


def conflict(number: int = 1, **known: Any) -> Conflict:
    plain: dict[str, Any] = {
        "id": f"c{number}", "task_id": TASK, "operation": "edit", "summary": f"new title of {TASK}",
        "problem": "its title has been changed since, by human:bob",
        "mine": {"title": "Replace the calendar", "priority": "P1"},
        "theirs": {"title": "Replace the date picker by ours", "priority": "P1", "queue": "claimed"},
        "at": ago(minutes=7), "rejected": False,
    }  # fmt: skip
    return Conflict(**{**plain, **known})


def waiting(number: int = 1, **known: Any) -> Waiting:
    plain: dict[str, Any] = {
        "id": f"w{number}", "task_id": TASK, "operation": "approve", "summary": f"accept {TASK}",
        "by": "human:ana", "at": ago(minutes=3), "tries": 0,
        "why": "the server is away (connection refused)",
        "mine": {"kind": "move", "wish": {"task_id": TASK, "action": "approve", "reason": "good work"}},
    }  # fmt: skip
    return Waiting(**{**plain, **known})


def standing(sync: SyncState, *conflicts: Conflict) -> FixedDesk:
    desk = fleet()
    desk.backend.conflicts = list(conflicts)
    desk.backend.sync = replace(sync, conflicts=len(conflicts))
    return desk


async def open_sync(driven: Driven) -> None:
    await driven.press("s")
    await driven.until(lambda: is_on(driven, SyncScreen))
    await driven.until(lambda: "list_pending" in driven.desk.backend.reads)
    await driven.pilot.pause()


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_the_status_line_says_that_the_server_is_away_and_what_waits(size: tuple[int, int]) -> None:
    async with driving(standing(AWAY, conflict()), size, mode="remote") as d:
        line = d.lines()[0]
        assert "offline 4m · 3 pending" in line
        assert "1 conflict" in line
        assert "live" not in line
        assert "wait for you" in line
        assert len(line.rstrip()) <= size[0]


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_it_is_a_warning_that_goes_with_its_cause_and_no_error(size: tuple[int, int]) -> None:
    desk = standing(AWAY, conflict())
    async with driving(desk, size, mode="remote") as d:
        assert "! the server is away since 2026-01-01 11:26 UTC; no new task is claimed" in d.lines()[1]
        assert "! the server did not take 1 change: octopoid conflicts, or s on the screen" in d.lines()[2]
        assert "✗" not in d.lines()[0]
        await desk.backend.stand(ONLINE)
        await d.until(lambda: "the server" not in d.text())


async def test_it_follows_the_server_as_it_comes_back_and_goes() -> None:
    desk = standing(ONLINE)
    async with driving(desk, mode="remote") as d:
        assert "remote   ● live   scheduler" in d.lines()[0]
        await desk.backend.stand(replace(AWAY, conflicts=0, pending=0))
        await d.until(lambda: "offline 4m   scheduler" in d.lines()[0])
        await desk.backend.stand(replace(ONLINE, pending=2, conflicts=2))
        await d.until(lambda: "● live · 2 pending   2 conflicts" in d.lines()[0])
        await desk.backend.stand(replace(ONLINE, progress="3,000 of 10,000 tasks"))
        await d.until(lambda: "synchronising 3,000 of 10,000 tasks   scheduler" in d.lines()[0])
        await desk.backend.stand(ONLINE)
        await d.until(lambda: "● live   scheduler" in d.lines()[0])


async def test_the_list_says_how_far_the_copy_has_got() -> None:
    async with driving(standing(replace(ONLINE, progress="900 runs")), WIDE, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: f"synchronising with {URL}: 900 runs; nothing waits to be sent." in d.text())


async def test_leases_of_an_away_server_are_not_called_expired() -> None:
    desk = standing(AWAY)
    key = "01kc7m2q9x4b1"
    desk.backend.tasks[key] = replace(desk.backend.tasks[key], lease_expires_at=ago(minutes=1))
    async with driving(desk, mode="remote") as d:
        assert "expired" not in d.text()
        await desk.backend.stand(ONLINE)
        await d.until(lambda: "expired" in d.text())


async def test_both_versions_stand_side_by_side_with_what_differs_marked() -> None:
    async with driving(standing(AWAY, conflict()), WIDE, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "≠ title" in d.text())
        text = d.text()
        assert f"{URL} is away for 4m; 3 changes wait to be sent (connection refused)." in text
        assert "✗ changed on the server meanwhile: its title has been changed since, by human:bob" in text
        (row,) = [line for line in d.lines() if "≠ title" in line]
        assert "≠ title  Replace the calendar" in row
        assert "≠ title  Replace the date picker by ours" in row
        (same,) = [line for line in d.lines() if "priority  P1" in line]
        assert same.count("priority  P1") == 2
        assert "≠" not in same


async def test_where_room_is_short_they_stand_one_above_the_other() -> None:
    async with driving(standing(AWAY, conflict()), SMALL, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "≠ title" in d.text())
        lines = d.lines()
        mine = next(n for n, line in enumerate(lines) if "Replace the calendar" in line)
        theirs = next(n for n, line in enumerate(lines) if "Replace the date picker by ours" in line)
        assert mine < theirs
        assert "m mine" in lines[-1]
        assert "t theirs" in lines[-1]


@pytest.mark.parametrize(("key", "choice"), [("m", Choice.MINE), ("t", Choice.THEIRS)])
async def test_one_key_settles_the_one_under_the_cursor(key: str, choice: Choice) -> None:
    desk = standing(AWAY, conflict(1), conflict(2, summary="a second change"))
    async with driving(desk, mode="remote") as d:
        await open_sync(d)
        await d.press("down", key)
        await d.until(lambda: desk.backend.settled == [("c2", choice)])
        await d.until(lambda: "a second change" in d.flash)
        await d.until(lambda: not any("a second change" in line for line in d.lines()[:-3]))
        assert f"new title of {TASK}" in d.text()


async def test_what_the_server_still_refuses_stays_and_says_why() -> None:
    desk = standing(AWAY, conflict())
    async with driving(desk, mode="remote") as d:
        await open_sync(d)

        async def refuse(*_: object, **__: object) -> None:
            raise Refused("it is done already", "leave it with: theirs")

        desk.backend.settle_conflict = refuse  # type: ignore[method-assign]
        await d.press("m")
        await d.until(lambda: "it is done already: leave it with: theirs" in d.flash)
        assert f"new title of {TASK}" in d.text()


async def test_a_refused_change_without_a_version_of_theirs() -> None:
    desk = standing(ONLINE, conflict(rejected=True, theirs=None, task_id=None, operation="create"))
    async with driving(desk, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "The server has none of it." in d.text())
        assert "✗ the server refused it: " in d.text()


async def test_nothing_in_conflict_says_so_and_the_keys_say_why_not() -> None:
    async with driving(standing(replace(ONLINE, pending=1)), mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "Nothing waits, and nothing is in conflict." in d.text())
        assert f"● {URL} answers; 1 change waits to be sent." in d.text()
        await d.press("m")
        assert d.flash == "Keep mine: no change in conflict is under the cursor"
        await d.press("escape")
        await d.until(lambda: not is_on(d, SyncScreen))


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_each_change_that_waits_is_shown_with_its_maker_and_its_reason(size: tuple[int, int]) -> None:
    desk = standing(AWAY, conflict())
    desk.backend.waiting = [waiting(1), waiting(2, summary="answer to m1", tries=2)]
    async with driving(desk, size, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "answer to m1" in d.text())
        (first,) = [line for line in d.lines() if f"accept {TASK}" in line]
        assert "3m" in first
        assert "waits" in first
        await d.press("down")
        await d.until(lambda: "… waits: the server is away (connection refused)" in d.text())
        assert "made by human:ana; not sent yet" in d.text()
        assert "reason  good work" in d.text()
        assert "Theirs" not in d.text()
        await d.press("m")
        assert d.flash == "Keep mine: no change in conflict is under the cursor"
        await d.press("down")
        await d.until(lambda: "made by human:ana; sent 2 times, not answered" in d.text())
        desk.backend.waiting = []
        await desk.backend.stand(ONLINE)
        await d.until(lambda: "answer to m1" not in d.text())


async def test_what_waits_is_read_again_while_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a change was sent once more makes no event."""
    monkeypatch.setattr(sync_screen, "READ_EVERY", 0.02)
    desk = standing(AWAY)
    desk.backend.waiting = [waiting()]
    async with driving(desk, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "made by human:ana; not sent yet" in d.text())
        desk.backend.waiting = [waiting(tries=3, why="the server did not answer in time")]
        await d.until(lambda: "sent 3 times, not answered" in d.text())
        assert "… waits: the server did not answer in time" in d.text()


async def test_a_list_that_is_cut_says_how_many_more_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_screen, "SHOWN", 2)
    desk = standing(replace(AWAY, pending=7))
    desk.backend.waiting = [waiting(number) for number in range(7)]
    async with driving(desk, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "5 more: octopoid sync --list" in d.text())
        assert "made by human:ana" in d.text()
        await d.press("G")
        await d.until(lambda: "made by human:ana" not in d.text())
        await d.press("m")
        assert d.flash == "Keep mine: no change in conflict is under the cursor"
        desk.backend.waiting = desk.backend.waiting[:2]
        await desk.backend.stand(replace(AWAY, pending=2, conflicts=0))
        await d.until(lambda: "more: octopoid sync" not in d.text())


async def test_sending_now_tells_what_came_of_it() -> None:
    desk = standing(AWAY)
    async with driving(desk, mode="remote") as d:
        await open_sync(d)
        await d.press("s")
        await d.until(lambda: d.flash == "the server is still away (connection refused)")
        await desk.backend.stand(ONLINE)
        await d.press("s")
        await d.until(lambda: d.flash == "the server answers; nothing waits to be sent")


async def test_over_a_store_of_its_own_there_is_no_such_screen() -> None:
    async with driving(empty()) as d:
        await d.press("s")
        assert "there is no server" in d.flash
        assert not is_on(d, SyncScreen)


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_text_of_both_versions_stays_text(
    size: tuple[int, int], hostile_payloads: Mapping[str, str]
) -> None:
    """Whatever a peer wrote is shown, and nothing of it is obeyed."""
    bad = hostile_payloads["markup click"] + hostile_payloads["c1 csi"]
    mine: dict[str, Any] = {"title": bad, bad: bad, "needs": [bad], "metadata": {bad: bad}}
    mine |= {f"field{number}": text for number, text in enumerate(hostile_payloads.values())}
    theirs = {name: f"other {value}" for name, value in mine.items()}
    found = conflict(mine=mine, theirs=theirs, summary=bad, problem=bad, operation=bad, task_id=bad)
    desk = standing(AWAY, found)
    desk.backend.waiting = [waiting(summary=bad, by=bad, why=bad, mine=mine)]
    async with driving(desk, size, mode="remote") as d:
        await open_sync(d)
        await d.until(lambda: "≠ title" in d.text())
        text = "".join(d.lines())
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
        screen = d.screen
        assert isinstance(screen, SyncScreen)
        for shown in (screen.mine, screen.theirs, screen.problem, screen.heading):
            assert not any("@click" in str(span.style) for span in shown.visual.spans)  # type: ignore[attr-defined]
        await d.press("down")
        await d.until(lambda: "What the server is asked for" in d.text())
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in "".join(d.lines()))
        for shown in (screen.mine, screen.problem):
            assert not any("@click" in str(span.style) for span in shown.visual.spans)  # type: ignore[attr-defined]
