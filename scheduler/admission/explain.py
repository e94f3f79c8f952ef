"""Why a task does or does not run now, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from backend.model import Queue, Task
from backend.why import Reason, at_rest
from scheduler.admission.candidate import Candidate, role_wanted
from scheduler.admission.gates import first_closed, judge
from scheduler.admission.verdict import Explanation, Verdict, closed
from scheduler.admission.world import World
from scheduler.budget import NOTHING, Spent
from scheduler.pipeline.plan import plan_of
from scheduler.pipeline.review import TRIES, Standing

SAID_BY_GATES = ("state", "attempts", "paused", "machine")
"""What the store knows and the gates of this machine say too, and more exactly."""

NO_SLOT = "no agent is configured for role {role!r}: add one to agents.yaml"


def explain(
    world: World, task: Task, spent: Spent = NOTHING, standing: Standing = Standing.NOT_ASKED
) -> Explanation:
    """The verdicts of the slot that is nearest to taking the task, and one sentence."""
    role = role_wanted(task, standing)
    if role is None:
        return Explanation(task.id, _resting(task, standing), ())
    candidate = Candidate(task, role, spent)
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


def with_known(explanation: Explanation, known: Iterable[Reason]) -> Explanation:
    """The explanation, and what the store knows besides the gates."""
    said = SAID_BY_GATES if explanation.gates else ("state",)
    more = tuple(
        Verdict(reason.kind, not reason.holds, reason.text, reason.when)
        for reason in known
        if reason.kind not in said
    )
    return replace(explanation, gates=explanation.gates + more)


REVIEWED = {
    Standing.APPROVED: "an agent has reviewed and approved it; it waits for you to accept or reject it",
    Standing.GIVEN_UP: f"{TRIES} reviews by agents left no verdict; it waits for you to accept or reject it",
}


def _resting(task: Task, standing: Standing) -> str:
    """One sentence about a task that waits for no agent: its plan, its reviews, or what the store says."""
    plan = plan_of(task)
    if task.queue is Queue.DONE and plan is not None:
        return f"it is done: it became {len(plan.parts)} tasks"
    if task.queue is not Queue.PROVISIONAL or task.claimed_by is not None:
        return at_rest(task)
    if plan is not None and task.approved_by is not None:
        return f"{task.approved_by} approved it; it is being carried out"
    if plan is not None:
        return f"its plan of {len(plan.parts)} tasks waits for you to accept or reject it"
    return at_rest(task) if task.approved_by is not None else REVIEWED.get(standing, at_rest(task))
