"""A conversation with the model as it is kept from run to run: one message a line, only ever appended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

Block = dict[str, Any]
Message = dict[str, Any]

ENDED = "The run ended before this was done. Look what has happened before you do it again."


class Session:
    """The messages of one session. Every tool call has its result before anything else is said."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._messages: list[Message] = _load(path)
        self._results: dict[str, Block] = {}
        self.settle(ENDED)

    @property
    def fresh(self) -> bool:
        return not self._messages

    def said(self, content: list[Block]) -> None:
        """The model's answer."""
        if content:
            self._add({"role": "assistant", "content": content})

    def result(self, call: str, text: str, *, error: bool) -> None:
        """What a tool call of the model's newest answer has come to."""
        block: Block = {"type": "tool_result", "tool_use_id": call, "content": text or "(nothing)"}
        self._results[call] = {**block, "is_error": True} if error else block

    def settle(self, missing: str) -> bool:
        """Give the model the results of its calls, and this text for each without one.

        Returns:
            whether there were any calls.
        """
        last = self._messages[-1] if self._messages else {}
        calls = [block["id"] for block in last.get("content", ()) if block["type"] == "tool_use"]
        for call in calls:
            if call not in self._results:
                self.result(call, missing, error=True)
        if calls:
            self._add({"role": "user", "content": [self._results[call] for call in calls]})
        self._results.clear()
        return bool(calls)

    def told(self, texts: list[str]) -> None:
        """Words of people."""
        self._add({"role": "user", "content": [{"type": "text", "text": text} for text in texts]})

    def for_request(self) -> list[Message]:
        """All messages, with neighbours of one role joined and a mark up to where they may be cached."""
        joined: list[Message] = []
        for message in self._messages:
            if joined and joined[-1]["role"] == message["role"]:
                joined[-1]["content"] = [*joined[-1]["content"], *message["content"]]
            else:
                joined.append(dict(message))
        if joined:
            *before, last = joined[-1]["content"]
            joined[-1]["content"] = [*before, {**last, "cache_control": {"type": "ephemeral"}}]
        return joined

    def _add(self, message: Message) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(message) + b"\n")
        self._messages.append(message)


def _load(path: Path) -> list[Message]:
    """What was kept. A last line that was cut by a sudden end is taken off."""
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    return [msgspec.json.decode(line, type=Message) for line in whole.splitlines()]
