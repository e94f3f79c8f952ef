"""Costs and budgets on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import NOW, empty, planned

from backend.clock import day_of
from backend.errors import StoreBroken
from backend.model import Task, Usage, UsageBy
from octopoid_tui.screens.places import costs
from octopoid_tui.screens.places.costs import CostsScreen
from octopoid_tui.screens.task.screen import TaskScreen
from octopoid_tui.widgets.grid_model import Row
from scheduler.budget import Line, Reach


async def open_costs(d: Driven, *keys: str) -> CostsScreen:
    await d.press("6")
    await d.until(lambda: is_on(d, CostsScreen) and d.calls("budgets"))
    await d.pilot.pause()
    screen = d.screen
    assert isinstance(screen, CostsScreen)
    await d.press(*keys)
    return screen


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_the_budgets_are_bars_the_most_used_first(size: tuple[int, int]) -> None:
    async with driving(planned(), size) as d:
        await open_costs(d)
        lines = d.lines()
        first = next(n for n, line in enumerate(lines) if "project limits " in line and "✗ spent" in line)
        assert "100%  $10.02 of $10.00" in lines[first]
        assert "agent impl-2, today" in lines[first + 1]
        assert "! nearly spent" in lines[first + 1]
        assert "313k of 5M tokens" in d.text()
        assert "A task may cost $2.50 in all." in d.text()
        assert "$3.18 today   313k tokens, 14 runs" in d.text()
        assert all(len(line.rstrip()) <= size[0] for line in lines)


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_use_is_shown_by_project_agent_and_task(size: tuple[int, int]) -> None:
    async with driving(planned(), size) as d:
        await open_costs(d)
        assert any("› limits" in line and "$1.52" in line and "48%" in line for line in d.lines())
        assert "(no project)" in d.text()
        await d.press("]")
        assert any("› impl-2" in line and "$1.41" in line for line in d.lines())
        await d.press("]")
        assert "Choose and wire a rate" in d.text()
        assert "gone-since" in d.text()


async def test_enter_opens_the_task() -> None:
    async with driving(planned()) as d:
        await open_costs(d, "[", "enter")
        await d.until(lambda: is_on(d, TaskScreen))


async def test_a_long_list_is_cut_and_says_where_the_rest_is() -> None:
    desk = planned()
    desk.backend.used[UsageBy.TASK] = [Usage(f"t{n}", 1, 1.0, 1, 1, 1, 1) for n in range(1203)]
    async with driving(desk) as d:
        screen = await open_costs(d, "[")
        assert screen.grid.row_count == costs.SHOWN + 1
        await d.press("G")
        assert "and 703 more: octopoid costs" in d.text()
        await d.press("enter")
        assert is_on(d, CostsScreen)
        assert d.flash == "Open task: no task is selected"
        await d.press("d")
        await d.until(lambda: "in the last 7 days" in d.text())
        await d.press("G")
        await d.until(lambda: "and 703 more: octopoid costs --days 7" in d.text())


async def test_rows_are_made_when_something_was_read_and_not_with_each_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    make = costs.usage_rows

    def counting(read: costs.Costs, by: UsageBy, tasks: Mapping[str, Task]) -> list[Row]:
        made.append((by, read))
        return make(read, by, tasks)

    monkeypatch.setattr(costs, "usage_rows", counting)
    async with driving(planned()) as d:
        screen = await open_costs(d)
        for _ in range(5):
            screen.show_picture(d.app.picture)
        await d.press("]", "[")
        for _ in range(5):
            screen.show_picture(d.app.picture)
        # However often it was read: each time once for the list, and once more for each change of lists.
        readings = {id(read) for _, read in made}
        assert len(made) <= len(readings) + 2
        assert {by for by, _ in made} == {UsageBy.PROJECT, UsageBy.AGENT}


async def test_another_time_is_read_from_the_midnight_it_begins_with() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_costs(d)
        assert set(desk.backend.asked_since) == {day_of(NOW)[0]}
        await d.press("d")
        await d.until(lambda: "in the last 7 days" in d.text())
        assert desk.backend.asked_since[-1] == day_of(NOW - timedelta(days=6))[0]


async def test_without_budgets_and_runs_it_says_so() -> None:
    async with driving(empty()) as d:
        await open_costs(d)
        await d.until(lambda: "No run began today." in d.text())
        assert "No budget is set: `budgets` in config.yaml sets them." in d.text()
        await d.press("enter")
        assert is_on(d, CostsScreen)


async def test_a_failure_is_said_and_what_was_read_stays() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_costs(d)
        desk.failure = StoreBroken("the store cannot be read", "octopoid doctor")
        await d.press("ctrl+r")
        await d.until(lambda: "the store cannot be read" in d.flash)
        assert "limits" in d.text()


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_names_stay_text(size: tuple[int, int], hostile_payloads: Mapping[str, str]) -> None:
    desk, bad = planned(), "".join(hostile_payloads.values())
    desk.backend.used = {by: [Usage(bad, 1, 1.0, 1, 1, 1, 1)] for by in UsageBy}
    desk.standing = replace(desk.standing, shared=(Line(Reach.PROJECT, bad, 1.0, 2.0, tokens=False),))
    async with driving(desk, size) as d:
        screen = await open_costs(d)
        text = "".join(d.lines())
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
        assert not any("@click" in str(span.style) for span in screen.budgets.visual.spans)  # type: ignore[attr-defined]
