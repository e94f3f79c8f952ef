"""The facts that the gates judge by: read once per cycle, the same for every candidate."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backend.clock import Clock, from_ms
from backend.config.schema import AgentSpec, Config
from backend.interface import Backend
from backend.model import Pause, Queue, Run, RunStatus, Task
from backend.sync import SyncMode
from scheduler.budget import Ledger, read_ledger
from scheduler.quota import windows


@dataclass(frozen=True, slots=True)
class Slot:
    """One place for one run: an instance of an agent's entry in agents.yaml."""

    name: str
    spec: AgentSpec

    def serves(self, role: str) -> bool:
        return self.spec.role == role


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine has left."""

    load_per_cpu: float
    memory_free_mb: int | None
    disk_free_mb: int


@dataclass(frozen=True, slots=True)
class World:
    now: datetime
    config: Config
    slots: tuple[Slot, ...]
    pause: Pause
    queues: Mapping[Queue, int]
    runs: tuple[Run, ...]
    """Every live run of this machine."""
    needs_in_use: Mapping[str, int]
    ledger: Ledger
    host: Host
    last_start: Mapping[str, datetime]
    """When each slot last started a run."""
    slot_errors: Mapping[str, str]
    """Slots whose program cannot be started, and why."""
    quota_until: Mapping[str, datetime]
    """Adapters whose provider refuses work until then."""
    chosen: tuple[Task, ...] = ()
    """Tasks that have a slot already and no run yet."""
    server_away_since: datetime | None = None
    """Since when the server has not answered; None while it does, or where there is none."""

    @property
    def at_work(self) -> int:
        """Runs that count against the limit."""
        return len(self.runs) + len(self.chosen)

    def uses(self, resource: str) -> int:
        """How many tasks use a resource now, or are about to."""
        return self.needs_in_use.get(resource, 0) + sum(resource in task.needs for task in self.chosen)

    @property
    def busy(self) -> frozenset[str]:
        return frozenset(run.agent_name for run in self.runs)

    @property
    def starting(self) -> int:
        return sum(run.status is RunStatus.STARTING for run in self.runs) + len(self.chosen)


def slots_of(agents: tuple[AgentSpec, ...]) -> tuple[Slot, ...]:
    """Every slot of the configured agents, named for its agent, with a number where there are several."""
    return tuple(
        Slot(spec.name if spec.max_instances == 1 else f"{spec.name}-{number}", spec)
        for spec in agents
        for number in range(1, spec.max_instances + 1)
    )


def read_host(path: Path) -> Host:
    """Load, memory and disk as the operating system tells them."""
    memory = None
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        memory = int(fields["MemAvailable"].split()[0]) // 1024
    return Host(os.getloadavg()[0] / (os.cpu_count() or 1), memory, shutil.disk_usage(path).free >> 20)


async def read_world(
    backend: Backend,
    config: Config,
    agents: tuple[AgentSpec, ...],
    orchestrator_id: str,
    octopoid_dir: Path,
    clock: Clock,
    *,
    slot_errors: Mapping[str, str],
    last_start: Mapping[str, datetime],
) -> World:
    """Gather the facts from the store, the configuration and the machine."""
    now = from_ms(clock.now_ms())
    sync = await backend.sync_state()
    live = await backend.list_runs(live=True)
    mine = tuple(run for run in live if run.orchestrator_id == orchestrator_id)
    needs: Counter[str] = Counter()
    for run in live:
        needs.update((await backend.get_task(run.task_id)).needs)
    slots = slots_of(agents)
    specs = {slot.name: slot.spec for slot in slots}
    return World(
        now=now,
        config=config,
        slots=slots,
        pause=await backend.get_pause(machine=orchestrator_id),
        queues=await backend.count_queues(),
        runs=mine,
        needs_in_use=needs,
        ledger=await read_ledger(backend, config.budgets, specs, now),
        host=read_host(octopoid_dir),
        last_start=last_start,
        slot_errors=slot_errors,
        quota_until=windows(await backend.list_alerts(), orchestrator_id),
        server_away_since=(sync.since or now) if sync.mode is SyncMode.OFFLINE else None,
    )


def seconds_until(when: datetime, now: datetime) -> str:
    """A short form for reasons: `in 40 s`, `in 3 min`."""
    left = max(when - now, timedelta())
    seconds = int(left.total_seconds())
    return f"in {seconds} s" if seconds < 120 else f"in {seconds // 60} min"


def moment(at: datetime) -> str:
    """A point in time for reasons: `2026-03-01 23:30 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
