"""Numbers, times and ids as the short strings the screen shows. Pure."""

from datetime import datetime, tzinfo
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_SCALES: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))

ELLIPSIS: Final = "…"


def age(seconds: float) -> str:
    """The one or two largest units of a time in seconds: "12s", "3m", "2h 5m", "4d 1h"."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < _DAY:
        return _pair(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "m")
    return _pair(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit} {small}{small_unit}" if small else f"{large}{large_unit}"


def duration(seconds: float) -> str:
    """A time in seconds to the second: "0.4s", "42s", "1:05", "2:03:09"."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    hours, rest = divmod(whole, _HOUR)
    minutes, seconds_left = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def clock(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """An aware time in `zone` (None is the machine's): "14:05", or "Nov 03 14:05" on another day."""
    local = moment.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M}"
    return f"{local:%b %d %H:%M}"


def count(number: int) -> str:
    """A count in at most five characters below a million millions: "0", "999", "1.2k", "13M"."""
    if number < 0:
        return "-" + count(-number)
    for scale, suffix in _SCALES:
        # The factor carries what would round up to 1000 of a unit over to the next one.
        if number >= scale * 0.9995 and number >= 1000:
            value = number / scale
            return f"{value:.1f}{suffix}" if value < 9.95 and round(value, 1) % 1 else f"{value:.0f}{suffix}"
    return str(number)


def tokens(number: int) -> str:
    """A number of model tokens: "1.2k tok"."""
    return f"{count(number)} tok"


def money(dollars: float) -> str:
    """An amount in US dollars: "$0.42", "$0.004" when a cent is too coarse, "$1,234"."""
    if dollars < 0:
        return "-" + money(-dollars)
    if 0 < dollars < 0.0005:
        return "<$0.001"
    if 0 < dollars < 0.00995:
        return f"${dollars:.3f}"
    return f"${dollars:,.2f}" if dollars < 999.995 else f"${dollars:,.0f}"


def waiting_changes(number: int) -> str:
    """How many changes the server does not have yet: "3 changes wait to be sent"."""
    if number == 0:
        return "nothing waits to be sent"
    return "1 change waits to be sent" if number == 1 else f"{number} changes wait to be sent"


def times_sent(tries: int) -> str:
    """How often a change was sent without an answer that settled it: "not sent yet"."""
    if tries == 0:
        return "not sent yet"
    return "sent once, not answered" if tries == 1 else f"sent {tries} times, not answered"


def short_id(identifier: str, width: int = 8) -> str:
    """The last `width` characters, the part that tells sortable ids apart."""
    return identifier if len(identifier) <= width else identifier[-width:]


def cells(text: str) -> int:
    """How many terminal cells a cleaned `text` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 13 ms that commands without a table save

    return cell_len(text)


def truncate(text: str, width: int) -> str:
    """At most `width` cells of a cleaned `text`, a cut shown by an ellipsis, no wide character halved."""
    if text.isascii():
        if len(text) <= width:
            return text
        return text[: width - 1] + ELLIPSIS if width > 0 else ""
    from rich.cells import get_character_cell_size  # late for the same reason as in `cells`

    # No cell needs more than a few code points; what is far out of sight is not measured.
    text = text[: 8 * max(width, 1) + 8]
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    room = width - 1
    end = 0
    for character in text:
        room -= get_character_cell_size(character)
        if room < 0:
            break
        end += 1
    return text[:end] + ELLIPSIS


def fit(text: str, width: int, *, right: bool = False) -> str:
    """A cleaned `text` in exactly `width` cells: truncated or padded, on the left when `right` is set."""
    short = truncate(text, width)
    padding = " " * (width - cells(short))
    return padding + short if right else short + padding
