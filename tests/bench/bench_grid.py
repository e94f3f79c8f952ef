"""Our table against Textual's: CPU time of both in one run, and their ratio.

    python tests/bench/bench_grid.py [--smoke]

The ratios hold from machine to machine; the times do not.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from aims import arguments, report
from textual.app import App, ComposeResult
from textual.coordinate import Coordinate
from textual.pilot import Pilot
from textual.widgets import DataTable

from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row

ROWS = 10_000
REPEATS = 15
TITLES = ("id", "title", "state", "role", "agent", "age", "tokens", "cost")
DATA = [tuple(f"{title} {number}" for title in TITLES) for number in range(ROWS)]
Act = Callable[[], object]


class GridApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Grid([Column(title, title, 14) for title in TITLES])


class DataTableApp(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")


async def cpu(pilot: Pilot[None], act: Act) -> float:
    """CPU milliseconds of one operation, its painting included."""
    start = time.process_time()
    act()
    await pilot.pause()
    return 1000 * (time.process_time() - start)


async def measure(
    pilot: Pilot[None], load: Act, page: Act, update: Callable[[int], object]
) -> dict[str, float]:
    await pilot.pause()
    costs = {"load": await cpu(pilot, load)}
    costs["page down"] = statistics.median([await cpu(pilot, page) for _ in range(REPEATS)])
    costs["one cell"] = statistics.median([await cpu(pilot, lambda n=n: update(n)) for n in range(REPEATS)])
    return costs


async def grid_costs(data: list[tuple[str, ...]]) -> dict[str, float]:
    app = GridApp()
    async with app.run_test(size=(200, 50)) as pilot:
        grid = app.query_one(Grid)
        rows = [Row(cells[0], cells) for cells in data]

        def update(number: int) -> None:
            changed = list(grid.rows)
            at = grid.cursor_row
            changed[at] = replace(changed[at], cells=(*changed[at].cells[:-1], f"${number}"))
            grid.set_rows(changed)

        return await measure(pilot, lambda: grid.set_rows(rows), grid.action_page_down, update)


async def data_table_costs(data: list[tuple[str, ...]]) -> dict[str, float]:
    app = DataTableApp()
    async with app.run_test(size=(200, 50)) as pilot:
        table = app.query_one(DataTable)

        def load() -> None:
            for title in TITLES:
                table.add_column(title, width=14)
            table.add_rows(data)

        def update(number: int) -> None:
            table.update_cell_at(Coordinate(table.cursor_row, len(TITLES) - 1), f"${number}")

        return await measure(pilot, load, table.action_page_down, update)


async def main(rows: int) -> None:
    ours, theirs = await grid_costs(DATA[:rows]), await data_table_costs(DATA[:rows])
    for name, cost in ours.items():
        detail = f"{theirs[name]:.2f} / {cost:.2f} ms, {rows:,} rows"
        report(f"DataTable / Grid, CPU: {name}", theirs[name] / cost, detail)


if __name__ == "__main__":
    asyncio.run(main(500 if arguments(__doc__).smoke else ROWS))
