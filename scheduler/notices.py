"""What stays wrong until a person does something about it, for the screen's banner and `octopoid status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import ConfigError
from backend.model import Alert
from backend.sync import SyncMode, SyncState
from scheduler.admission.world import moment
from scheduler.git.hub import Hub
from scheduler.git.names import FOLLOWED
from scheduler.git.target import pull_command
from scheduler.jobs import ALARM_AFTER, JobHealth
from scheduler.pipeline.deliver import waiting_branches
from scheduler.project import Project


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence that holds until its cause is gone."""

    text: str
    error: bool = False
    """Whether something is broken, and not merely odd."""


def config_notices(project: Project) -> tuple[Notice, ...]:
    """What is wrong with the configuration as it is now; the broken files first."""
    error = project.config_error
    broken = () if error is None else (Notice(_broken(error), error=True),)
    return (*broken, *(Notice(warning) for warning in project.loaded.warnings))


def _broken(error: ConfigError) -> str:
    more = len(error.details)
    others = f" (and {more} more: octopoid validate)" if more else ""
    return f"the configuration was changed and is not used, the last good one is: {error}{others}"


def alert_notices(alerts: Iterable[Alert]) -> tuple[Notice, ...]:
    """Providers that refuse work, and budgets that are spent or nearly so, with when that ends."""
    return tuple(Notice(_until(alert)) for alert in alerts)


def _until(alert: Alert) -> str:
    if alert.until is None:
        return alert.reason
    return f"{alert.reason} (until {alert.until.astimezone():%Y-%m-%d %H:%M})"


def job_notices(jobs: Iterable[JobHealth]) -> tuple[Notice, ...]:
    """The scheduler's jobs that fail again and again."""
    return tuple(
        Notice(
            f"the scheduler's job {job.name!r} has failed {job.failures} times in a row: {job.last_error}; "
            "see .octopoid/logs/scheduler.log",
            error=True,
        )
        for job in jobs
        if job.failures >= ALARM_AFTER
    )


def sync_notices(sync: SyncState) -> tuple[Notice, ...]:
    """That the server is away, and what it did not take."""
    found = []
    if sync.mode is SyncMode.OFFLINE:
        since = f" since {moment(sync.since)}" if sync.since else ""
        found.append(Notice(f"the server is away{since}; no new task is claimed"))
    if sync.conflicts:
        changes = "1 change" if sync.conflicts == 1 else f"{sync.conflicts} changes"
        found.append(Notice(f"the server did not take {changes}: octopoid conflicts, or s on the screen"))
    return tuple(found)


class Waiting:
    """Accepted work that has not reached the user's own branch. Blocking; asks git only after a change."""

    def __init__(self, hub: Hub, repo: Path) -> None:
        self._hub = hub
        self._repo = repo
        self._seen: list[tuple[str, int, int]] | None = None
        self._notices: tuple[Notice, ...] = ()

    def look(self) -> tuple[Notice, ...]:
        """One notice a branch, with the command that takes the work now."""
        seen = self._signature()
        if seen != self._seen:
            self._notices = tuple(self._notice(branch) for branch in waiting_branches(self._hub))
            self._seen = seen
        return self._notices

    def _notice(self, branch: str) -> Notice:
        command = pull_command(self._hub, str(self._repo), branch)
        return Notice(f"accepted work waits until {branch} can be fast-forwarded; to take it now: {command}")

    def _signature(self) -> list[tuple[str, int, int]]:
        """When the refs were last written that say what waits."""
        followed = self._hub.path / FOLLOWED
        heads = self._hub.path / "refs" / "heads"
        names = [str(path.relative_to(followed)) for path in followed.rglob("*") if path.is_file()]
        written = [(name, _written(followed / name), _written(heads / name)) for name in sorted(names)]
        return [("", _written(self._hub.path / "packed-refs"), 0), *written]


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
