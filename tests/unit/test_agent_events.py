"""The lines of events.jsonl: what is written is read again, and what is damaged is said to be."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import BadInput
from scheduler.agents.events import KINDS, AgentEvent, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
TIMES = st.integers(0, 10**12).map(
    lambda ms: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms % 10**11)
)


@given(
    at=TIMES,
    kind=st.sampled_from(sorted(KINDS)),
    data=st.dictionaries(TEXT, JSON, max_size=4),
    source=st.sampled_from(["out", "err", "scheduler"]),
    offset=st.integers(0, 2**53),
)
def test_round_trip(at: datetime, kind: str, data: dict[str, Any], source: str, offset: int) -> None:
    event = AgentEvent(at, kind, data, source, offset)
    line = encode(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == event


GOOD = b'{"at":"2026-01-01T00:00:00.000Z","kind":"log","data":{},"source":"out","offset":1}'


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe", b"\x00" * 100, GOOD[:-1],
        GOOD + b"x", GOOD.replace(b'"kind":"log",', b""),
        GOOD.replace(b"2026-01-01T00:00:00.000Z", b"yesterday"),
        GOOD.replace(b"2026-01-01T00:00:00.000Z", b"2026-01-01T00:00:00"), GOOD.replace(b"{}", b"[]"),
        GOOD.replace(b'"offset":1', b'"offset":"1"'), GOOD.replace(b'"offset":1', b'"offset":null'),
        GOOD.replace(b'"log"', b"7"), b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_line_is_an_error_that_says_so(line: bytes) -> None:
    with pytest.raises(BadInput, match="not an event line"):
        decode(line)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_damaged(line: bytes) -> None:
    with contextlib.suppress(BadInput):
        assert isinstance(decode(line), AgentEvent)


def test_a_naive_time_is_never_written() -> None:
    local = datetime(2026, 1, 1, 3, tzinfo=UTC).astimezone()
    assert b"2026-01-01T03:00:00.000Z" in encode(AgentEvent(local, "log", {}, "out", 0))
