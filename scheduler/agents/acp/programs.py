"""The programs whose ways are known: what keeps a repository's own configuration from running programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backend.config.schema import AgentSpec
from backend.model import Json
from scheduler.agents.toolbox import SERVER


@dataclass(frozen=True, slots=True)
class Known:
    """What one program is given besides its arguments."""

    env: Mapping[str, str] = field(default_factory=dict)
    meta: Json = field(default_factory=dict)
    """Sent with the session."""
    logins: tuple[str, ...] = ()
    """Variables one of which brings the right to use a model."""
    patience_s: float | None = 45.0
    """How long it waits for a tool of a server, a call of which is lost after that. None: without end."""
    executes: tuple[str, ...] = ()
    """Files of a repository that it loads whatever it is told, and that may name programs to be run."""
    risks: Mapping[str, str] = field(default_factory=dict)
    """What an argument lets happen."""
    counts_turns: bool = False
    """Whether it keeps to `max_turns`."""


def claude(spec: AgentSpec) -> Known:
    """Claude's adapter: else hooks and servers of a repository's `.claude` and `.mcp.json` are executed."""
    options: Json = {
        "settingSources": ["user"],
        "strictMcpConfig": True,
        "allowedTools": [f"mcp__{SERVER}"],
    }
    if spec.model is not None:
        options["model"] = spec.model
    if spec.max_turns is not None:
        options["maxTurns"] = spec.max_turns
    env = {
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "BASH_DEFAULT_TIMEOUT_MS": "600000",
        "BASH_MAX_TIMEOUT_MS": "3600000",
        "MCP_TOOL_TIMEOUT": "1000000000",
    }
    logins = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "HOME")
    return Known(env, {"claudeCode": {"options": options}}, logins, patience_s=None, counts_turns=True)


def gemini(spec: AgentSpec) -> Known:
    """Gemini CLI: a folder that is not trusted has no settings, servers or hooks that count."""
    env = {"GEMINI_CLI_SYSTEM_SETTINGS_PATH": str(Path(__file__).with_name("gemini.json"))}
    if spec.model is not None:
        env["GEMINI_MODEL"] = spec.model
    trusts = "with --skip-trust the settings of a repository may count, and name programs to be run"
    logins = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "HOME")
    return Known(env, {}, logins, patience_s=540.0, risks={"--skip-trust": trusts})


def opencode(spec: AgentSpec) -> Known:
    """opencode: without this it asks nobody. A repository's plugins are executed even so."""
    config: Json = {
        "experimental": {"mcp_timeout": 2_000_000_000},
        "autoupdate": False,
        "share": "disabled",
    }
    if spec.model is not None:
        config["model"] = spec.model
    env = {
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_PERMISSION": json.dumps({"edit": "ask", "bash": "ask", "webfetch": "ask"}),
        "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
        "OPENCODE_PURE": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    logins = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENCODE_CONFIG", "OPENCODE_AUTH_CONTENT", "HOME")
    return Known(env, {}, logins, executes=(".opencode", "opencode.json", "opencode.jsonc"))


PROGRAMS: Final[Mapping[str, Callable[[AgentSpec], Known]]] = {
    "claude-agent-acp": claude,
    "gemini": gemini,
    "opencode": opencode,
}
"""By the name of the program's file."""


def known_program(spec: AgentSpec) -> Known | None:
    """What is known of an agent's program; None for one that only its user knows."""
    made = PROGRAMS.get(Path(spec.command[0]).name) if spec.command else None
    return made(spec) if made is not None else None
