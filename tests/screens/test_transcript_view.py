"""The transcript: entries and rows, reading in pages, following, folding, searching."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from fixed_desk import transcript
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from octopoid_tui.formats import cells
from octopoid_tui.widgets.transcript_model import Story
from octopoid_tui.widgets.transcript_rows import rows_of, wrap
from octopoid_tui.widgets.transcript_view import PAGES_HELD, TranscriptView
from scheduler.agents.events import AgentEvent, encode
from scheduler.runs.pages import PAGE, Page, Pages

ScreenText = Callable[[App[Any]], list[str]]
Said = tuple[str, dict[str, Any]]
PATIENCE = 60.0


def story(*said: Said) -> Story:
    made = Story()
    made.show([Page(0, len(said), tuple(enumerate(transcript(*said))))])
    return made


def told(*said: Said, opened: bool = False, width: int = 80, answers: dict[str, str] | None = None) -> str:
    rows = [
        row
        for entry in story(*said).entries
        for row in rows_of(entry, width, opened=opened, zone=UTC, answers=answers)
    ]
    return "\n".join(row.text for row in rows)


def call(tool_id: str = "t", name: str = "Edit", **data: Any) -> Said:
    return "tool.started", {"tool_id": tool_id, "name": name, **data}


def done(tool_id: str = "t", status: str = "ok", output: str = "") -> Said:
    return "tool.finished", {"tool_id": tool_id, "status": status, "output": output}


# Entries and rows


def test_a_call_is_one_line_with_its_end_and_its_time() -> None:
    text = told(
        call(title="a.py", input={"file_path": "a.py"}), ("log", {"text": "x"}), done(output="long\noutput")
    )
    assert "▸ Edit  a.py  ✓ " in text.splitlines()[0]
    assert "output" not in text
    assert len(text.splitlines()) == 2
    assert "▸ Bash  make  ✗ error, " in told(call(name="Bash", title="make"), done(status="error"))
    assert told(call(title="a.py"), ("tool.progress", {"tool_id": "t", "text": "12 s"})).endswith(
        "a.py  … 12 s"
    )


def test_an_opened_call_has_what_went_in_and_out_and_changes_as_a_diff() -> None:
    given = {"file_path": "a.py", "old_string": "one\ntwo", "new_string": "one\nthree"}
    made = story(call(title="a.py", input=given), done(output="written"))
    rows = rows_of(made.entries[0], 80, opened=True, zone=UTC)
    assert [(row.text.strip(), row.tone) for row in rows[1:]] == [
        ("file_path: a.py", ""),
        ("@@ -1,2 +1,2 @@", "hunk"),
        ("one", ""),
        ("-two", "removed"),
        ("+three", "added"),
        ("→ written", "dim"),
    ]


@pytest.mark.parametrize(
    "given",
    [{"path": "p", "content": "new"}, {"path": "p", "oldText": "old", "newText": "new"},
     {"edits": [{"old_string": "old", "new_string": "new"}]}, {"patch": "@@ -1 +1 @@\n-old\n+new"}],
)  # fmt: skip
def test_changes_are_known_by_the_names_of_several_programs(given: dict[str, object]) -> None:
    rows = rows_of(story(call(input=given)).entries[0], 80, opened=True)
    assert "+new" in [row.text.strip() for row in rows if row.tone == "added"]


def test_an_end_whose_beginning_is_not_held_is_still_told() -> None:
    assert "▸ a call  ✗ error" in told(done(status="error"))


def test_a_question_stands_with_its_answer() -> None:
    asked: Said = ("request.opened", {"request_id": "r", "question": "Which?", "options": ["red", "blue"]})
    closed: Said = ("request.closed", {"request_id": "r", "by": "answer"})
    assert told(asked).endswith("waits for an answer")
    assert [line.strip() for line in told(asked, closed, answers={"r": "blue"}).splitlines()][1:] == [
        "1. red", "2. blue", "↳ blue"
    ]  # fmt: skip
    assert told(asked, closed).endswith("↳ answered (answer)")


def test_a_turn_tells_what_it_used_of_the_whole() -> None:
    text = told(
        ("usage", {"input": 1000, "output": 200, "cost_usd": 0.25}),
        ("turn.finished", {"outcome": "completed"}),
        ("turn.finished", {"outcome": "error", "reason": "overloaded"}),
        ("usage", {"input": 1500, "output": 300, "cost_usd": 0.40}),
    )
    first, second, reason = text.splitlines()
    assert first.endswith("✓ turn completed   1.2k tokens, $0.25 so far")
    assert second.endswith("✗ turn error   600 tokens, $0.15; 1.8k tokens, $0.40 so far")
    assert reason.strip() == "overloaded"


def test_limits_errors_and_refusals_are_marked() -> None:
    made = story(
        ("rate_limit", {"status": "rejected", "resets_in_s": 300, "reason": "too many"}),
        ("rate_limit", {"status": "warning"}),
        ("refused", {"reason": "no login"}),
        ("retry", {"attempt": 2, "delay": 1.5, "status": 529}),
        ("exited", {"code": 70, "cause": "it crashed"}),
    )
    rows = [rows_of(entry, 80, opened=False)[0] for entry in made.entries]
    assert [(row.text[10:], row.tone) for row in rows] == [
        ("! rate limit rejected, again in 5:00: too many", "error"),
        ("! rate limit warning", "warning"),
        ("! no login", "error"),
        ("! attempt 2 after HTTP 529, in 1.5 s", "warning"),
        ("✗ ended with exit status 70: it crashed", "error"),
    ]


@pytest.mark.parametrize(
    "text", ["word " * 100, "x" * 500, "  indented " * 30, "日本語のテキスト" * 30, "é́" * 200, "日 " * 99]
)
@pytest.mark.parametrize("width", [20, 33, 70])
def test_wrapping_keeps_everything_within_the_width(text: str, width: int) -> None:
    pieces = wrap(text, width)
    assert all(cells(piece) <= width for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_data_of_any_kind_makes_rows() -> None:
    odd: list[Any] = [None, 3, ["a"], {"b": 1}, "text", True]
    kinds = ("message", "tool.started", "tool.finished", "request.opened", "request.closed", "usage", "log",
             "rate_limit", "retry", "turn.finished", "exited", "unknown", "sent", "refused",
             "session.started")  # fmt: skip
    names = ("text", "tool_id", "name", "title", "input", "output", "status", "options", "question", "raw",
             "input", "cost_usd", "resets_in_s", "code", "outcome", "reason", "stream", "parent")  # fmt: skip
    for value in odd:
        made = story(*[(kind, dict.fromkeys(names, value)) for kind in kinds])
        for entry in made.entries:
            assert all(row.text.isprintable() for row in rows_of(entry, 40, opened=True))


def test_what_is_added_page_by_page_is_the_same_as_what_is_read_at_once() -> None:
    said: list[Said] = [call(str(n), title=f"{n}") for n in range(5)] + [done(str(n)) for n in range(5)]
    events = transcript(*said)
    whole, grown = story(*said), Story()
    grown.show([Page(0, 3, tuple(enumerate(events[:3])))])
    changed = grown.extend(Page(3, 10, tuple(enumerate(events[3:], 3))))
    assert [entry.offset for entry in grown.entries] == [entry.offset for entry in whole.entries]
    assert all(entry.outcome is not None for entry in grown.entries)
    assert [entry.offset for entry in changed] == [0, 1, 2]
    assert grown.entry_at(8) is grown.entries[3]


# The view


class ViewApp(App[None]):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.searches: list[tuple[str, bool]] = []

    def compose(self) -> ComposeResult:
        yield TranscriptView()

    def on_mount(self) -> None:
        self.view.zone = UTC
        self.view.show(Pages(self.path))
        self.view.focus()

    @property
    def view(self) -> TranscriptView:
        return self.query_one(TranscriptView)

    def on_transcript_view_searched(self, message: TranscriptView.Searched) -> None:
        self.searches.append((message.text, message.found))


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            for view in pilot.app.query(TranscriptView):
                view.poll()
            await pilot.pause(0.01)


def write(path: Path, *said: Said, mode: str = "ab") -> None:
    with path.open(mode) as file:
        file.write(b"".join(encode(event) for event in transcript(*said)))


def message(number: int, text: str = "") -> Said:
    return "message", {"role": "assistant", "text": f"number {number} {text}".rstrip()}


def one_row(number: int) -> Said:
    """A folded call: some hundred bytes of the record on one row."""
    title = f"number {number}{' Needle' if number % 1000 == 7 else ''}"
    return call(str(number), title=title, input={"file_path": "x" * 400})


def numbers(app: ViewApp, screen_text: ScreenText) -> list[int]:
    lines = [line for line in screen_text(app) if " number " in line]
    return [int(line.split(" number ")[1].split()[0]) for line in lines]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    write(path, *[one_row(n) for n in range(3000)])
    return path


async def test_it_opens_at_the_end_and_one_can_read_up_to_the_beginning(
    record: Path, screen_text: ScreenText
) -> None:
    app = ViewApp(record)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: 2999 in numbers(app, screen_text))
        assert app.view.bytes_held <= 2 * PAGE
        seen = set(numbers(app, screen_text))
        while 0 not in seen:
            before = min(seen)
            await pilot.press(*["pageup"] * 40)
            await until(pilot, lambda before=before: (now := numbers(app, screen_text)) and min(now) < before)
            seen = set(numbers(app, screen_text))
            assert app.view.bytes_held <= (PAGES_HELD + 1) * PAGE
        assert not app.view.follow
        await pilot.press("G")
        await until(pilot, lambda: 2999 in numbers(app, screen_text) and app.view.follow)
        await pilot.press("g")
        await until(pilot, lambda: 0 in numbers(app, screen_text))
        while 2999 not in numbers(app, screen_text):
            last = max(numbers(app, screen_text))
            await pilot.press(*["pagedown"] * 40)
            await until(pilot, lambda last=last: (now := numbers(app, screen_text)) and max(now) > last)
            assert app.view.bytes_held <= (PAGES_HELD + 1) * PAGE


async def test_half_a_gigabyte_opens_by_reading_its_end(
    tmp_path: Path, screen_text: ScreenText, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.seek(512 << 20)
        file.write(b"\n")
    write(path, *[message(n, "x" * 100) for n in range(3000)])
    reads: list[int] = []
    pread = os.pread

    def counting(fd: int, length: int, offset: int) -> bytes:
        got = pread(fd, length, offset)
        reads.append(len(got))
        return got

    monkeypatch.setattr(os, "pread", counting)
    app = ViewApp(path)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: 2999 in numbers(app, screen_text))
        await pilot.press("pageup", "pageup")
        await until(pilot, lambda: 2999 not in numbers(app, screen_text))
        await until(pilot, lambda: not any(w.group == "transcript" for w in app.workers))
        assert sum(reads) <= 6 * PAGE


async def test_it_follows_until_one_moves_away_and_again_at_the_end(
    record: Path, screen_text: ScreenText
) -> None:
    app = ViewApp(record)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: 2999 in numbers(app, screen_text))
        write(record, one_row(3000))
        await until(pilot, lambda: 3000 in numbers(app, screen_text))
        await pilot.press("k", "k")
        top = numbers(app, screen_text)
        held = app.view.row_count
        write(record, *[one_row(n) for n in range(3001, 3101)])
        await until(pilot, lambda: app.view.row_count == held + 100)
        assert numbers(app, screen_text) == top
        await pilot.press("G")
        write(record, one_row(3101))
        await until(pilot, lambda: 3101 in numbers(app, screen_text))


async def test_a_long_live_run_keeps_the_memory_small(record: Path, screen_text: ScreenText) -> None:
    app = ViewApp(record)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: 2999 in numbers(app, screen_text))
        for start in range(3000, 7000, 1000):
            write(record, *[one_row(n) for n in range(start, start + 1000)])
            await until(pilot, lambda start=start: start + 999 in numbers(app, screen_text))
            assert app.view.bytes_held <= (PAGES_HELD + 1) * PAGE


async def test_enter_unfolds_a_call_and_folds_it_again(tmp_path: Path, screen_text: ScreenText) -> None:
    path = tmp_path / "events.jsonl"
    write(path, call(title="a.py", input={"old_string": "x", "new_string": "y"}), done(output="written"))
    app = ViewApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "▸ Edit" in screen_text(app)[0])
        await pilot.press("enter")
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "▾ Edit" in text
        assert "-x" in text
        assert "+y" in text
        await pilot.press("enter")
        await pilot.pause()
        assert "+y" not in "\n".join(screen_text(app))


async def test_a_search_goes_up_first_then_on_and_round_and_may_leave_what_is_held(
    record: Path, screen_text: ScreenText
) -> None:
    app = ViewApp(record)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: 2999 in numbers(app, screen_text))
        app.view.search("needle")
        for key, number in [("n", 2007), ("N", 7), ("N", 2007), ("N", 1007), ("", 7)]:
            await until(pilot, lambda number=number: number in numbers(app, screen_text))
            if key:
                await pilot.press(key)
        row = app.view.cursor_row
        assert "number 7 Needle" in app.view.texts[row]
        app.view.search("nowhere to be found")
        await until(pilot, lambda: app.searches[-1] == ("nowhere to be found", False))
        app.view.search("[a-z]+")
        await until(pilot, lambda: app.searches[-1] == ("[a-z]+", False)), "a search is no regular expression"


async def test_a_match_inside_a_call_unfolds_it(tmp_path: Path, screen_text: ScreenText) -> None:
    path = tmp_path / "events.jsonl"
    write(path, call(title="make"), done(output="all\nthe needle is here"), *[message(n) for n in range(50)])
    app = ViewApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: 49 in numbers(app, screen_text))
        app.view.search("the needle")
        await until(pilot, lambda: any("the needle is here" in line for line in screen_text(app)))
        strip = app.view.render_line(app.view.cursor_row - app.view.scroll_offset.y)
        assert any(s.text == "the needle" and s.style and s.style.underline for s in strip)


async def test_answers_and_another_width_are_shown_in_place(tmp_path: Path, screen_text: ScreenText) -> None:
    path = tmp_path / "events.jsonl"
    asked: Said = ("request.opened", {"request_id": "r", "question": "Which?"})
    write(path, asked, message(1, "word " * 40 + "end"))
    app = ViewApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("waits for an answer" in line for line in screen_text(app)))
        app.view.set_answers({"r": "the blue one"})
        await pilot.pause()
        assert any("↳ the blue one" in line for line in screen_text(app))
        narrow = app.view.row_count
        await pilot.resize_terminal(200, 50)
        await until(pilot, lambda: app.view.row_count < narrow)


async def test_a_selection_gives_the_text(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, message(1), message(2))
    app = ViewApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.row_count == 2)
        got = app.view.get_selection(Selection(Offset(10, 0), Offset(20, 1)))
        assert got is not None
        assert got[0].splitlines()[0] == "» number 1"


async def test_hostile_text_is_plain_text(tmp_path: Path, hostile_payloads: dict[str, str]) -> None:
    path = tmp_path / "events.jsonl"
    for text in hostile_payloads.values():
        text = text.encode("utf-8", "replace").decode()
        write(path, ("message", {"text": text}), ("log", {"text": text, "stream": text}))
        write(path, call(text, name=text, title=text, input={text: text, "content": text}))
        write(path, done(text, status=text, output=text), ("exited", {"code": text, "cause": text}))
        write(path, ("request.opened", {"request_id": text, "question": text, "options": [text]}))
        write(
            path, ("session.started", {"session_ref": text}), ("unknown", {"raw": text}), (text, {text: text})
        )
    app = ViewApp(path)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: app.view.row_count)
        app.view._opened.update(entry.offset for entry in app.view._story.entries)
        app.view._relayout()
        await pilot.pause()
        assert all(text.isprintable() for text in app.view.texts)
        assert any("visi" in text for text in app.view.texts)
        for top in range(0, app.view.row_count, 50):
            app.view.scroll_to(y=top, animate=False)
            await pilot.pause()
            assert all(app.view.render_line(y).text.isprintable() for y in range(50))


def test_events_are_what_the_harness_made() -> None:
    (event,) = transcript(message(1))
    assert isinstance(event, AgentEvent)
