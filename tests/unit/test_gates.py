"""Every gate open and closed, with its reason; and what `why` makes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.clock import day_of
from backend.config.schema import Agents, AgentSpec, Budgets, Config, Limits
from backend.model import Pause, Priority, Queue, Run, RunStatus, Task, TaskType
from scheduler.admission import gates
from scheduler.admission.candidate import RESOLVE, Candidate, role_wanted
from scheduler.admission.explain import explain
from scheduler.admission.gates import GATES, first_closed, judge
from scheduler.admission.world import Host, Slot, World, read_host, seconds_until, slots_of
from scheduler.budget import NOTHING, Ledger, Spent
from scheduler.pipeline.review import REVIEW, Standing
from scheduler.quota import APART

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
SPEC = AgentSpec(name="worker", role="implement", adapter="command", command=("x",), interval_seconds=60)
SLOT = Slot("worker", SPEC)


def a_task(**known: Any) -> Task:
    plain: dict[str, Any] = {
        "id": "t1", "title": "T", "body": "", "queue": Queue.INCOMING, "priority": Priority.P2,
        "role": "implement", "type": TaskType.FEATURE, "complexity": None, "project_id": None,
        "file_path": None, "repo_url": None, "base_branch": "main", "base_sha": "0" * 40, "blocked_by": (),
        "needs": (), "auto_accept": False, "claimed_by": None, "claimed_at": None, "orchestrator_id": None,
        "run_id": None, "fence": 0, "lease_expires_at": None, "version": 1, "attempt_count": 0,
        "attempts_forgiven": 0, "rejection_count": 0, "continuation_count": 0, "conflict_count": 0,
        "head_sha": None, "resume_run_id": None, "approved_by": None, "approved_at": None,
        "approved_sha": None, "reason": None, "pr_url": None, "merged_sha": None, "created_by": "human:ana",
        "created_at": NOW, "updated_at": NOW, "submitted_at": None, "completed_at": None, "metadata": {},
    }  # fmt: skip
    return Task(**(plain | known))


def a_run(agent: str = "worker", status: RunStatus = RunStatus.RUNNING, task_id: str = "other") -> Run:
    return Run(
        id=f"run-{agent}", task_id=task_id, attempt=1, fence=1, role="implement", agent_name=agent,
        orchestrator_id="o", adapter="command", model=None, session_id=None, status=status, outcome=None,
        reason=None, base_sha=None, head_sha=None, branch=None, exit_code=None, turns=None, tokens_input=0,
        tokens_output=0, tokens_cache_read=0, tokens_cache_write=0, cost_usd=None, commits_count=None,
        summary=None, started_at=NOW, last_activity_at=NOW, ended_at=None,
    )  # fmt: skip


def a_world(**known: Any) -> World:
    """A machine with nothing to do and everything to spare."""
    plain: dict[str, Any] = {
        "now": NOW, "config": Config(), "slots": (SLOT,), "pause": Pause(False), "queues": {}, "runs": (),
        "needs_in_use": {}, "ledger": Ledger(), "host": Host(0.1, 8000, 50_000), "last_start": {},
        "slot_errors": {}, "quota_until": {},
    }  # fmt: skip
    return World(**(plain | known))


def config(**parts: Any) -> Config:
    return Config(**parts)


SOON = NOW + timedelta(seconds=40)
HOURS = NOW + timedelta(hours=2)

CLOSED: list[tuple[str, dict[str, Any], dict[str, Any], str, datetime | None]] = [
    (
        "server",
        {"server_away_since": NOW},
        {},
        "the server is away: no new task is claimed (since 2026-03-01 23:30 UTC)",
        None,
    ),
    ("pause", {"pause": Pause(True, "human:ana", "lunch")}, {}, "intake is paused by human:ana: lunch", None),
    ("pause", {"pause": Pause(True, "human:ana")}, {}, "intake is paused by human:ana", None),
    ("pause", {"pause": Pause(True, "system:scheduler", "disk", until=SOON)}, {}, "scheduler: disk", SOON),
    ("role", {}, {"role": "review"}, "worker works in role implement, not review", None),
    ("agent", {"slot_errors": {"worker": "not found"}}, {}, "worker cannot start: not found", None),
    ("slot", {"runs": (a_run(),)}, {}, "worker is at work", None),
    (
        "concurrency",
        {"runs": (a_run("x"), a_run("y")), "config": config(agents=Agents(max_concurrent=2))},
        {},
        "2 of 2 agents are at work (agents.max_concurrent)",
        None,
    ),
    (
        "concurrency",
        {"chosen": (a_task(id="c"),), "config": config(agents=Agents(max_concurrent=1))},
        {},
        "1 of 1 agents are at work",
        None,
    ),
    (
        "interval",
        {"last_start": {"worker": NOW - timedelta(seconds=20)}},
        {},
        "worker starts again in 40 s",
        SOON,
    ),
    (
        "attempts",
        {"config": config(limits=Limits(attempts=3))},
        {"task": {"attempt_count": 5, "attempts_forgiven": 2}},
        "all 3 attempts are used",
        None,
    ),
    (
        "review limit",
        {"queues": {Queue.PROVISIONAL: 2}, "config": config(limits=Limits(provisional=2))},
        {},
        "2 of 2 tasks wait for review",
        None,
    ),
    (
        "budget",
        {"ledger": Ledger(Spent(10.0)), "config": config(budgets=Budgets(day_usd=10))},
        {},
        "today's budget is spent: $10.00 of $10.00",
        day_of(NOW)[1],
    ),
    (
        "budget",
        {"ledger": Ledger(Spent(9.0, 500)), "config": config(budgets=Budgets(day_usd=10, day_tokens=500))},
        {},
        "today's budget is spent: 500 tokens of 500 tokens",
        day_of(NOW)[1],
    ),
    (
        "budget",
        {"ledger": Ledger(projects={"p": Spent(7.0)}), "config": config(budgets=Budgets(project_usd=7))},
        {"task": {"project_id": "p"}},
        "the budget of project p is spent: $7.00 of $7.00: raise it in the configuration",
        None,
    ),
    (
        "budget",
        {"config": config(budgets=Budgets(task_usd=1.5))},
        {"spent": Spent(2.0)},
        "this task's budget is spent: $2.00 of $1.50",
        None,
    ),
    ("quota", {"quota_until": {"command": HOURS}}, {}, "command refuses work; open again in 120 min", HOURS),
    (
        "resources",
        {"needs_in_use": {"db": 1}},
        {"task": {"needs": ("port", "db")}},
        "resource 'db' is in use by another task",
        None,
    ),
    (
        "resources",
        {"chosen": (a_task(id="c", needs=("db",)),)},
        {"task": {"needs": ("db",)}},
        "resource 'db' is in use",
        None,
    ),
    ("host", {"host": Host(0.1, 8000, 100)}, {}, "only 100 MB of disk are free", None),
    ("host", {"host": Host(0.1, 100, 50_000)}, {}, "only 100 MB of memory are free", None),
    (
        "host",
        {"host": Host(17.0, 8000, 50_000)},
        {},
        "the machine's load is 17 per processor: over 16 (agents.max_load)",
        NOW + gates.LOAD_PASSES,
    ),
    (
        "start throttle",
        {
            "runs": tuple(a_run(f"a{n}", RunStatus.STARTING) for n in range(4)),
            "config": config(agents=Agents(max_concurrent=10)),
        },
        {},
        "4 agents are starting right now",
        None,
    ),
    (
        "start throttle",
        {
            "chosen": tuple(a_task(id=f"c{n}") for n in range(4)),
            "config": config(agents=Agents(max_concurrent=10)),
        },
        {},
        "4 agents are starting right now",
        None,
    ),
]


def candidate(
    task: dict[str, Any] | None = None, role: str = "implement", spent: Spent = NOTHING
) -> Candidate:
    return Candidate(a_task(**(task or {})), role, spent)


@pytest.mark.parametrize(
    ("gate", "facts", "wish", "reason", "clears_at"),
    CLOSED,
    ids=[f"{row[0]}-{n}" for n, row in enumerate(CLOSED)],
)
def test_a_closed_gate_says_why_and_when_it_clears(
    gate: str, facts: dict[str, Any], wish: dict[str, Any], reason: str, clears_at: datetime | None
) -> None:
    shut = [v for v in judge(a_world(**facts), SLOT, candidate(**wish)) if not v.passes]
    assert [verdict.gate for verdict in shut] == [gate], "no other gate is touched"
    assert reason in shut[0].reason
    assert shut[0].clears_at == clears_at


def test_every_gate_is_open_in_an_idle_world_and_says_something() -> None:
    verdicts = judge(a_world(), SLOT, candidate())
    assert all(verdict.passes for verdict in verdicts)
    assert all(verdict.reason for verdict in verdicts)
    assert first_closed(verdicts) is None


def test_every_gate_is_seen_closed_by_these_tests() -> None:
    names = [verdict.gate for verdict in judge(a_world(), SLOT, candidate())]
    assert set(names) == {row[0] for row in CLOSED}
    assert len(names) == len(set(names)) == len(GATES)


def test_the_order_of_the_gates_is_the_order_of_the_verdicts() -> None:
    everything_shut = a_world(
        pause=Pause(True, "human:ana"), slot_errors={"worker": "x"}, runs=(a_run(),), host=Host(99, 1, 1)
    )
    verdicts = judge(everything_shut, SLOT, candidate(role="review"))
    assert [v.gate for v in verdicts] == [
        "server", "pause", "role", "agent", "slot", "concurrency", "interval", "attempts", "review limit",
        "budget", "quota", "resources", "host", "start throttle",
    ]  # fmt: skip
    shut = first_closed(verdicts)
    assert shut is not None
    assert shut.gate == "pause"


OPEN: list[tuple[gates.Gate, dict[str, Any], Candidate]] = [
    (gates.pause, {"pause": Pause(True, "system:scheduler", until=NOW)}, candidate()),
    (gates.interval, {"last_start": {"worker": NOW - timedelta(seconds=60)}}, candidate()),
    (gates.interval, {"last_start": {"another": NOW}}, candidate()),
    (gates.attempts, {}, candidate({"attempt_count": 9, "attempts_forgiven": 9})),
    (gates.quota, {"quota_until": {"command": NOW}}, candidate()),
    (gates.quota, {"quota_until": {"demo": HOURS}}, candidate()),
    (gates.resources, {"needs_in_use": {"db": 1}}, candidate({"needs": ("port",)})),
    (gates.host, {"host": Host(0.1, None, 50_000)}, candidate()),
    (gates.budget, {"ledger": Ledger(Spent(1e9))}, candidate(spent=Spent(1e9))),
    (gates.attempts, {}, candidate({"queue": Queue.PROVISIONAL, "attempt_count": 5}, role=RESOLVE)),
    (gates.review_limit, {"queues": {Queue.PROVISIONAL: 999}}, candidate({"head_sha": "a" * 40})),
    (gates.review_limit, {"queues": {Queue.PROVISIONAL: 999}}, candidate({"resume_run_id": "r"})),
    (gates.role, {}, candidate(role=RESOLVE)),
]


@pytest.mark.parametrize(
    ("gate", "facts", "wish"), OPEN, ids=[f"{row[0].__name__}-{n}" for n, row in enumerate(OPEN)]
)
def test_a_gate_stays_open(gate: gates.Gate, facts: dict[str, Any], wish: Candidate) -> None:
    assert gate(a_world(**facts), SLOT, wish).passes


def test_agents_of_one_provider_start_again_one_after_the_other() -> None:
    three = tuple(Slot(f"w-{n}", SPEC) for n in range(3))
    world = a_world(slots=three, quota_until={"command": HOURS})
    clears = [gates.quota(world, slot, candidate()).clears_at for slot in three]
    assert clears == [HOURS - 2 * APART, HOURS - APART, HOURS]


def test_finished_work_waits_for_a_review_that_is_wanted_and_for_no_other() -> None:
    task = a_task(queue=Queue.PROVISIONAL, head_sha="a" * 40)
    assert role_wanted(task, Standing.WANTED) == REVIEW
    assert role_wanted(replace(task, claimed_by="rev"), Standing.WANTED) is None
    for standing in (Standing.NOT_ASKED, Standing.APPROVED, Standing.GIVEN_UP):
        assert role_wanted(task, standing) is None
    said = explain(a_world(), task, standing=Standing.WANTED)
    assert said.summary == "no agent is configured for role 'review': add one to agents.yaml"
    assert "approved it" in explain(a_world(), task, standing=Standing.APPROVED).summary


def test_a_paused_agent_is_closed() -> None:
    paused = Slot("worker", AgentSpec(name="worker", role="implement", paused=True))
    assert gates.agent(a_world(), paused, candidate()).reason == "worker is paused in agents.yaml"


def test_a_conflict_is_resolved_by_the_role_that_did_the_work_but_by_no_other() -> None:
    reviewer = Slot("rev", AgentSpec(name="rev", role="review"))
    assert gates.role(a_world(), SLOT, candidate(role=RESOLVE)).passes
    assert not gates.role(a_world(), reviewer, candidate(role=RESOLVE)).passes


def test_slots_are_numbered_where_there_are_several() -> None:
    several = AgentSpec(name="many", role="implement", max_instances=3)
    assert [slot.name for slot in slots_of((SPEC, several))] == ["worker", "many-1", "many-2", "many-3"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "in 0 s"), (0, "in 0 s"), (119, "in 119 s"), (121, "in 2 min")]
)
def test_time_until(seconds: int, said: str) -> None:
    assert seconds_until(NOW + timedelta(seconds=seconds), NOW) == said


def test_the_host_is_read(tmp_path: Any) -> None:
    host = read_host(tmp_path)
    assert host.disk_free_mb > 0
    assert host.load_per_cpu >= 0


AT_REST: list[tuple[dict[str, Any], str]] = [
    ({"queue": Queue.BACKLOG}, "it is in the backlog: enqueue it to have it worked on"),
    ({"queue": Queue.BLOCKED, "blocked_by": ("a", "b")}, "it waits for a, b"),
    ({"queue": Queue.BLOCKED, "blocked_by": ("a",), "reason": "a failed"}, "it waits for a (a failed)"),
    ({"queue": Queue.CLAIMED, "claimed_by": "worker"}, "worker is at work on it"),
    ({"queue": Queue.PROVISIONAL, "claimed_by": "worker"}, "worker is at work on it, in place"),
    (
        {"queue": Queue.PROVISIONAL, "approved_by": "human:ana"},
        "human:ana approved it; it is being merged into main",
    ),
    ({"queue": Queue.PROVISIONAL}, "it is finished and waits for you to accept or reject it"),
    ({"queue": Queue.DONE, "merged_sha": "ab" * 20}, "it is done, merged as abababababab"),
    ({"queue": Queue.FAILED, "reason": "boom"}, "it failed: boom. Retry or cancel it"),
    ({"queue": Queue.ESCALATED, "reason": "odd"}, "it needs you: odd. Retry, cancel or force it"),
    ({"queue": Queue.CANCELLED}, "it was cancelled"),
    ({"queue": Queue.CANCELLED, "reason": "not needed"}, "it was cancelled: not needed"),
]


@pytest.mark.parametrize(
    ("known", "said"), AT_REST, ids=[f"{row[0]['queue']}-{n}" for n, row in enumerate(AT_REST)]
)
def test_a_task_at_rest_is_explained_without_gates(known: dict[str, Any], said: str) -> None:
    explanation = explain(a_world(), a_task(**known))
    assert (explanation.summary, explanation.gates) == (said, ())


def test_every_state_is_explained() -> None:
    for queue in Queue:
        assert explain(a_world(), a_task(queue=queue, claimed_by="w")).summary


def test_an_incoming_task_that_may_start_says_where() -> None:
    said = explain(a_world(), a_task())
    assert said.summary == "it can start on worker now"
    assert len(said.gates) == len(GATES)
    assert said.first_closed is None


def test_a_conflict_waits_for_an_agent_like_an_incoming_task() -> None:
    task = a_task(queue=Queue.PROVISIONAL, approved_by="human:ana", reason="it conflicts", head_sha="a" * 40)
    assert role_wanted(task) == RESOLVE
    assert explain(a_world(), task).summary == "it can start on worker now"
    assert role_wanted(replace(task, claimed_by="worker")) is None


def test_why_speaks_of_the_slot_that_comes_nearest() -> None:
    reviewer = Slot("rev", AgentSpec(name="rev", role="review"))
    broken = Slot("broken", AgentSpec(name="broken", role="implement"))
    busy = Slot("busy", AgentSpec(name="busy", role="implement"))
    world = a_world(
        slots=(reviewer, broken, busy), slot_errors={"broken": "not found"}, runs=(a_run("busy"),)
    )
    said = explain(world, a_task())
    assert said.summary == "busy is at work"
    assert said.first_closed is not None
    assert said.first_closed.gate == "slot"


def test_no_slot_of_the_role_and_no_slot_at_all() -> None:
    reviewer = Slot("rev", AgentSpec(name="rev", role="review"))
    said = explain(a_world(slots=(reviewer,)), a_task())
    assert said.summary == "no agent is configured for role 'implement': add one to agents.yaml"
    assert said.first_closed is not None
    assert said.first_closed.reason == said.summary
    nobody = explain(a_world(slots=()), a_task())
    assert nobody.summary == "no agents are configured: add one to agents.yaml"
