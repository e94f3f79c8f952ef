"""What happened since a person left, on the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import LEFT, NOW, FixedDesk, ago, away, empty, question

from backend.errors import StoreBroken
from octopoid_tui.attendance import Attendance
from octopoid_tui.panes.chat import ChatPane
from octopoid_tui.screens.places.since import SinceScreen
from octopoid_tui.screens.review.screen import ReviewScreen
from octopoid_tui.screens.task.screen import TaskScreen


@asynccontextmanager
async def back(desk: FixedDesk, size: tuple[int, int] = WIDE, **options: Any) -> AsyncIterator[Driven]:
    """The screen of one who comes back, and looks what happened."""
    attendance = Attendance(last_at=LEFT)
    async with driving(desk, size, attendance=attendance, **options) as d:
        await d.press("8")
        await d.until(lambda: is_on(d, SinceScreen))
        yield d


def since(d: Driven) -> SinceScreen:
    assert isinstance(d.screen, SinceScreen)
    return d.screen


async def read(d: Driven) -> SinceScreen:
    await d.until(lambda: since(d).grid.row_count)
    return since(d)


def states(screen: SinceScreen) -> list[str]:
    return [str(row.cells[0]) for row in screen.grid.rows[:]]


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_what_needs_a_person_comes_first(size: tuple[int, int]) -> None:
    async with back(away(), size) as d:
        screen = await read(d)
        assert states(screen) == [
            "? asks you", "? asks you", "▲ escalated", "◆ provisional", "◆ provisional", "✗ failed",
            "! alert", "− was alert", "◆ merging…", "✓ done", "✓ done",
        ]  # fmt: skip
        text = d.text()
        assert "Since you left (Dec 31 18:30, 17h ago)   $3.18, 313k tokens, 14 runs" in text
        assert "Waits for you 5" in text
        assert "May I run `npm install` in the worktree?" in text
        assert all(len(line.rstrip()) <= size[0] for line in d.lines())


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_one_is_told_with_how_it_came_to_it(size: tuple[int, int]) -> None:
    async with back(away(), size) as d:
        screen = await read(d)
        await d.press("down", "down")
        await d.until(lambda: "three attempts failed" in str(screen.detail.content))
        told = str(screen.detail.content)
        assert "escalate → escalated" in told
        assert told.index("escalate →") < told.index("claim → claimed")


async def test_kinds_are_lists_of_their_own() -> None:
    async with back(away()) as d:
        screen = await read(d)
        await d.press("]")
        assert len(states(screen)) == 5
        await d.press("]")
        assert states(screen) == ["✗ failed"]
        await d.press("]", "]")
        assert states(screen) == ["◆ merging…", "✓ done", "✓ done"]
        assert "accepted by ana, commit 77aa10ff" in d.text()
        assert "3 questions answered by rules" in d.text()


async def test_it_leads_to_the_task_the_review_and_the_question() -> None:
    async with back(away()) as d:
        await read(d)
        await d.press("down", "down", "down", "enter")
        await d.until(lambda: is_on(d, TaskScreen))
        await d.press("escape")
        await d.until(lambda: is_on(d, SinceScreen))
        await d.press("d")
        await d.until(lambda: is_on(d, ReviewScreen))
        await d.press("escape")
        await d.until(lambda: is_on(d, SinceScreen))
        await d.press("g", "o")
        await d.until(lambda: d.screen is d.control and d.control.pane.KEY == ChatPane.KEY)
        assert "npm install" in d.text()


async def test_a_click_chooses_a_kind_and_an_entry() -> None:
    async with back(away()) as d:
        screen = await read(d)
        line = next(n for n, line in enumerate(d.lines()) if "Waits for you" in line)
        await d.pilot.click(offset=(d.lines()[line].index("Failed") + 1, line))
        await d.until(lambda: states(screen) == ["✗ failed"])
        await d.pilot.click(offset=(d.lines()[line].index("All") + 1, line))
        await d.until(lambda: len(states(screen)) == 11)
        row = next(n for n, line in enumerate(d.lines()) if "▲ escalated" in line)
        await d.pilot.click(offset=(20, row))
        await d.until(lambda: screen.entry is not None and screen.entry.task_id == "01kc7m2q9x4hd")


async def test_another_time_is_chosen() -> None:
    async with back(away()) as d:
        screen = await read(d)
        await d.press("t")
        await d.until(lambda: "Since last evening (Dec 31 18:00" in d.text())
        await d.press("t")
        await d.until(lambda: "In the last 24 hours" in d.text())
        await d.press("t")
        await d.until(lambda: "In the last 7 days" in d.text() and len(states(screen)) == 12)
        assert "long ago" in d.text()
        assert d.desk.backend.asked_since[-1] == NOW - timedelta(days=7)


async def test_what_happens_meanwhile_joins_and_only_that_is_read() -> None:
    desk = away()
    async with back(desk) as d:
        screen = await read(d)
        before = desk.backend.reads.count("events")
        known = desk.backend.tasks["01kc7m2q9x4b1"]
        await desk.backend.put(replace(known, approved_by=None))
        desk.backend.messages = [m for m in desk.backend.messages if m.id != "m-3"]
        await desk.backend.post(question("m-9", "01kc7m2q9x4c1", "Which key?", created_at=NOW))
        await d.until(lambda: "Which key?" in d.text() and "npm install" not in d.text())
        assert len(states(screen)) == 11
        assert desk.backend.reads.count("events") - before <= 4


async def test_who_was_never_here_is_told_of_a_day() -> None:
    async with driving(away()) as d:
        await d.press("8")
        await d.until(lambda: "In the last 24 hours (you have not been away yet)" in d.text())


async def test_where_nothing_happened_it_says_so() -> None:
    async with back(empty()) as d:
        await d.until(lambda: "Nothing has come to an end" in d.text())
        assert "$0.00, 0 tokens, 0 runs" in d.text()
        await d.press("enter")
        assert is_on(d, SinceScreen)
        await d.press("]")
        await d.until(lambda: "Nothing of this kind." in d.text())


async def test_a_failure_is_said_and_ctrl_r_tries_again() -> None:
    desk = away()
    async with driving(desk, attendance=Attendance(last_at=LEFT)) as d:
        desk.backend.failure = StoreBroken("the store cannot be read", "octopoid doctor")
        await d.press("8")
        await d.until(lambda: "ctrl+r tries again" in d.text() and is_on(d, SinceScreen))
        assert "the store cannot be read" in d.text()
        desk.backend.failure = None
        await d.press("ctrl+r")
        await d.until(lambda: len(states(since(d))) == 11)


async def test_an_alert_that_was_taken_back_is_over() -> None:
    desk = away()
    await desk.backend.emit("alert", "budget:limits", "clear", at=NOW)
    async with back(desk) as d:
        screen = await read(d)
        assert states(screen).count("− was alert") == 2


async def test_of_a_long_log_only_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octopoid_tui.screens.places.story.MOST", 8)
    async with back(away()) as d:
        await d.until(lambda: "! too much to read: only from" in d.text())
        assert d.desk.backend.reads.count("events") <= 3


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_text_stays_text(size: tuple[int, int], hostile_payloads: Mapping[str, str]) -> None:
    desk, bad = away(), "".join(hostile_payloads.values())
    backend = desk.backend
    backend.tasks = {key: replace(one, title=bad, reason=bad) for key, one in backend.tasks.items()}
    backend.messages = [replace(one, body=bad, options=(bad,)) for one in backend.messages]
    backend.log = [replace(one, reason=bad, actor=bad) for one in backend.log]
    async with back(desk, size) as d:
        screen = await read(d)
        for _ in range(screen.grid.row_count):
            text = "".join(d.lines())
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
            assert not any("@click" in str(span.style) for span in screen.detail.visual.spans)  # type: ignore[attr-defined]
            await d.press("down")


async def test_when_somebody_was_here_is_kept_for_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "attendance.json"
    Attendance(file, LEFT).keep()
    async with driving(away(), attendance=Attendance.open(file)) as d:
        await d.press("8")
        await d.until(lambda: "Since you left (Dec 31 18:30" in d.text())
    assert Attendance.open(file) == Attendance(file, NOW, LEFT, NOW)


async def test_a_click_is_a_sign_of_life_and_a_place_that_cannot_be_written_is_no_harm(
    tmp_path: Path,
) -> None:
    attendance = Attendance(tmp_path / "gone" / "attendance.json", LEFT)
    async with driving(away(), attendance=attendance) as d:
        await d.pilot.click(offset=(10, 10))
        await d.until(lambda: attendance.left_at == LEFT)
        await d.press("8")
        await d.until(lambda: "Since you left (Dec 31 18:30" in d.text())


async def test_a_key_after_a_long_time_is_a_coming_back() -> None:
    attendance = Attendance(last_at=ago(minutes=4), left_at=LEFT)
    async with driving(away(), attendance=attendance) as d:
        await d.press("down")
        assert (attendance.left_at, attendance.last_at) == (LEFT, NOW)
