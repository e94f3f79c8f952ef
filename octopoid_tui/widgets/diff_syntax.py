"""Syntax colour for the lines of a diff that are on the screen, block by block."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backend.clean import clean_line
from octopoid_tui.widgets.diff_model import DiffFile, DiffLine, DiffModel

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

BLOCK: Final = 64
"""Lines that are coloured together: enough for the context, and about 5 ms."""

LINE_LIMIT: Final = 400
"""Longer lines are data or hostile; they stay plain."""

TAB: Final = 4

# Only lexers known to be linear on bad input are used: a path in a diff must not choose one of 500.
_PYTHON, _JS, _C = "python.PythonLexer", "javascript.JavascriptLexer", "c_cpp.CLexer"
_CPP, _YAML, _SHELL = "c_cpp.CppLexer", "data.YamlLexer", "shell.BashLexer"
_LEXERS: Final = {
    ".py": _PYTHON,
    ".pyi": _PYTHON,
    ".js": _JS,
    ".jsx": _JS,
    ".mjs": _JS,
    ".ts": "javascript.TypeScriptLexer",
    ".tsx": "javascript.TypeScriptLexer",
    ".json": "data.JsonLexer",
    ".yaml": _YAML,
    ".yml": _YAML,
    ".toml": "configs.TOMLLexer",
    ".sh": _SHELL,
    ".bash": _SHELL,
    ".c": _C,
    ".h": _C,
    ".cc": _CPP,
    ".cpp": _CPP,
    ".hpp": _CPP,
    ".rs": "rust.RustLexer",
    ".go": "go.GoLexer",
    ".java": "jvm.JavaLexer",
    ".kt": "jvm.KotlinLexer",
    ".rb": "ruby.RubyLexer",
    ".css": "css.CssLexer",
    ".sql": "sql.SqlLexer",
}
_GROUPS: Final = (
    ("Keyword", "keyword"),
    ("Comment", "comment"),
    ("Literal.String", "string"),
    ("Literal.Number", "number"),
    ("Name.Function", "name"),
    ("Name.Class", "name"),
    ("Name.Decorator", "name"),
    ("Name.Builtin", "name"),
    ("Name.Tag", "name"),
)
GROUPS: Final = tuple(dict.fromkeys(group for _, group in _GROUPS))


class Piece(NamedTuple):
    """A stretch of a line with the group of its token, empty for plain text."""

    text: str
    group: str


def shown_text(text: str) -> str:
    """A line of a diff as it may be shown."""
    return clean_line(text.expandtabs(TAB) if "\t" in text else text)


class DiffSyntax:
    """Tokens of the lines of one diff, found when they are first asked for."""

    def __init__(self, model: DiffModel) -> None:
        self._model = model
        self._lexers: dict[str, Lexer | None] = {}
        self._blocks: dict[int, dict[int, tuple[Piece, ...]]] = {}

    def pieces(self, file: DiffFile, index: int) -> tuple[Piece, ...]:
        """The line at `index`, in coloured pieces."""
        line = self._model.lines[index]
        lexer, number = self._lexer(file.path), file.hunk_at(index)
        if lexer is None or number is None:
            return (Piece(shown_text(line.text), ""),)
        hunk = file.hunks[number]
        start = hunk.line + 1 + (index - hunk.line - 1) // BLOCK * BLOCK
        if start not in self._blocks:
            self._blocks[start] = self._colour(lexer, start, min(start + BLOCK, hunk.end))
        return self._blocks[start].get(index) or (Piece(shown_text(line.text), ""),)

    def _lexer(self, path: str) -> "Lexer | None":
        suffix = PurePosixPath(path).suffix.lower()
        if suffix not in self._lexers:
            name = _LEXERS.get(suffix)
            self._lexers[suffix] = _load(name) if name else None
        return self._lexers[suffix]

    def _colour(self, lexer: "Lexer", start: int, end: int) -> dict[int, tuple[Piece, ...]]:
        """Colour old and new side apart, since each is a text of the language only by itself."""
        lines = {index: self._model.lines[index] for index in range(start, end)}
        old = _side(lexer, ((index, line) for index, line in lines.items() if line.kind == "removed"))
        new = _side(
            lexer, ((index, line) for index, line in lines.items() if line.kind in ("added", "context"))
        )
        return {**old, **new}


def _side(lexer: "Lexer", lines: Iterable[tuple[int, DiffLine]]) -> dict[int, tuple[Piece, ...]]:
    texts = {index: shown_text(line.text) for index, line in lines if len(line.text) <= LINE_LIMIT}
    coloured: dict[int, tuple[Piece, ...]] = {}
    indices = iter(texts)
    index = next(indices, None)
    pieces: list[Piece] = []
    for token, value in lexer.get_tokens("\n".join(texts.values())):
        group = _group(token)
        first, *rest = value.split("\n")
        pieces.append(Piece(first, group))
        for part in rest:
            if index is not None:
                coloured[index] = tuple(pieces)
            index = next(indices, None)
            pieces = [Piece(part, group)]
    # A lexer that does not give back what it was given must not change what is reviewed.
    return {at: found for at, found in coloured.items() if "".join(p.text for p in found) == texts[at]}


def _group(token: "_TokenType") -> str:
    name = str(token).removeprefix("Token.")
    return next((group for prefix, group in _GROUPS if name.startswith(prefix)), "")


def _load(name: str) -> "Lexer":
    module, _, class_name = name.partition(".")
    # Pygments takes 20 ms to import, and only a diff needs it.
    lexer_class: Any = getattr(import_module(f"pygments.lexers.{module}"), class_name)
    lexer: Lexer = lexer_class(stripnl=False, ensurenl=True)
    return lexer
