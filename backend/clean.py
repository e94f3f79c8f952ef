"""Text of unknown origin made harmless for terminals, logs and prompts."""

import re
from typing import Final

SEQUENCE_LIMIT: Final = 4096
"""Longest escape sequence, in characters, that is removed as a whole.

A longer or unfinished one loses only its introducer, so that it cannot hide the text behind it.
"""

REPLACEMENT: Final = "\ufffd"

_STRING_START: Final = "(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])"
_STRING_BODY: Final = f"[^\x07\n\x1b\x80-\x9f]{{0,{SEQUENCE_LIMIT}}}+"
_CSI_BODY: Final = f"(?:\x1b\\[|\x9b)[0-?]{{0,{SEQUENCE_LIMIT}}}+[ -/]{{0,{SEQUENCE_LIMIT}}}+"

_SEQUENCE: Final = (
    f"{_STRING_START}{_STRING_BODY}(?:\x07|\x1b\\\\|\x9c)"
    f"|{_CSI_BODY}[@-~]"
    "|\x1b[ -/]{0,16}+[0-OQ-WYZ\\\\`-~]"
)

# Soft hyphen, joiners, fillers, marks and overrides of direction, line separators, annotations,
# variation selectors, tags, non-characters and lone surrogates: all of them change what a person
# reads without being seen.
_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e0fff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_CONTROL: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"

# A presentation selector behind a symbol only chooses its colour, but terminals disagree about the
# width of the pair, which shifts every cell to the right of it.
_SYMBOL: Final = "\u00a9\u00ae\u2010-\u2027\u2030-\u205e\u2070-\u33ff\U0001f000-\U0001faff"

_HARMFUL: Final = re.compile(
    f"(?P<symbol>[{_SYMBOL}])[\ufe0e\ufe0f]|(?P<sequence>{_SEQUENCE})|\r(?P<newline>\n)"
    f"|[{_CONTROL}{_INVISIBLE}]"
)
_SUSPECT: Final = re.compile(f"[{_CONTROL}{_INVISIBLE}]")
_FOLD: Final = str.maketrans("\n\t", "  ")


def _replace(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "sequence":
        return ""
    if kind is not None:
        return match[kind]
    return REPLACEMENT


def clean(text: str, *, newlines: bool = True) -> str:
    """Remove escape sequences and make every other invisible character visible as U+FFFD.

    Tabs and newlines stay (CRLF becomes LF); with `newlines=False` each becomes a space. Markup is
    left alone: it is for the reader of the result never to parse it. Time is linear in the input.
    """
    if _SUSPECT.search(text) is not None:
        text = _HARMFUL.sub(_replace, text)
    return text if newlines else text.translate(_FOLD)


def clean_line(text: str, limit: int = SEQUENCE_LIMIT) -> str:
    """One cleaned line of at most `limit` characters; a cut is shown by a final ellipsis."""
    # Cleaning only shrinks a text, so four times the limit is enough of all but hostile lines.
    head = clean(text[: 4 * limit], newlines=False)
    if len(head) > limit or len(text) > 4 * limit:
        return head[: limit - 1] + "…"
    return head
