"""A line to type into that deals with enter at once."""

from __future__ import annotations

from collections.abc import Callable

from textual.widgets import Input


class LineInput(Input):
    """Calls `submit` with its text on enter.

    A message would come too late: what is typed right after enter is for the list that then has the focus.
    """

    def __init__(
        self,
        submit: Callable[[str], None],
        *,
        placeholder: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False
        self._submit = submit

    async def action_submit(self) -> None:
        self._submit(self.value)
