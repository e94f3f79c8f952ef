"""Programs that speak the Agent Client Protocol, with scripted models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import Flood, Lacking, OutOfTurns, Question, Script, Shell, Step, Write
from bench_claude import ClaudeBench, answer

from backend.ids import new_id
from scheduler.agents.acp.adapter import AcpAdapter

PROGRAMS = Path(__file__).parent / "node_modules"


def lacks(name: str, program: Path) -> str | None:
    """Why a program cannot be tried here."""
    return None if program.exists() else f"{name} is not installed: run tests/agents/install.sh"


class ClaudeAcpBench(ClaudeBench):
    """Claude's adapter, which drives a Claude Code of its own."""

    adapter = AcpAdapter()  # type: ignore[assignment]
    program = PROGRAMS / ".bin" / "claude-agent-acp"
    missing = lacks("claude-agent-acp", program)

    def script(self, place: Path, *steps: Step) -> Script:
        """The words of a denial come in a prompt of their own: what is told at the end is repeated."""
        mark = self.model.script(*map(self.answer, steps), {"text": "I was told: {told}"})
        return Script(new_id(), f"Do as {mark} says.", {})

    def answer(self, step: Step) -> dict[str, Any]:
        """The model's answer that makes the program do a step; words may arrive within the turn, too."""
        made = answer(step)
        return {"text": f"{made['text']} {{told}}"} if "{last}" in made.get("text", "") else made

    def agent(self, place: Path) -> dict[str, Any]:
        given = super().agent(place)
        del given["program"]
        return {**given, "adapter": "acp", "command": [str(self.program)]}


class OpencodeBench(ClaudeAcpBench):
    """opencode, with the same scripted model under another vendor's client."""

    program = PROGRAMS / "opencode-linux-x64" / "bin" / "opencode"
    missing = lacks("opencode", program)

    def agent(self, place: Path) -> dict[str, Any]:
        model = "anthropic/claude-sonnet-4-5"
        options = {"baseURL": f"{self.model.url}/v1", "apiKey": "test-key"}
        config = {"provider": {"anthropic": {"options": options}}, "small_model": model}
        file = place / "opencode.json"
        file.write_text(json.dumps(config))
        env = {"OPENCODE_CONFIG": str(file), "OPENCODE_DISABLE_MODELS_FETCH": "1"}
        return {"adapter": "acp", "command": [str(self.program), "acp"], "env": env, "model": model}

    def answer(self, step: Step) -> dict[str, Any]:
        match step:
            case Write(path, text):
                return {"tool": "write", "input": {"filePath": "{cwd}/" + path, "content": text}}
            case Shell(command):
                return {"tool": "bash", "input": {"command": command, "description": "a command"}}
            case Question(text, options):
                given = {"question": text, "options": list(options)}
                return {"tool": "octopoid_ask_human", "input": given}
            case Flood(lines):
                said = {"tool": "octopoid_report_progress", "input": {"text": "still at it"}}
                return {"blocks": [said] * min(lines, 20)}
            case OutOfTurns():
                raise Lacking("opencode knows no limit of turns")
        return answer(step)
