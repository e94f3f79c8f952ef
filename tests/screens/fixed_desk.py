"""A desk over fixed data: what the screens show, without a store, git or a scheduler.

It keeps what it is asked to do in `calls`, answers like the real one, and can be told to fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backend.clock import ManualClock, from_ms
from backend.config.effective import agent_settings, config_settings
from backend.config.load import Loaded
from backend.config.schema import AgentSpec, Budgets, Check, Config, Limits, Server
from backend.errors import NotFound, OctopoidError, VersionConflict
from backend.interface import Action
from backend.model import (
    Actor,
    Agent,
    AgentStatus,
    Complexity,
    Event,
    Evidence,
    Message,
    MessageKind,
    MessageType,
    Orchestrator,
    Outcome,
    Pause,
    Priority,
    Queue,
    Rule,
    RuleScope,
    Run,
    RunStatus,
    SenderType,
    Task,
    TaskFilter,
    TaskPatch,
    TaskType,
    Usage,
    UsageBy,
)
from backend.planning import (
    Draft,
    DraftPatch,
    DraftStatus,
    NewDraft,
    NewProject,
    Project,
    ProjectPatch,
    ProjectStatus,
)
from backend.sync import LOCAL, Choice, Conflict, SyncState, Waiting
from scheduler.admission.verdict import Explanation, closed, passed
from scheduler.agents.events import AgentEvent
from scheduler.answers import RuleWish
from scheduler.budget import Line, Reach, Standing
from scheduler.notices import Notice
from scheduler.runs.pages import Page, holds, read_event
from scheduler.settings import AgentSettings, Settings

CLOCK = ManualClock(1_767_267_000_000)  # 2026-01-01 11:30 UTC
NOW = from_ms(CLOCK.now_ms())
RECORDING = Path(__file__).parent / "claude_run.jsonl"
"""`events.jsonl` of a run of Claude Code 2.1.329 with a scripted model."""

HUMAN = Actor(SenderType.HUMAN, "ana")
MACHINE = "laptop"


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def task(task_id: str, title: str, queue: Queue = Queue.INCOMING, **fields: Any) -> Task:
    base = dict.fromkeys(Task.__dataclass_fields__)
    base |= {
        "body": "", "priority": Priority.P2, "role": "implement", "type": TaskType.FEATURE,
        "base_branch": "main", "base_sha": "4f1c2ab9" * 5, "blocked_by": (), "needs": (),
        "auto_accept": False, "fence": 1, "version": 3, "attempt_count": 0, "attempts_forgiven": 0,
        "rejection_count": 0, "continuation_count": 0, "conflict_count": 0, "created_by": "human:ana",
        "created_at": ago(hours=5), "updated_at": ago(minutes=9), "metadata": {},
    }  # fmt: skip
    return Task(**{**base, "id": task_id, "title": title, "queue": queue, **fields})


def run(run_id: str, task_id: str, agent_name: str, **fields: Any) -> Run:
    base = dict.fromkeys(Run.__dataclass_fields__)
    base |= {
        "attempt": 1, "fence": 1, "role": "implement", "orchestrator_id": MACHINE, "adapter": "claude",
        "model": "sonnet", "status": RunStatus.RUNNING, "tokens_input": 18_400, "tokens_output": 5_120,
        "tokens_cache_read": 412_000, "tokens_cache_write": 22_000, "cost_usd": 0.42, "turns": 12,
        "started_at": ago(minutes=14), "last_activity_at": ago(seconds=8),
    }  # fmt: skip
    return Run(**{**base, "id": run_id, "task_id": task_id, "agent_name": agent_name, **fields})


def question(message_id: str, task_id: str, body: str, *options: str, **fields: Any) -> Message:
    base = dict.fromkeys(Message.__dataclass_fields__)
    base |= {
        "sender": Actor(SenderType.WORKER, "impl-2"), "type": MessageType.REQUEST,
        "kind": MessageKind.QUESTION, "options": options, "created_at": ago(minutes=6),
    }  # fmt: skip
    return Message(**{**base, "id": message_id, "conversation_id": task_id, "body": body, **fields})


def note(message_id: str, task_id: str, body: str, sender: Actor = HUMAN, **fields: Any) -> Message:
    fields = {"type": MessageType.STATUS, "kind": MessageKind.NOTE, "sender": sender, **fields}
    return question(message_id, task_id, body, **fields)


def agent(name: str, status: AgentStatus, **fields: Any) -> Agent:
    base = dict.fromkeys(Agent.__dataclass_fields__)
    base |= {
        "orchestrator_id": MACHINE,
        "role": "implement",
        "adapter": "claude",
        "updated_at": ago(seconds=5),
    }
    return Agent(**{**base, "name": name, "status": status, **fields})


def evidence(task_id: str, check: str, exit_code: int | None = 0, **fields: Any) -> Evidence:
    base: dict[str, Any] = {
        "id": f"{task_id}-{check}", "task_id": task_id, "run_id": None, "check": check,
        "command": f"make {check}", "commit_sha": "9ab34c01" * 5, "base_sha": "4f1c2ab9" * 5,
        "output_tail": f"{check}: 212 passed in 8.31s\n", "output_digest": "", "duration_ms": 8310,
        "at": ago(minutes=3),
    }  # fmt: skip
    return Evidence(**{**base, "exit_code": exit_code, **fields})


def project(
    project_id: str, title: str, status: ProjectStatus = ProjectStatus.ACTIVE, **known: Any
) -> Project:
    base: dict[str, Any] = {
        "description": "", "base_branch": None, "auto_accept": False, "scope": None, "version": 1,
        "created_by": "human:ana", "created_at": ago(days=3), "updated_at": ago(hours=7),
        "completed_at": None, "metadata": {},
    }  # fmt: skip
    return Project(id=project_id, title=title, status=status, **{**base, **known})


def draft(draft_id: str, title: str, status: DraftStatus = DraftStatus.IDEA, **known: Any) -> Draft:
    base: dict[str, Any] = {
        "body": "", "project_id": None, "file_path": None, "tags": (), "task_ids": (), "scope": None,
        "version": 1, "created_by": "human:ana", "created_at": ago(days=2), "updated_at": ago(hours=5),
        "metadata": {},
    }  # fmt: skip
    return Draft(id=draft_id, title=title, status=status, **{**base, **known})


def rule(rule_id: str, pattern: str, answer: str, **known: Any) -> Rule:
    base: dict[str, Any] = {
        "scope": RuleScope.ROLE, "scope_id": "implement", "kind": MessageKind.PERMISSION, "exact": True,
        "author": "human:ana", "message_id": "m-0", "created_at": ago(days=1), "expires_at": None, "uses": 0,
        "last_used_at": None, "revoked_at": None,
    }  # fmt: skip
    return Rule(id=rule_id, pattern=pattern, answer=answer, **{**base, **known})


@dataclass
class FixedBackend:
    """The part of `Backend` that the screens read, over dictionaries."""

    tasks: dict[str, Task] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    orchestrators: list[Orchestrator] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    pause_state: Pause = field(default_factory=lambda: Pause(False))
    cost: float = 3.18
    sync: SyncState = LOCAL
    conflicts: list[Conflict] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    settled: list[tuple[str, Choice]] = field(default_factory=list)
    projects: dict[str, Project] = field(default_factory=dict)
    drafts: dict[str, Draft] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    used: dict[UsageBy, list[Usage]] = field(default_factory=dict)
    asked_since: list[datetime] = field(default_factory=list)
    seq: int = 0
    reads: list[str] = field(default_factory=list)
    failure: OctopoidError | None = None
    """Raised by every call while it is set."""
    held: asyncio.Event | None = None
    """Reading tasks waits for it, as a slow store would."""
    _grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    def _read(self, what: str) -> None:
        self.reads.append(what)
        if self.failure is not None:
            raise self.failure

    async def emit(self, entity: str, entity_id: str, kind: str = "changed", **fields: Any) -> None:
        self.seq += 1
        values: dict[str, Any] = {
            "from_state": None, "to_state": None, "version": None, "reason": None, "data": {},
            "actor": "system:scheduler", "at": NOW, **fields,
        }  # fmt: skip
        self.log.append(Event(seq=self.seq, entity=entity, entity_id=entity_id, kind=kind, **values))
        async with self._grown:
            self._grown.notify_all()

    async def put(self, *tasks: Task) -> None:
        """Store tasks with a new version, and say so in the log."""
        for changed in tasks:
            known = self.tasks.get(changed.id)
            version = known.version + 1 if known else 1
            self.tasks[changed.id] = replace(changed, version=version)
            await self.emit("task", changed.id)

    async def post(self, message: Message) -> None:
        self.messages = [m for m in self.messages if m.id != message.id] + [message]
        await self.emit("message", message.id)

    async def fail(self, error: OctopoidError | None) -> None:
        """Make every call fail, the running watch included; None ends that."""
        self.failure = error
        async with self._grown:
            self._grown.notify_all()

    async def last_seq(self) -> int:
        self._read("last_seq")
        return self.seq

    async def watch(self, after: int) -> AsyncIterator[list[Event]]:
        while True:
            if self.failure is not None:
                raise self.failure
            batch = [event for event in self.log if event.seq > after]
            if batch:
                after = batch[-1].seq
                yield batch
                continue
            async with self._grown:
                await self._grown.wait()

    async def get_task(self, task_id: str) -> Task:
        self._read(f"get_task {task_id}")
        if task_id not in self.tasks:
            raise NotFound(f"no task {task_id!r}")
        return self.tasks[task_id]

    async def list_tasks(self, wanted: TaskFilter) -> list[Task]:
        self._read(f"list_tasks {' '.join(sorted(wanted.queues))}".strip())
        if self.held is not None:
            await self.held.wait()
        return [t for t in self.tasks.values() if not wanted.queues or t.queue in wanted.queues]

    async def edit_task(
        self, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task:
        self._read(f"edit_task {task_id}")
        changed = replace(self.tasks[task_id], priority=patch.priority or self.tasks[task_id].priority)
        await self.put(changed)
        return self.tasks[task_id]

    async def list_runs(self, *, task_id: str | None = None, live: bool = False) -> list[Run]:
        self._read("list_runs")
        return [
            r for r in self.runs
            if (task_id is None or r.task_id == task_id) and not (live and r.status is RunStatus.ENDED)
        ]  # fmt: skip

    async def list_evidence(self, task_id: str) -> list[Evidence]:
        self._read("list_evidence")
        return [e for e in self.evidence if e.task_id == task_id]

    async def list_messages(self, task_id: str) -> list[Message]:
        self._read("list_messages")
        return [m for m in self.messages if m.conversation_id == task_id]

    async def open_questions(self) -> list[Message]:
        self._read("open_questions")
        return [m for m in self.messages if m.open]

    async def list_orchestrators(self) -> list[Orchestrator]:
        self._read("list_orchestrators")
        return self.orchestrators

    async def list_agents(self) -> list[Agent]:
        self._read("list_agents")
        return self.agents

    async def get_pause(self, *, machine: str | None = None) -> Pause:
        self._read("get_pause")
        return self.pause_state

    async def events(self, *, after: int = 0, limit: int = 500, entity_id: str | None = None) -> list[Event]:
        self._read("events")
        found = [e for e in self.log if e.seq > after and entity_id in (None, e.entity_id)]
        return found[:limit]

    async def sync_state(self) -> SyncState:
        self._read("sync_state")
        return self.sync

    async def list_pending(self, limit: int | None = None) -> list[Waiting]:
        self._read("list_pending")
        return self.waiting[:limit]

    async def list_conflicts(self) -> list[Conflict]:
        self._read("list_conflicts")
        return list(self.conflicts)

    async def settle_conflict(self, conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        self._read(f"settle_conflict {conflict_id}")
        self.settled.append((conflict_id, choice))
        self.conflicts = [conflict for conflict in self.conflicts if conflict.id != conflict_id]
        await self.stand(replace(self.sync, conflicts=len(self.conflicts)))

    async def stand(self, sync: SyncState) -> None:
        """Stand so with the server from now on, and say so in the log."""
        self.sync = sync
        await self.emit("sync", sync.server or "", sync.mode.value)

    async def sync_now(self) -> SyncState:
        self._read("sync_now")
        return self.sync

    async def list_projects(self) -> list[Project]:
        self._read("list_projects")
        return list(self.projects.values())

    async def get_project(self, project_id: str) -> Project:
        self._read("get_project")
        if project_id not in self.projects:
            raise NotFound(f"there is no project {project_id!r}", "octopoid projects lists them")
        return self.projects[project_id]

    async def create_project(self, new: NewProject, *, actor: Actor) -> Project:
        self._read("create_project")
        self.projects[new.id] = project(
            new.id, new.title, description=new.description, base_branch=new.base_branch,
            auto_accept=new.auto_accept, created_by=new.created_by,
        )  # fmt: skip
        await self.emit("project", new.id)
        return self.projects[new.id]

    async def edit_project(
        self, project_id: str, patch: ProjectPatch, *, actor: Actor, version: int | None = None
    ) -> Project:
        self._read("edit_project")
        self.projects[project_id] = _patched(self.projects[project_id], patch, version)
        await self.emit("project", project_id)
        return self.projects[project_id]

    async def list_drafts(self) -> list[Draft]:
        self._read("list_drafts")
        return list(self.drafts.values())

    async def get_draft(self, draft_id: str) -> Draft:
        self._read("get_draft")
        return self.drafts[draft_id]

    async def create_draft(self, new: NewDraft, *, actor: Actor) -> Draft:
        self._read("create_draft")
        self.drafts[new.id] = draft(new.id, new.title, body=new.body, project_id=new.project_id)
        await self.emit("draft", new.id)
        return self.drafts[new.id]

    async def edit_draft(
        self, draft_id: str, patch: DraftPatch, *, actor: Actor, version: int | None = None
    ) -> Draft:
        self._read("edit_draft")
        self.drafts[draft_id] = _patched(self.drafts[draft_id], patch, version)
        await self.emit("draft", draft_id)
        return self.drafts[draft_id]

    async def list_rules(self) -> list[Rule]:
        self._read("list_rules")
        return list(self.rules.values())

    async def revoke_rule(self, rule_id: str, *, actor: Actor) -> Rule:
        self._read(f"revoke_rule {rule_id}")
        self.rules[rule_id] = replace(self.rules[rule_id], revoked_at=NOW)
        return self.rules[rule_id]

    async def usage(self, by: UsageBy, *, since: datetime) -> list[Usage]:
        self._read("usage")
        self.asked_since.append(since)
        return self.used.get(by, [])

    async def cost_since(self, since: datetime) -> float:
        self._read("cost_since")
        return self.cost


def _patched(known: Any, patch: Any, version: int | None) -> Any:
    if version != known.version:
        raise VersionConflict(
            f"{known.id} has changed: it is version {known.version}, not {version}",
            "read it again and decide anew",
        )
    wanted = {name: getattr(patch, name) for name in patch.__slots__}
    changed = {name: value for name, value in wanted.items() if value is not None}
    return replace(known, **changed, version=known.version + 1)


@dataclass
class FixedPages:
    """A record whose places are the numbers of its events."""

    transcripts: dict[str, list[AgentEvent]]
    run_id: str

    def _page(self, start: int, end: int) -> Page:
        found = self.transcripts.get(self.run_id, [])[start:end]
        return Page(start, start + len(found), tuple(enumerate(found, start)))

    def last(self) -> Page:
        return self.before(len(self.transcripts.get(self.run_id, [])))

    def before(self, end: int) -> Page:
        return self._page(max(0, end - 200), end)

    def after(self, start: int) -> Page:
        return self._page(start, start + 200)

    def find(
        self, text: str, start: int, *, backwards: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> int | None:
        events = self.transcripts.get(self.run_id, [])
        places = range(start - 1, -1, -1) if backwards else range(start, len(events))
        return next((place for place in places if holds(events[place], text.lower())), None)


FOLDER = Path("/home/ana/shop/.octopoid")


def settings(loaded: Loaded, *problems: Notice) -> Settings:
    """What a desk says of this configuration."""
    agents = [AgentSettings(spec, agent_settings(loaded, n)) for n, spec in enumerate(loaded.agents)]
    files = (str(loaded.directory / name) for name in ("config.yaml", "agents.yaml"))
    return Settings(config_settings(loaded), agents, problems, *files)


@dataclass
class FixedDesk:
    """What a person asks for is kept in `calls`; the data changes as the real desk would change it."""

    backend: FixedBackend = field(default_factory=FixedBackend)
    actor: Actor = HUMAN
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    failure: OctopoidError | None = None
    diffs: Mapping[str, str] = field(default_factory=dict)
    transcripts: dict[str, list[AgentEvent]] = field(default_factory=dict)
    troubles: tuple[Notice, ...] = ()
    standing: Standing = field(default_factory=lambda: Standing((), Budgets()))
    configured: Settings = field(default_factory=lambda: settings(Loaded(FOLDER, Config(), (), {}, ())))

    def _call(self, *what: Any) -> None:
        self.calls.append(what)
        if self.failure is not None:
            raise self.failure

    async def _change(self, task_id: str, **fields: Any) -> Task:
        await self.backend.put(replace(self.backend.tasks[task_id], **fields))
        return self.backend.tasks[task_id]

    async def enqueue(self, draft: Any) -> Task:
        self._call("enqueue", draft)
        new = task(
            "01newtask00001", draft.title, body=draft.body, priority=draft.priority, role=draft.role,
            project_id=draft.project_id,
        )  # fmt: skip
        await self.backend.put(new)
        return self.backend.tasks[new.id]

    async def promote(self, draft_id: str, drafts: Sequence[Any]) -> Draft:
        self._call("promote", draft_id, tuple(drafts))
        known, made = self.backend.drafts[draft_id], []
        for number, one in enumerate(drafts, 1):
            new = task(f"{draft_id}-{number}", one.title, body=one.body, project_id=one.project_id)
            await self.backend.put(new)
            made.append(new.id)
        after = replace(known, status=DraftStatus.PROMOTED, task_ids=(*known.task_ids, *made), version=9)
        self.backend.drafts[draft_id] = after
        await self.backend.emit("draft", draft_id)
        return after

    async def budgets(self) -> Standing:
        self._call("budgets")
        return self.standing

    async def settings(self) -> Settings:
        self._call("settings")
        return self.configured

    async def accept(
        self, task_id: str, *, by: str | None = None, override: str | None = None, wait: bool = True
    ) -> Task:
        self._call("accept", task_id, override)
        return await self._change(task_id, approved_by="human:ana")

    async def reject(self, task_id: str, reason: str) -> Task:
        self._call("reject", task_id, reason)
        return await self._change(task_id, queue=Queue.INCOMING, reason=reason, rejection_count=1)

    async def act(
        self,
        task_id: str,
        action: Action,
        *,
        reason: str | None = None,
        to: Queue | None = None,
        version: int | None = None,
    ) -> Task:
        self._call("act", task_id, action)
        ends = {
            Action.CANCEL: Queue.CANCELLED,
            Action.RETRY: Queue.INCOMING,
            Action.HOLD: Queue.BACKLOG,
            Action.ENQUEUE: Queue.INCOMING,
        }
        return await self._change(task_id, queue=ends[action], lease_expires_at=None)

    async def answer(self, message_id: str, text: str, *, rule: RuleWish | None = None) -> Message:
        self._call("answer", message_id, text, *(() if rule is None else (rule.scope,)))
        asked = next(m for m in self.backend.messages if m.id == message_id)
        await self.backend.post(replace(asked, answer=text, answered_at=NOW))
        return asked

    async def note(self, task_id: str, text: str) -> Message:
        self._call("note", task_id, text)
        posted = note(f"note-{len(self.calls)}", task_id, text, created_at=NOW)
        await self.backend.post(posted)
        return posted

    async def diff(self, task_id: str) -> str:
        self._call("diff", task_id)
        return self.diffs.get(task_id, "")

    async def why(self, task_id: str) -> Explanation:
        self._call("why", task_id)
        gates = (
            passed("paused", "the scheduler is not paused"),
            closed("role", "every implement agent is busy (3 of 3)", NOW + timedelta(minutes=4)),
            passed("budget", "$3.18 of $20.00 used today"),
        )
        return Explanation(task_id, "waits for a free implement agent", gates)

    async def interrupt(self, name: str, text: str) -> Message:
        self._call("interrupt", name, text)
        posted = note(f"note-{len(self.calls)}", name, text, created_at=NOW)
        await self.backend.post(posted)
        return posted

    def pages(self, run_id: str) -> FixedPages:
        return FixedPages(self.transcripts, run_id)

    async def notices(self) -> tuple[Notice, ...]:
        return self.troubles

    async def pause(self, reason: str | None = None) -> None:
        self._call("pause", reason)
        self.backend.pause_state = Pause(True, "human:ana", reason, NOW)
        await self.backend.emit("pause", "pause")

    async def resume(self) -> None:
        self._call("resume")
        self.backend.pause_state = Pause(False)
        await self.backend.emit("pause", "pause")


DIFF = """\
diff --git a/src/cache/store.py b/src/cache/store.py
index 4f1c2ab..9ab34c0 100644
--- a/src/cache/store.py
+++ b/src/cache/store.py
@@ -10,13 +10,17 @@ class Store:
     def __init__(self, path: Path, limit: int) -> None:
         self._path = path
         self._limit = limit
-        self._items = {}
+        self._items: OrderedDict[str, bytes] = OrderedDict()
+        self._size = 0

     def put(self, key: str, value: bytes) -> None:
-        self._items[key] = value
+        self._size += len(value) - len(self._items.pop(key, b""))
+        self._items[key] = value
+        while self._size > self._limit:
+            _, evicted = self._items.popitem(last=False)
+            self._size -= len(evicted)

     def get(self, key: str) -> bytes | None:
         return self._items.get(key)
diff --git a/tests/test_store.py b/tests/test_store.py
new file mode 100644
index 0000000..8d1f3e2
--- /dev/null
+++ b/tests/test_store.py
@@ -0,0 +1,8 @@
+from cache.store import Store
+
+
+def test_oldest_entry_is_evicted_first(tmp_path):
+    store = Store(tmp_path, limit=4)
+    store.put("a", b"123")
+    store.put("b", b"456")
+    assert store.get("a") is None
"""

BODY = """\
Reads of the cache grow without bound: a long session ends in an out-of-memory kill.

Bound the store by bytes, evict the least recently written entry first, and keep `get` free of locks.

Done when:
- a test shows that the oldest entry goes first
- `make test` and `make lint` pass
"""


def transcript(*steps: tuple[str, dict[str, Any]]) -> list[AgentEvent]:
    return [
        AgentEvent(ago(minutes=13) + timedelta(seconds=9 * n), kind, data, "out", n + 1)
        for n, (kind, data) in enumerate(steps)
    ]


def fleet() -> FixedDesk:
    """A small fleet in the middle of its work."""
    lease = {"orchestrator_id": MACHINE, "attempt_count": 1}
    tasks = [
        task("01kc7m2q9x4hd", "Stream the audit log to the archive bucket", Queue.ESCALATED,
             priority=Priority.P1, attempt_count=3, reason="three attempts failed: checks: integration",
             completed_at=None, updated_at=ago(minutes=31)),
        task("01kc7m2q9x4a1", "Bound the cache by bytes and evict the oldest entry", Queue.PROVISIONAL,
             priority=Priority.P1, submitted_at=ago(minutes=3), attempt_count=1, body=BODY,
             head_sha="9ab34c01" * 5, complexity=Complexity.M),
        task("01kc7m2q9x4a2", "Explain every setting in the reference", Queue.PROVISIONAL,
             submitted_at=ago(minutes=22), attempt_count=2, rejection_count=1, type=TaskType.DOCS),
        task("01kc7m2q9x4a3", "Retry uploads with jitter", Queue.PROVISIONAL, submitted_at=ago(minutes=44),
             attempt_count=1, approved_by="human:ana", approved_at=ago(seconds=12)),
        task("01kc7m2q9x4b1", "Move sessions to the new token format", Queue.CLAIMED, priority=Priority.P0,
             claimed_by="impl-1", claimed_at=ago(minutes=14), run_id="run-1",
             lease_expires_at=NOW + timedelta(minutes=4, seconds=40), **lease),
        task("01kc7m2q9x4b2", "Choose and wire a rate limiter for the public API", Queue.CLAIMED,
             priority=Priority.P1, claimed_by="impl-2", claimed_at=ago(minutes=25), run_id="run-2",
             lease_expires_at=NOW + timedelta(minutes=2, seconds=10), **lease),
        task("01kc7m2q9x4b3", "Find out why the nightly import is slow", Queue.CLAIMED,
             claimed_by="impl-3", claimed_at=ago(minutes=2), run_id="run-3",
             lease_expires_at=NOW + timedelta(seconds=38), **lease),
        task("01kc7m2q9x4c1", "Paginate the task list by key", priority=Priority.P1, created_at=ago(hours=1)),
        task("01kc7m2q9x4c2", "Replace the date picker", created_at=ago(minutes=50)),
        task("01kc7m2q9x4c3", "Drop support for the old config file", priority=Priority.P3,
             rejection_count=1, reason="kept a reader for the old keys"),
        task("01kc7m2q9x4d1", "Return 429 with Retry-After", Queue.BLOCKED,
             blocked_by=("01kc7m2q9x4b2",), reason="waits for 01kc7m2q9x4b2"),
        task("01kc7m2q9x4d2", "Document the limits of the API", Queue.BLOCKED, type=TaskType.DOCS,
             blocked_by=("01kc7m2q9x4d1",), reason="waits for 01kc7m2q9x4d1"),
        task("01kc7m2q9x4e1", "Upgrade the compiler to the next major version", Queue.FAILED,
             attempt_count=2, reason="checks failed: build", completed_at=ago(hours=2)),
        task("01kc7m2q9x4f1", "Collect ideas for the settings page", Queue.BACKLOG, priority=Priority.P3),
        task("01kc7m2q9x4g1", "Add a health endpoint", Queue.DONE, completed_at=ago(hours=3),
             attempt_count=1, merged_sha="77aa10ff" * 5),
        task("01kc7m2q9x4g2", "Cache the parsed configuration", Queue.DONE, completed_at=ago(hours=4),
             attempt_count=1, merged_sha="1c2d3e4f" * 5),
    ]  # fmt: skip
    backend = FixedBackend(tasks={t.id: t for t in tasks})
    backend.runs = [
        run("run-1", "01kc7m2q9x4b1", "impl-1"),
        run("run-2", "01kc7m2q9x4b2", "impl-2", status=RunStatus.WAITING, cost_usd=0.88, turns=31,
            started_at=ago(minutes=25), last_activity_at=ago(minutes=6)),
        run("run-3", "01kc7m2q9x4b3", "impl-3", cost_usd=0.03, turns=2, tokens_input=900,
            tokens_output=240, tokens_cache_read=4100, started_at=ago(minutes=2),
            last_activity_at=ago(seconds=41)),
        run("run-4", "01kc7m2q9x4a1", "impl-1", status=RunStatus.ENDED, outcome=Outcome.SUBMITTED,
            reason="1 commit, checks passed", exit_code=0, commits_count=1, started_at=ago(minutes=21),
            last_activity_at=ago(minutes=4), ended_at=ago(minutes=3), head_sha="9ab34c01" * 5),
    ]  # fmt: skip
    backend.agents = [
        agent("impl-1", AgentStatus.BUSY, task_id="01kc7m2q9x4b1", run_id="run-1", pid=4211),
        agent("impl-2", AgentStatus.WAITING, task_id="01kc7m2q9x4b2", run_id="run-2", pid=4212),
        agent("impl-3", AgentStatus.BUSY, task_id="01kc7m2q9x4b3", run_id="run-3", pid=4213),
        agent("docs-1", AgentStatus.IDLE, role="docs", reason="provisional is full (3 of 3): review first"),
        agent("review-1", AgentStatus.ERROR, role="review", reason="program 'codex' not found on PATH"),
    ]
    backend.orchestrators = [
        Orchestrator(
            MACHINE, "home", "laptop", 4100, "active", ago(hours=6), ago(seconds=11), ago(seconds=21)
        )
    ]
    backend.messages = [
        note("m-1", "01kc7m2q9x4b2", "Prefer something without a new service.", created_at=ago(minutes=24)),
        question("m-2", "01kc7m2q9x4b2", "Which algorithm should the limiter use? A token bucket allows "
                 "short bursts; a sliding window is stricter and needs more memory per client.",
                 "token bucket", "sliding window", "whichever is simpler", run_id="run-2"),
        question("m-3", "01kc7m2q9x4b1", "May I run `npm install` in the worktree?", "allow once",
                 "allow for this task", "deny", kind=MessageKind.PERMISSION, run_id="run-1",
                 sender=Actor(SenderType.WORKER, "impl-1"), created_at=ago(minutes=1)),
    ]  # fmt: skip
    backend.evidence = [evidence("01kc7m2q9x4a1", "test"), evidence("01kc7m2q9x4a1", "lint")]
    backend.evidence.append(evidence("01kc7m2q9x4a2", "links", 1, output_tail="2 dead links\n"))
    desk = FixedDesk(backend, diffs={"01kc7m2q9x4a1": DIFF, "01kc7m2q9x4a2": DIFF})
    desk.transcripts["run-4"] = transcript(
        ("session.started", {"session_ref": "5e1f", "version": "2.0.1", "model": "sonnet"}),
        ("message", {"role": "assistant", "text": "I will look at the store first."}),
        ("tool.started", {"tool_id": "t1", "name": "Read", "title": "src/cache/store.py", "input": {}}),
        ("tool.finished", {"tool_id": "t1", "status": "completed", "output": "class Store: …"}),
        ("message", {"role": "assistant", "text": "The dictionary is never bounded.\nI will count bytes."}),
        ("tool.started", {"tool_id": "t2", "name": "Bash", "title": "make test", "input": {}}),
        ("tool.finished", {"tool_id": "t2", "status": "failed", "output": "1 failed, 211 passed"}),
        ("usage", {"input": 18400, "output": 5120, "cost_usd": 0.42, "turns": 12}),
        ("turn.finished", {"outcome": "completed", "text": "Bounded the store by bytes."}),
        ("exited", {"code": 0}),
    )
    return desk


def recorded() -> FixedDesk:
    """The fleet, where the work to review is a run of Claude Code as it was recorded."""
    desk, events = fleet(), [read_event(line) for line in RECORDING.read_bytes().splitlines()]
    desk.transcripts["run-4"] = events
    asked = [event.data for event in events if event.kind == "request.opened"]
    desk.backend.messages += [
        question(
            f"r-{number}", "01kc7m2q9x4a1", data["question"], run_id="run-4",
            request_id=f"{data['request_id']}.0", answered_at=NOW,
            answer="the oldest" if data["kind"] == "question" else "allow",
        )
        for number, data in enumerate(asked)
    ]  # fmt: skip
    ours = next(run for run in desk.backend.runs if run.id == "run-4")
    session = next(event.data["session_ref"] for event in events if event.kind == "session.started")
    desk.backend.runs[desk.backend.runs.index(ours)] = replace(ours, session_id=session)
    return desk


LIMITER = """\
The public API has no limit: one client can slow everybody down.

- a token bucket per key, kept in the process
- 429 with Retry-After, and the limits in every answer
- the limits in the reference

Open: whether internal callers are counted too.
"""


def planned() -> FixedDesk:
    """The fleet with projects, drafts, rules, and what all of it has cost."""
    desk = fleet()
    backend = desk.backend
    of = {"b2": "limits", "d1": "limits", "d2": "limits", "c1": "limits", "g1": "limits", "b1": "sessions",
          "a1": "cache", "g2": "cache", "a2": "docs"}  # fmt: skip
    for end, project_id in of.items():
        task_id = f"01kc7m2q9x4{end}"
        backend.tasks[task_id] = replace(backend.tasks[task_id], project_id=project_id)
    listed = (
        project("limits", "Limits for the public API", base_branch="api-limits",
                description="No client may slow the others down.\n\nDone when the load test of the "
                "gateway holds with one client that sends all it can."),
        project("sessions", "New token format for sessions"),
        project("cache", "A cache that stays within its size", auto_accept=True),
        project("docs", "Reference of every setting"),
        project("2025-import", "Import from the old tracker", ProjectStatus.COMPLETED),
        project("desktop", "A desktop program", ProjectStatus.ABANDONED),
    )  # fmt: skip
    backend.projects = {one.id: one for one in listed}
    papers = (
        draft(
            "01kc7m2q9x6a1",
            "A rate limiter for the public API",
            DraftStatus.PROMOTED,
            body=LIMITER,
            project_id="limits",
            task_ids=("01kc7m2q9x4b2", "01kc7m2q9x4d1", "01kc7m2q9x4d2"),
        ),
        draft(
            "01kc7m2q9x6a2",
            "Limits for callers inside of the network",
            DraftStatus.PROPOSED,
            project_id="limits",
            body=LIMITER,
            tags=("api", "limits"),
            updated_at=ago(minutes=20),
        ),
        draft("01kc7m2q9x6a3", "A settings page", updated_at=ago(days=1)),
        draft("01kc7m2q9x6a4", "Sign commits of agents", updated_at=ago(hours=2)),
        draft("01kc7m2q9x6a5", "A mascot", DraftStatus.ARCHIVED),
    )
    backend.drafts = {one.id: one for one in papers}
    given = (
        rule("01kc7m2q9x7a1", "May I run `npm install` in the worktree?", "allow once", uses=14,
             last_used_at=ago(minutes=9)),
        rule("01kc7m2q9x7a2", "May I run `make *`?", "allow once", exact=False, scope=RuleScope.PROJECT,
             scope_id="", uses=61, last_used_at=ago(minutes=2)),
        rule("01kc7m2q9x7a3", "Which Python version do I write for?", "3.11 and later", uses=3,
             kind=MessageKind.QUESTION, scope=RuleScope.AGENT, scope_id="impl-2",
             expires_at=NOW + timedelta(days=4), last_used_at=ago(hours=3)),
        rule("01kc7m2q9x7a4", "May I push to origin?", "deny", revoked_at=ago(hours=1)),
        rule("01kc7m2q9x7a5", "May I edit the lock file?", "allow once", uses=1, expires_at=ago(hours=2),
             last_used_at=ago(hours=9), author="human:bob"),
    )  # fmt: skip
    backend.rules = {one.id: one for one in given}
    backend.used = {
        UsageBy.PROJECT: [
            Usage("limits", 6, 1.52, 61_000, 14_200, 1_820_000, 90_000),
            Usage("cache", 3, 0.84, 30_100, 9_020, 610_000, 41_000),
            Usage("sessions", 1, 0.42, 18_400, 5_120, 412_000, 22_000),
            Usage("", 4, 0.40, 11_000, 2_300, 190_000, 9_000),
        ],
        UsageBy.AGENT: [
            Usage("impl-2", 5, 1.41, 52_000, 13_100, 1_610_000, 80_000),
            Usage("impl-1", 4, 1.26, 48_500, 14_140, 1_022_000, 63_000),
            Usage("impl-3", 3, 0.31, 11_900, 2_200, 300_000, 12_000),
            Usage("docs-1", 2, 0.20, 8_100, 1_200, 100_000, 7_000),
        ],
        UsageBy.TASK: [
            Usage("01kc7m2q9x4b2", 4, 1.32, 49_000, 12_000, 1_510_000, 71_000),
            Usage("gone-since", 7, 0.82, 31_100, 6_520, 650_000, 39_000),
            Usage("01kc7m2q9x4a1", 2, 0.62, 22_000, 7_000, 460_000, 30_000),
            Usage("01kc7m2q9x4b1", 1, 0.42, 18_400, 5_120, 412_000, 22_000),
        ],
    }
    desk.standing = Standing(
        (
            Line(Reach.AGENT, "impl-2", 1.41, 1.5, tokens=False),
            Line(Reach.PROJECT, "limits", 10.02, 10.0, tokens=False),
            Line(Reach.PROJECT, "cache", 3.4, 10.0, tokens=False),
            Line(Reach.DAY, "", 3.18, 20.0, tokens=False),
            Line(Reach.DAY, "", 313_000, 5_000_000, tokens=True),
        ),
        Budgets(task_usd=2.5, project_usd=10.0, day_usd=20.0, day_tokens=5_000_000),
    )
    return desk


def configured() -> FixedDesk:
    """The fleet with a configuration, parts of which come from the environment, and a problem in it."""
    desk = fleet()
    config = Config(
        mode="remote",
        server=Server(enabled=True, url="https://octopoid.example.org", api_key="sk-very-secret"),
        checks=(Check.from_text("make test"), Check(name="lint", command="make lint", timeout_s=120)),
        limits=Limits(provisional=3, attempts=3),
        budgets=Budgets(task_usd=2.5, day_usd=20.0),
        keys={"task.accept": "A"},
        theme="light",
    )
    specs = (
        AgentSpec(name="impl", role="implement", model="sonnet", max_instances=3, timeout=5400,
                  env={"TOKEN": "hunter2"}, permissions="accept-edits", day_usd=1.5),
        AgentSpec(name="docs-1", role="docs", adapter="command", command=("sh", "-c", "scribe --stdin")),
        AgentSpec(name="review-1", role="review", adapter="codex", program="/opt/codex/bin/codex",
                  paused=True),
    )  # fmt: skip
    lines = {
        "checks": 8, "checks[0]": 9, "checks[1]": 10, "checks[1].name": 10, "checks[1].command": 11,
        "checks[1].timeout_s": 12, "limits": 14, "limits.provisional": 15, "limits.attempts": 16,
        "budgets": 17, "budgets.task_usd": 18, "budgets.day_usd": 19, "keys": 21, "theme": 22,
    }  # fmt: skip
    sources = {key: f".octopoid/config.yaml:{line}" for key, line in lines.items()}
    sources |= dict.fromkeys(("mode", "server.enabled", "server.url"), "OCTOPOID_SERVER")
    sources["server.api_key"] = "OCTOPOID_API_KEY"
    names = ("name", "role", "model", "max_instances", "timeout", "env", "permissions", "day_usd")
    sources |= {f"agents[0].{name}": f".octopoid/agents.yaml:{n}" for n, name in enumerate(names, 2)}
    loaded = Loaded(FOLDER, config, specs, sources, ())
    problem = (
        "the configuration was changed and is not used, the last good one is: .octopoid/config.yaml:16: "
    )
    problem += "limits.attempts is not valid: expected a whole number"
    desk.configured = settings(loaded, Notice(problem, error=True))
    desk.troubles = desk.configured.problems
    return desk


LEFT = ago(hours=17)
"""When the person of `away` left: Dec 31, 18:30."""


def happened(entity: str, entity_id: str, kind: str, at: datetime, **known: Any) -> Event:
    base: dict[str, Any] = {
        "seq": 0, "actor": "system:scheduler", "from_state": None, "to_state": None, "version": None,
        "reason": None, "data": {},
    }  # fmt: skip
    return Event(entity=entity, entity_id=entity_id, kind=kind, at=at, **{**base, **known})


def moves(end: str, *steps: tuple[datetime, str, str], reason: str | None = None) -> list[Event]:
    """The way of one task through its queues; the reason is that of the last step."""
    before, found = "incoming", []
    for number, (at, kind, queue) in enumerate(steps, 1):
        found.append(
            happened(
                "task", f"01kc7m2q9x4{end}", kind, at, from_state=before, to_state=queue,
                reason=reason if number == len(steps) else None,
                actor="human:ana" if kind == "approve" else "system:scheduler",
            )
        )  # fmt: skip
        before = queue
    return found


def away() -> FixedDesk:
    """The fleet after a night: what happened before and after the person left, in the log."""
    desk = planned()
    backend = desk.backend
    for end, by in (("g1", "human:ana"), ("g2", "auto")):
        task_id = f"01kc7m2q9x4{end}"
        backend.tasks[task_id] = replace(backend.tasks[task_id], approved_by=by)
    events = [
        *moves("f1", (ago(hours=30), "create", "incoming"), (ago(hours=29), "hold", "backlog")),
        happened("alert", "old", "raise", ago(hours=26), reason="long ago"),
        *moves("g2", (ago(hours=6), "claim", "claimed"), (ago(hours=5), "submit", "provisional"),
               (ago(hours=4.5), "approve", "provisional"), (ago(hours=4), "accept", "done")),
        *moves("g1", (ago(hours=5), "claim", "claimed"), (ago(hours=4), "submit", "provisional"),
               (ago(hours=3), "accept", "done")),
        *moves("e1", (ago(hours=4), "claim", "claimed"), (ago(hours=3), "release", "incoming"),
               (ago(hours=2.5), "claim", "claimed"), (ago(hours=2), "fail", "failed"),
               reason="checks failed: build"),
        *moves("hd", (ago(hours=1), "claim", "claimed"), (ago(minutes=31), "escalate", "escalated"),
               reason="three attempts failed: checks: integration"),
        *moves("a2", (ago(hours=2), "claim", "claimed"), (ago(minutes=22), "submit", "provisional")),
        *moves("a1", (ago(minutes=21), "claim", "claimed"), (ago(minutes=3), "submit", "provisional")),
        *moves("a3", (ago(hours=1), "claim", "claimed"), (ago(minutes=44), "submit", "provisional")),
        *moves("b2", (ago(minutes=25), "claim", "claimed")),
        *moves("b1", (ago(minutes=14), "claim", "claimed")),
        happened("alert", "quota:claude", "raise", ago(hours=9), reason="claude refuses work: 5-hour limit",
                 data={"until": CLOCK.now_ms() - 3_600_000}),
        happened("alert", "budget:limits", "raise", ago(minutes=40),
                 reason="project limits has used $10.02 of its $10.00"),
        *(happened("rule", "01kc7m2q9x7a2", "use", ago(hours=2, minutes=n)) for n in range(3)),
    ]  # fmt: skip
    backend.log = [replace(one, seq=n) for n, one in enumerate(sorted(events, key=lambda e: e.at), 1)]
    backend.seq = len(backend.log)
    return desk


def empty() -> FixedDesk:
    """A project on its first day."""
    return FixedDesk(FixedBackend(cost=0.0))
