"""Into which tasks a task is to be split: read from an agent, shown to a person, made when approved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.clean import clean
from backend.errors import BadInput
from backend.ids import new_id
from backend.model import Complexity, Json, NewTask, Priority, Task, TaskType

KIND = "tasks"
METADATA = "plan"
"""Where a task's metadata holds its plan until it is approved."""

PARTS_LIMIT = 50
KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
ID_LIMIT = 64
TITLE_LIMIT = 200
BODY_LIMIT = 20_000
SUMMARY_LIMIT = 2000
CRITERIA_LIMIT = 30
CRITERION_LIMIT = 500
KNOWN = frozenset(
    {"key", "title", "body", "role", "priority", "type", "complexity", "acceptance", "blocked_by"}
)

RoleProblem = Callable[[str], str | None]
"""Why a task of a plan cannot have this role; None if it can."""


@dataclass(frozen=True, slots=True)
class Part:
    """One proposed task; `key` is its name within the plan."""

    key: str
    title: str
    body: str
    role: str
    priority: Priority
    type: TaskType
    complexity: Complexity | None
    acceptance: tuple[str, ...]
    blocked_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Proposed tasks, each able to begin once those it names are done."""

    summary: str
    parts: tuple[Part, ...]

    def to_json(self) -> Json:
        return {"summary": self.summary, "tasks": [_part_json(part) for part in self.parts]}

    def text(self) -> str:
        """As markdown, for a person to decide on."""
        return "\n\n".join([self.summary, *(_part_text(part) for part in self.parts)]).strip()


def read_plan(payload: Mapping[str, object], role_problem: RoleProblem = lambda role: None) -> Plan:
    """
    Raises:
        BadInput: it is no usable plan; `details` names each fault, for the agent to mend.
    """
    problems: list[str] = []
    given = payload.get("tasks")
    if not isinstance(given, list) or not 0 < len(given) <= PARTS_LIMIT:
        raise BadInput("the plan cannot be used", f'"tasks" is a list of 1 to {PARTS_LIMIT} tasks')
    parts = [part for n, one in enumerate(given, 1) if (part := _part(n, one, problems)) is not None]
    problems += _references(parts, role_problem)
    if problems:
        raise BadInput("the plan cannot be used", "write it again without these faults", tuple(problems[:50]))
    summary = payload.get("summary", "")
    said = clean(summary).strip()[:SUMMARY_LIMIT] if isinstance(summary, str) else ""
    return Plan(said, tuple(parts))


def plan_of(task: Task) -> Plan | None:
    """The plan that waits in a task to be approved; None when there is no usable one."""
    found = task.metadata.get(METADATA)
    if not isinstance(found, Mapping):
        return None
    try:
        return read_plan(found)
    except BadInput:
        return None


def tasks_of(plan: Plan, parent: Task, base_sha: str, created_by: str) -> list[NewTask]:
    """The tasks that a plan describes, with ids made of the parent's and their keys."""
    ids = {part.key: f"{parent.id}-{part.key}" for part in plan.parts}
    if any(len(one) > ID_LIMIT for one in ids.values()):
        ids = {key: new_id() for key in ids}
    return [
        NewTask(
            id=ids[part.key],
            title=part.title,
            role=part.role,
            base_branch=parent.base_branch,
            base_sha=base_sha,
            created_by=created_by,
            body=_full_body(part),
            priority=part.priority,
            type=part.type,
            complexity=part.complexity,
            blocked_by=tuple(ids[key] for key in part.blocked_by),
            project_id=parent.project_id,
            repo_url=parent.repo_url,
            metadata={"part_of": parent.id},
        )
        for part in _in_order(plan.parts)
    ]


def _part(number: int, given: object, problems: list[str]) -> Part | None:
    """One task of the plan, or None with its faults noted."""
    if not isinstance(given, dict):
        problems.append(f"task {number} is no object")
        return None
    key = given.get("key")
    name = f"task {key[:40]!r}" if isinstance(key, str) else f"task {number}"
    before = len(problems)
    if not isinstance(key, str) or not KEY.fullmatch(key):
        problems.append(f"task {number} has no usable key (lower-case letters, digits and -, at most 20)")
    unknown = sorted(str(field)[:40] for field in given.keys() - KNOWN)
    if unknown:
        problems.append(f"{name} has unknown fields: {', '.join(unknown[:5])}")
    title = _text(given, "title", TITLE_LIMIT, name, problems, required=True, newlines=False)
    body = _text(given, "body", BODY_LIMIT, name, problems)
    role = _text(given, "role", 64, name, problems, required=True, newlines=False)
    acceptance = _texts(given, "acceptance", name, problems)
    blocked_by = _texts(given, "blocked_by", name, problems)
    priority = _word(given, "priority", Priority, Priority.P2, name, problems)
    kind = _word(given, "type", TaskType, TaskType.FEATURE, name, problems)
    complexity = _word(given, "complexity", Complexity, None, name, problems)
    if len(problems) > before:
        return None
    return Part(str(key), title, body, role, priority, kind, complexity, acceptance, blocked_by)


def _text(
    given: Json, field: str, limit: int, name: str, problems: list[str], *,
    required: bool = False, newlines: bool = True,
) -> str:  # fmt: skip
    value = given.get(field, "")
    if not isinstance(value, str) or (required and not value.strip()):
        problems.append(f"{name} has no {field}" if value in ("", None) else f"{name}: {field} is no text")
        return ""
    if len(value) > limit:
        problems.append(f"{name}: {field} is longer than {limit} characters")
    return clean(value[:limit], newlines=newlines).strip()


def _texts(given: Json, field: str, name: str, problems: list[str]) -> tuple[str, ...]:
    value = given.get(field, [])
    if not isinstance(value, list) or len(value) > CRITERIA_LIMIT:
        problems.append(f"{name}: {field} is no list of at most {CRITERIA_LIMIT}")
        return ()
    if not all(isinstance(one, str) and one.strip() and len(one) <= CRITERION_LIMIT for one in value):
        problems.append(
            f"{name}: {field} holds something that is no text of 1 to {CRITERION_LIMIT} characters"
        )
        return ()
    return tuple(clean(one, newlines=False).strip() for one in value)


def _word(given: Json, field: str, kind: Any, otherwise: Any, name: str, problems: list[str]) -> Any:
    value = given.get(field)
    if value is None:
        return otherwise
    if not isinstance(value, str) or value not in frozenset(kind):
        problems.append(f"{name}: {field} is not one of {', '.join(kind)}")
        return otherwise
    return kind(value)


def _references(parts: Sequence[Part], role_problem: RoleProblem) -> list[str]:
    """What is wrong between the tasks: names used twice, unknown or circular, and roles."""
    problems = []
    keys = {part.key for part in parts}
    if len(keys) < len(parts):
        problems.append("two tasks have the same key")
    for part in parts:
        why = role_problem(part.role)
        if why is not None:
            problems.append(f"task {part.key!r}: {why}")
        unknown = sorted(set(part.blocked_by) - keys)
        if unknown:
            problems.append(
                f"task {part.key!r} waits for {', '.join(unknown[:5])}, which the plan does not have"
            )
    if not problems and len(_in_order(parts)) < len(parts):
        problems.append("some tasks wait for each other in a circle")
    return problems


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Each task after those it waits for; those in a circle are left out."""
    ordered: list[Part] = []
    placed: set[str] = set()
    rest = list(parts)
    while ready := [part for part in rest if placed.issuperset(part.blocked_by)]:
        ordered += ready
        placed.update(part.key for part in ready)
        rest = [part for part in rest if part.key not in placed]
    return ordered


def _full_body(part: Part) -> str:
    criteria = "\n".join(f"- {one}" for one in part.acceptance)
    return f"{part.body}\n\n## Acceptance criteria\n\n{criteria}".strip() if criteria else part.body


def _part_json(part: Part) -> Json:
    return {
        "key": part.key,
        "title": part.title,
        "body": part.body,
        "role": part.role,
        "priority": part.priority.value,
        "type": part.type.value,
        "complexity": part.complexity.value if part.complexity else None,
        "acceptance": list(part.acceptance),
        "blocked_by": list(part.blocked_by),
    }


def _part_text(part: Part) -> str:
    size = f", {part.complexity}" if part.complexity else ""
    waits = f", after {', '.join(part.blocked_by)}" if part.blocked_by else ""
    head = f"### {part.key}: {part.title}\n{part.priority}, {part.role}{size}{waits}"
    return f"{head}\n\n{_full_body(part)}".strip()
