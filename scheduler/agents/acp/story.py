"""Session updates as events of the common vocabulary: text put together, tool calls followed."""

from __future__ import annotations

from typing import Any

import msgspec

from backend.model import Json
from scheduler.agents.acp.wire import Update
from scheduler.agents.interface import Draft

SPOKEN = {"agent_message_chunk": "message", "agent_thought_chunk": "thinking"}
ENDED = {"completed": "ok", "failed": "error"}
OUTPUT_SHOWN = 1 << 20


class Story:
    """What the agent has told so far. Text is held back until it goes on with something else."""

    def __init__(self, worktree: str) -> None:
        self._worktree = worktree
        self._kind = ""
        self._message: str | None = None
        self._pieces: list[str] = []
        self._tools: dict[str, Update] = {}
        self._told: set[str] = set()

    def take(self, update: Update) -> list[Draft]:
        """The events of one update."""
        kind = SPOKEN.get(update.sessionUpdate)
        if kind is not None:
            return self._speak(kind, update)
        if update.sessionUpdate in ("tool_call", "tool_call_update"):
            return [*self.pause(), *self._tool(update)]
        if update.sessionUpdate == "plan":
            return [*self.pause(), Draft("log", {"stream": "out", "text": "it has a plan"})]
        return []

    def pause(self) -> list[Draft]:
        """The text so far, as one event."""
        text, self._pieces = "".join(self._pieces), []
        if not text:
            return []
        spoken: Json = {"text": text}
        return [Draft(self._kind, {"role": "assistant", **spoken} if self._kind == "message" else spoken)]

    def _speak(self, kind: str, update: Update) -> list[Draft]:
        other = kind != self._kind or update.messageId != self._message
        drafts = self.pause() if other else []
        self._kind, self._message = kind, update.messageId
        self._pieces.append(_text(update.content))
        return drafts

    def _tool(self, update: Update) -> list[Draft]:
        """A call begins when it is known what it is called with, and ends once."""
        tool_id = update.toolCallId
        known = _merged(self._tools.get(tool_id), update)
        self._tools[tool_id] = known
        ended = ENDED.get(known.status or "")
        drafts = []
        if tool_id not in self._told and (known.rawInput or ended or known.status == "in_progress"):
            self._told.add(tool_id)
            drafts.append(self._started(known))
        if ended is not None:
            self._forget(tool_id)
            data = {"tool_id": tool_id, "status": ended, "output": output_of(known)}
            drafts.append(Draft("tool.finished", data))
        return drafts

    def _started(self, call: Update) -> Draft:
        given = call.rawInput if isinstance(call.rawInput, dict) else {}
        title = one_line(call.title or "").replace(f"{self._worktree}/", "")
        name = call.name or call.kind or "tool"
        data = {"tool_id": call.toolCallId, "name": name, "title": title, "input": given}
        return Draft("tool.started", data)

    def _forget(self, tool_id: str) -> None:
        self._tools.pop(tool_id, None)
        self._told.discard(tool_id)


def one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def output_of(call: Update) -> str:
    """A tool's result as text."""
    raw = call.rawOutput
    if isinstance(raw, str):
        return raw[:OUTPUT_SHOWN]
    shown = "\n".join(filter(None, map(_content, _blocks(call.content))))
    if shown or raw is None:
        return shown[:OUTPUT_SHOWN]
    return msgspec.json.encode(raw).decode()[:OUTPUT_SHOWN]


def diffs_of(content: Any) -> list[tuple[str, str, str]]:
    """The changes that a tool call shows: path, old text, new text."""
    return [
        (str(block.get("path", "")), str(block.get("oldText") or ""), str(block.get("newText") or ""))
        for block in _blocks(content)
        if block.get("type") == "diff"
    ]


def _merged(before: Update | None, update: Update) -> Update:
    """A call as known by now: an update holds only what is new."""
    if before is None:
        return update
    known = {name: getattr(before, name) for name in before.__struct_fields__}
    fresh = {name: getattr(update, name) for name in update.__struct_fields__}
    fresh = {name: value for name, value in fresh.items() if value not in (None, [], {})}
    return Update(**{**known, **fresh})


def _blocks(content: Any) -> list[Json]:
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _content(block: Json) -> str:
    return _text(block.get("content")) if block.get("type") == "content" else ""


def _text(content: Any) -> str:
    return str(content.get("text") or "") if isinstance(content, dict) else ""
