"""Finding agent programs, and what is handed on to them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from backend.config.schema import AgentSpec
from scheduler.agents.interface import AgentUnavailable

PATIENCE_S = 60.0
"""How long a program may take to say its version."""


def find_program(name: str, env: dict[str, str], key: str) -> str:
    """The absolute path of a program, by the search path that the agent will have.

    Args:
        key: where agents.yaml names it.

    Raises:
        AgentUnavailable: no such program, or it may not be executed.
    """
    path = env.get("PATH", os.environ.get("PATH", os.defpath))
    found = shutil.which(name, path=path)
    if found is None and Path(name).exists():
        raise AgentUnavailable(f"agent program {name!r} is not executable", f"chmod +x {name}")
    if found is None:
        raise AgentUnavailable(
            f"agent program {name!r} was not found", f"install it, or correct `{key}` in agents.yaml"
        )
    return str(Path(found).absolute())


def passed_on(spec: AgentSpec) -> dict[str, str]:
    """The variables of our own environment that an agent's entry asks for by name.

    Raises:
        AgentUnavailable: one of them is not set.
    """
    missing = [name for name in spec.pass_env if name not in os.environ]
    if missing:
        raise AgentUnavailable(
            f"agent {spec.name!r} is to be given {', '.join(missing)}, which is not set here",
            "export it before you start Octopoid, or correct `pass_env` in agents.yaml",
        )
    return {name: os.environ[name] for name in spec.pass_env}


def check_version(program: str, product: str, pattern: str, oldest: tuple[int, int]) -> str:
    """The version of a program that is new enough; asked once for each state of its file. Blocking.

    Args:
        product: what it should be, for people.
        pattern: how its answer to --version begins; its groups are the version, and its two first numbers.

    Raises:
        AgentUnavailable: it is not, or does not answer.
    """
    said = _said(program, *_print(program))
    found = re.match(pattern, said)
    if found is None:
        raise AgentUnavailable(
            f"{program} is no {product}: to --version it says {said[:80]!r}",
            "correct `program` in agents.yaml",
        )
    if (int(found[2]), int(found[3])) < oldest:
        wanted = ".".join(map(str, oldest))
        raise AgentUnavailable(
            f"{program} is {product} {found[1]}, and {wanted} or newer is needed", "install a newer one"
        )
    return found[1]


def _print(program: str) -> tuple[int, int]:
    """What changes when another version is installed in the same place."""
    try:
        facts = Path(program).stat()
    except OSError as error:
        raise AgentUnavailable(f"{program} cannot be read: {error.strerror}") from error
    return facts.st_mtime_ns, facts.st_size


@functools.lru_cache(maxsize=16)
def _said(program: str, changed_ns: int, size: int) -> str:
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "DISABLE_AUTOUPDATER": "1"}
    try:
        done = subprocess.run(
            [program, "--version"], env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AgentUnavailable(f"{program} --version does not answer: {error}", "run it by hand") from error
    return done.stdout.strip() or done.stderr.strip()
