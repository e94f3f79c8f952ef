"""Write the first configuration of a project."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, Literal

import msgspec

from backend.config.branch import check_branch
from backend.config.locate import DIRECTORY, GITIGNORE, Layout
from backend.config.rules import url_problem
from backend.config.schema import AgentSpec
from backend.config.shipped import shipped
from backend.errors import BadInput, Refused
from backend.ids import check_id


def write_initial(
    repo_root: Path,
    *,
    mode: Literal["local", "remote"],
    main_branch: str,
    server_url: str | None = None,
    cluster: str | None = None,
    machine_id: str | None = None,
    update_checkout: bool = True,
    agents: Sequence[AgentSpec] | None = None,
) -> list[Path]:
    """Write `.octopoid/config.yaml`, `agents.yaml` and `.gitignore`, with comments.

    A `.gitignore` that is there already is left alone.

    Args:
        agents: the agents to begin with; the shipped ones by default.

    Returns:
        The files written.

    Raises:
        Refused: a file is there already; nothing has been written then.
        BadInput: a value does not fit.
    """
    config = _config_text(mode, main_branch, server_url, cluster, machine_id, update_checkout)
    template = shipped("agents.yaml").read_text(encoding="utf-8")
    layout = Layout(repo_root / DIRECTORY)
    if layout.root.is_symlink():
        raise Refused(f"{layout.root} is a symbolic link", "remove it; the folder must be the project's own")
    for path in (layout.config, layout.agents):
        if os.path.lexists(path):
            raise Refused(f"{path} exists already", "edit it, or remove it first")
    layout.root.mkdir(mode=0o700, exist_ok=True)
    files = [(layout.config, config), (layout.agents, template if agents is None else agents_text(agents))]
    if not os.path.lexists(layout.gitignore):
        files.append((layout.gitignore, GITIGNORE))
    return _write_all(files)


def agents_text(agents: Sequence[AgentSpec]) -> str:
    """agents.yaml for these agents, keys that have their default left out."""
    lines = ["# The agents of this machine; `octopoid validate` explains every key.", "agents:"]
    for spec in agents:
        for number, (name, value) in enumerate(_given(spec).items()):
            lines.append(f"  {'- ' if number == 0 else '  '}{name}: {_scalar(value)}")
    return "\n".join(lines if agents else [lines[0], "agents: []"]) + "\n"


def _given(spec: AgentSpec) -> dict[str, Any]:
    default = AgentSpec(name="", role="")
    names = (info.name for info in msgspec.structs.fields(AgentSpec))
    return {name: getattr(spec, name) for name in names if getattr(spec, name) != getattr(default, name)}


def _scalar(value: Any) -> str:
    # JSON is YAML, and says the same to both.
    return json.dumps(value, ensure_ascii=True)


def _config_text(
    mode: str,
    main_branch: str,
    server_url: str | None,
    cluster: str | None,
    machine_id: str | None,
    update_checkout: bool,
) -> str:
    check_branch(main_branch, "main branch")
    if mode == "remote":
        if server_url is None:
            raise BadInput("mode remote needs the server's address", "give it with --server URL")
        reason = url_problem(server_url)
        if reason:
            raise BadInput(f"--server {reason}", "for example https://octopoid.example.org")
    elif server_url is not None:
        raise BadInput("mode local has no server", "give either --local or --server URL")
    for name, value in (("cluster", cluster), ("machine id", machine_id)):
        if value is not None:
            check_id(value, name)
    server = {"enabled": True if mode == "remote" else None, "url": server_url, "cluster": cluster,
              "machine_id": machine_id}  # fmt: skip
    lines = [f"  {key}: {_scalar(value)}" for key, value in server.items() if value is not None]
    template = Template(shipped("config.yaml").read_text(encoding="utf-8"))
    return template.substitute(
        mode=mode,
        server="\n".join(["server:", *lines]) if lines else "# server:",
        main_branch=_scalar(main_branch),
        update_checkout=_scalar(update_checkout),
    )


def _write_all(files: list[tuple[Path, str]]) -> list[Path]:
    written: list[Path] = []
    try:
        for path, text in files:
            _write_new(path, text)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _write_new(path: Path, text: str) -> None:
    """Create the file with its whole content, for the owner alone, or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails where somebody else was faster.
        os.link(temporary, path)
    except FileExistsError:
        raise Refused(f"{path} exists already", "edit it, or remove it first") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
