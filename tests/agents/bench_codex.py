"""Codex as published, with a scripted model."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path
from typing import Any, Self

from bench import Flood, LongLine, OutOfTurns, Question, Refused, Say, Script, Shell, Step, Wait, Write
from fake_openai import FakeOpenAI

from backend.ids import new_id
from scheduler.agents.codex.adapter import PROVIDER, CodexAdapter

PACKAGES = Path(__file__).parent / "node_modules" / "@openai"
MODEL = "gpt-5.5"
"""One that the program knows: it gives others no tool for patches."""

PATCH = "*** Begin Patch\n*** Add File: {path}\n{lines}\n*** End Patch"


def find_codex() -> str | None:
    """The native program: the other one is a wrapper of it, which needs Node."""
    found = sorted(PACKAGES.glob("codex-*/vendor/*/bin/codex"))
    return str(found[0]) if found else None


@functools.cache
def what_is_missing() -> str | None:
    """Why Codex cannot be tried here. Its sandbox comes with it, and needs namespaces of this machine."""
    program = find_codex()
    if program is None:
        return "codex is not installed: run tests/agents/install.sh"
    sandbox = Path(program).parents[1] / "codex-resources" / "bwrap"
    tried = subprocess.run(
        [sandbox, "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "--unshare-net", "true"],
        env={"PATH": os.defpath}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return f"codex cannot use its sandbox here: {tried.stderr.strip()}" if tried.returncode else None


class CodexBench:
    """Each step is one answer of the model, or a few."""

    adapter = CodexAdapter()
    missing = what_is_missing()

    def __init__(self) -> None:
        self.model = FakeOpenAI()

    def __enter__(self) -> Self:
        self.model.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.model.__exit__(*exc)

    def agent(self, place: Path) -> dict[str, Any]:
        env = {"OPENAI_BASE_URL": self.model.url, "OPENAI_API_KEY": "test-key"}
        provider = f"model_providers.{PROVIDER}"
        args = ["-c", f"{provider}.request_max_retries=0", "-c", f"{provider}.stream_max_retries=0"]
        return {"adapter": "codex", "program": find_codex(), "env": env, "model": MODEL, "args": args}

    def script(self, place: Path, *steps: Step) -> Script:
        mark = self.model.script(*(answer for step in steps for answer in _answers(step)))
        return Script(new_id(), f"Do as {mark} says.", {})

    def mark(self, script: Script) -> str:
        return script.body.split()[2]

    def waits(self, script: Script) -> bool:
        return self.model.holding(self.mark(script))

    def release(self, script: Script) -> None:
        self.model.release(self.mark(script))


def _answers(step: Step) -> list[dict[str, Any]]:
    match step:
        case Say(text):
            return [{"text": text}]
        case Write(path, text):
            lines = "\n".join(f"+{line}" for line in text.splitlines())
            return [{"tool": "apply_patch", "freeform": PATCH.format(path=path, lines=lines)}]
        case Shell(command):
            return [_shell(command)]
        case Question(text, options):
            return [{"tool": "ask_human", "input": {"question": text, "options": list(options)}}]
        case Wait():
            return [{"text": "I have waited.", "hold": True}]
        case Flood(lines):
            return [_shell(f"seq {lines}")]
        case LongLine(size):
            return [{"text": "x" * size}]
        case Refused(status):
            return [{"status": status, "message": f"scripted {status}"}]
        case OutOfTurns():
            said = {"tool": "report_progress", "input": {"text": "still at it"}}
            return [said, said, {"text": "I have waited.", "hold": True}]


def _shell(command: str) -> dict[str, Any]:
    return {"tool": "exec_command", "input": {"cmd": command}}
