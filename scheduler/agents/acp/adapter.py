"""Starting programs that speak the Agent Client Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backend.config.schema import AgentSpec
from backend.model import Json
from scheduler.agents.acp.conversation import AcpConversation
from scheduler.agents.acp.programs import Known, known_program
from scheduler.agents.interface import AgentUnavailable, Assignment, Caps, Command, Conversation, Opening
from scheduler.agents.program import find_program
from scheduler.agents.toolbox import SERVER

EXAMPLE: Final = "[gemini, --acp]"
EDITS: Final = ("edit", "delete", "move")
"""Kinds of tools that `accept-edits` allows."""


class AcpAdapter:
    """Any such program; `command` of agents.yaml says which, with the arguments that make it speak."""

    name = "acp"
    caps = Caps(resume=True, steer=True, interrupt=True, questions=True, permissions=True, usage=True)
    two_way = True
    line_limit = 32 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        if not spec.command:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'acp' but no command",
                f"add the program and its arguments to its entry, such as `command: {EXAMPLE}`",
            )
        program = find_program(spec.command[0], spec.env, "command")
        known = known_program(spec)
        given = known or Known()
        if known is None and spec.model is not None:
            raise AgentUnavailable(
                f"how {Path(program).name} is told its model is not known",
                f"remove `model` from agent {spec.name!r}, and name it in `args` or `env`",
            )
        _refuse_loaded(given, assignment.worktree)
        env = {"HOME": str(assignment.state_dir / "acp"), **given.env}
        setup: Json = {
            "resume": assignment.resume_session,
            "used": assignment.used.plain if assignment.resume_session else {},
            "worktree": str(assignment.worktree),
            "servers": [_server(assignment, given.patience_s)],
            "meta": given.meta,
            "allowed": list(_allowed(spec)),
        }
        return Command((program, *spec.command[1:], *spec.args), env, setup)

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        known = known_program(spec)
        if known is None:
            return ("what it reads of a repository is not known: it may run programs that are named there",)
        doubts = [text for flag, text in known.risks.items() if flag in (*spec.command, *spec.args)]
        if not any(name in spec.env or name in spec.pass_env for name in known.logins):
            doubts.append(f"it has no login: give it one, such as pass_env: [{known.logins[0]}]")
        if spec.max_turns is not None and not known.counts_turns:
            doubts.append("it knows no limit of turns: limit its time or its budget instead of max_turns")
        return doubts

    def converse(self, opening: Opening) -> Conversation:
        return AcpConversation(opening)


def _server(assignment: Assignment, patience_s: float | None) -> Json:
    """Our tools, as a server that the agent starts. Programs do not all hand their environment on."""
    given = {
        "OCTOPOID_RUN": assignment.run_id,
        "OCTOPOID_RUN_DIR": str(assignment.run_dir),
        "OCTOPOID_TASK_ID": assignment.task_id,
    }
    env = [{"name": name, "value": value} for name, value in given.items()]
    wait = [] if patience_s is None else [f"--wait={patience_s:g}"]
    return {"name": SERVER, "command": "octopoid", "args": ["mcp", *wait], "env": env}


def _refuse_loaded(known: Known, worktree: Path) -> None:
    """
    Raises:
        AgentUnavailable: the program would load a file of the repository that may name programs.
    """
    found = [name for name in known.executes if (worktree / name).exists()]
    if found:
        raise AgentUnavailable(
            f"the repository has {', '.join(found)}, which this program loads: it could run any program",
            "give the task to another agent, or remove it from the repository",
        )


def _allowed(spec: AgentSpec) -> Sequence[str]:
    """Tools that may be used without asking, by kind or name."""
    if isinstance(spec.permissions, tuple):
        return spec.permissions
    return EDITS if spec.permissions == "accept-edits" else ()
