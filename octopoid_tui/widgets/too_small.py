"""What stands in place of everything when the terminal is too small for it."""

from __future__ import annotations

from textual.widgets import Static


class TooSmall(Static):
    """Hidden until the screen has the class `-tiny`."""

    DEFAULT_CSS = """
    TooSmall {
        display: none;
        width: 1fr;
        height: 1fr;
        content-align: center middle;
        text-align: center;
    }
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__("", markup=False)
        self._least = (width, height)

    def tell(self, width: int, height: int) -> None:
        least_width, least_height = self._least
        self.update(f"Too small: {width}x{height}\nneeds {least_width}x{least_height}\n\nq quits")
