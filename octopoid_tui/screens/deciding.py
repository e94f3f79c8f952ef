"""Accepting and rejecting work."""

from __future__ import annotations

from collections.abc import Sequence

from backend.model import Evidence, Queue, Task
from octopoid_tui.actions import Context
from octopoid_tui.host import Host
from octopoid_tui.screens.asking import ask_text, each, names, still_in, these
from octopoid_tui.screens.dialogs.confirm import Confirm
from octopoid_tui.screens.task.facts import newest_of_each


def failed_checks(task: Task, evidence: Sequence[Evidence]) -> list[Evidence]:
    """The checks that are no pass on the commit that would be merged."""
    return [result for result in newest_of_each(evidence, task.head_sha) if not result.passed]


async def accept(host: Host, context: Context) -> bool:
    from scheduler.desk import NotPassed  # brings git with it: not before it is needed

    tasks = [task for task in still_in(context, Queue.PROVISIONAL) if task.approved_by is None]
    if len(tasks) > 1:
        return await _accept_many(host, context, tasks)
    task = tasks[0]
    failed = failed_checks(task, await host.desk.backend.list_evidence(task.id))
    problem = ", ".join(f"{result.check} {_how(result)}" for result in failed)
    while True:
        override = await _ask_override(host, task, problem) if problem else None
        if problem and override is None:
            return False
        try:
            with host.doing((task.id,), "accepting"):
                await _accept_one(host, context, task, override)
        except NotPassed as error:
            # Evidence may be missing altogether, or too old; only the desk knows what is required.
            problem = error.problem
            continue
        host.drafts.pop(f"override:{task.id}", None)
        host.flash(f"accepted {task.id}: {task.title}")
        return True


async def _accept_one(host: Host, context: Context, task: Task, override: str | None) -> None:
    # A running scheduler merges, and the feed tells how that went; without one, this process has to.
    await host.desk.accept(task.id, override=override, wait=not context.snapshot.scheduler_active)


async def _accept_many(host: Host, context: Context, tasks: list[Task]) -> bool:
    text = "Each is merged into its base branch. Those whose checks failed are left out."
    if not await host.push_screen_wait(
        Confirm(f"Accept {len(tasks)} tasks?", text, names(tasks), yes="accept")
    ):
        return False
    ready = []
    for task in tasks:
        if not failed_checks(task, await host.desk.backend.list_evidence(task.id)):
            ready.append(task)
    done = await each(host, ready, "accepting", lambda task: _accept_one(host, context, task, None))
    if len(ready) < len(tasks):
        host.flash(f"accepted {done} of {len(tasks)}; the others need a look at their checks", "warning")
    elif done == len(tasks):
        host.flash(f"accepted {done} tasks")
    return True


def _how(result: Evidence) -> str:
    return "could not be run" if result.exit_code is None else f"failed (exit status {result.exit_code})"


async def _ask_override(host: Host, task: Task, problem: str) -> str | None:
    return await ask_text(
        host, f"override:{task.id}", f"Accept {task.id} all the same?",
        f"{problem}\n\nWhy is it right to accept it? The reason is kept in the log.", "accept all the same",
    )  # fmt: skip


async def reject(host: Host, context: Context) -> bool:
    tasks = still_in(context, Queue.PROVISIONAL)
    key = f"reject:{tasks[0].id}"
    reason = await ask_text(
        host, key, f"Reject {these(tasks)}", "What has to change? The agent reads this in its next prompt.",
        "reject",
    )  # fmt: skip
    if reason is None:
        return False
    done = await each(host, tasks, "rejecting", lambda task: host.desk.reject(task.id, reason))
    if done == len(tasks):
        host.drafts.pop(key, None)
        host.flash(f"rejected {these(tasks)}; it is queued again")
    return True
