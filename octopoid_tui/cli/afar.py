"""What can be seen of a run on another machine: what the server knows of it, as lines."""

from __future__ import annotations

import time
from datetime import datetime

from backend.model import Event, Message, Run, RunStatus
from octopoid_tui.cli.output import BOLD, DIM, YELLOW, Style
from octopoid_tui.cli.session import Session, run_session

LOOK_EVERY_S = 2.0
PAGE = 500


class Afar:
    """The messages, events and state of one run, looked for every few seconds. Its transcript stays there."""

    def __init__(self, run: Run, style: Style) -> None:
        self._run = run
        self._style = style
        self._seq = 0
        self._shown: dict[str, bool] = {}
        """Messages that were shown, and whether with their answer."""
        self._status = ""
        self._due = 0.0

    @property
    def ended(self) -> bool:
        return self._run.status is RunStatus.ENDED

    def more(self) -> list[str]:
        """What has come up since the last look; nothing while none is due."""
        if time.monotonic() < self._due:
            return []
        run, messages, events = run_session(self._look)
        self._run, self._due = run, time.monotonic() + LOOK_EVERY_S
        said = [(event.at, self._event_line(event)) for event in events if event.at >= run.started_at]
        said += [(at, line) for message in messages for at, line in self._message_lines(message)]
        return [line for _, line in sorted(said, key=lambda one: one[0])] + self._status_lines(run)

    async def _look(self, session: Session) -> tuple[Run, list[Message], list[Event]]:
        backend, events = session.desk.backend, []
        while page := await backend.events(after=self._seq, limit=PAGE, entity_id=self._run.task_id):
            events += page
            self._seq = page[-1].seq
        messages = await backend.list_messages(self._run.task_id)
        return await backend.get_run(self._run.id), messages, events

    def _event_line(self, event: Event) -> str:
        move = f" {event.from_state or ''} → {event.to_state}" if event.to_state else ""
        why = f": {event.reason}" if event.reason else ""
        return self._style(f"· {event.kind}{move} by {event.actor}{why}", DIM)

    def _message_lines(self, message: Message) -> list[tuple[datetime, str]]:
        if message.created_at < self._run.started_at and message.run_id != self._run.id:
            return []
        answered = message.answer is not None
        found: list[tuple[datetime, str]] = []
        if message.id not in self._shown:
            options = "".join(f"\n  {n}. {one}" for n, one in enumerate(message.options, 1))
            mark = self._style(f"{message.sender.id}{' asks' if message.open else ''}:", BOLD)
            found.append((message.created_at, f"{mark} {self._style(message.body + options)}"))
        if answered and not self._shown.get(message.id):
            found.append((message.answered_at or message.created_at, self._style(f"→ {message.answer}")))
        self._shown[message.id] = answered
        return found

    def _status_lines(self, run: Run) -> list[str]:
        status = f"{run.status}" if run.outcome is None else f"{run.status}, {run.outcome}"
        if status == self._status:
            return []
        self._status = status
        return [self._style(f"run {run.id} is {status}", YELLOW)]
