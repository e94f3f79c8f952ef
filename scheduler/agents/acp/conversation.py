"""One run's conversation with a program that speaks the Agent Client Protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from backend.model import Json
from scheduler.agents.acp import ending, requests, wire
from scheduler.agents.acp.story import Story
from scheduler.agents.interface import Draft, Heard, Opening, Request, RequestKind, Send, reply_id, say_id
from scheduler.agents.usage import Meter, Usage

RAW_SHOWN: Final = 4096
MOVED: Final = "You go on in a new working directory, {worktree}: paths of the earlier one are void.\n\n"
CLIENT: Final[Json] = {
    "protocolVersion": wire.PROTOCOL,
    "clientInfo": {"name": "octopoid", "version": "1"},
    "clientCapabilities": {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
        "elicitation": {"form": {}},
    },
}


@dataclass(frozen=True, slots=True)
class Open:
    """A request as it is asked of people, and the message that it came in."""

    request: Request
    rpc_id: int | str
    asked: wire.Permission | wire.Elicitation


class AcpConversation:
    """The state of the protocol: the session, what is asked, and which prompts were answered."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._setup = opening.setup
        self._story = Story(str(self._setup.get("worktree")))
        self._open: dict[str, Open] = {}
        self._session: str | None = None
        self._agent = wire.AgentInfo()
        self._answered: set[str] = set()
        """Ids of the prompts whose turns are over."""
        self._over = False
        """Whether there is no session, and will be none."""
        used = Usage.of(self._setup.get("used") or {})
        self._cost = Meter(Usage(cost_usd=used.cost_usd))
        self._tokens, self._paid = Usage(), Usage()

    @property
    def requests(self) -> Mapping[str, Request]:
        return {request_id: one.request for request_id, one in self._open.items()}

    def done(self, said: Collection[str]) -> bool:
        return self._over or {"prompt", *said} <= self._answered

    def begin(self) -> Sequence[Send]:
        return (Send("initialize", wire.request("initialize", "initialize", CLIENT)),)

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        return self._prompt(say_id(message_id), text) if self._session is not None else ()

    def interrupt(self, message_id: str) -> Sequence[Send]:
        """The protocol wants open requests of a turn that is broken off to be answered with that."""
        if self._session is None:
            return ()
        cancel = wire.notification("session/cancel", {"sessionId": self._session})
        dropped = [
            Send(f"drop {request_id}", wire.result(one.rpc_id, _dropped(one)))
            for request_id, one in self._open.items()
        ]
        return (Send(f"interrupt {message_id}", cancel), *dropped)

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        one = self._open.get(request.id)
        if one is None:
            return ()
        if isinstance(one.asked, wire.Elicitation):
            answer = requests.filled_in(one.asked, answers)
            return (Send(reply_id(request.id), wire.result(one.rpc_id, answer)),)
        decided = Send(reply_id(request.id), wire.result(one.rpc_id, requests.chosen(one.asked, answers[0])))
        why = requests.objection(answers[0])
        return (decided, *(self._prompt(say_id(f"why {request.id}"), why) if why else ()))

    def read(self, line: bytes) -> Heard:
        try:
            message = msgspec.json.decode(line, type=wire.Line)
        except msgspec.ValidationError:
            return _unknown(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Heard((Draft("log", {"stream": "out", "text": line.decode("utf-8", "replace")}),))
        try:
            if message.method is None:
                return _unknown(line) if message.id is None else self._response(message)
            if message.id is None:
                return self._notification(message)
            return self._request(message, message.id)
        except (msgspec.ValidationError, RecursionError):
            return _unknown(line)

    # What it says by itself

    def _notification(self, message: wire.Line) -> Heard:
        if message.method != "session/update" or self._session is None:
            return Heard()  # before the session is there, its history is told again
        update = msgspec.convert(message.params, wire.Updated).update
        if update.cost is not None and update.cost.currency == "USD":
            self._paid = self._cost.book(Usage.of({"cost_usd": update.cost.amount}))
        return Heard(self._story.take(update))

    # What it asks

    def _request(self, message: wire.Line, rpc_id: int | str) -> Heard:
        request_id = msgspec.json.encode(rpc_id).decode()
        if message.method == "session/request_permission":
            return self._permission(request_id, rpc_id, msgspec.convert(message.params, wire.Permission))
        if message.method == "elicitation/create":
            form = msgspec.convert(message.params, wire.Elicitation)
            if form.mode == "form":
                self._open[request_id] = Open(requests.question_of(request_id, form), rpc_id, form)
                return Heard(self._story.pause())
        refusal = wire.failure(rpc_id, wire.UNKNOWN_METHOD, f"not supported: {message.method}")
        return Heard((), (Send(reply_id(request_id), refusal),))

    def _permission(self, request_id: str, rpc_id: int | str, asked: wire.Permission) -> Heard:
        if self._is_free(asked.toolCall):
            answer = wire.result(rpc_id, requests.chosen(asked, "allow"))
            return Heard((), (Send(reply_id(request_id), answer),))
        request = requests.permission_of(request_id, asked, str(self._setup.get("worktree")))
        self._open[request_id] = Open(request, rpc_id, asked)
        return Heard(self._story.pause())

    def _is_free(self, call: wire.ToolCall) -> bool:
        """Whether agents.yaml allows it without asking: a kind of tool, or the name of one."""
        free = self._setup.get("allowed") or ()
        return call.kind in free or call.name in free or (call.title in free and call.kind in (None, "other"))

    # What it answers

    def _response(self, message: wire.Line) -> Heard:
        name = message.id
        if name == "initialize":
            return self._initialized(message)
        if name in ("session", "resumed") and self._session is None:
            return self._begun(message)
        if name == "prompt" or (isinstance(name, str) and name.startswith(say_id(""))):
            return self._prompted(name, message)
        return Heard()

    def _initialized(self, message: wire.Line) -> Heard:
        if message.error is not None:
            return self._failed("initialize", message.error)
        reply = msgspec.convert(message.result, wire.Initialized)
        self._agent = reply.agentInfo or self._agent
        session = self._setup.get("resume")
        if isinstance(session, str) and reply.agentCapabilities.loadSession:
            load = wire.request("resumed", "session/load", {**self._place, "sessionId": session})
            return Heard((), (Send("resumed", load),))
        return Heard((), (self._new(),))

    @property
    def _place(self) -> Json:
        given: Json = {"cwd": self._setup.get("worktree"), "mcpServers": self._setup.get("servers") or []}
        return {**given, "_meta": self._setup["meta"]} if self._setup.get("meta") else given

    def _new(self) -> Send:
        if self._setup.get("resume"):
            self._cost = Meter(Usage())  # another session than the one whose cost is known
        return Send("session", wire.request("session", "session/new", self._place))

    def _begun(self, message: wire.Line) -> Heard:
        resumed = message.id == "resumed"
        if message.error is not None:
            if not resumed:
                return self._failed("session/new", message.error)
            text = f"its session is gone, another is begun: {message.error.message}"
            return Heard((Draft("log", {"stream": "out", "text": text}),), (self._new(),))
        said = msgspec.convert(message.result or {}, wire.Session).sessionId
        self._session = str(self._setup.get("resume")) if resumed else said
        started = {"session_ref": self._session, "model": None, "version": self._agent.version}
        moved = MOVED.format(worktree=self._setup.get("worktree")) if resumed else ""
        sends = self._prompt("prompt", moved + self._opening.prompt)
        return Heard((Draft("session.started", started), Draft("turn.started", {})), sends)

    def _prompt(self, send_id: str, text: str) -> Sequence[Send]:
        """Words to the session. Said twice they would be done twice."""
        data = wire.prompt(send_id, str(self._session), text)
        return (Send(send_id, data, repeatable=False),)

    def _prompted(self, name: str, message: wire.Line) -> Heard:
        self._answered.add(name)
        self._open.clear()  # what was asked during a turn is void after it
        drafts = self._story.pause()
        if message.error is not None:
            words = "".join(str(draft.data.get("text")) for draft in drafts)
            return Heard([*drafts, *ending.of_error(message.error, words=words)])
        reply = msgspec.convert(message.result, wire.Prompted)
        self._tokens += ending.use_of(reply)
        used = {**(self._tokens + self._paid).plain, "turns": len(self._answered)}
        return Heard([*drafts, Draft("usage", used), ending.of_turn(reply)])

    def _failed(self, what: str, error: wire.Problem) -> Heard:
        self._over = True
        return Heard(ending.of_error(error, doing=what))


def _dropped(one: Open) -> Json:
    return requests.CANCELLED if one.request.kind is not RequestKind.QUESTION else {"action": "cancel"}


def _unknown(line: bytes) -> Heard:
    raw: Json = {"raw": line[:RAW_SHOWN].decode("utf-8", "replace")}
    return Heard((Draft("unknown", raw),))
