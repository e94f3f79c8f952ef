"""What every screen and pane may ask of the app they run in."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from textual.app import App
from textual.dom import DOMNode
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from backend.clean import clean_line
from backend.clock import Clock, SystemClock, from_ms
from backend.errors import OctopoidError, Refused
from backend.interface import Action
from octopoid_tui.attendance import Attendance
from octopoid_tui.feed import FeedState, FeedStatus
from octopoid_tui.ports import DeskPort, SchedulerPort
from octopoid_tui.snapshot import Snapshot

if TYPE_CHECKING:
    from octopoid_tui.ports import Notice

LOG = logging.getLogger("octopoid.screen")

Severity = Literal["information", "warning", "error"]
Work = Callable[[], Coroutine[Any, Any, None]]
FLASHES_KEPT = 200


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is on show: the fleet, how fresh it is, the time, and what this person has just asked for."""

    snapshot: Snapshot
    feed: FeedState
    now: datetime
    busy: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Task id to what is being done to it, until the store confirms it."""
    lease_span: timedelta = timedelta(minutes=5)
    notices: tuple[Notice, ...] = ()
    """What stays wrong until somebody does something about it."""

    scheduler_since: datetime | None = None
    """Since when this process starts a scheduler, or may; None when it has none, or it has ended."""

    @property
    def loaded(self) -> bool:
        return self.feed.status is not FeedStatus.LOADING or bool(self.snapshot.tasks)


@dataclass(frozen=True, slots=True)
class Flash:
    at: datetime
    text: str
    severity: Severity
    news: bool = False
    """Whether it has come about by itself, and answers no key."""


@dataclass(frozen=True, slots=True)
class Undo:
    """How the last thing done to tasks is taken back."""

    what: str
    steps: tuple[tuple[str, tuple[Action, ...]], ...]
    """For each task, the actions that bring it back to where it was."""


def begin(node: DOMNode, work: Work, name: str, group: str, *, exclusive: bool = True) -> Worker[None]:
    """Run something off the keys' path; its failure becomes a flash and a line in the log.

    Args:
        work: a function, since a coroutine that is replaced before it starts is never awaited.
        exclusive: end what runs in the same group of this node.
    """
    return node.run_worker(work, name=name, group=group, exclusive=exclusive, exit_on_error=False)


class Host(App[None], inherit_bindings=False):
    """The app as the screens see it."""

    def __init__(
        self,
        desk: DeskPort | None = None,
        *,
        scheduler: SchedulerPort | None = None,
        mode: str = "local",
        keymap: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        lease_span: timedelta = timedelta(minutes=5),
        zone: tzinfo | None = None,
        attendance: Attendance | None = None,
    ) -> None:
        super().__init__()
        self.zone = zone
        self.attendance = attendance or Attendance()
        self._desk = desk
        self.scheduler = scheduler
        self.clock = clock or SystemClock()
        self.user_keymap: Mapping[str, str] = keymap or {}
        self.drafts: dict[str, str] = {}
        """What was typed and not sent, by what it was for."""
        self.undo: Undo | None = None
        self.flashes: deque[Flash] = deque(maxlen=FLASHES_KEPT)
        self.picture = Picture(
            Snapshot(mode=mode),
            FeedState(FeedStatus.LOADING, self.now()),
            self.now(),
            lease_span=lease_span,
            scheduler_since=self.now() if desk is None else None,
        )
        self.pictures: Signal[Picture] = Signal(self, "pictures")

    @property
    def desk(self) -> DeskPort:
        """What a person can ask for.

        Raises:
            Refused: the store is not open yet.
        """
        if self._desk is None:
            raise Refused("the store is being opened", "try again in a moment")
        return self._desk

    def now(self) -> datetime:
        return from_ms(self.clock.now_ms())

    def show(self, **changes: Any) -> None:
        """Change the picture, and tell whoever shows a part of it."""
        self.picture = replace(self.picture, **changes)
        self.pictures.publish(self.picture)

    def flash(self, text: str, severity: Severity = "information", *, news: bool = False) -> None:
        """Say something on the line meant for it, and keep it for the log.

        Args:
            news: it answers no key of a person, and so waits its turn behind what does.
        """
        raise NotImplementedError

    def go_to_task(self, task_id: str) -> None:
        """Show a task in the queues of the control screen."""
        raise NotImplementedError

    def refresh_feed(self) -> None:
        """Read everything again, now."""
        raise NotImplementedError

    def keep_flash(self, text: str, severity: Severity, *, news: bool) -> Flash:
        flash = Flash(self.now(), clean_line(text, 400), severity, news)
        self.flashes.append(flash)
        return flash

    @contextmanager
    def doing(self, task_ids: tuple[str, ...], what: str) -> Iterator[None]:
        """Show on the rows of these tasks that something is under way."""
        self.show(busy={**self.picture.busy, **dict.fromkeys(task_ids, what)})
        try:
            yield
        finally:
            left = {key: text for key, text in self.picture.busy.items() if key not in task_ids}
            self.show(busy=left)

    def start(self, work: Work, name: str) -> Worker[None]:
        """Run what a person asked for; several go on side by side, and none ends with a screen."""
        return begin(self, work, name, "operations", exclusive=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        self.report_worker(event)

    def report_worker(self, event: Worker.StateChanged) -> None:
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None:
            return
        if isinstance(error, OctopoidError):
            self.flash(str(error), "error")
            LOG.warning("%s: %s", event.worker.name, error)
            return
        self.flash(f"{event.worker.name} failed: {type(error).__name__}: {error}", "error")
        LOG.error("%s failed", event.worker.name, exc_info=error)
