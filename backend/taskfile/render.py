"""Write a task as a file: markdown with a YAML header."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from backend.clock import to_iso
from backend.config.yamltree import resolve
from backend.taskfile.model import TaskFile

_SIMPLE: Final = re.compile(r"[A-Za-z0-9](?:[\w ./@+-]*[\w./@+-])?", re.ASCII)


class _Dumper(yaml.SafeDumper):
    """Writes what our own reader reads back as the same value."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    simple = _SIMPLE.fullmatch(text) is not None and isinstance(resolve(text), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if simple else '"')


_Dumper.add_representer(str, _text)


def render_task_file(task: TaskFile) -> str:
    """The file that `read_task_file` reads back as the same task."""
    header: dict[str, Any] = {
        "id": task.id,
        "title": task.title,
        "role": task.role,
        "priority": task.priority.value,
        "branch": task.branch,
        "project_id": task.project_id,
        "blocked_by": list(task.blocked_by),
        "needs": list(task.needs),
        "checks": list(task.checks),
        "type": task.type.value if task.type else None,
        "complexity": task.complexity.value if task.complexity else None,
        "auto_accept": task.auto_accept or None,
        "created_at": to_iso(task.created_at) if task.created_at else None,
        "created_by": task.created_by,
        "history": [{entry.key: entry.value} for entry in task.history],
    }
    given = {key: value for key, value in header.items() if value not in (None, [])}
    text = yaml.dump(
        {**given, **task.extra}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20
    )
    return f"---\n{text}---\n\n{task.body}\n" if task.body else f"---\n{text}---\n"
