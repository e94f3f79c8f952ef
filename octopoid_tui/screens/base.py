"""What the screens with actions share: one way from a key to what it does, the footer and the flash line."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import events, getters, on
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker

from octopoid_tui.actions import BY_ID, Action, Context, Where, footer_of
from octopoid_tui.host import Flash, Host, Picture
from octopoid_tui.keys import keys_of, label
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import Hint, KeyFooter
from octopoid_tui.widgets.status_line import StatusLine

SMALLEST = (60, 20)
ALWAYS_IN_FOOTER = frozenset({"app.help", "app.back", "app.quit"})


class FleetScreen(Screen[None]):
    """A screen whose keys are the actions of the registry."""

    WHERE: ClassVar[Where]
    AUTO_FOCUS = ""

    app = getters.app(Host)
    status = getters.query_one(StatusLine)
    flash_line = getters.query_one(FlashLine)
    footer = getters.query_one(KeyFooter)

    def on_mount(self) -> None:
        self.app.pictures.subscribe(self, self.take_picture, immediate=True)
        self.take_picture(self.app.picture)
        self.ready()

    def ready(self) -> None:
        """Called once the screen is there. (Textual calls `on_mount` of every class by itself.)"""

    def on_screen_resume(self) -> None:
        self.take_picture(self.app.picture)

    def take_picture(self, picture: Picture) -> None:
        """Show a new picture; a screen that is covered waits until it is seen again."""
        if self.is_active:
            self.status.show(picture)
            self.show_picture(picture)
            self.show_hints()

    def show_picture(self, picture: Picture) -> None:
        raise NotImplementedError

    def context(self) -> Context:
        """What an action would act on now."""
        raise NotImplementedError

    def flash(self, flash: Flash) -> None:
        self.flash_line.flash(flash)

    def show_hints(self) -> None:
        if isinstance(self.focused, Input):
            # Letters are text now: what they would do otherwise must not be promised.
            self.footer.set_hints(
                [Hint("", "enter", "send or keep"), Hint("app.back", "esc", "back", keep=True)]
            )
            return
        context = self.context()
        keymap = self.app.user_keymap
        self.footer.set_hints(
            [
                Hint(
                    action.id,
                    label(keys_of(action, keymap)[0]),
                    self.hint_text(action, context),
                    action.applies(context) is None,
                    action.id in ALWAYS_IN_FOOTER,
                )
                for action in footer_of(self.WHERE)
            ]
        )

    def hint_text(self, action: Action, context: Context) -> str:
        if action.id == "fleet.pause":
            return "resume" if context.snapshot.pause.paused else "pause"
        marked = len(context.marked)
        text = action.short or action.title
        return f"{text} {marked}" if marked and action.confirm.value != "never" else text

    def action_perform(self, action_id: str) -> None:
        """Do an action, or say why it is not possible now."""
        action = BY_ID[action_id]
        context = self.context()
        refusal = action.applies(context)
        if refusal is not None:
            self.app.flash(f"{action.title}: {refusal}", "warning")
            return
        own = getattr(self, f"do_{action.calls}", None)
        if own is not None:
            own()
        else:
            self.app.start(partial(self._operate, action, context), action.title)

    async def _operate(self, action: Action, context: Context) -> None:
        from octopoid_tui.screens.operations import OPERATIONS  # brings the dialogs with it

        if await OPERATIONS[action.calls](self.app, context):
            self.performed(action, context)

    def performed(self, action: Action, context: Context) -> None:
        """Called when an operation has done what it was asked for."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        self.app.report_worker(event)

    @on(KeyFooter.Pressed)
    def _footer_pressed(self, event: KeyFooter.Pressed) -> None:
        event.stop()
        if event.action_id in BY_ID:
            self.action_perform(event.action_id)

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-tiny")
        self.resized(width, height)

    def resized(self, width: int, height: int) -> None:
        """Called with every new size, and first of all."""

    def do_back(self) -> None:
        self.app.pop_screen()
