"""Which tasks this machine has the commits for.

Several machines share a server, not their repositories: collected work lies in the hub of the machine that
did it, and a base commit is where somebody has fetched it.
"""

from __future__ import annotations

from backend.clock import Clock
from backend.model import Task
from scheduler.git.hub import Hub

LOOK_AGAIN_MS = 30_000
"""A commit that was not there is looked for again after so long."""


class Commits:
    """What this machine's hub holds, remembered: every cycle asks it of every waiting task."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._held: set[str] = set()
        self._missing: dict[str, int] = {}

    def lacking(self, task: Task) -> str | None:
        """Why the task cannot be worked on or merged here, as far as its commits go. Blocking."""
        if task.head_sha is not None and not self.has(task.head_sha):
            return "its work so far is on another machine"
        if task.base_sha and not self.has(task.base_sha):
            return f"its base commit {task.base_sha[:12]} is not in this repository: fetch it"
        return None

    def has(self, sha: str) -> bool:
        """Whether the hub has the commit, or could fetch it from the user's repository. Blocking."""
        if sha in self._held:
            return True
        now = self._clock.now_ms()
        if self._missing.get(sha, now) > now:
            return False
        if self._hub.fetch_commit(sha):
            self._missing.pop(sha, None)
            self._held.add(sha)
            return True
        self._missing[sha] = now + LOOK_AGAIN_MS
        return False
