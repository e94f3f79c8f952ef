"""Starting Codex's app server: its configuration, its environment, and where it remembers its sessions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from backend.config.schema import AgentSpec
from backend.model import Json
from scheduler.agents.codex.conversation import CodexConversation
from scheduler.agents.interface import AgentUnavailable, Assignment, Caps, Command, Conversation, Opening
from scheduler.agents.program import check_version, find_program, passed_on

OLDEST: Final = (0, 169)
"""The protocol was verified with 0.169.0."""

KEY, HOME, BASE_URL = "OPENAI_API_KEY", "CODEX_HOME", "OPENAI_BASE_URL"
PROVIDER: Final = "octopoid"
OPENAI: Final = "https://api.openai.com/v1"
EDITS, SANDBOX = "edits", "sandbox"
"""What a list of `permissions` can allow: edits in the worktree; all that the sandbox allows."""

SESSION: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
FEATURES: Final = ("multi_agent", "goals", "apps", "plugins", "memories")
"""Off: they start turns and programs of their own, or fetch things."""


class CodexAdapter:
    """Codex as published; its app server is the program behind its editor extensions."""

    name = "codex"
    caps = Caps(resume=True, steer=True, interrupt=True, questions=True, permissions=True, usage=True)
    two_way = True
    line_limit = 32 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        program = find_program(spec.program or "codex", spec.env, "program")
        version = check_version(program, "Codex", r"codex-cli ((\d+)\.(\d+)\S*)", OLDEST)
        allowed = _allowed(spec)
        given = {**passed_on(spec), **spec.env}
        home = Path(given.get(HOME, assignment.state_dir / "codex"))
        session = _known(assignment.resume_session, home)
        setup: Json = {
            "resume": session,
            "used": assignment.used.plain if session is not None else {},
            "worktree": str(assignment.worktree),
            "version": version,
            "approval": "on-request" if SANDBOX in allowed else "untrusted",
            "edits": EDITS in allowed,
        }
        options = [
            part for name, value in _config(spec, assignment, given) for part in ("-c", f"{name}={value}")
        ]
        folders = () if HOME in given else (home,)
        return Command((program, "app-server", *options, *spec.args), {HOME: str(home)}, setup, folders)

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        if any(name in spec.env or name in spec.pass_env for name in (KEY, HOME)):
            return ()
        return (f"it has no login for Codex: give it one, such as pass_env: [{KEY}]",)

    def converse(self, opening: Opening) -> Conversation:
        return CodexConversation(opening)


def _config(spec: AgentSpec, assignment: Assignment, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Settings as TOML, above those of any file.

    Args:
        given: what the entry adds to the environment.
    """
    run_dir, worktree = assignment.run_dir, assignment.worktree
    # Named, because the sandbox keeps the one of a folder that can be written from being changed: no commits.
    writable = [worktree / ".git", run_dir / "outbox", run_dir / "home"]
    settings = [
        # A thread begun in a folder makes it trusted, and then the repository's own configuration, hooks and
        # servers are executed.
        ("projects", _toml({str(worktree): {"trust_level": "untrusted"}})),
        ("sandbox_mode", _toml("workspace-write")),
        ("sandbox_workspace_write.writable_roots", _toml([str(path) for path in writable])),
        ("shell_environment_policy.exclude", _toml([KEY])),
        # A login shell sets the search path anew, and `octopoid` is found no more.
        ("allow_login_shell", "false"),
        ("check_for_update_on_startup", "false"),
        *((f"features.{name}", "false") for name in FEATURES),
    ]
    if spec.model is not None:
        settings.append(("model", _toml(spec.model)))
    if HOME not in given:
        address = given.get(BASE_URL, OPENAI)
        provider = {"name": PROVIDER, "base_url": address, "wire_api": "responses", "env_key": KEY}
        settings += [("model_provider", _toml(PROVIDER)), (f"model_providers.{PROVIDER}", _toml(provider))]
    return settings


def _toml(value: object) -> str:
    """A value in TOML, whose strings and lists are written as in JSON, in one line."""
    if isinstance(value, Mapping):
        pairs = (f"{_toml(name)} = {_toml(inner)}" for name, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


def _allowed(spec: AgentSpec) -> frozenset[str]:
    """What is not asked for.

    Raises:
        AgentUnavailable: the entry allows something that Codex does not know.
    """
    if not isinstance(spec.permissions, tuple):
        return frozenset({EDITS} if spec.permissions == "accept-edits" else ())
    unknown = sorted(set(spec.permissions) - {EDITS, SANDBOX})
    if unknown:
        raise AgentUnavailable(
            f"agent {spec.name!r} allows {', '.join(unknown)}, which Codex cannot be told",
            f"in `permissions`, use ask, accept-edits, or a list of {EDITS} and {SANDBOX}",
        )
    return frozenset(spec.permissions)


def _known(session: str | None, home: Path) -> str | None:
    """The session, if the program still has it: to go on with one that is gone is an error."""
    if session is None or SESSION.fullmatch(session) is None:
        return None
    return session if any(home.glob(f"sessions/*/*/*/rollout-*{session}*")) else None
