"""Claude Code as published, with a scripted model."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any, Self

from bench import (
    Flood,
    LongLine,
    OutOfTurns,
    Question,
    Refused,
    Say,
    Script,
    Shell,
    Step,
    Wait,
    Write,
)
from fake_anthropic import FakeAnthropic

from backend.ids import new_id
from scheduler.agents.claude.adapter import ClaudeAdapter

ERRORS = {401: "authentication_error", 429: "rate_limit_error", 400: "invalid_request_error"}


@functools.cache
def find_claude() -> str | None:
    """The program, from the package that brings it along; nothing of the package is imported."""
    found = importlib.util.find_spec("claude_agent_sdk")
    program = Path(found.origin).parent / "_bundled" / "claude" if found and found.origin else None
    return str(program) if program is not None and program.is_file() else None


class ClaudeBench:
    """Each step is one answer of the model."""

    adapter = ClaudeAdapter()
    missing = None if find_claude() else "there is no Claude Code: it comes with the package claude-agent-sdk"

    def __init__(self) -> None:
        self.model = FakeAnthropic()

    def __enter__(self) -> Self:
        self.model.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.model.__exit__(*exc)

    def agent(self, place: Path) -> dict[str, Any]:
        env = {
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": "test-key",
            "CLAUDE_CODE_MAX_RETRIES": "1",
        }
        return {"adapter": "claude", "program": find_claude(), "env": env, "max_turns": 20}

    def script(self, place: Path, *steps: Step) -> Script:
        mark = self.model.script(*map(answer, steps))
        return Script(new_id(), f"Do as {mark} says.", {})

    def mark(self, script: Script) -> str:
        return script.body.split()[2]

    def waits(self, script: Script) -> bool:
        return self.model.holding(self.mark(script))

    def release(self, script: Script) -> None:
        self.model.release(self.mark(script))


def answer(step: Step) -> dict[str, Any]:
    """The model's answer that makes the program do a step."""
    match step:
        case Say(text):
            return {"text": text}
        case Write(path, text):
            return {"tool": "Write", "input": {"file_path": "{cwd}/" + path, "content": text}}
        case Shell(command):
            return {"tool": "Bash", "input": {"command": command, "description": "a command"}}
        case Question(text, ()):
            return {"tool": "mcp__octopoid__ask_human", "input": {"question": text}}
        case Question(text, options):
            choices = [{"label": option, "description": f"it is {option}"} for option in options]
            question = {"question": text, "header": "Choice", "multiSelect": False, "options": choices}
            return {"tool": "AskUserQuestion", "input": {"questions": [question]}}
        case Wait():
            return {"text": "I have waited.", "hold": True}
        case Flood(lines):
            said = {"tool": "mcp__octopoid__report_progress", "input": {"text": "still at it"}}
            return {"blocks": [said] * min(lines, 50)}
        case LongLine(size):
            return {"text": "x" * size}
        case Refused(status):
            return {"status": status, "error": ERRORS[status], "message": f"scripted {status}"}
        case OutOfTurns():
            return {"blocks": [{"tool": "Glob", "input": {"pattern": "*.md"}}]}
