"""A scripted model behind the Anthropic Messages API, for agent programs on this machine.

The newest user text that holds `[[NAME]]` picks a script; how many answers the model has given since then
picks its step. So the server keeps no conversations: a request that is repeated gets the same answer, and any
number of agents share one server. A request without tools (a title, a summary) gets "ok".

A step is a dict:

    {"text": "hi"}                        text, and the end of the turn
    {"tool": "Write", "input": {…}}       a call of a tool
    {"blocks": [{"text": …}, {"tool": …, "input": …}]}
    {"status": 529, "error": "overloaded_error", "message": "…", "headers": {…}}
    {"text": "hi", "stop_reason": "max_tokens"}
    {"text": "hi", "cut": True}           the connection ends before the message does
    {"text": "hi", "broken_by": "overloaded_error"}   an error in the middle of the stream
    {"first": {…}, …}                     another step, the first time that this one is asked for
    "hold": True                          in any step: wait until `release()`

In texts and inputs, `{cwd}` is the agent's working directory, `{last}` the newest result of a tool, `{told}`
the newest words of a person.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

Step = dict[str, Any]

MARK = re.compile(r"\[\[([A-Za-z0-9_.-]+)\]\]")
WHERE = re.compile(r"working directory: ?([^\\\"\n(]+)", re.IGNORECASE)
USAGE = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 3000,
    "output_tokens": 50,
    "service_tier": "standard",
}
HELD_AT_MOST_S = 600.0
"""Longer than any test may take: what is held goes on when the test says so."""


class FakeAnthropic:
    """Serves on a free port of the loopback interface while it is used as a context."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self._requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._held = threading.Condition(self._lock)
        self._holding: set[str] = set()
        self._released: set[str] = set()
        self._asked: set[tuple[str, int]] = set()
        fake = self

        class Bound(_Handler):
            model = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FakeAnthropic:
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

    def note(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._requests.append(body)

    def wait(self, name: str) -> None:
        with self._lock:
            self._holding.add(name)
            self._held.wait_for(lambda: name in self._released, HELD_AT_MOST_S)
            self._holding.discard(name)

    def pick(self, body: dict[str, Any]) -> tuple[str, Step]:
        """The script that a request follows, and the step it is at."""
        messages = body.get("messages") or []
        name, begin = "", 0
        for index, message in enumerate(messages):
            found = MARK.findall(_typed(message["content"])) if message.get("role") == "user" else []
            if found:
                name, begin = found[-1], index
        steps = self.scripts.get(name, [])
        roles = ["", *(message.get("role") for message in messages[begin + 1 :])]
        done = sum(now == "assistant" != before for before, now in pairwise(roles))
        if not body.get("tools") or done >= len(steps):
            return name, {"text": "ok"}
        return name, self._first_time(name, done) or steps[done]

    def _first_time(self, name: str, number: int) -> Step | None:
        """What a step has for the first time that it is asked for."""
        with self._lock:
            first: Step | None = self.scripts[name][number].get("first")
            if first is None or (name, number) in self._asked:
                return None
            self._asked.add((name, number))
            return first


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: FakeAnthropic

    def log_message(self, *args: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self._json(200, {})

    def do_GET(self) -> None:
        self._json(404, _problem("not_found_error", self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            self._json(200, {"input_tokens": 10})
            return
        if not path.endswith("/v1/messages"):
            self._json(404, _problem("not_found_error", path))
            return
        self.model.note(body)
        name, step = self.model.pick(body)
        if step.get("hold"):
            self.model.wait(name)
        if "status" in step:
            problem = _problem(step.get("error", "api_error"), step.get("message", "scripted error"))
            self._json(step["status"], problem, step.get("headers"))
            return
        try:
            self._answer(body, step)
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
        if self.command != "HEAD":
            self.wfile.write(data)

    def _answer(self, body: dict[str, Any], step: Step) -> None:
        content = [_block(block, body) for block in step.get("blocks") or [step]]
        uses_tool = any(block["type"] == "tool_use" for block in content)
        message = {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", "?"),
            "content": content,
            "stop_reason": step.get("stop_reason") or ("tool_use" if uses_tool else "end_turn"),
            "stop_sequence": None,
            "usage": USAGE,
        }
        if body.get("stream"):
            self._stream(message, step)
        else:
            self._json(200, message)

    def _stream(self, message: dict[str, Any], step: Step) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("connection", "close")
        self.end_headers()
        begun = {**message, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
        self._event("message_start", message=begun)
        for index, block in enumerate(message["content"]):
            if block["type"] == "text":
                empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
            else:
                empty = {**block, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            self._event("content_block_start", index=index, content_block=empty)
            self._event("content_block_delta", index=index, delta=delta)
            self._event("content_block_stop", index=index)
        if "broken_by" in step:
            self._event("error", error={"type": step["broken_by"], "message": "scripted"})
        if "cut" in step or "broken_by" in step:
            return
        stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        self._event("message_delta", delta=stop, usage=USAGE)
        self._event("message_stop")

    def _event(self, kind: str, **data: Any) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())
        self.wfile.flush()


def _problem(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}


def _typed(content: Any) -> str:
    """What a person typed of a message: the result of a tool cannot pick a script."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content if block.get("type") == "text")


def _block(block: Step, body: dict[str, Any]) -> dict[str, Any]:
    if "tool" in block:
        made = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}", "name": block["tool"]}
        return {**made, "input": _filled(block.get("input", {}), body)}
    return {"type": "text", "text": _filled(block.get("text", "ok"), body)}


def _filled(value: Any, body: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, body) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, body) for inner in value]
    if not isinstance(value, str):
        return value
    if "{cwd}" in value:
        # A session that is gone on with elsewhere is told so: the newest place counts.
        found = WHERE.findall(json.dumps(body.get("system", "")) + json.dumps(body.get("messages", "")))
        value = value.replace("{cwd}", found[-1].strip() if found else "no-working-directory")
    value = value.replace("{told}", _last_words(body)) if "{told}" in value else value
    return value.replace("{last}", _last_result(body)) if "{last}" in value else value


def _last_result(body: dict[str, Any]) -> str:
    last = ""
    for message in body.get("messages") or []:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                inner = block.get("content")
                last = inner if isinstance(inner, str) else _typed(inner or [])
    return last


def _last_words(body: dict[str, Any]) -> str:
    typed = [_typed(one["content"]) for one in body.get("messages") or [] if one.get("role") == "user"]
    return next((text for text in reversed(typed) if text.strip()), "")
