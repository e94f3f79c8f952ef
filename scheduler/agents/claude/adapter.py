"""Starting Claude Code: its flags, its environment, and where it remembers its sessions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backend.config.schema import AgentSpec
from scheduler.agents.claude.conversation import ClaudeConversation
from scheduler.agents.claude.tools import SERVER
from scheduler.agents.interface import Assignment, Caps, Command, Conversation, Opening
from scheduler.agents.program import check_version, find_program

FLAGS: Final = (
    "-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose",
    "--permission-prompt-tool", "stdio",
    # Without these, a repository's own hooks and MCP servers are executed: -p asks nobody for trust.
    "--setting-sources", "user", "--strict-mcp-config",
    "--mcp-config", json.dumps({"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}),
)  # fmt: skip

INSTRUCTIONS: Final = f"""\
You work unattended: nobody reads what you write while you work. To ask a person, use AskUserQuestion or \
mcp__{SERVER}__ask_human and wait; prefer them to `octopoid ask`. Tell how you get on with \
mcp__{SERVER}__report_progress, seldom. If the repository has a CLAUDE.md or AGENTS.md, read it first. \
End your turn only when the task is done: what still runs in the background is ended then."""

ENVIRONMENT: Final = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
    # A command in the background would be ended with the run, and its end would never be seen.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "BASH_DEFAULT_TIMEOUT_MS": "600000",
    "BASH_MAX_TIMEOUT_MS": "3600000",
    # A person may take days to answer; the protocol's own default is not to be relied on.
    "MCP_TOOL_TIMEOUT": "1000000000",
}
OLDEST: Final = (2, 1)
"""The protocol was verified with 2.1.197 and 2.1.329."""

SESSION: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
LOGINS: Final = (
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
)  # fmt: skip
"""Variables one of which brings the right to use a model."""


class ClaudeAdapter:
    """Claude Code as published: nothing of it is imported, only its program is run."""

    name = "claude"
    caps = Caps(
        resume=True, steer=True, interrupt=True, questions=True, permissions=True, edit_input=True,
        usage=True, cost=True,
    )  # fmt: skip
    two_way = True
    line_limit = 32 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        program = find_program(spec.program or "claude", spec.env, "program")
        version = check_version(program, "Claude Code", r"((\d+)\.(\d+)\S*) \(Claude Code\)", OLDEST)
        argv = [program, *FLAGS, *_permissions(spec), f"--append-system-prompt={INSTRUCTIONS}"]
        if spec.model is not None:
            argv.append(f"--model={spec.model}")
        if spec.max_turns is not None:
            argv.append(f"--max-turns={spec.max_turns}")
        env = {"CLAUDE_CONFIG_DIR": str(assignment.state_dir / "claude"), **ENVIRONMENT}
        session = _known(assignment.resume_session, Path({**env, **spec.env}["CLAUDE_CONFIG_DIR"]))
        if session is not None:
            argv.append(f"--resume={session}")
        setup = {
            "resumed": session is not None,
            "used": assignment.used.plain if session is not None else {},
            "worktree": str(assignment.worktree),
            "version": version,
        }
        return Command((*argv, *spec.args), env, setup)

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        if any(name in spec.env or name in spec.pass_env for name in LOGINS):
            return ()
        return ("it has no login for Claude Code: give it one, such as pass_env: [ANTHROPIC_API_KEY]",)

    def converse(self, opening: Opening) -> Conversation:
        return ClaudeConversation(opening)


def _known(session: str | None, config_dir: Path) -> str | None:
    """The session, if the program still has it: to go on with one that is gone is an error."""
    if session is None or SESSION.fullmatch(session) is None:
        return None
    return session if any(config_dir.glob(f"projects/*/{session}.jsonl")) else None


def _permissions(spec: AgentSpec) -> tuple[str, ...]:
    """Which tools may be used without asking; those of ours always."""
    own = f"mcp__{SERVER}"
    if isinstance(spec.permissions, tuple):
        return "--permission-mode=default", f"--allowedTools={','.join((own, *spec.permissions))}"
    mode = "acceptEdits" if spec.permissions == "accept-edits" else "default"
    return f"--permission-mode={mode}", f"--allowedTools={own}"
