"""How operations ask, and how they do the same to several tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from backend.errors import OctopoidError
from backend.model import Queue, Task
from octopoid_tui.actions import Context
from octopoid_tui.host import Host
from octopoid_tui.screens.dialogs.prompt import Prompt


def names(tasks: Sequence[Task]) -> tuple[str, ...]:
    return tuple(f"{task.id}  {task.title}" for task in tasks)


def these(tasks: Sequence[Task]) -> str:
    """One task by its id, several by their number."""
    return tasks[0].id if len(tasks) == 1 else f"{len(tasks)} tasks"


def still_in(context: Context, *queues: Queue) -> list[Task]:
    return [task for task in context.targets if task.queue in queues]


async def ask_text(host: Host, key: str, title: str, text: str, send: str) -> str | None:
    """Ask for a text; what was typed and not sent is there again the next time."""
    prompt = Prompt(title, text, initial=host.drafts.get(key, ""), send=send)
    answer = await host.push_screen_wait(prompt)
    host.drafts[key] = prompt.text if answer is None else answer
    return answer


async def each(host: Host, tasks: Sequence[Task], doing: str, do: Callable[[Task], Awaitable[object]]) -> int:
    """Do something to tasks one after the other; a refusal of one does not keep the others from it.

    Raises:
        OctopoidError: the only task's refusal.
    """
    done = 0
    problems: list[str] = []
    with host.doing(tuple(task.id for task in tasks), doing):
        for task in tasks:
            try:
                await do(task)
                done += 1
            except OctopoidError as error:
                if len(tasks) == 1:
                    raise
                problems.append(f"{task.id}: {error}")
    if problems:
        host.flash(f"{done} of {len(tasks)} done; {'; '.join(problems)}", "error")
    return done
