"""Codex's app server as it was recorded: lines in, events and messages out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler.agents.codex.conversation import CodexConversation
from scheduler.agents.interface import Heard, Opening, RequestKind, Send, reply_id, say_id

TREE = "/w/t1"
THREAD, TURN = "01a1fe9c-944e", "01a1fe9c-946a"


def conversation(**setup: Any) -> CodexConversation:
    kept = {"worktree": TREE, "version": "0.169.0", "approval": "untrusted", **setup}
    return CodexConversation(Opening("r1", "Do it.", kept))


def hear(talk: CodexConversation, *messages: dict[str, Any] | bytes) -> list[Heard]:
    lines = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
    return [talk.read(line) for line in lines]


def kinds(heard: list[Heard]) -> list[str]:
    return [draft.kind for one in heard for draft in one.drafts]


def data(heard: list[Heard], kind: str) -> dict[str, Any]:
    (found,) = [draft.data for one in heard for draft in one.drafts if draft.kind == kind]
    return found


def messages(sends: Any) -> list[dict[str, Any]]:
    """What is sent, message by message."""
    return [json.loads(line) for send in sends for line in send.data.splitlines()]


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": {"threadId": THREAD, **params}, "emittedAtMs": 1795273036963}


def turn(status: str, error: dict[str, Any] | None = None, name: str = TURN) -> dict[str, Any]:
    return {"id": name, "items": [], "itemsView": "notLoaded", "status": status, "error": error}


def total(whole: int, cached: int, output: int) -> dict[str, Any]:
    count = {"totalTokens": whole + output, "inputTokens": whole, "cachedInputTokens": cached,
             "cacheWriteInputTokens": 0, "outputTokens": output, "reasoningOutputTokens": 10}  # fmt: skip
    return note("thread/tokenUsage/updated", turnId=TURN, tokenUsage={"total": count, "last": count})


def said(name: str) -> dict[str, Any]:
    return note("item/completed", turnId=TURN, item={"type": "userMessage", "id": "i", "clientId": name})


def asked(method: str, wire_id: int = 0, **params: Any) -> dict[str, Any]:
    return {"method": method, "id": wire_id, "params": {"threadId": THREAD, "turnId": TURN, **params}}


OPENED = {
    "id": "thread",
    "result": {"thread": {"id": THREAD, "status": {"type": "idle"}}, "model": "gpt-5.5"},
}
STARTED = note("turn/started", turn=turn("inProgress"))
COMPLETED = note("turn/completed", turn=turn("completed"))
PATCH = {
    "type": "fileChange", "id": "call_8", "status": "inProgress",
    "changes": [{"path": f"{TREE}/b.txt", "kind": {"type": "add"}, "diff": "alpha\n"}],
}  # fmt: skip
COMMAND = {
    "itemId": "call_9", "command": "/bin/bash -c 'git push'", "cwd": TREE, "reason": None,
    "commandActions": [{"type": "read", "command": "git"}],
    "availableDecisions": ["accept", {"acceptWithExecpolicyAmendment": {}}, "cancel"],
}  # fmt: skip


def begun(**setup: Any) -> CodexConversation:
    """A conversation in the middle of its first turn."""
    talk = conversation(**setup)
    hear(talk, OPENED, STARTED, said("prompt"))
    return talk


def test_it_begins_a_thread_and_then_its_turn() -> None:
    talk = conversation()
    first = messages(talk.begin())
    assert [message["method"] for message in first] == ["initialize", "initialized", "thread/start"]
    assert first[2]["params"]["cwd"] == TREE
    assert [tool["name"] for tool in first[2]["params"]["dynamicTools"]] == ["ask_human", "report_progress"]
    assert "sandbox" not in first[2]["params"], "with it, the folder would be trusted"
    (heard,) = hear(talk, OPENED)
    assert data([heard], "session.started") == {
        "session_ref": THREAD, "model": "gpt-5.5", "version": "0.169.0",
    }  # fmt: skip
    (prompt,) = heard.sends
    assert (prompt.id, prompt.repeatable) == ("prompt", False)
    (sent,) = messages([prompt])
    assert (sent["method"], sent["params"]["threadId"]) == ("turn/start", THREAD)
    assert sent["params"]["input"] == [{"type": "text", "text": "Do it."}]


def test_a_second_thread_of_a_repeated_message_is_not_taken() -> None:
    talk = begun()
    again = {"id": "thread", "result": {"thread": {"id": "another"}}}
    (heard, failed) = hear(talk, again, {"id": "initialize", "error": {"message": "Already initialized"}})
    assert (list(heard.drafts), list(heard.sends)) == ([], [])
    assert kinds([failed]) == ["log"]
    assert not talk.done(())


def test_a_thread_that_cannot_be_gone_on_with_ends_the_run() -> None:
    talk = conversation(resume=THREAD)
    (params,) = [m["params"] for m in messages(talk.begin()) if m.get("method") == "thread/resume"]
    assert params["threadId"] == THREAD
    heard = hear(talk, {"id": "thread", "error": {"code": -32600, "message": "no rollout found"}})
    assert data(heard, "turn.finished") == {"outcome": "error", "reason": "no rollout found"}
    assert talk.done(())


def test_nothing_can_be_said_before_there_is_a_thread() -> None:
    talk = conversation()
    assert talk.say("m1", "and this") == ()
    assert talk.interrupt("m1") == ()


def test_it_is_done_when_it_has_taken_in_all_that_was_said() -> None:
    talk = begun()
    (send,) = talk.say("m1", "and this")
    assert send.id == say_id("m1")
    hear(talk, COMPLETED)
    assert talk.done(())
    assert not talk.done([send.id])
    hear(talk, note("turn/started", turn=turn("inProgress", name="t2")), said(send.id))
    assert not talk.done([send.id])
    hear(talk, note("turn/completed", turn=turn("completed", name="t2")))
    assert talk.done([send.id])


def test_words_that_it_refuses_do_not_keep_it_waiting() -> None:
    talk = begun()
    hear(talk, {"id": say_id("m1"), "error": {"message": "cannot steer a review turn"}}, COMPLETED)
    assert talk.done([say_id("m1")])


def test_a_turn_of_another_thread_is_not_ours() -> None:
    talk = begun()
    other = {"method": "turn/completed", "params": {"threadId": "sub", "turn": turn("completed")}}
    assert kinds(hear(talk, other)) == []
    assert not talk.done(())


def test_an_interrupt_names_the_turn() -> None:
    talk = begun()
    (sent,) = messages(talk.interrupt("m1"))
    assert (sent["method"], sent["params"]) == ("turn/interrupt", {"threadId": THREAD, "turnId": TURN})
    heard = hear(talk, note("turn/completed", turn=turn("interrupted")))
    assert data(heard, "turn.finished")["outcome"] == "interrupted"


def test_a_patch_is_shown_and_denied_with_words() -> None:
    """The program has no room for words in a refusal: they are given to the turn before it."""
    talk = begun()
    hear(talk, note("item/started", turnId=TURN, item=PATCH),
         asked("item/fileChange/requestApproval", 3, itemId="call_8", reason=None))  # fmt: skip
    (request,) = talk.requests.values()
    assert (request.id, request.kind, request.tool) == ("3", RequestKind.PERMISSION, "patch")
    assert "b.txt" in request.asks[0].text
    assert "+alpha" in request.asks[0].text
    (send,) = talk.reply(request, ["deny: use the interface"])
    why, answer = messages([send])
    assert send.id == reply_id("3")
    assert (why["method"], why["params"]["expectedTurnId"]) == ("turn/steer", TURN)
    assert why["params"]["input"][0]["text"] == "patch was denied: use the interface"
    assert answer == {"id": 3, "result": {"decision": "decline"}}
    hear(talk, note("serverRequest/resolved", requestId=3))
    assert not talk.requests


@pytest.mark.parametrize(
    ("answer", "decision"),
    [("allow", "accept"), ("allow always", "acceptForSession"), ("perhaps", "decline")],
)
def test_what_an_answer_to_a_patch_is_on_the_wire(answer: str, decision: str) -> None:
    talk = begun()
    hear(talk, note("item/started", turnId=TURN, item=PATCH),
         asked("item/fileChange/requestApproval", itemId="call_8"))  # fmt: skip
    assert messages(talk.reply(talk.requests["0"], [answer]))[-1]["result"] == {"decision": decision}


def test_a_command_is_shown_as_the_model_wrote_it() -> None:
    """Its own amendment would be allowed outside of the sandbox, so "always" is not offered for it."""
    talk = begun()
    hear(talk, asked("item/commandExecution/requestApproval", **COMMAND))
    request = talk.requests["0"]
    assert "```sh\ngit push\n```" in request.asks[0].text
    assert request.asks[0].options == ("allow", "deny")
    assert request.input["command"] == "git push"
    assert messages(talk.reply(request, ["allow always"]))[-1]["result"] == {"decision": "accept"}


@pytest.mark.parametrize(
    ("path", "grant", "moved", "unasked"),
    [
        (f"{TREE}/src/b.txt", None, None, True),
        (f"{TREE}/../b.txt", None, None, False),
        (f"{TREE}/.git/hooks/post-commit", None, None, False),
        ("/etc/passwd", None, None, False),
        (f"{TREE}2/b.txt", None, None, False),
        (f"{TREE}/b.txt", "/", None, False),
        (f"{TREE}/b.txt", None, "/etc/b.txt", False),
    ],
)
def test_which_patches_need_no_permission(
    path: str, grant: str | None, moved: str | None, unasked: bool
) -> None:
    talk = begun(edits=True)
    change = {"path": path, "kind": {"type": "update", "move_path": moved}, "diff": "@@\n-a\n+b\n"}
    heard = hear(talk, note("item/started", turnId=TURN, item={**PATCH, "changes": [change]}),
                 asked("item/fileChange/requestApproval", itemId="call_8", grantRoot=grant))  # fmt: skip
    sends: list[Send] = [send for one in heard for send in one.sends]
    assert (not talk.requests) is unasked
    assert [m["result"] for m in messages(sends)] == ([{"decision": "accept"}] if unasked else [])


def test_a_patch_that_was_never_announced_is_asked_for() -> None:
    talk = begun(edits=True)
    hear(talk, asked("item/fileChange/requestApproval", itemId="never"))
    assert list(talk.requests) == ["0"]


def test_questions_and_their_answers() -> None:
    talk = begun()
    questions = [
        {"id": "colour", "header": "Colour", "question": "Which colour?", "isOther": True,
         "options": [{"label": "Red", "description": "warm"}]},
        {"id": "size", "header": "Size", "question": "Which size?", "options": None},
    ]  # fmt: skip
    hear(talk, asked("item/tool/requestUserInput", questions=questions, itemId="i"))
    request = talk.requests["0"]
    assert [(ask.text, ask.options) for ask in request.asks] == [
        ("Which colour?\n\n- Red: warm", ("Red",)), ("Which size?", ()),
    ]  # fmt: skip
    (answer,) = messages(talk.reply(request, ["Blue", "big"]))
    assert answer["result"]["answers"] == {"colour": {"answers": ["Blue"]}, "size": {"answers": ["big"]}}


def test_our_tools_are_answered_and_others_are_not_there() -> None:
    talk = begun()
    hear(talk, asked("item/tool/call", 1, callId="c", tool="ask_human",
                     arguments={"question": "Deploy?", "options": ["yes", "no"]}))  # fmt: skip
    request = talk.requests["1"]
    assert (request.kind, request.asks[0].options) == (RequestKind.QUESTION, ("yes", "no"))
    (answer,) = messages(talk.reply(request, ["yes, go"]))
    said_back = {"contentItems": [{"type": "inputText", "text": "yes, go"}], "success": True}
    assert answer == {"id": 1, "result": said_back}
    (heard,) = hear(talk, asked("item/tool/call", 2, callId="d", tool="launch", arguments={}))
    assert messages(heard.sends)[0]["result"]["success"] is False


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("mcpServer/elicitation/request", {"requestedSchema": {"properties": {"a": {}}}},
         {"result": {"action": "decline"}}),
        ("currentTime/read", {}, {"error": {"code": -32601, "message": "not supported: currentTime/read"}}),
    ],
)  # fmt: skip
def test_what_nobody_can_answer_is_refused_at_once(
    method: str, params: dict[str, Any], answer: dict[str, Any]
) -> None:
    talk = begun()
    (heard,) = hear(talk, asked(method, 7, **params))
    assert not talk.requests
    assert messages(heard.sends) == [{"id": 7, **answer}]


def test_more_rights_are_granted_as_asked_or_not_at_all() -> None:
    talk = begun()
    wanted = {"network": {"enabled": True}}
    hear(talk, asked("item/permissions/requestApproval", itemId="i", permissions=wanted, reason="to fetch"))
    request = talk.requests["0"]
    assert "to fetch" in request.asks[0].text
    assert messages(talk.reply(request, ["allow"]))[-1]["result"] == {"permissions": wanted, "scope": "turn"}
    assert messages(talk.reply(request, ["no"]))[-1]["result"]["permissions"] == {}


def test_what_was_asked_in_a_turn_is_void_after_it() -> None:
    talk = begun()
    hear(talk, asked("item/commandExecution/requestApproval", **COMMAND), COMPLETED)
    assert not talk.requests


def test_a_request_that_cannot_be_read_is_answered() -> None:
    (heard,) = hear(begun(), b'{"method":"item/tool/call","id":1,"params":[]}')
    (answer,) = messages(heard.sends)
    assert (answer["id"], answer["error"]["message"]) == (1, "not understood: item/tool/call")


# Use


def test_input_does_not_count_what_came_from_a_cache() -> None:
    talk = begun()
    heard = hear(talk, total(1000, 800, 50), total(2000, 1600, 100), total(2000, 1600, 100))
    last = heard[-1].drafts[0].data
    assert {name: last[name] for name in ("input", "cache_read", "output", "turns")} == {
        "input": 400, "cache_read": 1600, "output": 100, "turns": 2,
    }  # fmt: skip


def test_what_a_resumed_thread_has_used_is_not_booked_again() -> None:
    """It says that before the first turn; what a killed run had used is in it, and in no record of ours."""
    talk = conversation(resume=THREAD, used={"input": 1, "output": 1})
    heard = hear(talk, OPENED, total(3000, 2400, 150), STARTED, total(4000, 3200, 200))
    counts = [draft.data for one in heard for draft in one.drafts if draft.kind == "usage"]
    assert [(one["input"], one["output"], one["turns"]) for one in counts] == [(0, 0, 0), (200, 50, 1)]


# Failures


@pytest.mark.parametrize(
    ("info", "message", "blamed"),
    [
        ({"httpConnectionFailed": {"httpStatusCode": 401}}, "unexpected status 401 Unauthorized", "refused"),
        ("unauthorized", "log in", "refused"),
        ("modelNotFound", "no such model", "refused"),
        ("other", "Missing environment variable: `OPENAI_API_KEY`.", "refused"),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, "exceeded retry limit", "rate_limit"),
        ("usageLimitExceeded", "You have hit your usage limit", "rate_limit"),
        ("internalServerError", "high demand", "rate_limit"),
        ({"responseStreamDisconnected": {"httpStatusCode": None}}, "stream disconnected", "rate_limit"),
        ({"httpConnectionFailed": {"httpStatusCode": 400}}, "prompt is too long", None),
        ("contextWindowExceeded", "out of room", None),
        ({"somethingNew": {}}, "?", None),
        (None, "?", None),
    ],
)  # fmt: skip
def test_who_is_to_blame_for_a_failed_turn(info: Any, message: str, blamed: str | None) -> None:
    """L-54"""
    talk = begun()
    failed = turn("failed", {"message": message, "codexErrorInfo": info, "additionalDetails": None})
    heard = hear(talk, note("turn/completed", turn=failed))
    assert [kind for kind in kinds(heard) if kind != "turn.finished"] == ([blamed] if blamed else [])
    assert data(heard, "turn.finished") == {"outcome": "error", "reason": message}
    assert talk.done(())


def test_a_failure_that_is_tried_again_ends_nothing() -> None:
    talk = begun()
    error = {"message": "Reconnecting... 2/5", "additionalDetails": "unexpected status 404 Not Found",
             "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": 404}}}  # fmt: skip
    heard = hear(talk, note("error", error=error, willRetry=True, turnId=TURN))
    assert data(heard, "retry") == {
        "attempt": 1, "delay": None, "status": 404,
        "reason": "Reconnecting... 2/5: unexpected status 404 Not Found",
    }  # fmt: skip
    offline = {"message": "waiting for network", "codexErrorInfo": {"httpConnectionFailed": {}}}
    assert data(hear(talk, note("error", error=offline, willRetry=True)), "retry")["delay"] >= 5
    assert not talk.done(())


def test_a_limit_ends_when_its_provider_says() -> None:
    talk = begun()
    limits = {"primary": {"usedPercent": 100, "resetsAt": 1795290000, "windowDurationMins": 300},
              "secondary": {"usedPercent": 40, "resetsAt": 1799999999}}  # fmt: skip
    updated = {"method": "account/rateLimits/updated", "params": {"rateLimits": limits}}
    warned = hear(talk, updated, updated)
    assert kinds(warned) == ["rate_limit"], "once"
    failed = turn("failed", {"message": "limit", "codexErrorInfo": "usageLimitExceeded"})
    heard = hear(talk, note("turn/completed", turn=failed))
    assert data(heard, "rate_limit")["resets_at"] == 1795290000


# Output


def test_tools_are_told_when_they_begin_and_end() -> None:
    talk = begun()
    item = {"type": "commandExecution", "id": "call_1", "command": "/bin/bash -c 'ls'", "cwd": TREE,
            "status": "inProgress", "commandActions": [{"type": "listFiles", "command": "ls"}]}  # fmt: skip
    ended = {**item, "status": "failed", "exitCode": 2, "aggregatedOutput": "no such file\n"}
    heard = hear(talk, note("item/started", item=item), note("item/completed", item=ended))
    assert data(heard, "tool.started") == {
        "tool_id": "call_1", "name": "command", "title": "ls", "input": {"command": "ls", "cwd": TREE},
    }  # fmt: skip
    assert data(heard, "tool.finished") == {
        "tool_id": "call_1", "status": "error", "output": "no such file\n",
    }  # fmt: skip
    declined = hear(talk, note("item/completed", item={**PATCH, "status": "declined"}))
    assert data(declined, "tool.finished")["status"] == "denied"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"WARNING: not JSON", "log"),
        (b"\xff\xfe", "log"),
        (b"[" * 5000, "log"),
        (b"[1]", "log"),
        (b'{"method":"something/new","params":{}}', "unknown"),
        (b'{"method":"turn/started","params":{"turn":7}}', "unknown"),
        (b'{"method":"item/tool/call","id":1,"params":[]}', "unknown"),
        (b'{"method":"warning","params":{"message":"look out"}}', "log"),
        (b'{"method":"thread/name/updated","params":{}}', None),
        (b'{"id":"nobody asked","result":[]}', None),
    ],
)
def test_any_line_is_taken(line: bytes, kind: str | None) -> None:
    """L-60"""
    assert kinds(hear(begun(), line)) == ([kind] if kind else [])
