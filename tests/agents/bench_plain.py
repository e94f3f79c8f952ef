"""The adapters without a protocol: `command` and `demo`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any, Self

from bench import (
    Flood,
    Lacking,
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

from backend.ids import new_id
from scheduler.agents.command import CommandAdapter
from scheduler.agents.demo import DemoAdapter
from scheduler.agents.interface import Adapter

UNTIL = 'touch "$OCTOPOID_RUN_DIR/waits"\nwhile [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\n'


class PlainBench:
    """What both have in common: they wait for a file."""

    missing = None
    adapter: Adapter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def waits(self, script: Script) -> bool:
        return bool(list(Path(script.metadata["place"]).glob("repo/.octopoid/runs/*/waits")))

    def release(self, script: Script) -> None:
        for run in Path(script.metadata["place"]).glob("repo/.octopoid/runs/*"):
            (run / "go").touch()


class CommandBench(PlainBench):
    """A shell script per task."""

    adapter = CommandAdapter()

    def agent(self, place: Path) -> dict[str, Any]:
        run = f'exec sh -e "{place}/$OCTOPOID_TASK_ID.sh"'
        return {"adapter": "command", "command": ["sh", "-c", run]}

    def script(self, place: Path, *steps: Step) -> Script:
        task_id = new_id()
        (place / f"{task_id}.sh").write_text("LAST=\n" + "".join(map(_shell, steps)))
        return Script(task_id, "Do it.", {"place": str(place)})


def _shell(step: Step) -> str:
    match step:
        case Say(text):
            return f"echo {_filled(text)}\n"
        case Write(path, text):
            return f"printf %s {_filled(text)} > {quote(path)}\n"
        case Shell(command):
            return f"LAST=$({command})\n"
        case Question(text, options):
            choices = "".join(f" --option {quote(option)}" for option in options)
            return f"LAST=$(octopoid ask {quote(text)}{choices})\n"
        case Wait():
            return UNTIL
        case Flood(lines):
            return f"yes 'a line of output' | head -n {lines}\n"
        case LongLine(size):
            return f"head -c {size} /dev/zero | tr '\\0' x\necho\n"
        case Refused(_):
            raise Lacking("a command has no provider that it could speak of")
        case OutOfTurns():
            raise Lacking("a command has no turns")


def _filled(text: str) -> str:
    return '"$LAST"'.join(quote(part) if part else "" for part in text.split("{last}"))


class DemoBench(PlainBench):
    """The script that a task carries along."""

    adapter = DemoAdapter()

    def agent(self, place: Path) -> dict[str, Any]:
        return {"adapter": "demo", "env": {"OCTOPOID_DEMO_PACE": "1"}}

    def script(self, place: Path, *steps: Step) -> Script:
        attempts: list[list[dict[str, Any]]] = [[]]
        for step in steps:
            attempts[-1].append(_demo(step))
            if isinstance(step, OutOfTurns):
                attempts.append([])
        metadata = {"demo": {"implement": attempts}, "place": str(place)}
        return Script(new_id(), "Do it.", metadata)

    def waits(self, script: Script) -> bool:
        """Whether it has begun: there is nothing before its waits here."""
        transcripts = Path(script.metadata["place"]).glob("repo/.octopoid/runs/*/transcript.jsonl")
        return any(transcript.stat().st_size for transcript in transcripts)


def _demo(step: Step) -> dict[str, Any]:
    match step:
        case Say(text):
            return {"say": text.replace("{last}", "{answer}")}
        case Write(path, text):
            return {"write": {"path": path, "text": text.replace("{last}", "{answer}")}}
        case Shell(command):
            raise Lacking(f"the scripted agent runs no commands: {command[:30]}")
        case Question(text, options):
            return {"ask": {"question": text, "options": list(options)}}
        case Wait():
            return {"wait": 3600}
        case Flood(lines):
            return {"flood": lines}
        case LongLine(size):
            return {"say": "x" * size}
        case Refused(429):
            return {"rate_limit": 300}
        case Refused(status):
            raise Lacking(f"the scripted agent knows no HTTP status {status}")
        case OutOfTurns():
            return {"out_of_turns": None}
