"""`octopoid mcp`: our tools for an agent that starts servers of the Model Context Protocol.

It works over the run's files, as `octopoid ask` does, and imports as little. A question is kept: an agent
whose patience ends before the answer comes goes on waiting for the same one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from backend.clean import clean
from backend.errors import EXIT_FAILED, BadInput, OctopoidError
from backend.ids import check_id, new_id
from octopoid_tui.cli.ask import run_directory, wait_for_answer, wait_for_reply, write_atomically
from scheduler.agents.toolbox import (
    ASK_HUMAN,
    REPORT_PROGRESS,
    answer_at_once,
    call_of,
    cancelled,
    result_of,
    tool,
)

Json = dict[str, Any]

TICK_S: Final = 10.0
"""How often a client that wants to know is told that a call still waits."""

RECEIVED_WITHIN_S: Final = 60.0
KINDS: Final = ("verdict", "tasks")

WAIT_FOR: Final = {"type": "string", "description": "Instead: id of a question asked before, to wait for"}
ASK: Final = {
    **ASK_HUMAN,
    "inputSchema": {
        "type": "object",
        "properties": {**ASK_HUMAN["inputSchema"]["properties"], "wait_for": WAIT_FOR},
    },
}
SUBMIT: Final = tool(
    "submit_work",
    "Hand in what your role is to leave besides commits: a verdict, or the tasks of a plan. "
    "Says whether it can be used, or what is wrong with it. Commits need not be handed in.",
    {
        "kind": {"type": "string", "enum": list(KINDS)},
        "work": {"type": "object", "description": "The JSON object that your instructions describe"},
    },
    ["kind", "work"],
)
TOOLS: Final = (ASK, REPORT_PROGRESS, SUBMIT)


def parser() -> argparse.ArgumentParser:
    """The options of `octopoid mcp`; also what its documentation is made from."""
    options = argparse.ArgumentParser(
        prog="octopoid mcp",
        description="Serve the tools ask_human, report_progress and submit_work to an agent, from inside its "
        "run, by the Model Context Protocol on stdin and stdout.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--wait", type=float, metavar="S",
        help="seconds to wait for a person; the question stays open after them; without it, for ever",
    )  # fmt: skip
    return options


def serve(arguments: Sequence[str]) -> int:
    """Run the command until stdin ends; returns its exit status."""
    options = parser().parse_args(arguments)
    try:
        server = Server(run_directory(), options.wait, sys.stdout)
    except OctopoidError as error:
        sys.stderr.write(f"octopoid mcp: {clean(str(error))}\n")
        return error.exit_status
    try:
        for line in sys.stdin.buffer:
            server.take(line)
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return 0


class Server:
    """Answers one client. Each call of a tool has a thread: one that waits for a person blocks no other."""

    def __init__(self, run_dir: Path, patience: float | None, out: TextIO) -> None:
        self._run_dir = run_dir
        self._patience = patience
        self._out = out
        self._lock = threading.Lock()
        self._calls: dict[str, threading.Event] = {}

    def take(self, line: bytes) -> None:
        """Take in one message."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = {"code": -32700, "message": f"no JSON: {error}"}
            self._send({"jsonrpc": "2.0", "id": None, "error": problem})
            return
        if not isinstance(message, dict) or "method" not in message:
            return  # a reply: nothing is asked of the client
        if message.get("id") is None:
            self._end(_name(cancelled(message)))
            return
        reply = answer_at_once(message, TOOLS)
        if reply is not None:
            self._send(reply)
            return
        over = self._calls.setdefault(_name(message["id"]), threading.Event())
        threading.Thread(target=self._call, args=(message, over), daemon=True).start()
        meta = message["params"].get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if isinstance(token, int | str):
            threading.Thread(target=self._tick, args=(token, over), daemon=True).start()

    def _call(self, message: Json, over: threading.Event) -> None:
        name, given = call_of(message)
        try:
            reply = result_of(message, WORK[name](self, given))
        except (OctopoidError, OSError) as error:
            reply = result_of(message, str(error), failed=True)
        if not over.is_set():  # else the client no longer wants it
            self._end(_name(message["id"]))
            self._send(reply)

    def _tick(self, token: int | str, over: threading.Event) -> None:
        waited = 0.0
        while not over.wait(TICK_S):
            waited += TICK_S
            params = {"progressToken": token, "progress": waited, "message": "waiting for a person"}
            self._send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def _end(self, name: str) -> None:
        over = self._calls.pop(name, None)
        if over is not None:
            over.set()

    def _send(self, message: Json) -> None:
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    # The tools

    def _ask(self, given: Json) -> str:
        question = given.get("question")
        if isinstance(given.get("wait_for"), str):
            asked = check_id(given["wait_for"], "question id")
            if not (self._run_dir / "outbox" / f"{asked}.json").exists():
                raise BadInput(f"this run has no question {asked}", "ask it: leave wait_for out")
        elif isinstance(question, str) and question.strip():
            options = given.get("options")
            listed = [str(one) for one in options] if isinstance(options, list) else []
            asked = self._leave("ask", {"question": question.strip(), "options": listed})
        else:
            raise BadInput("the question is empty", "say what you need to know")
        answer = wait_for_answer(self._run_dir / "inbox" / f"{asked}.json", self._patience)
        if answer is None:
            return f'There is no answer yet. Call ask_human with wait_for: "{asked}" to go on waiting for it.'
        return answer

    def _report(self, given: Json) -> str:
        self._leave("progress", {"text": str(given.get("text", ""))})
        return "Noted."

    def _submit(self, given: Json) -> str:
        kind, work = given.get("kind"), given.get("work")
        if kind not in KINDS or not isinstance(work, dict):
            raise BadInput("this is no work to hand in", f"kind is one of {', '.join(KINDS)}, work an object")
        left = self._leave(kind, work)
        reply = wait_for_reply(self._run_dir / "inbox" / f"{left}.json", RECEIVED_WITHIN_S)
        if reply is None:
            return "It was left, and nobody has looked at it yet."
        if reply.get("usable") is True:
            return "It was received and can be used."
        faults = reply.get("faults")
        listed = "\n".join(map(str, faults)) if isinstance(faults, list) else str(faults)
        raise BadInput(f"it cannot be used:\n{listed}", "correct it and hand it in again")

    def _leave(self, kind: str, content: Json) -> str:
        """Leave an item in the outbox; returns its id."""
        item_id = f"{kind}-{new_id()}"
        item = {**content, "kind": kind}
        write_atomically(self._run_dir / "outbox" / f"{item_id}.json", json.dumps(item) + "\n")
        return item_id


WORK: Final[dict[str, Callable[[Server, Json], str]]] = {
    "ask_human": Server._ask,
    "report_progress": Server._report,
    "submit_work": Server._submit,
}


def _name(request_id: object) -> str:
    return json.dumps(request_id)
