"""The virtual table: cursor, marks, columns, and what it does not draw again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.message import Message
from textual.strip import Strip

from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row, Tone, plan_columns

COLUMNS = (
    Column("id", "Id", 6),
    Column("title", "Title", 20, flex=1),
    Column("state", "State", 9, priority=1),
    Column("cost", "Cost", 30, priority=2, right=True),
)
SIZES = [(80, 24), (200, 50)]
ScreenText = Callable[[App[Any]], list[str]]


def row(number: int, state: str = "ready", tone: Tone = "") -> Row:
    return Row(f"t{number}", (f"t{number}", f"Task {number}", state, "$0.10"), tone)


class GridApp(App[None]):
    def __init__(self, rows: list[Row]) -> None:
        super().__init__()
        self.first_rows = rows
        self.seen: list[Message] = []

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS)

    def on_mount(self) -> None:
        self.grid.set_rows(self.first_rows)

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    def on_grid_highlighted(self, message: Grid.Highlighted) -> None:
        self.seen.append(message)

    def on_grid_selected(self, message: Grid.Selected) -> None:
        self.seen.append(message)

    def on_grid_sort_requested(self, message: Grid.SortRequested) -> None:
        self.seen.append(message)

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.seen if isinstance(message, kind)]


def drawn(grid: Grid) -> list[str]:
    return [grid.render_line(y).text for y in range(grid.size.height)]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_columns_drop_by_priority_and_the_rest_fills_the_width(
    size: tuple[int, int], screen_text: ScreenText
) -> None:
    app = GridApp([row(n) for n in range(3)])
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        header, first, *_ = screen_text(app)
        assert len(header) == size[0]
        assert header.split() == ["Id", "Title", "State", "Cost"]
        assert first.startswith("›")
        assert first.rstrip().endswith("$0.10")
    app = GridApp([row(0)])
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert screen_text(app)[0].split() == ["Id", "Title", "State"]


def test_a_plan_never_exceeds_the_width() -> None:
    for width in range(120):
        plan = plan_columns(COLUMNS, width, 2)
        assert all(placed.x + placed.width <= width for placed in plan)
        if width >= 68 + 5:
            assert plan[-1].x + plan[-1].width == width


async def test_keys_move_the_cursor_and_pages() -> None:
    app = GridApp([row(n) for n in range(100)])
    async with app.run_test(size=(80, 24)) as pilot:
        grid = app.grid
        for key, expected in [
            ("j", 1), ("down", 2), ("k", 1), ("pagedown", 24), ("ctrl+d", 35), ("ctrl+u", 24),
            ("G", 99), ("down", 99), ("pageup", 76), ("g", 0), ("up", 0), ("end", 99), ("home", 0),
        ]:  # fmt: skip
            await pilot.press(key)
            assert (key, grid.cursor_row) == (key, expected)
            assert grid.cursor_row in grid.visible_rows


async def test_the_cursor_keeps_a_margin_of_two_rows() -> None:
    app = GridApp([row(n) for n in range(100)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["down"] * 21)
        assert app.grid.visible_rows == range(1, 24)


async def test_the_cursor_stays_on_its_row_when_rows_come_go_and_are_sorted() -> None:
    rows = [row(n) for n in range(200)]
    app = GridApp(rows)
    async with app.run_test(size=(80, 24)) as pilot:
        grid = app.grid
        grid.move_to("t100")
        await pilot.pause()
        height = grid.cursor_row - grid.scroll_offset.y
        app.seen.clear()
        grid.set_rows([row(1000 + n) for n in range(7)] + rows)
        await pilot.pause()
        assert (grid.cursor_id, grid.cursor_row) == ("t100", 107)
        assert grid.cursor_row - grid.scroll_offset.y == height
        grid.set_rows(rows[::-1])
        assert (grid.cursor_id, grid.cursor_row) == ("t100", 99)
        grid.set_rows([r for r in rows if r.id.endswith("0")])
        assert grid.cursor_id == "t100"
        assert grid.cursor_row in grid.visible_rows
        await pilot.pause()
        assert app.of(Grid.Highlighted) == []
        grid.set_rows([r for r in rows if r.id != "t100"][:50])
        await pilot.pause()
        assert grid.cursor_id == app.of(Grid.Highlighted)[-1].row_id
        grid.set_rows([])
        await pilot.pause()
        assert (grid.cursor_id, grid.cursor_row) == (None, 0)
        assert app.of(Grid.Highlighted)[-1].row_id is None


async def test_only_changed_rows_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = GridApp([row(n) for n in range(1000)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        grid, painted, lines = app.grid, [], []
        real_segments, real_line = grid._painter._segments, grid.render_line
        monkeypatch.setattr(
            grid._painter,
            "_segments",
            lambda row, *rest: (painted.append(row.id), real_segments(row, *rest))[1],
        )
        monkeypatch.setattr(grid, "render_line", lambda y: (lines.append(y), real_line(y))[1])
        changed = list(app.first_rows)
        changed[5] = replace(changed[5], cells=("t5", "Task 5", "claimed", "$0.20"))
        changed[500] = replace(changed[500], tone="error")
        grid.set_rows(changed)
        await pilot.pause()
        assert (painted, lines) == (["t5"], [6])
        grid.set_rows([replace(r) for r in changed])
        await pilot.pause()
        assert (painted, lines) == (["t5"], [6])
        await pilot.press("down")
        assert sorted(painted) == ["t0", "t1", "t5"]


async def test_a_cell_that_changes_only_its_colour_is_drawn_again() -> None:
    def styled(style: str) -> list[Row]:
        return [row(0), Row("t1", (Content.styled("x", style), "same", "", ""))]

    app = GridApp(styled("red"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = app.grid.render_line(2)
        app.grid.set_rows(styled("blue"))
        await pilot.pause()
        after = app.grid.render_line(2)
        assert before.text == after.text
        assert before != after


async def test_marks_are_what_an_action_is_about() -> None:
    rows = [row(n) for n in range(20)]
    app = GridApp(rows)
    async with app.run_test(size=(80, 24)) as pilot:
        grid = app.grid
        assert grid.targets == ("t0",)
        await pilot.press("space", "j", "space")
        assert grid.targets == ("t0", "t2")
        assert grid.render_line(1).text.startswith(" ✓")
        await pilot.press("j", "j", "v")
        assert set(grid.marked) == {"t0", "t2", "t3", "t4", "t5"}
        grid.set_rows(rows[3:])
        assert set(grid.marked) == {"t3", "t4", "t5"}, "a hidden row must not be acted on"
        await pilot.press("ctrl+a")
        assert len(grid.marked) == 17
        grid.clear_marks()
        assert grid.marked == ()


async def test_enter_and_a_double_click_open_a_row_and_a_header_asks_for_its_order() -> None:
    app = GridApp([row(n) for n in range(20)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click(Grid, offset=(10, 4))
        assert app.grid.cursor_id == "t3"
        assert app.of(Grid.Selected) == []
        await pilot.press("enter")
        await pilot.click(Grid, offset=(10, 6), times=2)
        assert [message.row_id for message in app.of(Grid.Selected)] == ["t3", "t5"]
        await pilot.click(Grid, offset=(10, 0))
        app.grid.set_sort("title")
        assert "Title↑" in app.grid.render_line(0).text
        await pilot.click(Grid, offset=(10, 0))
        assert [(m.key, m.reverse) for m in app.of(Grid.SortRequested)] == [("title", False), ("title", True)]
        assert app.of(Grid.Highlighted)[-1].control is app.grid


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_no_rows_say_why(size: tuple[int, int], screen_text: ScreenText) -> None:
    app = GridApp([])
    async with app.run_test(size=size) as pilot:
        app.grid.set_placeholder("error", "The server is away\nPress r to try again")
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "✗ The server is away" in text
        assert "Press r to try again" in text
        await pilot.press("down", "enter", "space", "pagedown", "v")
        assert app.of(Grid.Selected) == []
        app.grid.set_rows([row(1)])
        await pilot.pause()
        assert "server" not in "\n".join(screen_text(app))


async def test_rows_are_greyed_while_they_are_stale() -> None:
    app = GridApp([row(0), row(1, tone="error")])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = app.grid.render_line(2)
        app.grid.stale = True
        await pilot.pause()
        assert app.grid.render_line(2) != before
        app.grid.stale = False
        await pilot.pause()
        assert app.grid.render_line(2) == before


async def test_the_theme_can_change_while_it_is_shown() -> None:
    app = GridApp([row(0), row(1, tone="error")])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = app.grid.render_line(2)
        app.theme = "textual-light"
        await pilot.pause()
        assert app.grid.render_line(2) != before


async def test_of_a_hundred_thousand_rows_no_more_is_painted_than_of_a_thousand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painted = 0
    render_line = Grid.render_line

    def counted(grid: Grid, y: int) -> Strip:
        nonlocal painted
        painted += 1
        return render_line(grid, y)

    monkeypatch.setattr(Grid, "render_line", counted)

    async def lines(count: int) -> int:
        nonlocal painted
        app = GridApp([])
        async with app.run_test(size=(200, 50)) as pilot:
            await pilot.pause()
            painted = 0
            app.grid.set_rows([row(n) for n in range(count)])
            app.grid.move_to(f"t{count // 2}")
            for _ in range(7):
                app.grid.action_page_down()
                await pilot.pause()
            return painted

    few, many = await lines(1_000), await lines(100_000)
    assert 0 < many < 2 * few


async def test_hostile_cells_are_plain_text(hostile_payloads: dict[str, str]) -> None:
    rows = [
        Row(str(number), (text, text, Content(text), Content.styled(text[:30], "bold")))
        for number, text in enumerate(hostile_payloads.values())
    ]
    app = GridApp(rows)
    async with app.run_test(size=(300, 60)) as pilot:
        await pilot.pause()
        for line in drawn(app.grid)[1 : 1 + len(rows)]:
            assert len(line.encode()) < 2000
            assert line.isprintable(), ascii(line)
            assert "visi" in line, ascii(line)
