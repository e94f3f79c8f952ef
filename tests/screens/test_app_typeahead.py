"""Keys that come faster than the screen moves the focus still go where they were meant for."""

from __future__ import annotations

from typing import Any

import pytest
from app_pilot import SMALL, WIDE, Driven, driving
from fixed_desk import fleet
from textual.events import Key

from octopoid_tui.screens.dialogs.new_task import NewTask


def burst(d: Driven, *keys: str) -> None:
    """All keys at once, as a pasted text or a slow connection brings them."""
    for key in keys:
        character = {"slash": "/", "space": " "}.get(key, key if len(key) == 1 else None)
        d.app.post_message(Key(key, character))


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_a_filter_typed_at_once_filters_and_the_keys_after_enter_are_for_the_list(
    size: tuple[int, int],
) -> None:
    async with driving(fleet(), size) as d:
        burst(d, "slash", *"queue:provisional", "enter", "j", "space")
        await d.until(lambda: len(d.control.queues.marked) == 1)
        assert d.control.queues.bar.text == "queue:provisional"
        assert d.control.queues.grid.row_count == 3
        assert d.app.is_running


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_what_is_typed_right_after_an_answer_is_no_part_of_it(size: tuple[int, int]) -> None:
    async with driving(fleet(), size) as d:
        burst(d, "4", "i", "2", "enter", "1")
        await d.until(lambda: d.calls("answer") == [("m-2", "sliding window")])
        await d.until(lambda: d.control.pane.KEY == "queues")
        assert d.control.chat.input.value == ""


async def test_two_answers_typed_without_a_pause_are_for_two_questions() -> None:
    async with driving(fleet()) as d:
        burst(d, "4", "i", "2", "enter", "i", "3", "enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "sliding window"), ("m-3", "deny")])


async def test_tab_in_a_form_is_followed_by_what_is_typed_for_the_next_field() -> None:
    async with driving(fleet(), SMALL) as d:
        await d.press("n")
        await d.until(lambda: isinstance(d.screen, NewTask) and d.screen.focused is not None)
        burst(d, *"Title", "tab", *"Text", "tab", *"docs")
        await d.until(lambda: _form(d.screen)["role"] == "docs")
        assert (_form(d.screen)["title"], _form(d.screen)["body"]) == ("Title", "Text")


def _form(screen: Any) -> dict[str, str]:
    screen._read_fields()
    return {"title": screen.form.title, "body": screen.form.body, "role": screen.form.role}


async def test_a_key_on_its_way_to_a_widget_that_goes_does_not_hold_up_the_next() -> None:
    async with driving(fleet()) as d:
        d.app._typeahead._under_way = True
        burst(d, "2")
        await d.until(lambda: d.control.pane.KEY == "agents")
