"""The last filter before the terminal.

Textual and Rich pass escape sequences inside text through. Whatever reaches this module by a widget
that forgot to clean its text is dropped here.
"""

import re
from typing import Final

from textual.drivers.linux_driver import LinuxDriver

# Textual writes each of these in a call of its own, never inside a frame: the clipboard (OSC 52,
# set only), the shape of the pointer (OSC 22) and the bell. A frame starts with a cursor movement,
# so that text on the screen cannot pass for one.
_OWN_WRITE: Final = re.compile("\x1b\\]52;c;[A-Za-z0-9+/=]*\x07|\x1b\\]22;[a-z-]*\x07|\x07")

# Final bytes and modes of the control sequences that Textual 8 emits. Left out on purpose: reports
# (n, c, t) whose answers arrive as typed keys, media copy (i) and scroll regions (r).
_OWN_CSI: Final = "\\[(?:[0-9;]*[ABCDGHJKmf]|\\?[0-9;]+[hl]|\\?[0-9]+\\$p|[<>][0-9]*u)"

_FOREIGN: Final = re.compile(
    # A string sequence as far as it is complete; of an incomplete one the introducer.
    "(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])(?:[^\x07\x1b\x80-\x9f]*+(?:\x07|\x1b\\\\|\x9c))?"
    f"|\x1b(?!{_OWN_CSI})(?:\\[[0-?]*+[ -/]*+[@-~]?)?"
    "|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
    "|[\ud800-\udfff]"
)


def filter_output(data: str) -> str:
    """Drop from one write every control sequence that the application does not emit itself."""
    if _OWN_WRITE.fullmatch(data):
        return data
    return _FOREIGN.sub("", data)


class OctopoidDriver(LinuxDriver):
    """The terminal driver, with a filter on everything that is written."""

    def write(self, data: str) -> None:
        """Write to the terminal what `filter_output` leaves of `data`."""
        super().write(filter_output(data))
