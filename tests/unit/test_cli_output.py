"""What the commands print is harmless, lines up, and says what to do."""

from __future__ import annotations

import json
import re

import pytest

from backend.errors import Refused
from octopoid_tui.cli import output

HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def test_text_is_cleaned_on_both_streams(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(HOSTILE)
    output.warn(HOSTILE)
    said = capsys.readouterr()
    assert not CONTROLS.search(said.out)
    assert not CONTROLS.search(said.err)
    assert said.out.startswith("ab")


def test_json_is_ascii_and_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json({"title": HOSTILE + "é🐙"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert not CONTROLS.search(text)
    assert json.loads(text) == {"title": HOSTILE + "é🐙"}


def test_columns_line_up_also_with_wide_and_combining_characters() -> None:
    lines = output.columns([("a", "x", "end"), ("漢字", "y", "end"), ("e\u0301", "z", "end")]).splitlines()
    starts = [output.width(line[: line.index("end")]) for line in lines]
    assert len(set(starts)) == 1


def test_a_cell_stays_in_its_row() -> None:
    lines = output.columns([("one\ntwo", HOSTILE), ("three", "four")]).splitlines()
    assert len(lines) == 2
    assert not CONTROLS.search("".join(lines))


def test_style_colours_only_what_it_is_told_to() -> None:
    assert output.Style(coloured=False)("x", output.RED) == "x"
    assert output.Style(coloured=True)("x\x1b[0my", output.RED) == "\x1b[31mxy\x1b[0m"
    assert output.Style(coloured=True)("x") == "x"


def test_no_colour_without_a_terminal() -> None:
    assert not output.Style().coloured


def test_an_error_is_a_sentence_with_its_next_step_and_reasons() -> None:
    error = Refused("task t1 cannot be accepted", "octopoid why t1", ("it is claimed", "no evidence"))
    assert output.error_lines(error) == (
        "octopoid: task t1 cannot be accepted: octopoid why t1\n  - it is claimed\n  - no evidence"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0, "0s"), (59.4, "59s"), (61, "1m01s"), (7500, "2h05m"), (270000, "3d03h")],
)
def test_spans_show_their_two_largest_units(seconds: float, text: str) -> None:
    assert output.span(seconds) == text
