"""What the screens need of the rest of the program, as narrow protocols.

The screens know only these, so that they run the same over the real desk and over fixed data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from backend.interface import Action, Backend
from backend.model import Actor, Message, Queue, Task
from backend.planning import Draft

if TYPE_CHECKING:
    from scheduler.admission.verdict import Explanation as Explanation
    from scheduler.agents.events import AgentEvent as AgentEvent
    from scheduler.answers import RuleWish as RuleWish
    from scheduler.budget import Standing as Standing
    from scheduler.desk import TaskDraft as TaskDraft
    from scheduler.jobs import JobHealth as JobHealth
    from scheduler.notices import Notice as Notice
    from scheduler.runs.pages import Page as Page
    from scheduler.settings import Settings as Settings


class DeskPort(Protocol):
    """What a person can ask for. Every method may raise `backend.errors.OctopoidError`."""

    @property
    def backend(self) -> Backend: ...

    @property
    def actor(self) -> Actor: ...

    async def enqueue(self, draft: TaskDraft) -> Task: ...

    async def promote(self, draft_id: str, drafts: Sequence[TaskDraft]) -> Draft: ...

    async def accept(
        self, task_id: str, *, by: str | None = None, override: str | None = None, wait: bool = True
    ) -> Task: ...

    async def reject(self, task_id: str, reason: str) -> Task: ...

    async def act(
        self,
        task_id: str,
        action: Action,
        *,
        reason: str | None = None,
        to: Queue | None = None,
        version: int | None = None,
    ) -> Task: ...

    async def answer(self, message_id: str, text: str, *, rule: RuleWish | None = None) -> Message: ...

    async def diff(self, task_id: str) -> str: ...

    async def why(self, task_id: str) -> Explanation: ...

    def pages(self, run_id: str) -> PagesPort: ...

    async def pause(self, reason: str | None = None) -> object: ...

    async def resume(self) -> object: ...

    async def note(self, task_id: str, text: str) -> Message: ...

    async def interrupt(self, name: str, text: str) -> Message: ...

    async def budgets(self) -> Standing: ...

    async def settings(self) -> Settings: ...

    async def notices(self) -> tuple[Notice, ...]: ...


class PagesPort(Protocol):
    """A run's record, read in pages. Every method blocks and is for a thread; each may raise."""

    def last(self) -> Page: ...

    def before(self, end: int) -> Page: ...

    def after(self, start: int) -> Page: ...

    def find(
        self, text: str, start: int, *, backwards: bool = False, stop: Callable[[], bool] = ...
    ) -> int | None: ...


class SchedulerPort(Protocol):
    """The scheduler when it runs inside this process."""

    @property
    def jobs(self) -> Mapping[str, JobHealth]: ...

    async def start(self) -> None: ...

    async def run(self) -> None: ...

    async def stop(self) -> None: ...
