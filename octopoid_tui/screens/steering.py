"""Queueing, holding, cancelling, prioritising, pausing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backend.errors import OctopoidError
from backend.interface import Action
from backend.model import OPEN_QUEUES, Priority, Queue, Task, TaskPatch
from octopoid_tui.actions import Context
from octopoid_tui.host import Host, Undo
from octopoid_tui.screens.asking import ask_text, each, names, still_in, these
from octopoid_tui.screens.dialogs.confirm import Confirm

WAY_BACK: Mapping[tuple[Action, Queue], tuple[Action, ...]] = MappingProxyType(
    {
        (Action.ENQUEUE, Queue.BACKLOG): (Action.HOLD,),
        (Action.HOLD, Queue.INCOMING): (Action.ENQUEUE,),
        (Action.CANCEL, Queue.INCOMING): (Action.RETRY,),
        (Action.CANCEL, Queue.BACKLOG): (Action.RETRY, Action.HOLD),
        (Action.RETRY, Queue.CANCELLED): (Action.CANCEL,),
    }
)
"""What takes an action back, by the queue in which the task was. What is not here cannot be taken back."""


async def _act(host: Host, tasks: list[Task], action: Action, doing: str, said: str) -> bool:
    done = await each(host, tasks, doing, lambda task: host.desk.act(task.id, action, version=task.version))
    if done == len(tasks):
        ways = [(task.id, WAY_BACK.get((action, task.queue), ())) for task in tasks]
        undo = Undo(f"{said} {these(tasks)}", tuple(ways)) if all(way for _, way in ways) else None
        host.undo = undo
        host.flash(f"{said} {these(tasks)}" + ("; u undoes it" if undo else ""))
    return done > 0


async def undo(host: Host, context: Context) -> bool:
    """Take back the last thing done to tasks; what has moved on since is left where it is."""
    last, host.undo = host.undo, None
    if last is None:
        return False
    known = context.snapshot.tasks
    tasks = [known[task_id] for task_id, _ in last.steps if task_id in known]
    ways = dict(last.steps)

    async def back(task: Task) -> None:
        for step in ways[task.id]:
            await host.desk.act(task.id, step)

    if await each(host, tasks, "undoing", back) == len(tasks):
        host.flash(f"undone: {last.what}")
    return False


async def _confirmed(host: Host, tasks: list[Task], verb: str, text: str) -> bool:
    dialog = Confirm(f"{verb} {these(tasks)}?", text, names(tasks), yes=verb.lower())
    return await host.push_screen_wait(dialog)


async def cancel(host: Host, context: Context) -> bool:
    tasks = [task for task in context.targets if task.queue in OPEN_QUEUES]
    running = sum(task.queue is Queue.CLAIMED for task in tasks)
    text = f"{running} running agent{'' if running == 1 else 's'} will be stopped. " if running else ""
    text += "Work done so far is kept under a rescue ref; retry brings a cancelled task back."
    if not await _confirmed(host, tasks, "Cancel", text):
        return False
    return await _act(host, tasks, Action.CANCEL, "cancelling", "cancelled")


async def retry(host: Host, context: Context) -> bool:
    tasks = still_in(context, Queue.FAILED, Queue.ESCALATED, Queue.CANCELLED)
    if len(tasks) > 1 and not await _confirmed(host, tasks, "Retry", "They go back to incoming."):
        return False
    return await _act(host, tasks, Action.RETRY, "retrying", "queued again:")


async def enqueue(host: Host, context: Context) -> bool:
    tasks = still_in(context, Queue.BACKLOG)
    if len(tasks) > 1 and not await _confirmed(host, tasks, "Enqueue", "Agents may start them at once."):
        return False
    return await _act(host, tasks, Action.ENQUEUE, "moving", "moved to incoming:")


async def hold(host: Host, context: Context) -> bool:
    tasks = still_in(context, Queue.INCOMING)
    if len(tasks) > 1 and not await _confirmed(
        host, tasks, "Hold", "They move to the backlog and wait there."
    ):
        return False
    return await _act(host, tasks, Action.HOLD, "moving", "moved to the backlog:")


async def raise_priority(host: Host, context: Context) -> bool:
    return await _shift_priority(host, context, -1)


async def lower_priority(host: Host, context: Context) -> bool:
    return await _shift_priority(host, context, 1)


async def _shift_priority(host: Host, context: Context, step: int) -> bool:
    task = context.task
    if task is None:
        return False
    levels = list(Priority)
    wanted = levels[levels.index(task.priority) + step]
    await host.desk.backend.edit_task(
        task.id, TaskPatch(priority=wanted), actor=host.desk.actor, version=task.version
    )
    host.flash(f"{task.id} is {wanted} now")
    return True


async def note(host: Host, context: Context) -> bool:
    task = context.targets[0]
    key = f"note:{task.id}"
    from scheduler.steer import listens  # with every adapter: only when somebody writes

    run = context.snapshot.runs.get(task.run_id or "")
    hears = run is not None and listens(run)
    who = f"{run.agent_name} reads it while it works." if run and hears else "The agent's next prompt has it."
    text = await ask_text(
        host, key, f"Note on {task.id}", f"{task.title}\n\n{who}", "send" if hears else "store"
    )
    if text is None:
        return False
    await host.desk.note(task.id, text)
    host.drafts.pop(key, None)
    host.flash(f"sent to {run.agent_name}" if run and hears else f"note stored on {task.id}")
    return True


async def interrupt(host: Host, context: Context) -> bool:
    """Break off what an agent does now; it is told how to go on, or to ask."""
    from scheduler.steer import ASK_FIRST

    task = context.targets[0]
    run = context.snapshot.runs.get(task.run_id or "")
    if run is None:
        return False
    key = f"interrupt:{run.id}"
    host.drafts.setdefault(key, ASK_FIRST)
    title = f"Interrupt {run.agent_name}"
    text = await ask_text(
        host, key, title, f"{task.title}\n\nIt stops what it does and reads this.", "interrupt"
    )
    if text is None:
        return False
    await host.desk.interrupt(run.id, text)
    host.drafts.pop(key, None)
    host.flash(f"interrupting {run.agent_name}")
    return True


async def pause(host: Host, context: Context) -> bool:
    if context.snapshot.pause.paused:
        await host.desk.resume()
        host.flash("resumed: new work starts again")
    else:
        await host.desk.pause()
        host.flash("paused: running work goes on, nothing new starts; p resumes")
    return True


async def new_task(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.dialogs.new_task import Form, NewTask  # mounts a dozen widgets: not at start

    key = f"new-task:{context.project.id}" if context.project else "new-task"
    form = Form.of_draft(host.drafts.get(key, ""), context)
    problem = focus = ""
    while True:
        dialog = NewTask(form, context.snapshot, problem, focus)
        sent = await host.push_screen_wait(dialog)
        form, focus = dialog.form, dialog.last_focused
        host.drafts[key] = form.to_draft()
        if sent is None:
            return False
        try:
            task = await host.desk.enqueue(form.draft())
        except OctopoidError as error:
            problem = str(error)
            continue
        host.drafts.pop(key)
        host.flash(f"created {task.id}: {task.title}")
        return True
