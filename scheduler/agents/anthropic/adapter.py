"""Starting our own agent program: what it needs, and what it is told."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import msgspec

from backend.config.schema import AgentSpec
from scheduler.agents.anthropic.conversation import AnthropicConversation
from scheduler.agents.anthropic.wire import Settings
from scheduler.agents.interface import AgentUnavailable, Assignment, Caps, Command, Conversation, Opening

PROGRAM: Final = "scheduler.agents.anthropic.program"
SESSION: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
LOGINS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


class AnthropicAdapter:
    """The Anthropic API through its Python package, which only the started program imports."""

    name = "anthropic"
    caps = Caps(
        resume=True, steer=True, interrupt=True, questions=True, permissions=True, edit_input=True,
        usage=True, cost=True,
    )  # fmt: skip
    two_way = True
    line_limit = 32 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        if find_spec("anthropic") is None:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'anthropic', and the package anthropic is not installed",
                "uv tool install '.[anthropic]' in a checkout of Octopoid",
            )
        if spec.model is None:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'anthropic' but no model", "add `model: …` to its entry"
            )
        if spec.args:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'anthropic', which takes no `args`", "remove them"
            )
        sessions = assignment.state_dir / "anthropic"
        wanted = assignment.resume_session or ""
        resumed = SESSION.fullmatch(wanted) is not None and (sessions / f"{wanted}.jsonl").is_file()
        settings = Settings(
            worktree=str(assignment.worktree),
            run_dir=str(assignment.run_dir),
            session_dir=str(sessions),
            session=wanted if resumed else assignment.run_id,
            model=spec.model,
            permissions=spec.permissions,
            max_turns=spec.max_turns,
            price=spec.price,
        )
        # -I: neither the worktree nor the environment can put modules in the place of ours.
        argv = (sys.executable, "-I", "-m", PROGRAM, msgspec.json.encode(settings).decode())
        return Command(argv, {}, {"resumed": resumed})

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        found = []
        if not any(name in spec.env or name in spec.pass_env for name in LOGINS):
            found.append("it has no key: give it one, such as pass_env: [ANTHROPIC_API_KEY]")
        if spec.price is None:
            found.append(
                "its cost is not known, and budgets in dollars do not see it: add `price:` with US dollars "
                "per million tokens"
            )
        return found

    def converse(self, opening: Opening) -> Conversation:
        return AnthropicConversation(opening)
