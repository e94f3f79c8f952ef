"""`doctor`: everything Octopoid relies on, looked at in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import typer

from backend.config.locate import Layout, find_octopoid_dir
from backend.errors import EXIT_FAILED, NotFound, OctopoidError
from backend.owner import OwnerLock
from backend.sync import SyncMode, SyncState
from octopoid_tui.cli import checkup
from octopoid_tui.cli.checkup import Finding
from octopoid_tui.cli.holder import UNSEEN, holding_pid
from octopoid_tui.cli.output import GREEN, RED, YELLOW, Style, say_json, say_styled
from octopoid_tui.cli.session import open_store
from octopoid_tui.cli.tasks import JsonFlag
from octopoid_tui.formats import waiting_changes
from scheduler.project import Project
from scheduler.trust import untrusted

MARKS = {"ok": ("✓", GREEN), "warning": ("!", YELLOW), "broken": ("✗", RED)}


def doctor(as_json: JsonFlag = False) -> None:
    """Check everything Octopoid relies on; exits with 1 when something is broken."""
    findings = list(examine(Path.cwd()))
    if as_json:
        fields = ("level", "what", "text", "next_step")
        say_json([{name: getattr(finding, name) for name in fields} for finding in findings])
    else:
        style = Style()
        pad = max(len(finding.what) for finding in findings)
        say_styled("\n".join(_line(finding, style, pad) for finding in findings))
    if any(finding.level == "broken" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _line(finding: Finding, style: Style, pad: int) -> str:
    mark, colour = MARKS[finding.level]
    step = f"\n{' ' * (pad + 4)}→ {style(finding.next_step)}" if finding.next_step else ""
    return f"{style(mark, colour)} {style(finding.what.ljust(pad))}  {style(finding.text)}{step}"


def examine(start: Path) -> Iterator[Finding]:
    """Look at everything; what is set up no further than the repository is looked at so far."""
    yield checkup.check_python()
    yield checkup.check_git()
    yield checkup.check_sqlite()
    yield checkup.check_terminal()
    try:
        layout = Layout(find_octopoid_dir(start))
    except NotFound as error:
        yield checkup.check_repository(start, None)
        yield Finding("broken", "configuration", error.problem, error.next_step)
        return
    yield from _configured(layout, start)
    yield checkup.check_home(layout.root)
    yield checkup.check_disk(layout.root)
    yield checkup.check_filesystem(layout.root)
    yield checkup.check_log(layout)
    yield check_owner(layout)


def _configured(layout: Layout, start: Path) -> Iterator[Finding]:
    yield from checkup.check_config(layout.root)
    try:
        project = Project.open(start)
    except OctopoidError:
        # Told by check_config already; what needs a configuration cannot be looked at.
        yield checkup.check_repository(layout.project, None)
        return
    yield checkup.check_repository(project.repo, project.config.repo.main_branch)
    yield from checkup.check_agents(project)
    if project.config.mode == "remote" and untrusted(project) is None:
        yield check_server(project)


def check_server(project: Project) -> Finding:
    """Whether the server answers and takes the key, and how this machine stands with it."""

    async def ask() -> SyncState:
        async with await open_store(project, "command") as opened:
            return await opened.backend.sync_state()

    try:
        return server_finding(asyncio.run(ask()))
    except OctopoidError as error:
        return Finding("broken", "server", error.problem, error.next_step)


def server_finding(state: SyncState) -> Finding:
    server, waits = state.server or "the server", waiting_changes(state.pending)
    if state.mode is SyncMode.OFFLINE:
        why = state.trouble or "it does not answer"
        return Finding(
            "warning",
            "server",
            f"{server} is away ({why}); {waits}",
            "work goes on with what is known here; octopoid sync tries the server again",
        )
    if state.conflicts:
        took = f"it did not take {state.conflicts} of the changes made here"
        return Finding("warning", "server", f"{server} answers; {took}", "octopoid conflicts")
    return Finding("ok", "server", f"{server} answers; {waits}")


def check_owner(layout: Layout) -> Finding:
    """Who owns the store, and whether it serves others; or whether an earlier one left its socket behind."""
    pid, holder, socket = (
        holding_pid(layout.owner_lock),
        OwnerLock(layout.owner_lock).holder(),
        layout.socket(),
    )
    if pid == UNSEEN:
        return Finding("warning", "store", "a process outside of this container owns the store")
    if pid is not None:
        name = str(holder) if holder is not None and holder.pid == pid else f"process {pid}"
        return Finding(
            "ok", "store", f"owned by {name}" + (f", serving at {socket}" if socket.exists() else "")
        )
    if socket.exists():
        return Finding(
            "ok", "store", f"nobody owns it; an earlier owner left {socket}, the next one replaces it"
        )
    return Finding("ok", "store", "nobody owns it now: octopoid, or octopoid run")
