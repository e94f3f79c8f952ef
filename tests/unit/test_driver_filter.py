"""The last filter before the terminal: threat T1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopoid_tui.driver import filter_output


@pytest.mark.parametrize(
    "own",
    [
        "\x1b[?1049h\x1b[?25l\x1b[?1004h",
        "\x1b[?2026$p",
        "\x1b[>25u\x1b[<u",
        "\x1b[3;4H\x1b[1;38;2;1;2;3mtext\x1b[0m\r\n",
        "\x1b]52;c;aGVsbG8=\x07",
        "\x1b]22;pointer\x07",
        "\x07",
    ],
    ids=ascii,
)
def test_what_the_application_emits_passes(own: str) -> None:
    assert filter_output(own) == own


@pytest.mark.parametrize(
    ("foreign", "left"),
    [
        ("\x1b[1;1Ha\x1b]52;c;aGVsbG8=\x07b", "\x1b[1;1Hab"),
        ("\x1b]52;p;aGVsbG8=\x07", ""),
        ("\x1b]52;c;?\x07", ""),
        ("\x1b]0;title\x1b\\", ""),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\\x1bXs\x1b\\", ""),
        ("\x9d0;t\x9c\x9b31m\x85", "31m"),
        ("\x1b[6n\x1b[21t\x1b[4i\x1b[c", ""),
        ("\x1bc", "c"),
        ("\x1b]0;unfinished\x1b[0m", "0;unfinished\x1b[0m"),
        ("bell\x07 back\x08", "bell back"),
        ("lone \ud800", "lone "),
    ],
    ids=ascii,
)
def test_what_it_does_not_emit_is_dropped(foreign: str, left: str) -> None:
    assert filter_output(foreign) == left


@given(st.lists(st.sampled_from([*"\x1b\x9d\x9c\x90\x07[]P\\;m0a", "\x1b[0m", "\x1b[1;1H"])).map("".join))
def test_no_string_sequence_gets_through(text: str) -> None:
    written = filter_output("\x1b[1;1H" + text)
    assert not set(written) & set("\x90\x9c\x9d\x07")
    assert all(part.startswith("[") for part in written.split("\x1b")[1:])
