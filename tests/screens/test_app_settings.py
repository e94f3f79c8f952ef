"""The configuration in force, on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import configured, empty, settings

from backend.config.load import Loaded
from backend.config.schema import AgentSpec, Config, Repo
from backend.errors import StoreBroken
from octopoid_tui.screens.places.settings import SettingsScreen
from scheduler.notices import Notice


async def open_settings(d: Driven, *keys: str) -> SettingsScreen:
    await d.press("9")
    await d.until(lambda: is_on(d, SettingsScreen))
    screen = d.screen
    assert isinstance(screen, SettingsScreen)
    await d.until(lambda: screen.grid.row_count)
    await d.press(*keys)
    return screen


def line_of(d: Driven, key: str) -> str:
    return next(line for line in d.lines() if line[2:].startswith(f"{key} "))


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_every_key_is_shown_with_its_value_and_where_it_comes_from(size: tuple[int, int]) -> None:
    async with driving(configured(), size) as d:
        screen = await open_settings(d)
        assert "$OCTOPOID_SERVER" in line_of(d, "mode")
        assert "(hidden)" in line_of(d, "server.api_key")
        assert "sk-very-secret" not in d.text()
        assert "to change it, set $OCTOPOID_SERVER" in d.text()
        text = d.text()
        assert "the configuration was changed and is not used" in text
        assert "Where the state lives: here, or on a server." in text
        assert "/home/ana/shop/.octopoid/config.yaml" in str(screen.detail.content)
        assert all(len(line.rstrip()) <= size[0] for line in d.lines())


async def test_a_line_of_the_file_and_a_default_are_told_apart() -> None:
    async with driving(configured()) as d:
        await open_settings(d)
        assert ".octopoid/config.yaml:16" in line_of(d, "limits.attempts")
        assert "default" in line_of(d, "limits.rejections")
        assert ".octopoid/config.yaml:9" in line_of(d, "checks[0].command")
        assert "default" in line_of(d, "checks[0].timeout_s")
        assert "120" in line_of(d, "checks[1].timeout_s")


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_agents_have_their_adapter_role_and_command(size: tuple[int, int]) -> None:
    async with driving(configured(), size) as d:
        screen = await open_settings(d, "]")
        text = d.text()
        assert "‖ paused" in text
        assert "Settings 44  Agents 3" in text
        assert [str(row.cells[3]) for row in screen.grid.rows] == ["claude", "command", "codex"]
        assert str(screen.grid.rows[1].cells[6]) == "sh -c scribe --stdin"
        told = str(screen.detail.content)
        assert "TOKEN (hidden)" in told
        assert "hunter2" not in text + told
        assert told.index("day_usd") < told.index("interval_seconds")


async def test_a_filter_keeps_what_matches_and_esc_clears_it() -> None:
    async with driving(configured()) as d:
        screen = await open_settings(d, "/")
        await d.type("us dollars !project")
        await d.until(lambda: [row.id for row in screen.grid.rows] == ["budgets.task_usd", "budgets.day_usd"])
        await d.press("enter")
        assert "2 of 44" in d.text()
        await d.press("down")
        assert "Most a day may cost" in str(screen.detail.content)
        await d.press("/")
        await d.type(" zebra")
        await d.until(lambda: "No key matches the filter." in d.text())
        await d.press("enter", "escape")
        await d.until(lambda: screen.grid.row_count == 44)
        assert is_on(d, SettingsScreen)
        await d.press("escape")
        await d.until(lambda: d.screen is d.control)


async def test_a_click_shows_the_agents() -> None:
    async with driving(configured()) as d:
        screen = await open_settings(d)
        line = next(n for n, text in enumerate(d.lines()) if "Settings 44" in text)
        await d.pilot.click(offset=(d.lines()[line].index("Agents 3") + 1, line))
        await d.until(lambda: [row.id for row in screen.grid.rows] == ["impl", "docs-1", "review-1"])


async def test_without_agents_it_says_where_they_are_named() -> None:
    async with driving(empty()) as d:
        await open_settings(d, "]")
        await d.until(lambda: "No agent is configured" in d.text())
        assert "/home/ana/shop/.octopoid/agents.yaml names them" in d.text()


async def test_a_failure_is_said_and_ctrl_r_tries_again() -> None:
    desk = configured()
    desk.failure = StoreBroken("config.yaml cannot be read", "octopoid doctor")
    async with driving(desk) as d:
        await d.press("9")
        await d.until(lambda: "ctrl+r tries again" in d.text() and is_on(d, SettingsScreen))
        desk.failure = None
        await d.press("ctrl+r")
        await d.until(lambda: "$OCTOPOID_SERVER" in d.text())


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_text_stays_text(size: tuple[int, int], hostile_payloads: Mapping[str, str]) -> None:
    whole = "".join(hostile_payloads.values()).encode("utf-8", "ignore").decode()  # as a file is read
    desk, bad = configured(), whole
    spec = AgentSpec(name=bad, role=bad, command=(bad,), env={bad: bad}, model=bad)
    loaded = Loaded(
        Path("/", bad.replace("\0", "")), Config(repo=Repo(main_branch=bad)), (spec,), {"mode": bad}, ()
    )
    desk.configured = settings(loaded, Notice(bad))
    async with driving(desk, size) as d:
        screen = await open_settings(d)
        for keys in (("/",), (*"main_branch", "enter"), ("escape", "]")):
            await d.press(*keys)
            text = "".join(d.lines())
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
            assert not any("@click" in str(span.style) for span in screen.detail.visual.spans)  # type: ignore[attr-defined]
