"""Reading a long record in pages: what is read and held stays small."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backend.clock import from_ms
from scheduler.agents.events import AgentEvent, encode
from scheduler.runs.pages import PAGE, SPAN, Page, Pages

BIG = 512 << 20
START = 1_767_267_000_000


def line(number: int, text: str = "") -> bytes:
    data = {"role": "assistant", "text": f"number {number} {text}"}
    return encode(AgentEvent(from_ms(START + number), "message", data, "out", number))


def texts(page: Page) -> list[str]:
    return [event.data.get("text", event.data.get("raw")) for _, event in page.events]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line(n, "x" * (n % 300)) for n in range(5000)))
    return path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a file took."""
    reads: list[int] = []
    pread = os.pread

    def counting(fd: int, length: int, offset: int) -> bytes:
        got = pread(fd, length, offset)
        reads.append(len(got))
        return got

    monkeypatch.setattr(os, "pread", counting)
    return reads


def test_the_pages_from_the_end_are_the_whole_record(many: Path) -> None:
    pages = Pages(many)
    page = pages.last()
    found = list(page.events)
    while page.start:
        page = pages.before(page.start)
        found = [*page.events, *found]
    assert [event.offset for _, event in found] == list(range(5000))
    assert found[0][0] == 0


def test_the_pages_from_the_start_are_the_whole_record(many: Path) -> None:
    pages, place, numbers = Pages(many), 0, list[int]()
    while (page := pages.after(place)).events:
        assert page.start == place
        numbers += [event.offset for _, event in page.events]
        place = page.end
    assert numbers == list(range(5000))
    assert place == many.stat().st_size


def test_opening_a_huge_record_reads_its_end_alone(tmp_path: Path, counted: list[int]) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.write(line(0))
        file.seek(BIG)
        file.write(b"\n" + b"".join(line(n, "x" * 200) for n in range(1, 2000)))
    assert path.stat().st_size > BIG
    pages = Pages(path)
    page = pages.last()
    assert texts(page)[-1].startswith("number 1999 ")
    for _ in range(2):
        page = pages.before(page.start)
        assert page.events
    assert sum(counted) <= 6 * PAGE + 4096
    assert texts(pages.after(0))[0] == "number 0 ", "the beginning is as near as the end"
    assert sum(counted) <= 6 * PAGE + 4096 + SPAN + PAGE


def test_what_has_no_line_end_is_passed_over_within_bounds(tmp_path: Path, counted: list[int]) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + b"x" * (3 * SPAN) + b"\n" + line(2))
    pages, place, seen = Pages(path), path.stat().st_size, list[str]()
    while place:
        counted.clear()
        page = pages.before(place)
        assert sum(counted) <= 2 * SPAN + 2 * PAGE
        assert page.start < place
        seen, place = [*texts(page), *seen], page.start
    assert seen[0] == "number 1 "
    assert seen[-1] == "number 2 "
    assert all("not an event line" in text for text in seen[1:-1])
    assert len(seen) < 10
    forward, place = list[str](), 0
    while (page := pages.after(place)).events:
        forward, place = forward + texts(page), page.end
    assert forward[0] == "number 1 "
    assert forward[-1] == "number 2 "


def test_a_long_line_is_one_event_from_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + line(2, "y" * (5 * PAGE)) + line(3))
    pages = Pages(path)
    last = pages.last()
    assert texts(last)[-1] == "number 3 "
    long = pages.before(last.start)
    assert (long.start, long.events[0]) == (len(line(1)), pages.after(len(line(1))).events[0])
    assert [text[:8] for text in texts(long)] == ["number 2"]


def test_half_a_line_waits_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = line(1) + line(2)
    path.write_bytes(whole[:-5])
    pages = Pages(path)
    page = pages.last()
    assert (texts(page), page.end) == (["number 1 "], len(line(1)))
    path.write_bytes(whole)
    assert texts(pages.after(page.end)) == ["number 2 "]
    assert pages.after(len(whole)) == Page(len(whole), len(whole))


def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "events.jsonl")
    assert pages.last() == pages.after(0) == Page(0, 0)
    assert pages.find("x", 0) is None


def test_a_search_goes_both_ways_and_ends(many: Path) -> None:
    pages, size = Pages(many), many.stat().st_size
    first = pages.find("NUMBER 4000 ", 0)
    assert first is not None
    assert texts(pages.after(first))[0].startswith("number 4000 ")
    assert pages.find("number 4000 ", size, backwards=True) == first
    assert pages.find("number 4000 ", first, backwards=True) is None
    assert pages.find("number 10 ", pages.find("number 10 ", 0) or 0, backwards=True) is None
    assert pages.before(0) == Page(0, 0)
    assert pages.find("number 4000 ", first + 1) is None
    assert pages.find("assistant", 0) is None, "what is not shown is not found"


def test_a_search_finds_what_the_record_writes_with_escapes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + line(2, 'say "Grüße" \\ to all'))
    pages = Pages(path)
    assert pages.find('"GRÜSSE"', 0) is None
    assert pages.find('"grüße" \\ TO', 0) == len(line(1))


def test_a_search_that_nobody_waits_for_ends(many: Path, counted: list[int]) -> None:
    assert Pages(many).find("nowhere", 0, stop=lambda: len(counted) >= 3) is None
    assert len(counted) == 3
