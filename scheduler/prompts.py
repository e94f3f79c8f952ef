"""What an agent is told: the task, everything said about it so far, and the work that exists already."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from backend.clean import clean
from backend.config.schema import Config
from backend.model import Evidence, Message, MessageKind, MessageType, Task
from scheduler.roles import Role

FEEDBACK_LIMIT = 20_000
"""Characters of feedback in one prompt; the newest is kept."""

DIFF_LIMIT = 60_000
"""Characters of the change in one prompt; the checkout has it whole."""

EVIDENCE_LIMIT = 2000
"""Characters of one check's output."""


@dataclass(frozen=True, slots=True)
class WorkSoFar:
    """What earlier attempts left behind."""

    commits: tuple[str, ...] = ()
    diff_stat: str = ""
    conflict: str = ""
    diff: str = ""


def build_prompt(
    role: Role,
    task: Task,
    messages: Sequence[Message],
    work: WorkSoFar,
    config: Config,
    evidence: Sequence[Evidence] = (),
) -> str:
    """Fill the role's template for this task; `evidence` is that of its newest commit."""
    return role.render(
        {
            "fence": secrets.token_hex(8),
            "task_id": task.id,
            "task_title": clean(task.title, newlines=False),
            "task_body": clean(task.body).strip() or "(no further description)",
            "base_branch": task.base_branch,
            "feedback": feedback(messages),
            "commits_so_far": "\n".join(f"- {clean(line, newlines=False)}" for line in work.commits),
            "diff_stat": clean(work.diff_stat),
            "diff": bounded(clean(work.diff), DIFF_LIMIT),
            "evidence": "\n".join(_evidence(item) for item in evidence),
            "head_sha": task.head_sha or "",
            "conflict_paths": clean(work.conflict),
            "checks": "\n".join(f"- `{check.command}`" for check in config.checks),
        }
    )


def feedback(messages: Sequence[Message]) -> str:
    """All that people and checks have said of this task, oldest first: reviews, notes and answers."""
    answered = (MessageType.REQUEST,)
    parts: list[str] = []
    for message in messages:
        if message.type in answered and message.answer is not None:
            parts.append(f"Question: {message.body}\nAnswer: {message.answer}")
        elif message.type is MessageType.STATUS and message.kind in (MessageKind.REVIEW, MessageKind.NOTE):
            heading = "Review" if message.kind is MessageKind.REVIEW else "Note"
            parts.append(f"{heading} by {message.sender.id}: {message.body}")
    text = clean("\n\n".join(parts))
    return text if len(text) <= FEEDBACK_LIMIT else "(older feedback left out)\n" + text[-FEEDBACK_LIMIT:]


def bounded(text: str, limit: int) -> str:
    """The beginning of a text, and how much of it is left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n(the rest is left out: {len(text) - limit} characters)"


def _evidence(item: Evidence) -> str:
    word = "passed" if item.passed else f"did not pass ({item.exit_code})"
    tail = item.output_tail.strip()[-EVIDENCE_LIMIT:]
    said = "".join(f"\n    {line}" for line in tail.splitlines())
    return f"- {clean(item.check, newlines=False)} {word}: `{clean(item.command, newlines=False)}`{said}"
