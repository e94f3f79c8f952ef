"""Both versions of a conflict as text: what differs is marked, and nothing in them can do harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hostile import PAYLOADS

from backend.sync import LOCAL, Conflict, SyncMode, SyncState
from octopoid_tui.cli.doctor import server_finding
from octopoid_tui.cli.output import Style
from octopoid_tui.cli.sync import conflict_text, sync_text
from octopoid_tui.formats import waiting_changes
from octopoid_tui.versions import Field, mine_fields, said, their_fields
from scheduler.notices import sync_notices

NOW = datetime(2026, 3, 1, 12, 4, tzinfo=UTC)
URL = "https://octopoid.example.org"


def conflict(mine: dict[str, Any], theirs: dict[str, Any] | None, **known: Any) -> Conflict:
    plain: dict[str, Any] = {
        "id": "c1", "task_id": "t1", "operation": "edit", "summary": "edit of t1", "problem": "it changed",
        "at": NOW - timedelta(minutes=4), "rejected": False,
    }  # fmt: skip
    return Conflict(**{**plain, "mine": mine, "theirs": theirs, **known})


def state(mode: SyncMode, pending: int = 0, conflicts: int = 0, trouble: str | None = None) -> SyncState:
    return SyncState(mode, pending, conflicts, URL, NOW, trouble)


def test_what_differs_is_marked_on_both_sides() -> None:
    one = conflict(
        {"title": "Mine", "priority": "P1", "body": None}, {"title": "Theirs", "priority": "P1", "queue": "x"}
    )
    assert mine_fields(one) == (Field("title", "Mine", True), Field("priority", "P1", False))
    assert their_fields(one) == (
        Field("title", "Theirs", True), Field("priority", "P1", False), Field("queue", "x", False),
    )  # fmt: skip


def test_a_change_is_shown_without_its_wrapping() -> None:
    wish = {
        "task_id": "t1", "action": "submit", "lease_token": 4, "reason": "it ended", "actor": "system:x",
        "run_end": {"outcome": "submitted", "reason": "deeper", "exit_code": 0, "summary": None},
    }  # fmt: skip
    one = conflict({"kind": "move", "wish": wish}, {"reason": "taken", "queue": "claimed"})
    assert {field.name: field.value for field in mine_fields(one)} == {
        "action": "submit", "reason": "it ended", "outcome": "submitted", "exit_code": "0",
    }  # fmt: skip
    assert [(field.name, field.differs) for field in their_fields(one)] == [
        ("reason", True), ("queue", False),
    ]  # fmt: skip


def test_a_field_that_the_server_emptied_differs_too() -> None:
    one = conflict({"reason": "mine"}, {"reason": None})
    assert their_fields(one) == (Field("reason", "(nothing)", True),)


def test_without_a_version_of_the_servers_nothing_differs() -> None:
    one = conflict({"title": "Mine"}, None)
    assert mine_fields(one) == (Field("title", "Mine", False),)
    assert their_fields(one) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", "(empty)"), ("a\x1b[31mb\r\n", "ab"), (None, "(nothing)"), (True, "yes"), (7, "7"),
        ([], "(none)"), (["a", "b"], "a, b"), ({"k": ["\x07", 1]}, '{"k": ["\\u0007", 1]}'),
    ],
)  # fmt: skip
def test_every_kind_of_value_becomes_harmless_text(value: object, text: str) -> None:
    assert said(value) == text


def test_a_conflict_for_reading_names_it_and_marks_what_differs() -> None:
    one = conflict({"title": "Mine", "body": "one\ntwo"}, {"title": "Theirs"})
    lines = conflict_text(one, Style(coloured=False), NOW).splitlines()
    assert lines[0] == "c1  edit of t1  4m00s ago"
    assert lines[1:] == [
        "  edit of t1", "  it changed", "  mine", "  ≠ title: Mine", "    body: one", "      two", "  theirs",
        "  ≠ title: Theirs",
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [text for _, text in PAYLOADS], ids=[name for name, _ in PAYLOADS])
def test_hostile_text_is_harmless_on_a_terminal(bad: str) -> None:
    mine = {"title": bad, bad: bad, "needs": [bad], "metadata": {bad: [bad]}}
    one = conflict(mine, {**mine, "title": f"other {bad}"}, summary=bad, problem=bad, operation=bad, id=bad)
    text = conflict_text(one, Style(coloured=False), NOW)
    assert "visible" in text
    assert not [char for char in text if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert "\u202e" not in text


def test_a_side_without_fields_says_so() -> None:
    assert conflict_text(conflict({}, None), Style(coloured=False), NOW).splitlines()[-1] == "    nothing"


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        (LOCAL, LOCAL, "the state is in this project's own store: there is no server"),
        (
            state(SyncMode.OFFLINE, 3),
            state(SyncMode.ONLINE, 1),
            f"{URL} answers; 2 changes sent; 1 change waits to be sent",
        ),
        (state(SyncMode.ONLINE), state(SyncMode.ONLINE), f"{URL} answers; nothing waits to be sent"),
        (
            state(SyncMode.OFFLINE, 3),
            state(SyncMode.OFFLINE, 3, trouble="connection refused"),
            f"{URL} is away (connection refused); 3 changes wait to be sent",
        ),
    ],
)
def test_what_came_of_trying_is_one_sentence(before: SyncState, now: SyncState, text: str) -> None:
    assert sync_text(before, now) == text


def test_doctor_tells_the_three_ways_to_stand_with_a_server() -> None:
    away = server_finding(state(SyncMode.OFFLINE, 2, trouble="no route"))
    assert (away.level, away.what) == ("warning", "server")
    assert "is away (no route); 2 changes wait to be sent" in away.text
    refused = server_finding(state(SyncMode.ONLINE, conflicts=2))
    assert (refused.level, refused.next_step) == ("warning", "octopoid conflicts")
    assert server_finding(state(SyncMode.ONLINE)).level == "ok"


def test_lasting_notices_are_warnings_and_no_errors() -> None:
    assert sync_notices(LOCAL) == ()
    assert sync_notices(state(SyncMode.ONLINE, 3)) == ()
    away, conflicts = sync_notices(state(SyncMode.OFFLINE, 1, 2))
    assert away.text == "the server is away since 2026-03-01 12:04 UTC; no new task is claimed"
    assert conflicts.text == "the server did not take 2 changes: octopoid conflicts, or s on the screen"
    assert not away.error
    assert not conflicts.error


def test_a_count_of_changes_agrees_with_its_verb() -> None:
    assert [waiting_changes(n) for n in (0, 1, 2)] == [
        "nothing waits to be sent", "1 change waits to be sent", "2 changes wait to be sent",
    ]  # fmt: skip
