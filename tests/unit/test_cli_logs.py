"""Agents' events as lines: every kind has words, and none reaches the terminal raw."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from octopoid_tui.cli.logs import HIDDEN, event_text
from octopoid_tui.cli.output import Style
from scheduler.agents.events import KINDS, AgentEvent

HOSTILE = "safe\x1b]0;owned\x07\x9b2J\u202etext"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = Style(coloured=False)


def event(kind: str, **data: object) -> AgentEvent:
    return AgentEvent(AT, kind, data, "out", 0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_shown_harmless_or_hidden(kind: str) -> None:
    names = "role text tool_id name title input status output request_id question by code signal cause stream"
    data: dict[str, object] = {name: HOSTILE for name in names.split()}
    text = event_text(event(kind, **data, options=[HOSTILE]), PLAIN)
    assert (text == "") == (kind in HIDDEN)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "safe" in text or kind in HIDDEN


@pytest.mark.parametrize("kind", sorted(KINDS - HIDDEN - {"sent"}))
def test_data_that_is_missing_is_no_error(kind: str) -> None:
    assert event_text(event(kind), PLAIN)


def test_lines_of_one_message_stay_together() -> None:
    lines = event_text(event("message", role="assistant", text="one\ntwo\n"), PLAIN).splitlines()
    assert [line[10:] for line in lines] == ["one", "two"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d  ", lines[0][:10])


def test_options_are_numbered_as_answer_takes_them() -> None:
    text = event_text(event("request.opened", question="Which?", options=["red", "blue"]), PLAIN)
    assert "? Which?" in text
    assert "1. red" in text
    assert "2. blue" in text


def test_a_tool_that_failed_says_so() -> None:
    assert "✓" in event_text(event("tool.finished", status="ok"), PLAIN)
    assert "✗ error no such file" in event_text(
        event("tool.finished", status="error", output="no such file"), PLAIN
    )
