"""Why a task does or does not run now, in words."""

from __future__ import annotations

from backend.model import Queue, Task
from scheduler.admission.candidate import Candidate, role_wanted
from scheduler.admission.gates import first_closed, judge
from scheduler.admission.verdict import Explanation, Verdict, closed
from scheduler.admission.world import World

NO_SLOT = "no agent is configured for role {role!r}: add one to agents.yaml"


def explain(world: World, task: Task, cost_so_far: float = 0.0) -> Explanation:
    """The verdicts of the slot that is nearest to taking the task, and one sentence."""
    role = role_wanted(task)
    if role is None:
        return Explanation(task.id, at_rest(task), ())
    candidate = Candidate(task, role, cost_so_far)
    if not world.slots:
        return Explanation(task.id, "no agents are configured: add one to agents.yaml", ())
    judged = [(slot, judge(world, slot, candidate)) for slot in world.slots]
    slot, verdicts = max(judged, key=lambda pair: _progress(pair[1]))
    shut = first_closed(verdicts)
    if shut is None:
        return Explanation(task.id, f"it can start on {slot.name} now", verdicts)
    if shut.gate == "role":
        reason = NO_SLOT.format(role=role)
        nobody = closed("role", reason)
        kept = tuple(nobody if verdict.gate == "role" else verdict for verdict in verdicts)
        return Explanation(task.id, reason, kept)
    return Explanation(task.id, shut.reason, verdicts)


def _progress(verdicts: tuple[Verdict, ...]) -> tuple[int, int]:
    """How far a task comes with a slot: first how many gates open before the first closed one."""
    before = next((n for n, verdict in enumerate(verdicts) if not verdict.passes), len(verdicts))
    return before, sum(verdict.passes for verdict in verdicts)


def at_rest(task: Task) -> str:
    """One sentence about a task that waits for no agent."""
    reason = task.reason or "no reason was recorded"
    match task.queue:
        case Queue.BACKLOG:
            return "it is in the backlog: enqueue it to have it worked on"
        case Queue.BLOCKED:
            return f"it waits for {', '.join(task.blocked_by)}" + (f" ({task.reason})" if task.reason else "")
        case Queue.CLAIMED:
            return f"{task.claimed_by} is at work on it"
        case Queue.PROVISIONAL if task.claimed_by is not None:
            return f"{task.claimed_by} is at work on it, in place"
        case Queue.PROVISIONAL if task.approved_by is not None:
            return f"{task.approved_by} approved it; it is being merged into {task.base_branch}"
        case Queue.PROVISIONAL:
            return "it is finished and waits for you to accept or reject it"
        case Queue.DONE:
            return f"it is done, merged as {(task.merged_sha or '')[:12]}"
        case Queue.FAILED:
            return f"it failed: {reason}. Retry or cancel it"
        case Queue.ESCALATED:
            return f"it needs you: {reason}. Retry, cancel or force it"
        case Queue.CANCELLED:
            return "it was cancelled" + (f": {task.reason}" if task.reason else "")
        case Queue.INCOMING:
            raise AssertionError("an incoming task waits for an agent")
