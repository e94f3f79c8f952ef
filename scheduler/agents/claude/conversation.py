"""One run's conversation with Claude Code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backend.model import Json
from scheduler.agents.claude import events, permissions, tools, wire
from scheduler.agents.interface import Draft, Heard, Opening, Request, Send, reply_id, say_id
from scheduler.agents.usage import Meter, Usage

RAW_SHOWN = 4096
MOVED = "You go on in a new working directory, {worktree}: paths of the earlier one are void.\n\n"
QUIET = frozenset({"stream_event", "conversation_reset", "keep_alive"})
"""Messages that say nothing that is kept."""


@dataclass(frozen=True, slots=True)
class Open:
    """A request as it is asked of people, and the message that it came in."""

    request: Request
    asked: wire.Asked


class ClaudeConversation:
    """The state of the protocol: what is asked, what was counted, and whether the turn is over."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._open: dict[str, Open] = {}
        self._meter = Meter(Usage.of(opening.setup.get("used") or {}))
        self._turns = 0
        self._session: str | None = None
        self._error: str | None = None
        self._resets_at: float | None = None
        self._idle = False
        self._dealt_with: set[str] = set()
        """Ids of messages of ours that were answered; empty with programs that do not say."""

    @property
    def requests(self) -> Mapping[str, Request]:
        return {request_id: one.request for request_id, one in self._open.items()}

    def done(self, said: Collection[str]) -> bool:
        if not self._idle or not self._dealt_with:
            return self._idle
        return all(self._uuid(send_id) in self._dealt_with for send_id in said)

    def _uuid(self, send_id: str) -> str:
        """The program's name of a message of ours."""
        return wire.message_uuid(self._opening.run_id, send_id)

    def begin(self) -> Sequence[Send]:
        setup = self._opening.setup
        moved = MOVED.format(worktree=setup.get("worktree")) if setup.get("resumed") else ""
        initialize = {"subtype": "initialize", "hooks": None, "sdkMcpServers": [tools.SERVER]}
        return (
            Send("initialize", wire.control("octopoid-initialize", initialize)),
            Send("prompt", wire.user_message(self._uuid("prompt"), moved + self._opening.prompt)),
        )

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        send_id = say_id(message_id)
        return (Send(send_id, wire.user_message(self._uuid(send_id), text)),)

    def interrupt(self, message_id: str) -> Sequence[Send]:
        data = wire.control(f"octopoid-interrupt-{message_id}", {"subtype": "interrupt"})
        return (Send(f"interrupt {message_id}", data),)

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        one = self._open.get(request.id)
        if one is None:
            return ()
        if one.asked.subtype == "mcp_message":
            response = {"mcp_response": tools.result_of(one.asked.message, "\n".join(answers))}
        else:
            response = permissions.response_to(one.asked, request, answers)
        return (Send(reply_id(request.id), wire.success(request.id, response)),)

    def read(self, line: bytes) -> Heard:
        try:
            kind = msgspec.json.decode(line, type=wire.Line).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Heard((Draft("log", {"stream": "out", "text": line.decode("utf-8", "replace")}),))
        if kind in QUIET:
            return Heard()
        reader = READERS.get(kind)
        if reader is None:
            return _unknown(line)
        try:
            return reader(self, line)
        except (msgspec.ValidationError, RecursionError):
            return _unknown(line)

    # One method for each type of message

    def _system(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.System)
        drafts = events.of_system(message)
        if message.subtype == "init":
            self._idle = False
            if message.session_id is not None and message.session_id != self._session:
                self._session = message.session_id
                drafts = [events.session_started(message), *drafts]
        return Heard(drafts)

    def _assistant(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.Said)
        self._error = message.error if message.is_api_error_message else None
        return Heard(events.of_assistant(message))

    def _user(self, line: bytes) -> Heard:
        return Heard(events.of_user(msgspec.json.decode(line, type=wire.Said)))

    def _progress(self, line: bytes) -> Heard:
        return Heard(events.of_progress(msgspec.json.decode(line, type=wire.Progress)))

    def _limit(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.Limit)
        self._resets_at = events.reset_of(message)
        return Heard(events.of_limit(message))

    def _lifecycle(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.Lifecycle)
        if message.state in ("completed", "cancelled") and message.command_uuid is not None:
            self._dealt_with.add(message.command_uuid)
        return Heard()

    def _result(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.Result)
        self._turns += message.num_turns or 0
        used = self._meter.book(events.total_of(message))
        outcome, why = events.outcome_of(message)
        self._idle = True
        self._open.clear()  # what was asked during a turn is void after it
        self._dealt_with.update(message.user_message_uuids or ())
        return Heard(
            [
                Draft("usage", {**used.plain, "turns": self._turns}),
                *events.blame(message, self._error, self._resets_at),
                Draft("turn.finished", {"outcome": outcome, "reason": why, "text": message.result}),
            ]
        )

    def _control_request(self, line: bytes) -> Heard:
        message = msgspec.json.decode(line, type=wire.ControlRequest)
        request_id, asked = message.request_id, message.request
        if asked.subtype == "can_use_tool":
            worktree = str(self._opening.setup.get("worktree"))
            self._open[request_id] = Open(permissions.request_of(request_id, asked, worktree), asked)
            return Heard()
        if asked.subtype == "mcp_message":
            return self._mcp(request_id, asked)
        text = f"not supported: {asked.subtype}"
        return Heard((), (Send(reply_id(request_id), wire.failure(request_id, text)),))

    def _mcp(self, request_id: str, asked: wire.Asked) -> Heard:
        response = tools.answer_at_once(asked.message)
        if response is None:
            self._open[request_id] = Open(tools.request_of(request_id, asked.message), asked)
            return Heard()
        self._take_back(tools.cancelled(asked.message))
        answer = wire.success(request_id, {"mcp_response": response})
        return Heard((), (Send(reply_id(request_id), answer),))

    def _take_back(self, call: Any) -> None:
        """Close the request that a call of our tools made, when the call is cancelled."""
        if call is not None:
            self._open = {
                request_id: one
                for request_id, one in self._open.items()
                if one.asked.subtype != "mcp_message" or one.asked.message.get("id") != call
            }

    def _cancel(self, line: bytes) -> Heard:
        self._open.pop(msgspec.json.decode(line, type=wire.Cancel).request_id, None)
        return Heard()

    def _control_response(self, line: bytes) -> Heard:
        answered = msgspec.json.decode(line, type=wire.ControlResponse).response
        if answered.subtype == "success":
            return Heard()
        text = f"{answered.request_id}: {answered.error}"
        return Heard((Draft("log", {"stream": "out", "text": text}),))


READERS: dict[str, Callable[[ClaudeConversation, bytes], Heard]] = {
    "system": ClaudeConversation._system,
    "assistant": ClaudeConversation._assistant,
    "user": ClaudeConversation._user,
    "tool_progress": ClaudeConversation._progress,
    "rate_limit_event": ClaudeConversation._limit,
    "command_lifecycle": ClaudeConversation._lifecycle,
    "result": ClaudeConversation._result,
    "control_request": ClaudeConversation._control_request,
    "control_response": ClaudeConversation._control_response,
    "control_cancel_request": ClaudeConversation._cancel,
}


def _unknown(line: bytes) -> Heard:
    raw: Json = {"raw": line[:RAW_SHOWN].decode("utf-8", "replace")}
    return Heard((Draft("unknown", raw),))
