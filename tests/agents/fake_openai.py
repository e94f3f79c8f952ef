"""A scripted model behind the OpenAI Responses API, for agent programs on this machine.

The newest user text that holds `[[NAME]]` picks a script; how many answers the model has given since then
picks its step. So the server keeps no conversations: a request that is repeated gets the same answer, and any
number of agents share one server.

A step is a dict:

    {"text": "hi"}                        text, and the end of the turn
    {"tool": "exec_command", "input": {…}}        a call of a function
    {"tool": "apply_patch", "freeform": "…"}      a call of a tool that takes plain text
    {"blocks": [{"text": …}, {"tool": …, "input": …}]}
    {"status": 429, "message": "…", "headers": {…}}
    "hold": True                          in any step: wait until `release()`

In texts and inputs, `{last}` is the newest result of a tool, with what a person has said since; in plain text
for a tool, its further lines get a plus sign, as a patch wants it.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any, Self

Step = dict[str, Any]

MARK = re.compile(r"\[\[([A-Za-z0-9_.-]+)\]\]")
USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 800},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 1050,
}
CALLS = ("function_call", "custom_tool_call", "local_shell_call", "reasoning")
RESULTS = ("function_call_output", "custom_tool_call_output")
HELD_AT_MOST_S = 600.0
"""Longer than any test may take: what is held goes on when the test says so."""


class FakeOpenAI:
    """Serves on a free port of the loopback interface while it is used as a context."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self.keys: set[str] = set()
        """What the requests so far brought as authorization."""
        self._requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._held = threading.Condition(self._lock)
        self._holding: set[str] = set()
        self._released: set[str] = set()
        fake = self

        class Bound(_Handler):
            model = fake

        self._server = _Server(("127.0.0.1", 0), Bound)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._released |= self._holding | set(self.scripts)
            self._held.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def script(self, *steps: Step) -> str:
        """Store a script under a name of its own; returns the mark that picks it, for a task's text."""
        name = f"s{uuid.uuid4().hex[:12]}"
        self.scripts[name] = list(steps)
        return f"[[{name}]]"

    def requests(self, mark: str) -> list[dict[str, Any]]:
        """The bodies of all requests so far that hold this mark."""
        with self._lock:
            return [body for body in self._requests if mark in json.dumps(body)]

    def holding(self, mark: str) -> bool:
        """Whether a request of this script waits for `release` now."""
        with self._lock:
            return mark[2:-2] in self._holding

    def release(self, mark: str) -> None:
        """Let the requests of this script that wait, and all later ones, go on."""
        with self._lock:
            self._released.add(mark[2:-2])
            self._held.notify_all()

    # For the handler

    def note(self, body: dict[str, Any], key: str) -> None:
        with self._lock:
            self._requests.append(body)
            self.keys.add(key)

    def wait(self, name: str) -> None:
        with self._lock:
            self._holding.add(name)
            self._held.wait_for(lambda: name in self._released, HELD_AT_MOST_S)
            self._holding.discard(name)

    def pick(self, items: list[dict[str, Any]]) -> tuple[str, Step]:
        """The script that a request follows, and the step it is at."""
        name, begin = "", 0
        for index, item in enumerate(items):
            found = MARK.findall(_flat(item)) if item.get("role") == "user" else []
            if found:
                name, begin = found[-1], index
        steps = self.scripts.get(name, [])
        said = [False, *map(_by_model, items[begin + 1 :])]
        done = sum(now and not before for before, now in pairwise(said))
        return name, steps[done] if done < len(steps) else {"text": "ok"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a program that was ended leaves broken connections


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: FakeOpenAI

    def log_message(self, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        if self.path.split("?")[0].endswith("/models"):
            self._json(200, {"object": "list", "data": [], "models": []})
            return
        self._json(404, _problem(self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if not self.path.split("?")[0].endswith("/responses"):
            self._json(404, _problem(self.path))
            return
        self.model.note(body, self.headers.get("authorization", ""))
        items = body.get("input") or []
        name, step = self.model.pick(items)
        if step.get("hold"):
            self.model.wait(name)
        try:
            if "status" in step:
                problem = _problem(step.get("message", "scripted error"), step.get("error", "server_error"))
                self._json(step["status"], problem, step.get("headers"))
            else:
                self._stream(body, [_item(block, items) for block in step.get("blocks") or [step]])
        except (BrokenPipeError, ConnectionResetError):
            return  # the agent was ended, or broke off its turn
        finally:
            self.close_connection = True

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        more = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        for name, text in more.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, body: dict[str, Any], output: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        response = {
            "id": f"resp_{uuid.uuid4().hex[:12]}",
            "object": "response",
            "status": "completed",
            "model": body.get("model"),
            "output": output,
            "usage": USAGE,
            "error": None,
        }
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        self._event("response.created", response=begun)
        for index, item in enumerate(output):
            begun_item = {**item, "status": "in_progress"}
            self._event("response.output_item.added", output_index=index, item=begun_item)
            if item["type"] == "message":
                text = item["content"][0]["text"]
                self._event("response.output_text.delta", item_id=item["id"], output_index=index,
                            content_index=0, delta=text)  # fmt: skip
            self._event("response.output_item.done", output_index=index, item=item)
        self._event("response.completed", response=response)

    def _event(self, kind: str, **data: Any) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())
        self.wfile.flush()


def _problem(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": None}}


def _by_model(item: dict[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in CALLS


def _flat(value: Any) -> str:
    """The text of an item, however it is nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(_flat, value))
    if isinstance(value, dict):
        return _flat(value.get("text") or value.get("content") or value.get("output") or "")
    return ""


def _item(block: Step, items: list[dict[str, Any]]) -> dict[str, Any]:
    name = uuid.uuid4().hex[:12]
    if "tool" not in block:
        content = [
            {"type": "output_text", "text": _filled(block.get("text", "ok"), _last(items)), "annotations": []}
        ]
        return {"type": "message", "id": f"msg_{name}", "role": "assistant", "status": "completed",
                "content": content}  # fmt: skip
    call = {"id": f"fc_{name}", "call_id": f"call_{name}", "name": block["tool"], "status": "completed"}
    if "freeform" in block:
        given = _filled(block["freeform"], _last(items).replace("\n", "\n+"))
        return {"type": "custom_tool_call", **call, "input": given}
    arguments = json.dumps(_filled(block.get("input", {}), _last(items)))
    return {"type": "function_call", **call, "arguments": arguments}


def _last(items: list[dict[str, Any]]) -> str:
    """The newest result of a tool, without what the program tells of its run, and what was said since."""
    at = max((index for index, item in enumerate(items) if item.get("type") in RESULTS), default=None)
    if at is None:
        return ""
    said = [_flat(item) for item in items[at + 1 :] if item.get("role") == "user"]
    return "\n".join([_flat(items[at]).rpartition("\nOutput:\n")[2], *said])


def _filled(value: Any, last: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, last) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, last) for inner in value]
    return value.replace("{last}", last) if isinstance(value, str) else value
