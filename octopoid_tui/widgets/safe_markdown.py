"""Markdown of unknown origin, drawn once for each width, without links, and never with a crash."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from backend.clean import clean


class SafeMarkdown:
    """A Rich renderable of Markdown whose links show their address and cannot be clicked."""

    def __init__(self, source: str, *, code_theme: str = "monokai") -> None:
        self._source = clean(source)
        self._code_theme = code_theme
        self._drawn: tuple[int, list[Segment]] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._drawn is None or self._drawn[0] != options.max_width:
            self._drawn = (options.max_width, list(self._draw(console, options)))
        return self._drawn[1]

    def _draw(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        from rich.markdown import Markdown  # 45 ms that a screen without Markdown saves

        try:
            markdown = Markdown(self._source, code_theme=self._code_theme, hyperlinks=False)
            segments = list(console.render(markdown, options))
        except Exception as error:
            # The parser and the code highlighters were written for friendly input; whatever they
            # raise on this one must not end the application that it is read in.
            note = Text(f"(shown as plain text: Markdown failed with {type(error).__name__})", "italic")
            plain = Text(self._source)
            segments = [*console.render(note, options), *console.render(plain, options)]
        # Character references such as &#8238; become characters only here.
        return (
            Segment(clean(text), style and style.clear_meta_and_links())
            for text, style, control in segments
            if not control
        )
