"""A conversation: finished messages, the last few of them mounted."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from octopoid_tui.widgets.chat_message import ChatMessage, MessageView

WINDOW: Final = 30
"""Messages mounted at first, and the step by which more are. Each costs 4 ms as Markdown."""

MOUNTED_LIMIT: Final = 120
FLUSH_SECONDS: Final = 0.1
_CHAT_GROUP: Final = Binding.Group("Chat")


def _binding(keys: str, action: str, tooltip: str) -> Binding:
    return Binding(keys, action, tooltip, id=f"chat.{action}", tooltip=tooltip, group=_CHAT_GROUP, show=False)


class ChatList(VerticalScroll, can_focus=True):
    """Messages of a conversation; the open questions among them can be chosen.

    It stays at the end while one is there, and mounts older messages when one scrolls up to them.
    """

    DEFAULT_CSS = """
    ChatList {
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        _binding("up,k", "line_up", "One line up"),
        _binding("down,j", "line_down", "One line down"),
        _binding("pageup,ctrl+u", "page_up", "One page up"),
        _binding("pagedown,ctrl+d", "page_down", "One page down"),
        _binding("home,g", "oldest", "First message"),
        _binding("end,G", "newest", "Last message"),
        _binding("n", "next_question", "Next open question"),
        _binding("N", "previous_question", "Open question before"),
        _binding("enter", "choose", "Answer the question"),
    ]
    BINDING_GROUP_TITLE = "Chat"

    @dataclass
    class Chosen(Message):
        """An open question was chosen, to be answered."""

        chat_list: "ChatList"
        message_id: str

        @property
        def control(self) -> "ChatList":
            return self.chat_list

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._messages: list[ChatMessage] = []
        self._positions: dict[str, int] = {}
        self._views: dict[str, MessageView] = {}
        self._start = 0
        self._end = 0
        self._following = True
        self._changed: set[str] = set()
        self._flush_pending = False
        self._moving_window = False
        self._highlighted: str | None = None

    # What is shown

    @property
    def messages(self) -> Sequence[ChatMessage]:
        """Every message, oldest first, mounted or not."""
        return tuple(self._messages)

    @property
    def highlighted(self) -> str | None:
        """Id of the highlighted question."""
        return self._highlighted

    @property
    def open_questions(self) -> tuple[str, ...]:
        """Ids of the open questions, oldest first."""
        return tuple(message.id for message in self._messages if message.question)

    def append(self, message: ChatMessage) -> None:
        """Add a message at the end, or put it in the place of the one with its id."""
        self.extend((message,))

    def extend(self, messages: Iterable[ChatMessage]) -> None:
        """Add messages at the end; those with a known id replace the one there is."""
        for message in messages:
            position = self._positions.get(message.id)
            if position is None:
                self._positions[message.id] = len(self._messages)
                self._messages.append(message)
            elif self._messages[position] != message:
                self._messages[position] = message
                self._changed.add(message.id)
        if not self._flush_pending and self.is_attached:
            self._flush_pending = True
            self.set_timer(FLUSH_SECONDS, self.flush)

    async def show(self, messages: Iterable[ChatMessage]) -> None:
        """Show another conversation, from its end."""
        self._messages = []
        self._positions.clear()
        self._changed.clear()
        self._highlighted = None
        self.extend(messages)
        self._flush_pending = False
        await self._mount_window(len(self._messages) - WINDOW, len(self._messages))
        self._stay_at_end()

    async def on_mount(self) -> None:
        await self.show(self._messages)

    async def flush(self) -> None:
        """Bring the screen up to date with what was appended or replaced."""
        self._flush_pending = False
        for message_id in self._changed & self._views.keys():
            self._views[message_id].show(self._messages[self._positions[message_id]])
        self._changed.clear()
        if self._highlighted not in self.open_questions:
            self.highlight(None)
        if self._end < len(self._messages) and self._following:
            await self._mount_tail()

    # The window of mounted messages

    @property
    def _at_end(self) -> bool:
        return not self._views or self.max_scroll_y - self.scroll_offset.y <= 1

    def _stay_at_end(self) -> None:
        self._following = True

        def settle() -> None:
            # A container that is taller than what it holds gets a negative offset from an anchor.
            if self.max_scroll_y > 0:
                self.anchor()
            else:
                self._let_go()
                self._following = True
                self.scroll_to(y=0, animate=False, force=True)

        self.call_after_refresh(settle)

    def _let_go(self) -> None:
        self._following = False
        self.anchor(False)

    def on_resize(self) -> None:
        if self._following:
            self._stay_at_end()

    async def _mount_window(self, start: int, end: int) -> None:
        self._start, self._end = max(0, start), min(end, len(self._messages))
        self._views.clear()
        with self.app.batch_update():
            await self.remove_children()
            await self.mount(*map(self._view, self._messages[self._start : self._end]))

    async def _mount_tail(self) -> None:
        """Mount what was appended, where one was at the end and stays there."""
        if len(self._messages) - self._end > WINDOW:
            await self._mount_window(len(self._messages) - WINDOW, len(self._messages))
        else:
            await self._mount_newer()
        self._stay_at_end()

    async def _mount_newer(self) -> None:
        new = self._messages[self._end : self._end + WINDOW]
        self._end += len(new)
        await self.mount(*map(self._view, new))
        surplus = self._messages[self._start : max(self._start, self._end - MOUNTED_LIMIT)]
        self._start += len(surplus)
        await self.remove_children([self._views.pop(message.id) for message in surplus])

    async def _mount_older(self) -> None:
        older = self._messages[max(0, self._start - WINDOW) : self._start]
        first = self._views[self._messages[self._start].id]
        self._start -= len(older)
        await self.mount(*map(self._view, older), before=first)

    async def _move_window(self, edge: str, move: Callable[[], Awaitable[None]]) -> None:
        """Mount more at one end, with the message `edge` staying where it is on the screen."""
        self._let_go()
        view = self._views[edge]
        height = view.virtual_region.y - self.scroll_offset.y
        await move()

        def keep_in_place() -> None:
            self.scroll_to(y=view.virtual_region.y - height, animate=False, force=True)
            self._moving_window = False

        self.call_after_refresh(keep_in_place)

    def _view(self, message: ChatMessage) -> MessageView:
        view = MessageView(message, highlighted=message.id == self._highlighted)
        self._views[message.id] = view
        return view

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._moving_window or not self._views:
            return
        if not self._at_end:
            self._following = False
        if new_value < old_value and new_value <= 1 and self._start > 0:
            self._moving_window = True
            self.call_next(self._move_window, self._messages[self._start].id, self._mount_older)
        elif new_value > old_value and self._at_end:
            if self._end < len(self._messages):
                self._moving_window = True
                self.call_next(self._move_window, self._messages[self._end - 1].id, self._mount_newer)
            else:
                self._stay_at_end()

    # Questions

    def highlight(self, message_id: str | None) -> None:
        """Highlight one open question, or none, without scrolling."""
        for changed_id, is_on in ((self._highlighted, False), (message_id, True)):
            if changed_id is not None and changed_id in self._views:
                self._views[changed_id].set_highlighted(is_on)
        self._highlighted = message_id

    async def go_to(self, message_id: str) -> bool:
        """Highlight a message and scroll to it, mounting what is around it; False if it is not there."""
        position = self._positions.get(message_id)
        if position is None:
            return False
        self._let_go()
        if message_id not in self._views:
            start = max(0, position - WINDOW // 2)
            await self._mount_window(start, start + WINDOW)
        self.highlight(message_id)
        self.call_after_refresh(self.scroll_to_widget, self._views[message_id], animate=False)
        return True

    async def action_next_question(self) -> None:
        await self._step_question(1)

    async def action_previous_question(self) -> None:
        await self._step_question(-1)

    async def _step_question(self, step: int) -> None:
        questions = self.open_questions
        if not questions:
            return
        if self._highlighted in questions:
            position = (questions.index(self._highlighted) + step) % len(questions)
        else:
            position = 0 if step > 0 else -1
        await self.go_to(questions[position])

    def action_choose(self) -> None:
        if self._highlighted is not None:
            self.post_message(self.Chosen(self, self._highlighted))

    def on_click(self, event: events.Click) -> None:
        view = event.widget
        if isinstance(view, MessageView) and view.message.question:
            self.highlight(view.message.id)
            self.post_message(self.Chosen(self, view.message.id))

    async def action_newest(self) -> None:
        if self._end < len(self._messages):
            await self._mount_window(len(self._messages) - WINDOW, len(self._messages))
        self._stay_at_end()

    async def action_oldest(self) -> None:
        self._let_go()
        if self._start > 0:
            await self._mount_window(0, WINDOW)
        self.scroll_to(y=0, animate=False)

    def action_line_up(self) -> None:
        self.scroll_to(y=self.scroll_offset.y - 1, animate=False)

    def action_line_down(self) -> None:
        self.scroll_to(y=self.scroll_offset.y + 1, animate=False)

    def action_page_up(self) -> None:
        self.scroll_to(y=self.scroll_offset.y - self.size.height, animate=False)

    def action_page_down(self) -> None:
        self.scroll_to(y=self.scroll_offset.y + self.size.height, animate=False)


if __name__ == "__main__":
    from textual.app import App, ComposeResult

    class ChatDemo(App[None]):
        def compose(self) -> ComposeResult:
            yield ChatList()

        def on_mount(self) -> None:
            body = "Some **Markdown** with `code`"
            messages = [
                ChatMessage(str(n), "agent", "14:05", body, markdown=True, question=n % 5 == 0)
                for n in range(200)
            ]
            self.query_one(ChatList).extend(messages)

    ChatDemo().run()
