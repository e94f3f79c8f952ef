"""`init` and `validate`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from backend.config.describe import describe
from backend.config.init import write_initial
from backend.config.load import load
from backend.config.locate import find_octopoid_dir
from backend.errors import BadInput, ConfigError
from octopoid_tui.cli.output import say, say_json, warn
from octopoid_tui.cli.tasks import JsonFlag

NEXT_WITH_SERVER = (
    "work starts from and goes into {branch}; next: put the server's key into OCTOPOID_API_KEY or into "
    ".octopoid/api_key (mode 600), edit agents.yaml, then run `octopoid doctor`"
)


def init(
    local: Annotated[
        bool, typer.Option("--local", help="Keep the state in this folder (the default).")
    ] = False,
    server: Annotated[str | None, typer.Option(metavar="URL", help="Keep the state on this server.")] = None,
    cluster: Annotated[str | None, typer.Option(help="The group of machines this one belongs to.")] = None,
    machine_id: Annotated[str | None, typer.Option(help="This machine's name within the cluster.")] = None,
    update_checkout: Annotated[
        bool | None, typer.Option(help="Whether accepting may fast-forward your clean checkout.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Set up Octopoid in this git repository: write `.octopoid/` with its configuration."""
    if local and server is not None:
        raise BadInput("--local and --server cannot go together", "choose where the state lives")
    root, branch = ready_repository(Path.cwd())
    update = ask_update_checkout() if update_checkout is None else update_checkout
    written = write_initial(
        root,
        mode="local" if server is None else "remote",
        main_branch=branch,
        server_url=server,
        cluster=cluster,
        machine_id=machine_id,
        update_checkout=update,
    )
    if as_json:
        say_json({"written": [str(path) for path in written], "main_branch": branch})
    else:
        say("\n".join(f"wrote {path}" for path in written))
    if shutil.which("claude") is not None:
        warn("Claude Code is installed: agents.yaml holds an entry for it, take its comment signs off")
    if server is not None:
        warn(NEXT_WITH_SERVER.format(branch=branch))
    else:
        warn(f"work starts from and goes into {branch}; next: edit agents.yaml, then run `octopoid doctor`")


def ask_update_checkout() -> bool:
    """Ask once, on a terminal; elsewhere the default."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return typer.confirm(
        "May accepting work fast-forward your own checkout when it is clean?", default=True, err=True
    )


def validate(
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every key with its type, default and meaning.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check the configuration, or explain its keys."""
    if explain:
        _explain(as_json)
        return
    folder = find_octopoid_dir(Path.cwd())
    try:
        loaded = load(folder)
    except ConfigError as error:
        if not as_json:
            raise
        say_json({"valid": False, "problems": [str(error), *error.details], "warnings": []})
        raise typer.Exit(error.exit_status) from None
    from octopoid_tui.cli.checkup import check_agents
    from scheduler.project import Project

    findings = [finding for finding in check_agents(Project.open(Path.cwd())) if finding.level != "ok"]
    warnings = [*loaded.warnings, *(str(finding) for finding in findings)]
    if as_json:
        say_json({"valid": True, "problems": [], "warnings": warnings})
        return
    for line in warnings:
        warn(f"warning: {line}")
    agents = len(loaded.agents)
    say(f"{folder} is valid: {agents} agent{'s' * (agents != 1)}, {len(loaded.sources)} keys set")


def _explain(as_json: bool) -> None:
    keys = describe()
    if as_json:
        fields = ("file", "path", "type", "default", "description")
        say_json([{name: getattr(key, name) for name in fields} for key in keys])
        return
    for file in dict.fromkeys(key.file for key in keys):
        say(f"{file}\n")
        for key in (key for key in keys if key.file == file):
            say(f"  {key.path}  ({key.type}; default: {key.default})\n      {key.description}")
        say()


def ready_repository(start: Path) -> tuple[Path, str]:
    """The root of the git repository around `start`, and its current branch, which has a commit.

    Raises:
        GitError: work cannot start from there; the error says what to type.
    """
    from scheduler.git.errors import GitError, NoCommits, NotARepository, RepositoryUnsupported
    from scheduler.git.inspect import inspect

    try:
        facts = inspect(start)
    except NotARepository:
        raise NotARepository(
            f"{start} is in no git repository",
            "go to your project, or make one: git init && git add -A && git commit",
        ) from None
    if facts.is_bare:
        raise RepositoryUnsupported(f"{facts.root} is a bare repository", "run init in a checkout of it")
    if facts.head_sha is None:
        raise NoCommits(
            f"{facts.root} has no commit to start from",
            "make one: git commit --allow-empty -m 'First commit'",
        )
    if facts.is_shallow:
        raise RepositoryUnsupported(f"{facts.root} is a shallow clone", "complete it: git fetch --unshallow")
    if facts.current_branch is None:
        raise GitError(f"{facts.root} is on no branch", "go to your main branch first: git switch BRANCH")
    return facts.root, facts.current_branch
