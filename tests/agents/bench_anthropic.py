"""Our own agent over the Anthropic API, with a scripted model."""

from __future__ import annotations

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
from bench_claude import ERRORS
from fake_anthropic import FakeAnthropic

from backend.ids import new_id
from scheduler.agents.anthropic.adapter import AnthropicAdapter

PRICE = {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25}


class AnthropicBench:
    """Each step is one answer of the model."""

    adapter = AnthropicAdapter()
    missing = None

    def __init__(self) -> None:
        self.model = FakeAnthropic()

    def __enter__(self) -> Self:
        self.model.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.model.__exit__(*exc)

    def agent(self, place: Path) -> dict[str, Any]:
        env = {"ANTHROPIC_BASE_URL": self.model.url, "ANTHROPIC_API_KEY": "test-key"}
        return {"adapter": "anthropic", "model": "scripted", "env": env, "max_turns": 20, "price": PRICE}

    def script(self, place: Path, *steps: Step) -> Script:
        mark = self.model.script(*map(_answer, steps))
        return Script(new_id(), f"Do as {mark} says.", {})

    def mark(self, script: Script) -> str:
        return script.body.split()[2]

    def waits(self, script: Script) -> bool:
        return self.model.holding(self.mark(script))

    def release(self, script: Script) -> None:
        self.model.release(self.mark(script))


def _answer(step: Step) -> dict[str, Any]:
    match step:
        case Say(text):
            return {"text": text}
        case Write(path, text):
            return {"tool": "write", "input": {"path": path, "content": text}}
        case Shell(command):
            return {"tool": "run", "input": {"command": command}}
        case Question(text, options):
            return {"tool": "ask_human", "input": {"question": text, "options": list(options)}}
        case Wait():
            return {"text": "I have waited.", "hold": True}
        case Flood(lines):
            said = {"tool": "report_progress", "input": {"text": "still at it"}}
            return {"blocks": [said] * min(lines, 50)}
        case LongLine(size):
            return {"text": "x" * size}
        case Refused(status):
            return {"status": status, "error": ERRORS[status], "message": f"scripted {status}"}
        case OutOfTurns():
            return {"blocks": [{"tool": "list", "input": {}}]}
