"""What a person's key has done is said, and stays to be read, whatever else happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from app_pilot import driving, fleet_screen, is_on
from fixed_desk import FixedDesk, fleet, question

from octopoid_tui import app as app_module
from octopoid_tui.host import Flash
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


async def test_an_error_has_its_whole_time_before_lesser_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_line, "LEAST_SECONDS", 0.02)
    monkeypatch.setattr(flash_line, "SECONDS", 1000.0)
    async with driving(fleet()) as d:
        line = fleet_screen(d).flash_line
        d.app.flash("the store is locked", "error")
        await d.until(lambda: not line._fresh)
        d.app.flash("a question", news=True)
        d.app.flash("beware", "warning", news=True)
        await d.pilot.pause()
        assert "✗ the store is locked" in d.text()
        d.app.flash("the disk is full", "error", news=True)
        await d.until(lambda: "✗ the disk is full" in d.text() and not line._fresh)
        said = []
        show = line._show

        def noting(flash: Flash) -> None:
            said.append(flash.text)
            show(flash)

        monkeypatch.setattr(line, "_show", noting)
        monkeypatch.setattr(flash_line, "SECONDS", 0.2)
        d.app.flash("it is full", "error")
        await d.until(lambda: said == ["it is full", "beware", "a question"])


async def test_no_news_takes_the_place_of_an_error_or_a_warning_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flash_line, "LEAST_SECONDS", 1000.0)
    async with driving(fleet()) as d:
        d.app.flash("done")
        for text in ("first", "second"):
            d.app.flash(text, news=True)
            d.app.flash(f"{text} warning", "warning", news=True)
            d.app.flash(f"{text} error", "error", news=True)
        waiting = [flash.text for flash in fleet_screen(d).flash_line._waiting]
        assert waiting == ["first error", "second error", "first warning", "second warning", "second"]
        assert "✓ done" in d.text()
