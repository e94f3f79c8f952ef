"""`octopoid mcp` as an agent uses it: a process of its own, JSON-RPC on its stdin and stdout."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


class Client:
    """The agent's side."""

    def __init__(self, process: subprocess.Popen[bytes], run_dir: Path) -> None:
        self.process = process
        self.run_dir = run_dir
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def send(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, request_id: int | str, tool: str, **arguments: object) -> None:
        params = {"name": tool, "arguments": arguments}
        self.send({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})

    def heard(self) -> dict[str, Any]:
        return self._lines.get(timeout=PATIENCE_S)

    def said(self) -> tuple[str, bool]:
        """The text of the next result, and whether it is an error."""
        result = self.heard()["result"]
        return result["content"][0]["text"], result.get("isError", False)

    def left(self, kind: str) -> dict[str, Any]:
        """The one item of a kind in the outbox, once it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := list((self.run_dir / "outbox").glob(f"{kind}-*.json"))):
            assert time.monotonic() < deadline, f"no {kind} was left"
            time.sleep(0.02)
        (item,) = found
        content: dict[str, Any] = json.loads(item.read_text())
        return {**content, "id": item.stem}

    def answer(self, item: dict[str, Any], **content: object) -> None:
        aside = self.run_dir / "inbox" / "aside.tmp"
        aside.write_text(json.dumps({"id": item["id"], **content}))
        aside.rename(self.run_dir / "inbox" / f"{item['id']}.json")


@contextmanager
def served(run_dir: Path, *arguments: str) -> Iterator[Client]:
    for name in ("outbox", "inbox"):
        (run_dir / name).mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "octopoid_tui", "mcp", *arguments],
        env={**env, "PYTHONPATH": str(ROOT), "OCTOPOID_RUN_DIR": str(run_dir)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield Client(process, run_dir)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with served(tmp_path) as made:
        yield made


def test_it_says_what_it_is_and_which_tools_it_has(client: Client) -> None:
    params = {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    }
    client.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    assert client.heard()["result"]["protocolVersion"] == "2024-11-05"
    client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    client.send({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    tools = client.heard()["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["ask_human", "report_progress", "submit_work"]


def test_a_question_blocks_nothing_else_and_gets_its_answer(client: Client) -> None:
    words = 'neither: "green" \\ ü\nand a second line'
    client.call(1, "ask_human", question="Which word?", options=["red", "blue"])
    asked = client.left("ask")
    assert (asked["kind"], asked["question"], asked["options"]) == ("ask", "Which word?", ["red", "blue"])
    client.send({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    assert client.heard() == {"jsonrpc": "2.0", "id": "p", "result": {}}
    client.answer(asked, answer=words)
    assert client.said() == (words, False)


def test_an_impatient_client_goes_on_waiting_for_the_same_question(tmp_path: Path) -> None:
    with served(tmp_path, "--wait=0.05") as client:
        client.call(1, "ask_human", question="Which word?")
        text, failed = client.said()
        asked = client.left("ask")
        assert not failed
        assert asked["id"] in text
        client.answer(asked, answer="red")
        client.call(2, "ask_human", wait_for=asked["id"])
        assert client.said() == ("red", False)


def test_a_cancelled_call_is_not_answered(client: Client) -> None:
    client.call(1, "ask_human", question="Which word?")
    asked = client.left("ask")
    client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    client.send({"jsonrpc": "2.0", "id": 2, "method": "ping"})
    assert client.heard()["id"] == 2
    client.answer(asked, answer="red")
    client.call(3, "ask_human", wait_for=asked["id"])
    assert client.heard()["id"] == 3


def test_a_withdrawn_question_is_an_error_that_says_so(client: Client) -> None:
    client.call(1, "ask_human", question="Which word?")
    client.answer(client.left("ask"), withdrawn=True)
    text, failed = client.said()
    assert failed
    assert "withdrawn" in text


def test_progress_is_left_for_the_scheduler(client: Client) -> None:
    client.call(1, "report_progress", text="half way")
    assert client.said() == ("Noted.", False)
    assert client.left("progress")["text"] == "half way"


def test_work_that_cannot_be_used_is_told_at_once(client: Client) -> None:
    client.call(1, "submit_work", kind="verdict", work={"decision": "maybe"})
    left = client.left("verdict")
    assert left["decision"] == "maybe"
    client.answer(left, usable=False, faults=["decision: is neither approve nor reject"])
    text, failed = client.said()
    assert failed
    assert "neither approve nor reject" in text


def test_work_that_can_be_used_is_received(client: Client) -> None:
    client.call(1, "submit_work", kind="tasks", work={"tasks": []})
    client.answer(client.left("tasks"), usable=True, faults=[])
    assert client.said() == ("It was received and can be used.", False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tool": "ask_human"},
        {"tool": "ask_human", "question": "   "},
        {"tool": "ask_human", "wait_for": "../../etc/passwd"},
        {"tool": "ask_human", "wait_for": "ask-unknown"},
        {"tool": "submit_work", "kind": "other", "work": {}},
        {"tool": "submit_work", "kind": "verdict", "work": "text"},
    ],
)
def test_bad_arguments_are_errors_and_leave_nothing(client: Client, arguments: dict[str, Any]) -> None:
    client.call(1, **arguments)
    assert client.said()[1]
    assert list((client.run_dir / "outbox").iterdir()) == []


def test_what_is_no_message_ends_nothing(client: Client) -> None:
    assert client.process.stdin is not None
    client.process.stdin.write(b"\xff{\n[]\n7\n" + b"[" * 100_000 + b"\n")
    client.process.stdin.flush()
    assert client.heard()["error"]["code"] == -32700
    assert client.heard()["error"]["code"] == -32700
    client.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "rm"}})
    assert client.heard()["error"]["code"] == -32601
    client.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": []})
    assert client.heard()["error"]["code"] == -32601


def test_outside_of_a_run_it_says_so(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    done = subprocess.run(
        [sys.executable, "-m", "octopoid_tui", "mcp"], env={**env, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "OCTOPOID_RUN_DIR" in done.stderr
