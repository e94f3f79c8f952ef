"""Agent text made harmless: threats T1 to T3."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.clean import REPLACEMENT, SEQUENCE_LIMIT, clean, clean_line

HARMFUL_RANGES = [
    (0x00, 0x08),
    (0x0B, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x61C, 0x61C),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xD800, 0xDFFF),
    (0xE0000, 0xE0FFF),
]
PIECES = [
    *"\x1b\x9b\x9d\x90\x98\x9e\x9f\x9c\x07[]PX^_\\;?0m \n\r\t\x00\x7f\u202e\u200b\ufe0f⚠\ud800",
    "\x1b]52;c;AAAA\x07",
    "\x1b[31m",
    "visible",
    "\U000e0041",
]
hostile_text = st.one_of(
    st.text(st.characters(codec=None)),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
)


def harmful(text: str) -> list[str]:
    return [c for c in text if any(low <= ord(c) <= high for low, high in HARMFUL_RANGES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ünïcode 日本 → ok", "plain ünïcode 日本 → ok"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]52;c;cm0gLXJm\x07b", "ab"),
        ("a\x1b]52;c;cm0gLXJm\x1b\\b", "ab"),
        ("a\x9d0;title\x9cb", "ab"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1bP1$r0m\x1b\\b", "ab"),
        ("a\x1b_Gdata\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
        ("a\x1bcb\x1b(0c\x1b7d", "abcd"),
        ("nul\x00bel\x07del\x7f", f"nul{REPLACEMENT}bel{REPLACEMENT}del{REPLACEMENT}"),
        ("user\u202egnp.exe", f"user{REPLACEMENT}gnp.exe"),
        ("a\u200bb\U000e0041c", f"a{REPLACEMENT}b{REPLACEMENT}c"),
        ("lone \ud83d surrogate", f"lone {REPLACEMENT} surrogate"),
        ("dos\r\nline\rback", f"dos\nline{REPLACEMENT}back"),
        ("⚠\ufe0f ok a\ufe0f", f"⚠ ok a{REPLACEMENT}"),
        ("[@click=app.quit]x[/] [bold", "[@click=app.quit]x[/] [bold"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
    ],
)
def test_what_becomes_of_each_kind(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_newlines_and_tabs_fold_to_spaces_on_request() -> None:
    assert clean("a\nb\tc\r\nd", newlines=False) == "a b c d"


def test_an_unfinished_sequence_does_not_swallow_the_text_behind_it() -> None:
    assert clean("\x1b]0;the rest is visible") == f"{REPLACEMENT}]0;the rest is visible"
    assert clean("\x1b]0;one line\nnext\x07") == f"{REPLACEMENT}]0;one line\nnext{REPLACEMENT}"
    long = "x" * (SEQUENCE_LIMIT + 1)
    assert clean(f"\x1b]0;{long}\x07end") == f"{REPLACEMENT}]0;{long}{REPLACEMENT}end"


@given(hostile_text)
@settings(max_examples=500)
def test_nothing_harmful_is_left(text: str) -> None:
    cleaned = clean(text)
    assert harmful(cleaned) == []
    assert len(cleaned) <= len(text)
    cleaned.encode("utf-8")


@given(hostile_text)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 100, 10_000])
def test_a_line_has_at_most_its_limit(length: int) -> None:
    line = clean_line("x\n" * length, limit=10)
    assert len(line) <= 10
    assert line.endswith("…") == (2 * length > 10)


@pytest.mark.parametrize(
    "unit",
    ["\x1b]", "\x9d", "\x1b[", "\x1b[0", "\x9b" + "0" * 5000, "\x1b]" + "a" * 5000, "\r", "\x1b "],
    ids=ascii,
)
def test_time_is_linear_on_hostile_input(unit: str) -> None:
    def cost(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        clean(text)
        return time.process_time() - start

    cost(10_000)
    small = max(min(cost(50_000) for _ in range(3)), 0.001)
    # Ten times the input; a quadratic one takes a hundred times, again and again.
    assert any(cost(500_000) < 60 * small for _ in range(3))
