"""The virtual log: following, the ring, search, and what painting costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.selection import Selection

from octopoid_tui.widgets.log_buffer import LogBuffer
from octopoid_tui.widgets.log_view import LogView

SIZES = [(80, 24), (200, 50)]
ScreenText = Callable[[App[Any]], list[str]]


class LogApp(App[None]):
    def __init__(self, max_lines: int = 50_000) -> None:
        super().__init__()
        self.max_lines = max_lines
        self.searches: list[tuple[str, int, int]] = []
        self.follows: list[bool] = []

    def compose(self) -> ComposeResult:
        yield LogView(max_lines=self.max_lines)

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    def on_log_view_searched(self, message: LogView.Searched) -> None:
        self.searches.append((message.text, message.position, message.total))

    def on_log_view_follow_changed(self, message: LogView.FollowChanged) -> None:
        self.follows.append(message.follow)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_it_follows_until_one_scrolls_away_and_again_at_the_end(
    size: tuple[int, int], screen_text: ScreenText
) -> None:
    app = LogApp()
    async with app.run_test(size=size) as pilot:
        log = app.log_view
        log.extend([f"line {n}" for n in range(300)], "tool")
        log.flush()
        await pilot.pause()
        assert screen_text(app)[-1].split()[:2] == ["line", "299"]
        await pilot.press("k")
        top = screen_text(app)[0]
        log.extend(["more"] * 50)
        log.flush()
        await pilot.pause()
        assert screen_text(app)[0] == top
        await pilot.press("G")
        log.extend(["last"])
        log.flush()
        await pilot.pause()
        assert screen_text(app)[-1].strip() == "last"
        assert app.follows[-2:] == [False, True]


async def test_lines_come_to_the_screen_by_themselves_within_a_moment(screen_text: ScreenText) -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.log_view.write("first\nsecond", "you")
        deadline = time.monotonic() + 5
        while "second" not in "".join(screen_text(app)):
            assert time.monotonic() < deadline
            await pilot.pause(0.02)


async def test_the_ring_forgets_the_oldest_and_the_view_stays_where_it_is(screen_text: ScreenText) -> None:
    app = LogApp(max_lines=1000)
    async with app.run_test(size=(80, 24)) as pilot:
        log = app.log_view
        log.extend([f"line {n}" for n in range(1000)])
        log.flush()
        await pilot.press("pageup")
        top = screen_text(app)[0]
        log.extend([f"line {n}" for n in range(1000, 1300)])
        log.flush()
        await pilot.pause()
        assert (len(log.lines), log.dropped, log.lines[0]) == (1000, 300, "line 300")
        assert screen_text(app)[0] == top
        log.clear()
        assert log.lines == ()


def test_a_flood_between_two_flushes_does_not_grow_the_memory() -> None:
    buffer = LogBuffer(100)
    for number in range(5_000):
        buffer.append([str(number)], "")
    batch = buffer.commit(0)
    assert buffer.texts[0] == "4900"
    assert (len(buffer.texts), buffer.first) == (100, 4900)
    assert batch.added <= 200


async def test_search_goes_up_first_then_on_with_n_and_round(screen_text: ScreenText) -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        log = app.log_view
        log.extend(f"line {n} {'Needle' if n % 100 == 7 else 'hay'}" for n in range(500))
        log.flush()
        await pilot.pause()
        assert log.search("needle")
        await pilot.pause()
        assert "line 407 Needle" in "\n".join(screen_text(app))
        await pilot.press("n", "N", "N")
        assert [(position, total) for _, position, total in app.searches] == [(5, 5), (1, 5), (5, 5), (4, 5)]
        assert any("line 307 " in line for line in screen_text(app))
        assert not log.search("NEEDLE")
        await pilot.pause()
        assert app.searches[-1] == ("NEEDLE", 0, 0)
        assert not log.search("")
        assert not log.search("[a-z]+"), "a search is no regular expression"


async def test_the_match_is_marked_where_it_stands() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        log = app.log_view
        log.extend(["one needle two needle", "plain"])
        log.flush()
        log.search("needle")
        await pilot.pause()
        marked = [segment.text for segment in log.render_line(0) if segment.style and segment.style.bold]
        assert marked == ["needle", "needle"]


async def test_a_selection_gives_the_text() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.log_view.extend(["alpha", "beta"])
        app.log_view.flush()
        await pilot.pause()
        selection = Selection(Offset(2, 0), Offset(2, 1))
        assert app.log_view.get_selection(selection) == ("pha\nbe", "\n")


async def test_long_lines_are_clipped_and_can_be_scrolled_to_the_side(screen_text: ScreenText) -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.log_view.extend(["x" * 100 + "END", "y" * 100_000])
        app.log_view.flush()
        await pilot.pause()
        assert "END" not in screen_text(app)[0]
        await pilot.press(*["l"] * 4)
        assert "END" in screen_text(app)[0]
        assert len(app.log_view.lines[1]) == 4096


async def test_hostile_lines_are_plain_text(hostile_payloads: dict[str, str]) -> None:
    app = LogApp()
    async with app.run_test(size=(200, 50)) as pilot:
        log = app.log_view
        for text in hostile_payloads.values():
            log.extend([text], "error")
            log.write(text)
        log.flush()
        await pilot.pause()
        assert all(line.isprintable() for line in log.lines)
        assert all("visi" in line for line in log.lines[:: len(log.lines) - 1])
        for top in range(0, len(log.lines), 50):
            log.scroll_to(y=top, animate=False)
            await pilot.pause()
            assert all(log.render_line(y).text.isprintable() for y in range(50))


async def test_a_thousand_lines_a_second_take_little() -> None:
    """CPU time of one second's worth: ten flushes of a hundred lines."""
    app = LogApp()
    async with app.run_test(size=(200, 50)) as pilot:
        log = app.log_view
        log.extend(["x" * 110] * 50_000)
        log.flush()
        await pilot.pause()
        costs = []
        for _ in range(3):
            start = time.process_time()
            for number in range(10):
                log.extend([f"{number} a line of about one hundred and ten characters {'x' * 60}"] * 100)
                log.flush()
                await pilot.pause()
            costs.append(time.process_time() - start)
        assert min(costs) < 0.25
