"""`run`, `start`, `stop`, and the door to `demo`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from backend.config.locate import Layout, find_octopoid_dir
from backend.errors import BadInput, OctopoidError, Refused
from backend.owner import OwnerLock
from octopoid_tui.cli.holder import UNSEEN, holding_pid, terminate
from octopoid_tui.cli.output import say, say_json, warn
from octopoid_tui.cli.session import open_project, refuse_inside_run, refuse_second_scheduler
from octopoid_tui.cli.tasks import JsonFlag

STOP_SECONDS = 30.0


def run(
    once: Annotated[
        bool, typer.Option("--once", help="Start what can start now and collect what has ended, then end.")
    ] = False,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End with 0 when nothing can go on without a person.")
    ] = False,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Go on in the background; print the process id.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, also to stderr.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True, help="Where to say that it runs.")] = None,
) -> None:
    """Run the scheduler without a screen, until Ctrl-C or `octopoid stop`.

    Agents outlive it: the next scheduler, or the screen, goes on with them.
    """
    if once + until_idle + daemon > 1:
        raise BadInput("--once, --until-idle and --daemon exclude each other", "give one of them")
    project = open_project()
    refuse_inside_run(project)
    if daemon:
        from octopoid_tui.cli.daemon import detach

        refuse_second_scheduler(project)
        say(str(detach(project.layout, debug=debug)))
        return
    from octopoid_tui.cli.running import Mode, serve

    mode = Mode.ONCE if once else Mode.UNTIL_IDLE if until_idle else Mode.FOREVER
    asyncio.run(serve(project, mode, debug=debug, ready_fd=ready_fd))


def stop(as_json: JsonFlag = False) -> None:
    """Stop the scheduler that `octopoid run` started here, and wait until it has ended; agents go on."""
    layout = Layout(find_octopoid_dir(Path.cwd()))
    pid = stop_owner(layout)
    if as_json:
        say_json({"stopped": pid})
    elif pid is None:
        warn("no scheduler runs here")
    else:
        say(f"stopped {pid}; agents go on, and the next scheduler adopts them")


def stop_owner(layout: Layout, timeout: float = STOP_SECONDS) -> int | None:
    """End the headless scheduler that owns the store; returns its process id, or None when there is none.

    Raises:
        Refused: the screen owns the store, or a process that cannot be seen from here.
    """
    pid, holder = holding_pid(layout.owner_lock), OwnerLock(layout.owner_lock).holder()
    if pid is None:
        return None
    if pid == UNSEEN or holder is None or holder.pid != pid:
        raise Refused(
            "the store is owned by a process that cannot be identified", "stop it where it was started"
        )
    if holder.what == "screen":
        raise Refused(f"the scheduler runs within the screen (process {pid})", "close the screen with q")
    if holder.what != "run":
        return None
    if not terminate(layout.owner_lock, pid, timeout):
        raise OctopoidError(
            f"process {pid} has not ended within {timeout:.0f} s", f"see {layout.logs}/scheduler.log"
        )
    return pid


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Without the screen: print what happens.")
    ] = False,
    as_json: JsonFlag = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the throw-away repository.")] = False,
) -> None:
    """Watch scripted agents work in a throw-away repository: no model, no network, no cost."""
    from octopoid_tui.cli.demo import demo as play

    raise typer.Exit(play(headless=headless, json=as_json, keep=keep))
