"""A diff to review: any length, coloured where one looks, with a cursor for comments."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from octopoid_tui.formats import cells, fit
from octopoid_tui.widgets.cursor_view import CursorView
from octopoid_tui.widgets.diff_model import DiffFile, DiffLine, DiffModel
from octopoid_tui.widgets.diff_syntax import GROUPS, TAB, DiffSyntax, Piece, shown_text

_CACHED_STRIPS: Final = 1000
_SIDE_STEP: Final = 8
_SIGNS: Final = {"added": "+", "removed": "-"}
_DIFF_GROUP: Final = Binding.Group("Diff")


def _binding(keys: str, action: str, tooltip: str) -> Binding:
    return Binding(keys, action, tooltip, id=f"diff.{action}", tooltip=tooltip, group=_DIFF_GROUP, show=False)


@dataclass(frozen=True, slots=True)
class DiffPlace:
    """A line of a file, as a comment names it."""

    path: str
    old_line: int | None
    new_line: int | None
    text: str


class DiffView(CursorView):
    """A virtual view of a diff. The line at the top names the file one is in."""

    DEFAULT_CSS = """
    DiffView {
        overflow: auto;
        scrollbar-size: 0 1;
        background: $surface;
        color: $foreground;

        & > .diff-view--header { background: $panel; color: $text-accent; text-style: bold; }
        & > .diff-view--file { background: $primary 25%; text-style: bold; }
        & > .diff-view--hunk { background: $secondary 15%; color: $text-secondary; }
        & > .diff-view--note { color: $text-warning; text-style: italic; }
        & > .diff-view--number { color: $text-disabled; }
        & > .diff-view--context { background: $surface; }
        & > .diff-view--added { background: $success 15%; }
        & > .diff-view--removed { background: $error 15%; }
        & > .diff-view--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        & > .diff-view--cursor-blurred { background: $foreground 15%; }
        & > .diff-view--keyword { color: $text-accent; }
        & > .diff-view--comment { color: $text-muted; text-style: italic; }
        & > .diff-view--string { color: $text-success; }
        & > .diff-view--number-literal { color: $text-warning; }
        & > .diff-view--name { color: $text-primary; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"diff-view--{kind}" for kind in ("file", "hunk", "note", "context", "added", "removed")),
        *(f"diff-view--{part}" for part in ("header", "number", "cursor", "cursor-blurred")),
        *(f"diff-view--{group}" for group in GROUPS if group != "number"),
        "diff-view--number-literal",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        _binding("n,right_square_bracket", "next_hunk", "Next hunk"),
        _binding("N,left_square_bracket", "previous_hunk", "Previous hunk"),
        _binding("right_curly_bracket", "next_file", "Next file"),
        _binding("left_curly_bracket", "previous_file", "Previous file"),
        _binding("left,h", "left", "To the left"),
        _binding("right,l", "right", "To the right"),
        _binding("enter", "choose", "Act on this line"),
    ]
    BINDING_GROUP_TITLE = "Diff"
    ALLOW_SELECT = False
    HEADER_HEIGHT = 1

    @dataclass
    class FileChanged(Message):
        """The cursor is in another file."""

        diff_view: "DiffView"
        path: str

        @property
        def control(self) -> "DiffView":
            return self.diff_view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, DiffView.FileChanged)

    @dataclass
    class HunkChanged(Message):
        """The cursor is in another hunk of the file, None between them."""

        diff_view: "DiffView"
        path: str
        hunk: int | None
        """Number of the hunk in its file, from 0."""

        @property
        def control(self) -> "DiffView":
            return self.diff_view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, DiffView.HunkChanged)

    @dataclass
    class Chosen(Message):
        """Enter or a double click on a line, to comment on it."""

        diff_view: "DiffView"
        place: DiffPlace

        @property
        def control(self) -> "DiffView":
            return self.diff_view

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._show(DiffModel())

    # What is shown

    @property
    def row_count(self) -> int:
        return len(self._model.lines)

    @property
    def file(self) -> DiffFile | None:
        """The file the cursor is in."""
        return self._file_at(self.cursor_row)

    @property
    def hunk(self) -> int | None:
        """Number in its file, from 0, of the hunk the cursor is in."""
        return self.file.hunk_at(self.cursor_row) if self.file is not None else None

    @property
    def place(self) -> DiffPlace | None:
        """The line under the cursor; None on headers and notes, which cannot be commented on."""
        file = self.file
        if file is None:
            return None
        line = self._model.lines[self.cursor_row]
        if line.old is None and line.new is None:
            return None
        return DiffPlace(file.path, line.old, line.new, line.text)

    def set_model(self, model: DiffModel) -> None:
        """Show another diff, from its start."""
        self._show(model)
        # No character takes more than two cells; measuring 100,000 lines would take a second.
        widest = max((_widest(line.text) for line in model.lines), default=0)
        self.virtual_size = Size(min(widest, 4096) + self._gutter, self.row_count + self.HEADER_HEIGHT)
        self.set_reactive(DiffView.cursor_row, 0)
        self.scroll_to(x=0, y=0, animate=False, force=True)
        self.refresh()
        self.cursor_moved()

    def _show(self, model: DiffModel) -> None:
        self._model = model
        self._syntax = DiffSyntax(model)
        self._file_lines = [file.line for file in model.files]
        self._stops = sorted(hunk.line for file in model.files for hunk in file.hunks)
        self._strips: dict[tuple[int, bool, bool], Strip] = {}
        self._announced: tuple[str, int | None] | None = None
        highest = max((max(line.old or 0, line.new or 0) for line in model.lines), default=0)
        self._digits = max(3, len(str(highest)))

    @property
    def _gutter(self) -> int:
        return 2 * self._digits + 5

    def _file_at(self, index: int) -> DiffFile | None:
        number = self._file_number(index)
        return self._model.files[number - 1] if number else None

    def _file_number(self, index: int) -> int:
        """Number, from 1, of the file that a line is in; 0 before the first."""
        return bisect_right(self._file_lines, index)

    def cursor_moved(self) -> None:
        self.refresh(Region(0, 0, self.size.width, self.HEADER_HEIGHT))
        file = self.file
        if file is None:
            return
        now = (file.path, self.hunk)
        before, self._announced = self._announced, now
        if before is None or before[0] != now[0]:
            self.post_message(self.FileChanged(self, file.path))
        if before != now:
            self.post_message(self.HunkChanged(self, *now))

    # Keys and mouse

    def go_to_file(self, path: str) -> bool:
        """Put the cursor on the header of a file; False if the diff does not have it."""
        line = next((file.line for file in self._model.files if file.path == path), None)
        if line is not None:
            self._jump(line)
        return line is not None

    def action_next_file(self) -> None:
        self._step(self._file_lines, 1)

    def action_previous_file(self) -> None:
        self._step(self._file_lines, -1)

    def action_next_hunk(self) -> None:
        self._step(self._stops, 1)

    def action_previous_hunk(self) -> None:
        self._step(self._stops, -1)

    def _step(self, stops: list[int], direction: int) -> None:
        if direction > 0:
            target = next((line for line in stops if line > self.cursor_row), None)
        else:
            target = next((line for line in reversed(stops) if line < self.cursor_row), None)
        if target is not None:
            self._jump(target)

    def _jump(self, line: int) -> None:
        self.cursor_row = line
        self.scroll_rows_to(line - 1)

    def action_left(self) -> None:
        self.scroll_to(x=self.scroll_offset.x - _SIDE_STEP, animate=False)

    def action_right(self) -> None:
        self.scroll_to(x=self.scroll_offset.x + _SIDE_STEP, animate=False)

    def action_choose(self) -> None:
        if self.place is not None:
            self.post_message(self.Chosen(self, self.place))

    def on_click(self, event: events.Click) -> None:
        row = self.row_at(event)
        if row is not None:
            self.cursor_row = row
            if event.chain == 2:
                self.action_choose()

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width = self.line_width
        if y < self.HEADER_HEIGHT:
            return self._header(self.cursor_row if self.cursor_row in self.visible_rows else top, width)
        index = y - self.HEADER_HEIGHT + top
        if index >= self.row_count:
            return Strip.blank(width, self.rich_style)
        key = (index, index == self.cursor_row, self.has_focus)
        strip = self._strips.get(key)
        if strip is None:
            if len(self._strips) >= _CACHED_STRIPS:
                self._strips.clear()
            strip = self._strips[key] = self._line(index, on_cursor=index == self.cursor_row)
        base = self._base(self._model.lines[index], on_cursor=index == self.cursor_row)
        gutter = strip.crop(0, self._gutter)
        body = strip.crop_extend(self._gutter + left, left + width, base)
        return Strip.join([gutter, body]).adjust_cell_length(width, base)

    def _header(self, index: int, width: int) -> Strip:
        style = self.get_component_rich_style("diff-view--header")
        file = self._file_at(index)
        if file is None:
            return Strip([Segment(fit(" Nothing has changed", width), style)], width)
        place = f" {self._file_number(index)}/{len(self._model.files)} "
        return Strip(
            [Segment(fit(" " + _title(file), max(0, width - len(place))), style), Segment(place, style)]
        )

    def _base(self, line: DiffLine, *, on_cursor: bool) -> Style:
        if on_cursor:
            return self.get_component_rich_style(f"diff-view--cursor{'' if self.has_focus else '-blurred'}")
        return self.get_component_rich_style(f"diff-view--{line.kind}")

    def _line(self, index: int, *, on_cursor: bool) -> Strip:
        line = self._model.lines[index]
        file = self._file_at(index)
        base = self._base(line, on_cursor=on_cursor)
        numbers = base if on_cursor else base + self._partial("number")
        sign = ("›" if on_cursor else " ") + _SIGNS.get(line.kind, " ")
        gutter = f"{line.old or '':>{self._digits}} {line.new or '':>{self._digits}} "
        segments = [Segment(gutter, numbers), Segment(sign + " ", base)]
        if file is None or line.kind in ("hunk", "note"):
            pieces: tuple[Piece, ...] = (Piece(shown_text(line.text), ""),)
        elif line.kind == "file":
            pieces = (Piece(_title(file), ""),)
        else:
            pieces = self._syntax.pieces(file, index)
        for text, group in pieces:
            plain = not group or (on_cursor and self.has_focus)
            style = base if plain else base + self._partial("number-literal" if group == "number" else group)
            segments.append(Segment(text, style))
        return Strip(segments, sum(cells(text) for text, _, _ in segments))

    def _partial(self, part: str) -> Style:
        return self.get_component_rich_style(f"diff-view--{part}", partial=True)


def _widest(text: str) -> int:
    cells_at_most = len(text) if text.isascii() else 2 * len(text)
    return cells_at_most + (TAB - 1) * text.count("\t")


def _title(file: DiffFile) -> str:
    counts = "binary" if file.binary else f"+{file.added} -{file.removed}"
    status = "" if file.status == "modified" else f"  {file.status}"
    origin = f" from {shown_text(file.renamed_from)}" if file.renamed_from else ""
    return f"{shown_text(file.path)}  {counts}{status}{origin}"


if __name__ == "__main__":
    from textual.app import App, ComposeResult

    from octopoid_tui.widgets.diff_model import parse_diff

    class DiffDemo(App[None]):
        def compose(self) -> ComposeResult:
            yield DiffView()

        def on_mount(self) -> None:
            sample = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n"
            self.query_one(DiffView).set_model(parse_diff(sample * 1000))

    DiffDemo().run()
