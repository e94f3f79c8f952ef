"""Names of refs. Every ref is used in full, and nothing unchecked becomes part of one."""

from __future__ import annotations

import re

from backend.ids import check_id
from scheduler.git.errors import BadName

UPSTREAM = "refs/octopoid/upstream/"
FOLLOWED = "refs/octopoid/followed/"
ATTEMPTS = "refs/octopoid/attempts/"
RESCUE = "refs/octopoid/rescue/"
RESCUE_MORE = "refs/octopoid/rescue-more/"
MERGED = "refs/octopoid/merged/"
REPLACED = "refs/octopoid/replaced/"
BASES = "refs/octopoid/bases/"
RESERVED = "octopoid"
MAX_BRANCH = 200

_COMPONENT = re.compile(r"[^\W][\w.+@#=-]*")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_sha(text: str) -> bool:
    """Whether `text` is a full object id."""
    return _SHA.fullmatch(text) is not None


def check_sha(text: str) -> str:
    """Return `text` if it is a full object id.

    Raises:
        BadName: if it is anything else, an abbreviation included.
    """
    if not is_sha(text):
        raise BadName(f"{text[:80]!r} is not a full commit id", "give all 40 hexadecimal digits")
    return text


def check_branch(name: str) -> str:
    """Return `name` if it may be a base or target branch.

    Stricter than `git check-ref-format`: letters, digits and `_ . + @ # = -` in components that begin
    with a letter, digit or `_`, joined by `/`.

    Raises:
        BadName: if the name is not usable, or belongs to Octopoid's own branches.
    """
    parts = name.split("/")
    fits = (
        0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_BRANCH
        and all(_COMPONENT.fullmatch(part) for part in parts)
        and not any(part.endswith((".", ".lock")) for part in parts)
        and ".." not in name
        and name not in ("HEAD", "@")
        and parts[0] != "refs"
    )
    if not fits:
        raise BadName(
            f"branch name {name[:80]!r} is not usable",
            "use letters, digits and _ . + @ # = - in parts joined by '/', without the leading 'refs/heads/'",
        )
    if parts[0] == RESERVED:
        raise BadName(
            f"branch {name!r} is in the namespace of Octopoid's task branches",
            "name a base branch that does not begin with 'octopoid'",
        )
    return name


def branch_ref(name: str) -> str:
    """The full ref of a base or target branch."""
    return f"refs/heads/{check_branch(name)}"


def upstream_ref(name: str) -> str:
    """Where the hub remembers the user's branch as it last saw it."""
    return f"{UPSTREAM}{check_branch(name)}"


def followed_ref(name: str) -> str:
    """The state of the user's branch that the hub's target has taken in."""
    return f"{FOLLOWED}{check_branch(name)}"


def work_branch(task_id: str) -> str:
    """The short name of a task's branch."""
    return f"{RESERVED}/{check_id(task_id, 'task id')}"


def work_ref(task_id: str) -> str:
    """The task's branch, in the hub and in its workspaces."""
    return f"refs/heads/{work_branch(task_id)}"


def attempt_ref(task_id: str, attempt: int) -> str:
    """Where the collected work of one attempt lies in the hub."""
    return f"{ATTEMPTS}{check_id(task_id, 'task id')}/{_number(attempt, 'attempt')}"


def rescue_ref(task_id: str, attempt: int, n: int) -> str:
    """The nth saved state of an attempt's workspace."""
    return f"{RESCUE}{check_id(task_id, 'task id')}/{_number(attempt, 'attempt')}/{_number(n, 'number')}"


def rescue_more_ref(task_id: str, attempt: int, n: int, index: int) -> str:
    """A further commit saved with the nth state: other branches, stashes, commits that were reset away."""
    head = f"{RESCUE_MORE}{check_id(task_id, 'task id')}/{_number(attempt, 'attempt')}"
    return f"{head}/{_number(n, 'number')}/{_number(index, 'index')}"


def merged_ref(task_id: str) -> str:
    """Where the hub records the task's one merge commit."""
    return f"{MERGED}{check_id(task_id, 'task id')}"


def _number(value: int, what: str) -> int:
    if value < 0:
        raise BadName(f"{what} {value} is negative", "count from 0")
    return value
