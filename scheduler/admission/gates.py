"""The gates between a waiting task and a free slot, in the order in which they are asked. All are pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from backend.clock import day_of
from backend.model import Queue
from scheduler.admission.candidate import RESOLVE, Candidate
from scheduler.admission.verdict import Verdict, closed, passed
from scheduler.admission.world import Slot, World, moment, seconds_until
from scheduler.budget import DAILY, lines
from scheduler.quota import APART

STARTING_AT_ONCE = 4
"""Agents that may be starting at the same time: more of them only make each other late."""

MEMORY_FLOOR_MB = 300
DISK_FLOOR_MB = 500
LOAD_PASSES = timedelta(seconds=15)
"""By itself, unlike what else a machine may lack: it is looked at again after so long."""

RESOURCE_CAPACITY = 1

Gate = Callable[[World, Slot, Candidate], Verdict]


def server(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    since = world.server_away_since
    if since is not None:
        return closed("server", f"the server is away: no new task is claimed (since {moment(since)})")
    return passed("server", "tasks can be claimed")


def pause(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    state = world.pause
    if not state.paused or (state.until is not None and state.until <= world.now):
        return passed("pause", "intake is open")
    why = f": {state.reason}" if state.reason else ""
    where = "intake" if state.machine is None else "this machine's intake"
    return closed("pause", f"{where} is paused by {state.by}{why}", state.until)


def role(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    if slot.serves(candidate.role):
        return passed("role", f"{slot.name} works in role {candidate.role}")
    if candidate.role == RESOLVE and slot.serves(candidate.task.role):
        return passed("role", f"{slot.name} resolves conflicts of its own role")
    return closed("role", f"{slot.name} works in role {slot.spec.role}, not {candidate.role}")


def agent(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    if slot.spec.paused:
        return closed("agent", f"{slot.name} is paused in agents.yaml")
    error = world.slot_errors.get(slot.name)
    if error is not None:
        return closed("agent", f"{slot.name} cannot start: {error}")
    return passed("agent", f"{slot.name} can be started")


def free(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    if slot.name in world.busy:
        return closed("slot", f"{slot.name} is at work")
    return passed("slot", f"{slot.name} is free")


def concurrency(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    limit = world.config.agents.max_concurrent
    running = world.at_work
    if running >= limit:
        return closed("concurrency", f"{running} of {limit} agents are at work (agents.max_concurrent)")
    return passed("concurrency", f"{running} of {limit} agents are at work")


def interval(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    seconds = slot.spec.interval_seconds
    last = world.last_start.get(slot.name)
    if seconds and last is not None:
        due = last + timedelta(seconds=seconds)
        if due > world.now:
            return closed("interval", f"{slot.name} starts again {seconds_until(due, world.now)}", due)
    return passed("interval", "no interval to wait for")


def attempts(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    limit = world.config.limits.attempts
    used = candidate.task.attempts_counted
    # The last attempt's work may still be reviewed, and its conflicts resolved.
    if used >= limit + candidate.in_place:
        return closed("attempts", f"all {limit} attempts are used: retry it, or cancel it")
    return passed("attempts", f"{used} of {limit} attempts are used")


def review_limit(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    limit = world.config.limits.provisional
    waiting = world.queues.get(Queue.PROVISIONAL, 0)
    if waiting >= limit and not candidate.finishes_work:
        return closed(
            "review limit", f"{waiting} of {limit} tasks wait for review: accept or reject some first"
        )
    return passed("review limit", f"{waiting} of {limit} tasks wait for review")


def budget(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    known = lines(
        world.config.budgets,
        slot.spec,
        world.ledger,
        project=candidate.task.project_id,
        task=candidate.spent,
    )
    spent = next((line for line in known if line.over), None)
    if spent is None:
        return passed("budget", f"${world.ledger.day.usd:.2f} spent today")
    tomorrow = day_of(world.now)[1] if spent.reach in DAILY else None
    raises = "" if tomorrow else ": raise it in the configuration"
    return closed("budget", spent.said + raises, tomorrow)


def quota(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    until = world.quota_until.get(slot.spec.adapter)
    if until is None:
        return passed("quota", "no provider limit is known")
    alike = [other.name for other in world.slots if other.spec.adapter == slot.spec.adapter]
    # The window ends when the last of them may start; the others start one after the other before that.
    after = alike[alike.index(slot.name) + 1 :] if slot.name in alike else []
    until -= APART * len(after)
    if until > world.now:
        when = seconds_until(until, world.now)
        return closed("quota", f"the provider of {slot.spec.adapter} refuses work; open again {when}", until)
    return passed("quota", "its provider takes work again")


def resources(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    for name in candidate.task.needs:
        if world.uses(name) >= RESOURCE_CAPACITY:
            return closed("resources", f"resource {name!r} is in use by another task")
    return passed("resources", "what it needs is free")


def host(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    state = world.host
    if state.disk_free_mb < DISK_FLOOR_MB:
        return closed("host", f"only {state.disk_free_mb} MB of disk are free: {DISK_FLOOR_MB} are needed")
    if state.memory_free_mb is not None and state.memory_free_mb < MEMORY_FLOOR_MB:
        return closed("host", f"only {state.memory_free_mb} MB of memory are free")
    if state.load_per_cpu > (most := world.config.agents.max_load):
        reason = (
            f"the machine's load is {state.load_per_cpu:.0f} per processor: over {most} (agents.max_load)"
        )
        return closed("host", reason, world.now + LOAD_PASSES)
    return passed("host", f"{state.disk_free_mb} MB of disk are free")


def throttle(world: World, slot: Slot, candidate: Candidate) -> Verdict:
    if world.starting >= STARTING_AT_ONCE:
        return closed("start throttle", f"{world.starting} agents are starting right now")
    return passed("start throttle", f"{world.starting} agents are starting right now")


GATES: tuple[Gate, ...] = (
    server,
    pause,
    role,
    agent,
    free,
    concurrency,
    interval,
    attempts,
    review_limit,
    budget,
    quota,
    resources,
    host,
    throttle,
)


def judge(world: World, slot: Slot, candidate: Candidate) -> tuple[Verdict, ...]:
    """Every gate's verdict, in order."""
    return tuple(gate(world, slot, candidate) for gate in GATES)


def first_closed(verdicts: Sequence[Verdict]) -> Verdict | None:
    return next((verdict for verdict in verdicts if not verdict.passes), None)
