"""Rules of answers on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import empty, planned

from octopoid_tui.screens.dialogs.confirm import Confirm
from octopoid_tui.screens.dialogs.help import Help
from octopoid_tui.screens.places.rules import RulesScreen


async def open_rules(d: Driven, *keys: str) -> RulesScreen:
    await d.press("7")
    await d.until(lambda: is_on(d, RulesScreen) and "list_rules" in d.desk.backend.reads)
    await d.pilot.pause()
    screen = d.screen
    assert isinstance(screen, RulesScreen)
    await d.press(*keys)
    return screen


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_rules_in_force_come_first_and_one_is_shown_in_full(size: tuple[int, int]) -> None:
    async with driving(planned(), size) as d:
        await open_rules(d, "down")
        text = d.text()
        assert "3 in force of 5; 79 questions answered by them so far" in text
        states = [line[2:12].strip() for line in d.lines() if line[2:12].strip()[:1] in ("✓", "✗", "−")][:5]
        assert states == ["✓ in force"] * 3 + ["✗ revoked", "− over"]
        assert "asked like this, * being any part of a line" in text
        assert "used   61 times, last 2m ago" in text
        assert all(len(line.rstrip()) <= size[0] for line in d.lines())


async def test_one_is_revoked_after_a_question_that_shows_it() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_rules(d, "x")
        await d.until(lambda: is_on(d, Confirm))
        assert "May I run `npm install` in the worktree?" in d.text()
        await d.press("enter")
        assert "revoke_rule 01kc7m2q9x7a1" not in desk.backend.reads
        await d.press("x")
        await d.until(lambda: is_on(d, Confirm))
        await d.press("y")
        await d.until(lambda: d.flash == "rule 01kc7m2q9x7a1 answers nothing any more")
        await d.until(lambda: "2 in force of 5" in d.text())
        assert "revoke_rule 01kc7m2q9x7a1" in desk.backend.reads


async def test_a_revoked_one_is_not_revoked_again() -> None:
    async with driving(planned()) as d:
        await open_rules(d, "G", "up", "x")
        assert d.flash == "Revoke the rule: it is revoked already"


async def test_the_help_names_no_key_for_a_task_where_there_is_none() -> None:
    async with driving(planned()) as d:
        await open_rules(d, "question_mark")
        await d.until(lambda: is_on(d, Help) and "Revoke the rule" in d.text())
        assert "Copy task id" not in d.text()


async def test_without_rules_it_says_how_one_is_made() -> None:
    async with driving(empty()) as d:
        await open_rules(d)
        await d.until(lambda: "No answer is given by itself." in d.text())
        await d.press("x")
        assert d.flash == "Revoke the rule: no rule is selected"


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_text_of_a_rule_stays_text(
    size: tuple[int, int], hostile_payloads: Mapping[str, str]
) -> None:
    desk, bad = planned(), "".join(hostile_payloads.values())
    for key, one in desk.backend.rules.items():
        desk.backend.rules[key] = replace(one, pattern=bad, answer=bad, author=bad, scope_id=bad)
    async with driving(desk, size) as d:
        screen = await open_rules(d)
        text = "".join(d.lines())
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
        assert not any("@click" in str(span.style) for span in screen.detail.visual.spans)  # type: ignore[attr-defined]
        await d.press("x")
        await d.until(lambda: is_on(d, Confirm))
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in "".join(d.lines()))
