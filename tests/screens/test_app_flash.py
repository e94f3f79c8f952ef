"""What a person's key has done is said, and stays to be read, whatever else happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from app_pilot import driving, fleet_screen, is_on
from fixed_desk import FixedDesk, fleet, question

from octopoid_tui import app as app_module
from octopoid_tui.screens.review.screen import ReviewScreen
from octopoid_tui.widgets import flash_line
from scheduler.notices import Notice

ACCEPTED = "✓ accepted 01kc7m2q9x4a1: Bound the cache"
WAITS = Notice("accepted work waits until main can be fast-forwarded")


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "NOTICES_EVERY", 0.02)


def one_to_review() -> FixedDesk:
    desk = fleet()
    desk.backend.tasks = {
        key: replace(task, approved_by="human:bob") if key == "01kc7m2q9x4a2" else task
        for key, task in desk.backend.tasks.items()
    }
    return desk


async def test_news_does_not_take_the_place_of_what_was_just_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flash_line, "LEAST_SECONDS", 1000.0)
    desk = one_to_review()
    async with driving(desk) as d:
        d.control.queues.go_to("01kc7m2q9x4a1")
        await d.press("d")
        await d.until(lambda: is_on(d, ReviewScreen))
        await d.press("a")
        await d.until(lambda: ACCEPTED in d.text())
        desk.troubles = (WAITS,)
        await d.until(lambda: WAITS.text in d.flash)
        await desk.backend.post(question("m-9", "01kc7m2q9x4b3", "Which importer?"))
        await d.until(lambda: "asks: Which importer?" in d.flash)
        assert ACCEPTED in d.text()
        await d.press("y")
        await d.until(lambda: "✓ copied 01kc7m2q9x4a1" in d.text())


async def test_news_is_said_once_the_other_could_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driving(fleet()) as d:
        monkeypatch.setattr(flash_line, "LEAST_SECONDS", 1000.0)
        d.app.flash("done")
        d.app.flash("something has happened", "warning", news=True)
        await d.pilot.pause()
        assert "✓ done" in d.text()
        monkeypatch.setattr(flash_line, "LEAST_SECONDS", 0.02)
        d.app.flash("done again")
        await d.until(lambda: "! something has happened" in d.text())


async def test_work_that_is_delivered_at_once_is_no_news() -> None:
    desk = fleet()
    async with driving(desk) as d:
        await d.press("enter")
        await d.until(lambda: len(d.app.screen_stack) == 2)
        looks = 0

        async def waits_for_one_look() -> tuple[Notice, ...]:
            nonlocal looks
            looks += 1
            return (WAITS,) if looks == 2 else ()

        desk.notices = waits_for_one_look  # type: ignore[method-assign]
        await d.until(lambda: looks > 4)
        assert fleet_screen(d).flash_line.text.find(WAITS.text) < 0
        assert WAITS.text not in [flash.text for flash in d.app.flashes]
