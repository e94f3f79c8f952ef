"""Every widget that shows data, given one hostile text after the other. Run by test_hostile_text.py.

usage: hostile_app.py PAYLOADS.json STATE.json plain|octopoid|leak

Key `p` shows the next payload everywhere, `s` reports again. After each the state file tells which
payload is shown, where it stands on the screen, and how often an action was fired by a click. `leak` adds
a widget that cleans nothing, so that the driver's filter is all there is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import ClassVar

from fixed_desk import FixedPages
from fixed_desk import transcript as events_of
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.drivers.linux_driver import LinuxDriver
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from octopoid_tui.driver import OctopoidDriver
from octopoid_tui.widgets.chat_list import ChatList
from octopoid_tui.widgets.chat_message import ChatMessage
from octopoid_tui.widgets.diff_model import parse_diff
from octopoid_tui.widgets.diff_view import DiffView
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.meter import meter
from octopoid_tui.widgets.transcript_view import TranscriptView


class Leak(Widget):
    """Writes what it is given, as a careless widget would."""

    text = ""

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(self.text[:400])], self.size.width) if y == 0 else Strip.blank(self.size.width)


class HostileApp(App[None]):
    CSS = """
    Container { layout: grid; grid-size: 3 2; }
    #control { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "next_payload", priority=True),
        Binding("s", "report", priority=True),
    ]

    def __init__(self, payloads: Path, state: Path, mode: str) -> None:
        super().__init__(driver_class=LinuxDriver if mode == "plain" else OctopoidDriver)
        self.payloads: list[list[str]] = json.loads(payloads.read_text("utf-8"))
        self.state = state
        self.leak = mode == "leak"
        self.shown = -1
        self.reports = 0
        self.fired = 0

    def compose(self) -> ComposeResult:
        # The one thing that may fire: it proves that a click would, if data were read as markup.
        yield Static("[@click=app.fire]CONTROL[/]", id="control")
        with Container():
            yield Grid([Column("a", "A", 30), Column("b", "B", 20), Column("c", "C", 10, flex=1)])
            yield TranscriptView()
            yield DiffView()
            yield ChatList(id="plain")
            yield ChatList(id="markdown")
            yield Leak() if self.leak else Grid([Column("a", "A", 30)], id="empty")

    def on_mount(self) -> None:
        self.report()

    def action_fire(self, *_: object) -> None:
        self.fired += 1

    async def action_next_payload(self) -> None:
        self.shown += 1
        text = self.payloads[self.shown][1]
        cells = (text, Content(text), meter(0.3, 12, text))
        self.query_one(Grid).set_rows([Row(text, cells, "error"), Row("2", (text, text, text))])
        said = (
            ("message", {"text": text}),
            ("tool.started", {"name": text, "title": text, "tool_id": text}),
            ("log", {"text": text}),
        )
        transcript = self.query_one(TranscriptView)
        transcript.show(FixedPages({"run": events_of(*said)}, "run"))
        transcript.search(text[:10])
        line = text.replace("\n", " ")
        diff = (
            f"--- a/{line}.py\n+++ b/{line}.py\n@@ -1,2 +1,2 @@ {line}\n {line}\n-{line}\n+{line}\n{line}\n"
        )
        self.query_one(DiffView).set_model(parse_diff(diff))
        for chat in self.query(ChatList):
            message = ChatMessage(
                "1", text, text, text, markdown=chat.id == "markdown", question=True, note=text
            )
            await chat.show([message])
        if self.leak:
            self.query_one(Leak).text = text
            self.query_one(Leak).refresh()
        else:
            empty = self.query_one("#empty", Grid)
            empty.set_placeholder("error", text)
        self.call_after_refresh(self.report)

    def action_report(self) -> None:
        self.report()

    def report(self) -> None:
        self.reports += 1
        lines = [strip.text for strip in self.screen._compositor.render_strips()]
        places = [
            (line.index(word), y)
            for y, line in enumerate(lines)
            for word in ("visi", "CONTROL")
            if word in line
        ]
        state = {"shown": self.shown, "reports": self.reports, "fired": self.fired, "places": places}
        temporary = self.state.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        temporary.replace(self.state)


if __name__ == "__main__":
    HostileApp(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).run()
