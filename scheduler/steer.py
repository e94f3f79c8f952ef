"""What a person can say to a run while it works: whom that reaches, and what its agent can be told."""

from __future__ import annotations

from collections.abc import Iterable

from backend.errors import NotFound, Refused
from backend.interface import Backend
from backend.model import Message, Run, RunStatus
from scheduler.agents.interface import AgentUnavailable, Caps
from scheduler.agents.registry import adapter_for
from scheduler.questions import asked_by_talk

ASK_FIRST = (
    "A person has interrupted you. Stop what you were doing, ask what to do instead, "
    "and go on when you have the answer."
)
"""What an agent is told that is interrupted without further words: it goes on with something."""


async def find_run(backend: Backend, name: str) -> Run:
    """The run of that id, or the newest of the task of that id.

    Raises:
        NotFound: there is neither, or the task has not been run yet.
    """
    try:
        return await backend.get_run(name)
    except NotFound:
        task = await backend.get_task(name)
        runs = await backend.list_runs(task_id=task.id)
        if not runs:
            raise NotFound(f"task {task.id} has not been run yet", f"see: octopoid why {task.id}") from None
        return runs[-1]


def caps_of(adapter: str) -> Caps:
    """What agents of that kind can do; nothing, when this version does not know the kind."""
    try:
        return adapter_for(adapter).caps
    except AgentUnavailable:
        return Caps()


def listens(run: Run) -> bool:
    """Whether its agent is told now what people write."""
    return run.status is not RunStatus.ENDED and caps_of(run.adapter).steer


def require_interrupt(run: Run) -> None:
    """
    Raises:
        Refused: the run has ended, or its agent's turn cannot be broken off.
    """
    if run.status is RunStatus.ENDED:
        raise Refused(f"run {run.id} has ended", f"octopoid tell {run.task_id} TEXT is for the next attempt")
    if not caps_of(run.adapter).interrupt:
        raise Refused(
            f"{run.agent_name} cannot be interrupted: {run.adapter} agents do not take it",
            f"octopoid tell {run.task_id} TEXT, or octopoid cancel {run.task_id}",
        )


def answers_of(messages: Iterable[Message], run_id: str) -> dict[str, str]:
    """What was answered to the questions of a run, by the ids that its record has of them."""
    found: dict[str, list[str]] = {}
    for message in messages:
        if message.run_id == run_id and message.request_id is not None and message.answer is not None:
            found.setdefault(asked_by_talk(message) or message.request_id, []).append(message.answer)
    return {request: "\n".join(answers) for request, answers in found.items()}
