"""One run's conversation with Codex's app server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from backend.model import Json
from scheduler.agents.codex import events, requests, wire
from scheduler.agents.interface import Draft, Heard, Opening, Request, Send, reply_id, say_id
from scheduler.agents.toolbox import ASK_HUMAN, REPORT_PROGRESS
from scheduler.agents.usage import Meter, Usage

RAW_SHOWN = 4096
THREAD, PROMPT = "thread", "prompt"
MOVED = "You go on in a new working directory, {worktree}: paths of the earlier one are void.\n\n"
INSTRUCTIONS: Final = """\
You work unattended: nobody reads what you write while you work. To ask a person, use ask_human and wait; \
prefer it to request_user_input and to `octopoid ask`. Tell how you get on with report_progress, seldom. If \
the repository has an AGENTS.md, read it first. End your turn only when the task is done: what still runs in \
the background is ended then."""

TALKATIVE: Final = (
    "item/agentMessage/delta",
    "item/reasoning/summaryTextDelta",
    "item/reasoning/textDelta",
    "item/plan/delta",
    "turn/diff/updated",
)
"""Notifications that only repeat, bit by bit, what others say in the end; the program is told to leave them
out."""

QUIET = frozenset(
    {
        "account", "app", "command", "configWarning", "externalAgentConfig", "fs", "fuzzyFileSearch", "hook",
        "item", "mcpServer", "model", "modelProvider", "process", "project", "rawResponse", "remoteControl",
        "serverRequest", "skills", "thread", "turn", "windows", "windowsSandbox",
    }
)  # fmt: skip
"""Groups of notifications (what is before their slash) of which those without a reader say nothing that is
kept."""


class CodexConversation:
    """The state of the protocol: the thread and its turn, what is asked, and what was counted."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        setup = opening.setup
        self._worktree = str(setup.get("worktree"))
        self._open: dict[str, requests.Open] = {}
        self._items: dict[str, Json] = {}
        """Tools in use, by id: an approval names only the id."""
        self._meter = Meter(Usage.of(setup.get("used") or {}))
        self._total: Usage | None = None
        self._calls = 0
        self._thread: str | None = None
        self._turn: str | None = None
        self._begun = False
        self._over = False
        """Whether the last turn has ended, or none can begin."""
        self._heard: set[str] = set()
        """Ids of messages of ours that it has taken in, or refused."""
        self._retries = 0
        self._resets_at: float | None = None
        self._warned = False

    @property
    def requests(self) -> Mapping[str, Request]:
        return {request_id: one.request for request_id, one in self._open.items()}

    def done(self, said: Collection[str]) -> bool:
        return self._over and self._turn is None and self._heard.issuperset(said)

    def begin(self) -> Sequence[Send]:
        setup = self._opening.setup
        client = {"name": "octopoid", "title": "Octopoid", "version": "1"}
        abilities = {"experimentalApi": True, "optOutNotificationMethods": list(TALKATIVE)}
        params: Json = {"cwd": self._worktree, "approvalPolicy": setup.get("approval"),
                        "developerInstructions": INSTRUCTIONS}  # fmt: skip
        if setup.get("resume"):
            method = "thread/resume"
            params |= {"threadId": setup["resume"], "excludeTurns": True}
        else:
            method = "thread/start"
            params["dynamicTools"] = [{"type": "function", **tool} for tool in (ASK_HUMAN, REPORT_PROGRESS)]
        initialize = {"clientInfo": client, "capabilities": abilities}
        return (
            Send("initialize", wire.request("initialize", "initialize", initialize)),
            Send("initialized", wire.notification("initialized")),
            Send(THREAD, wire.request(THREAD, method, params)),
        )

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        """While a turn runs it joins that; else it begins one."""
        return () if self._thread is None else (self._told(say_id(message_id), text),)

    def interrupt(self, message_id: str) -> Sequence[Send]:
        if self._turn is None:
            return ()
        send_id = f"interrupt {message_id}"
        params = {"threadId": self._thread, "turnId": self._turn}
        return (Send(send_id, wire.request(send_id, "turn/interrupt", params)),)

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        one = self._open.get(request.id)
        if one is None:
            return ()
        return (Send(reply_id(request.id), requests.reply_to(one, answers, str(self._thread))),)

    def _told(self, send_id: str, text: str) -> Send:
        params = {"threadId": self._thread, "input": wire.words(text), "clientUserMessageId": send_id}
        # A second one would not be ignored: it joins the turn, and breaks off what the model is saying.
        return Send(send_id, wire.request(send_id, "turn/start", params), repeatable=False)

    def read(self, line: bytes) -> Heard:
        try:
            message = msgspec.json.decode(line, type=wire.Message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Heard((events.log(line.decode("utf-8", "replace")),))
        try:
            if message.method is None:
                return self._response(message) if message.id is not None else _unknown(line)
            if message.id is not None:
                return self._asked(message.id, message.method, message.params)
            return self._notified(message.method, message.params, line)
        except (msgspec.DecodeError, RecursionError):
            return Heard(_unknown(line).drafts, _declined(message))

    # Responses to what we sent

    def _response(self, message: wire.Message) -> Heard:
        if message.error is not None:
            return self._refused(str(message.id), str(message.error.get("message")))
        if message.id != THREAD or self._thread is not None:
            return Heard()
        opened = msgspec.json.decode(message.result, type=wire.ThreadOpened)
        self._thread = opened.thread.id
        setup = self._opening.setup
        started = {"session_ref": self._thread, "model": opened.model, "version": setup.get("version")}
        moved = MOVED.format(worktree=self._worktree) if setup.get("resume") else ""
        prompt = self._told(PROMPT, moved + self._opening.prompt)
        return Heard((Draft("session.started", started),), (prompt,))

    def _refused(self, send_id: str, why: str) -> Heard:
        """An error as the answer to a message: without its thread or its prompt there is no work."""
        self._heard.add(send_id)
        fatal = send_id == PROMPT or (send_id == THREAD and self._thread is None)
        if not fatal:
            return Heard((events.log(f"{send_id}: {why}"),))
        self._over = True
        return Heard((Draft("turn.finished", {"outcome": "error", "reason": why}),))

    # Requests

    def _asked(self, wire_id: int | str, method: str, params: msgspec.Raw) -> Heard:
        asked = msgspec.json.decode(params, type=wire.Asked)
        item = self._items.get(asked.itemId or "", {})
        unasked = method == requests.CHANGE and self._opening.setup.get("edits")
        if unasked and requests.stays_inside(asked, item, self._worktree):
            return Heard((), (Send(reply_id(str(wire_id)), requests.accepted(wire_id)),))
        one = requests.opened(wire_id, method, asked, item, self._worktree)
        if one is not None:
            self._open[str(wire_id)] = one
            return Heard()
        answer = requests.unanswerable(wire_id, method, asked)
        return Heard((events.log(f"not supported: {method}"),), (Send(reply_id(str(wire_id)), answer),))

    # Notifications

    def _notified(self, method: str, params: msgspec.Raw, line: bytes) -> Heard:
        reader = READERS.get(method)
        if reader is not None:
            return Heard(reader(self, params))
        return Heard() if method.partition("/")[0] in QUIET else _unknown(line)

    def _ours(self, thread: str | None) -> bool:
        """Whether a notification is of this run's thread: there can be others."""
        return thread is None or thread == self._thread

    def _turn_started(self, params: msgspec.Raw) -> list[Draft]:
        changed = msgspec.json.decode(params, type=wire.TurnChanged)
        if not self._ours(changed.threadId):
            return []
        self._turn, self._begun, self._over = changed.turn.id, True, False
        return [Draft("turn.started", {})]

    def _turn_completed(self, params: msgspec.Raw) -> list[Draft]:
        changed = msgspec.json.decode(params, type=wire.TurnChanged)
        if not self._ours(changed.threadId):
            return []
        self._turn, self._over, self._retries = None, True, 0
        self._open.clear()  # what was asked during a turn is void after it
        self._items.clear()
        failed = changed.turn.error if changed.turn.status == "failed" else None
        return [*events.blame(failed, self._resets_at), events.finished(changed.turn)]

    def _item_started(self, params: msgspec.Raw) -> list[Draft]:
        item = msgspec.json.decode(params, type=wire.ItemChanged).item
        self._take_in(item)
        if events.tool_name(item) is not None:
            self._items[str(item.get("id"))] = item
        return events.begun(item, self._worktree)

    def _item_completed(self, params: msgspec.Raw) -> list[Draft]:
        item = msgspec.json.decode(params, type=wire.ItemChanged).item
        self._take_in(item)
        self._items.pop(str(item.get("id")), None)
        return events.ended(item)

    def _take_in(self, item: Json) -> None:
        """A message of ours is part of the conversation now."""
        if item.get("type") == "userMessage" and isinstance(item.get("clientId"), str):
            self._heard.add(item["clientId"])

    def _usage(self, params: msgspec.Raw) -> list[Draft]:
        updated = msgspec.json.decode(params, type=wire.UsageUpdated)
        if not self._ours(updated.threadId):
            return []
        total = events.usage_of(updated.tokenUsage.total)
        if not self._begun:  # what a resumed thread had used: it is known better than by us
            self._meter = Meter(total)
        self._calls += self._begun and total != self._total
        self._total = total
        return [Draft("usage", {**self._meter.book(total).plain, "turns": self._calls})]

    def _limits(self, params: msgspec.Raw) -> list[Draft]:
        limits = msgspec.json.decode(params, type=wire.LimitsUpdated).rateLimits
        self._resets_at = events.reset_of(limits)
        if self._warned or not events.nearly_used_up(limits):
            return []
        self._warned = True
        return [Draft("rate_limit", {"status": "warning", "type": limits.rateLimitReachedType})]

    def _trouble(self, params: msgspec.Raw) -> list[Draft]:
        """A failure that is tried again; another one comes with the end of the turn too."""
        trouble = msgspec.json.decode(params, type=wire.Trouble)
        if not trouble.willRetry:
            return []
        self._retries += 1
        return [events.retry(trouble.error, self._retries)]

    def _status(self, params: msgspec.Raw) -> list[Draft]:
        changed = msgspec.json.decode(params, type=wire.StatusChanged)
        if not self._ours(changed.threadId):
            return []
        working = "waiting" if changed.status.activeFlags else "running"
        state = {"active": working, "idle": "idle"}.get(changed.status.type)
        return [] if state is None else [Draft("state", {"state": state})]

    def _resolved(self, params: msgspec.Raw) -> list[Draft]:
        self._open.pop(str(msgspec.json.decode(params, type=wire.Resolved).requestId), None)
        return []

    def _remark(self, params: msgspec.Raw) -> list[Draft]:
        remark = msgspec.json.decode(params, type=wire.Remark)
        return [events.log(remark.message or remark.summary or "a warning without words")]


READERS: dict[str, Callable[[CodexConversation, msgspec.Raw], list[Draft]]] = {
    "turn/started": CodexConversation._turn_started,
    "turn/completed": CodexConversation._turn_completed,
    "item/started": CodexConversation._item_started,
    "item/completed": CodexConversation._item_completed,
    "thread/tokenUsage/updated": CodexConversation._usage,
    "thread/status/changed": CodexConversation._status,
    "account/rateLimits/updated": CodexConversation._limits,
    "serverRequest/resolved": CodexConversation._resolved,
    "error": CodexConversation._trouble,
    "warning": CodexConversation._remark,
    "guardianWarning": CodexConversation._remark,
    "deprecationNotice": CodexConversation._remark,
}


def _unknown(line: bytes) -> Heard:
    return Heard((Draft("unknown", {"raw": line[:RAW_SHOWN].decode("utf-8", "replace")}),))


def _declined(message: wire.Message) -> Sequence[Send]:
    """The answer to a request that cannot be read: the program would wait for one for ever."""
    if message.method is None or message.id is None:
        return ()
    answer = wire.failure(message.id, f"not understood: {message.method}")
    return (Send(reply_id(str(message.id)), answer),)
