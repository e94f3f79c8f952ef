"""Claude Code's protocol, line by line, as the real program wrote it (shortened): each trap it has set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler.agents.claude.conversation import ClaudeConversation
from scheduler.agents.interface import Draft, Heard, Opening, Request, RequestKind

SESSION = "1f25a2a4-0c0b-4f2e-9c55-0c70d01d0001"


def conversation(**setup: Any) -> ClaudeConversation:
    return ClaudeConversation(Opening("run-1", "Do it.", setup))


def heard(talk: ClaudeConversation, *messages: dict[str, Any]) -> list[Draft]:
    return [draft for message in messages for draft in talk.read(json.dumps(message).encode()).drafts]


def kinds(drafts: list[Draft]) -> list[str]:
    return [draft.kind for draft in drafts]


def sent(data: bytes) -> dict[str, Any]:
    assert data.endswith(b"\n")
    message: dict[str, Any] = json.loads(data)
    return message


def init(**more: Any) -> dict[str, Any]:
    servers = [{"name": "octopoid", "status": "connected", "source": "dynamic"}]
    return {"type": "system", "subtype": "init", "session_id": SESSION, "model": "m", "mcp_servers": servers,
            "claude_code_version": "2.1.329", **more}  # fmt: skip


def result(**more: Any) -> dict[str, Any]:
    usage = {"inputTokens": 300, "outputTokens": 150, "cacheReadInputTokens": 9000,
             "cacheCreationInputTokens": 60, "costUSD": 0.0063}  # fmt: skip
    return {"session_id": SESSION, "is_error": False, "subtype": "success", "terminal_reason": "completed",
            "num_turns": 3, "result": "Done.", "total_cost_usd": 0.0063, "modelUsage": {"m": usage},
            "usage": {"input_tokens": 1, "output_tokens": 1}, "type": "result", **more}  # fmt: skip


def can_use(tool: str, given: dict[str, Any], request_id: str = "9baf", **more: Any) -> dict[str, Any]:
    asked = {"subtype": "can_use_tool", "tool_name": tool, "input": given, "tool_use_id": "toolu_2", **more}
    return {"type": "control_request", "request_id": request_id, "request": asked}


def mcp(message: dict[str, Any], request_id: str = "c1") -> dict[str, Any]:
    asked = {"subtype": "mcp_message", "server_name": "octopoid", "message": message}
    return {"type": "control_request", "request_id": request_id, "request": asked}


def the_request(talk: ClaudeConversation) -> Request:
    (request,) = talk.requests.values()
    return request


def reply(talk: ClaudeConversation, *answers: str) -> dict[str, Any]:
    """What the program is answered to its only open request."""
    request = the_request(talk)
    (send,) = talk.reply(request, answers)
    assert send.id == f"reply {request.id}"
    response: dict[str, Any] = sent(send.data)["response"]
    assert (response["subtype"], response["request_id"]) == ("success", request.id)
    inner: dict[str, Any] = response["response"]
    return inner


# Beginning


def test_it_begins_with_a_handshake_and_the_prompt() -> None:
    initialize, prompt = conversation().begin()
    assert sent(initialize.data)["request"]["sdkMcpServers"] == ["octopoid"]
    message = sent(prompt.data)
    assert message["message"] == {"role": "user", "content": "Do it."}
    assert sent(conversation().begin()[1].data)["uuid"] == message["uuid"], "the same after a restart"


def test_a_resumed_session_is_told_where_it_is_now() -> None:
    _, prompt = conversation(resumed=True, worktree="/wt/t1-2").begin()
    assert "/wt/t1-2" in sent(prompt.data)["message"]["content"]


def test_the_first_turn_begins_the_session_and_later_ones_do_not() -> None:
    talk = conversation()
    drafts = heard(talk, init(), init())
    assert kinds(drafts) == ["session.started", "turn.started", "turn.started"]
    assert drafts[0].data == {"session_ref": SESSION, "model": "m", "version": "2.1.329"}


def test_missing_tools_of_ours_are_an_alarm() -> None:
    broken = init(mcp_servers=[{"name": "octopoid", "status": "failed"}])
    assert "ask_human" in heard(conversation(), broken)[-1].data["text"]
    assert "ask_human" in heard(conversation(), init(mcp_servers=[]))[-1].data["text"]


# Turns


def test_use_is_the_sessions_total_and_never_what_messages_say() -> None:
    talk = conversation()
    block = {"type": "assistant", "message": {"id": "msg_1", "content": [{"type": "text", "text": "Hi"}],
             "usage": {"input_tokens": 100, "output_tokens": 1}}}  # fmt: skip
    assert kinds(heard(talk, block, block)) == ["message", "message"]
    usage, end = heard(talk, result())
    expected = {"input": 300, "output": 150, "cache_read": 9000, "cache_write": 60, "turns": 3}
    assert {name: usage.data[name] for name in expected} == expected
    assert (end.kind, end.data["outcome"]) == ("turn.finished", "completed")


def test_a_resumed_run_books_only_what_it_used_itself() -> None:
    before = {"input": 100, "output": 50, "cache_read": 3000, "cache_write": 20, "cost_usd": 0.0021}
    usage = heard(conversation(used=before, resumed=True), result())[0]
    assert (usage.data["input"], usage.data["output"]) == (200, 100)
    assert usage.data["cost_usd"] == pytest.approx(0.0042)


def test_a_session_that_counts_anew_is_not_booked_below_zero() -> None:
    before = {"input": 9999, "output": 9999, "cache_read": 0, "cache_write": 0, "cost_usd": 1.0}
    assert heard(conversation(used=before), result())[0].data["output"] == 150


def test_several_results_of_one_prompt_add_up_their_turns() -> None:
    talk = conversation()
    heard(talk, result())
    assert heard(talk, result())[0].data["turns"] == 6


@pytest.mark.parametrize(
    ("message", "outcome", "blamed"),
    [
        ({"subtype": "error_max_turns", "is_error": True, "terminal_reason": "max_turns",
          "errors": ["Reached maximum number of turns (2)"]}, "max_turns", None),
        ({"subtype": "error_max_turns_exceeded", "is_error": True}, "error", None),
        ({"subtype": "error_max_budget_usd", "is_error": True}, "budget", None),
        ({"subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, "interrupted", None),
        ({"subtype": "error_during_execution", "terminal_reason": "aborted_streaming"}, "interrupted", None),
        ({"is_error": True, "api_error_status": 401, "terminal_reason": "api_error"}, "error", "refused"),
        ({"is_error": True, "api_error_status": 429, "terminal_reason": "api_error"}, "error", "rate_limit"),
        ({"is_error": True, "api_error_status": 529, "terminal_reason": "api_error"}, "error", "rate_limit"),
        ({"is_error": True, "api_error_status": None, "terminal_reason": "api_error"}, "error", "rate_limit"),
        ({"is_error": True, "api_error_status": 400, "terminal_reason": "prompt_too_long"}, "error", None),
        ({"permission_denials": [{"tool_name": "Bash"}]}, "completed", None),
    ],
)  # fmt: skip
def test_how_a_turn_ended(message: dict[str, Any], outcome: str, blamed: str | None) -> None:
    """L-52; `subtype` says success for errors of the provider, and an unknown one is never a success."""
    drafts = heard(conversation(), result(**message))
    assert drafts[-1].data["outcome"] == outcome
    assert [draft.kind for draft in drafts[1:-1]] == ([blamed] if blamed else [])


def test_a_limit_says_when_it_ends() -> None:
    info = {"status": "rejected", "resetsAt": 1_800_000_000, "rateLimitType": "five_hour"}
    talk = conversation()
    heard(talk, {"type": "rate_limit_event", "rate_limit_info": info})
    limit = heard(talk, result(is_error=True, api_error_status=429))[1]
    assert (limit.data["status"], limit.data["resets_at"]) == ("rejected", 1_800_000_000)


def test_a_limit_that_was_overcome_blames_nobody() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10,
             "retry_delay_ms": 563, "error_status": 529, "error": "overloaded"}  # fmt: skip
    info = {"rate_limit_info": {"status": "rejected", "resetsAt": 0}, "type": "rate_limit_event"}
    talk = conversation()
    assert kinds(heard(talk, retry, info, result())) == ["retry", "rate_limit", "usage", "turn.finished"]


# When it is done


def test_it_is_done_when_every_message_was_dealt_with() -> None:
    talk = conversation()
    (said,) = talk.say("m1", "And this.")
    name = sent(said.data)["uuid"]
    prompt = sent(talk.begin()[1].data)["uuid"]
    assert not talk.done([])
    heard(talk, init(), result(user_message_uuids=[prompt]))
    assert talk.done([])
    assert not talk.done([said.id]), "what was said last still waits for its turn"
    heard(talk, init(), result(user_message_uuids=[name]))
    assert talk.done([said.id])


def test_a_program_that_acknowledges_nothing_is_done_with_its_turn() -> None:
    talk = conversation()
    heard(talk, init(), result())
    assert talk.done(["say m1"])


def test_a_new_turn_means_that_it_is_not_done() -> None:
    talk = conversation()
    heard(talk, result(), init())
    assert not talk.done([])


# Permissions


RULE = {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "git add *"}],
        "behavior": "allow", "destination": "localSettings"}  # fmt: skip
WIDER = [{"type": "setMode", "mode": "acceptEdits", "destination": "session"},
         {"type": "addDirectories", "directories": ["/"], "destination": "session"}]  # fmt: skip


def test_a_permission_shows_the_tool_and_what_it_is_called_with() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "git add -A"}, permission_suggestions=[RULE, *WIDER]))
    request = the_request(talk)
    assert (request.kind, request.tool) == (RequestKind.PERMISSION, "Bash")
    assert request.asks[0].text.startswith("Bash: git add -A\n\n```sh\ngit add -A\n```")
    assert request.asks[0].options == ("allow", "allow always", "deny")
    assert "Bash(git add *)" in request.asks[0].text


def test_always_is_for_the_session_and_nothing_wider_than_the_rule() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "git add -A"}, permission_suggestions=[RULE, *WIDER]))
    answer = reply(talk, "allow always")
    assert answer["updatedPermissions"] == [{**RULE, "destination": "session"}]


def test_a_reply_that_could_not_be_sent_is_made_again() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls"}))
    assert reply(talk, "allow") == reply(talk, "allow")


def test_what_was_asked_in_a_turn_is_void_after_it() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls"}), result())
    assert not talk.requests


def test_without_a_rule_always_is_not_offered_and_means_once() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls"}, permission_suggestions=WIDER))
    assert the_request(talk).asks[0].options == ("allow", "deny")
    assert reply(talk, "allow always") == {"behavior": "allow", "updatedInput": {"command": "ls"}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("allow", {"behavior": "allow", "updatedInput": {"command": "ls", "timeout": 5}}),
        ('allow {"command": "pwd"}', {"behavior": "allow", "updatedInput": {"command": "pwd", "timeout": 5}}),
        ("deny: not here", {"behavior": "deny", "message": "not here"}),
        ("use the interface", {"behavior": "deny", "message": "use the interface"}),
    ],
)
def test_answers_on_the_wire(answer: str, expected: dict[str, Any]) -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls", "timeout": 5}))
    assert reply(talk, answer) == expected


def test_a_change_that_cannot_be_read_is_never_allowed() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls"}))
    assert reply(talk, "allow {broken")["behavior"] == "deny"


def test_an_edit_is_shown_as_a_diff_that_nothing_in_it_can_leave() -> None:
    talk = conversation(worktree="/wt")
    given = {"file_path": "/wt/a.py", "old_string": "one\ntwo", "new_string": "one\n```\nthree"}
    heard(talk, can_use("Edit", given))
    text = the_request(talk).asks[0].text
    assert text.startswith("Edit: a.py\n\n````diff\n")
    assert "-two" in text
    assert "+three" in text
    assert text.count("````") == 2


def test_a_request_that_is_taken_back_is_closed() -> None:
    talk = conversation()
    heard(talk, can_use("Bash", {"command": "ls"}), {"type": "control_cancel_request", "request_id": "9baf"})
    assert not talk.requests


def test_questions_are_asked_one_by_one_and_answered_together() -> None:
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
    questions = [{"question": "Which?", "options": options, "multiSelect": True}, {"question": "How many?"}]
    talk = conversation()
    heard(talk, can_use("AskUserQuestion", {"questions": questions}, requires_user_interaction=True))
    request = the_request(talk)
    assert request.kind is RequestKind.QUESTION
    assert [ask.options for ask in request.asks] == [("Red", "Blue"), ()]
    assert "Red: warm" in request.asks[0].text
    given = reply(talk, "Red, Blue", "seven")["updatedInput"]
    assert given["answers"] == {"Which?": "Red, Blue", "How many?": "seven"}
    assert given["questions"] == questions


def test_a_plan_is_shown_whole() -> None:
    talk = conversation()
    heard(talk, can_use("ExitPlanMode", {"plan": "# Plan\n\n1. Begin."}))
    assert the_request(talk).kind is RequestKind.PLAN
    assert "1. Begin." in the_request(talk).asks[0].text
    assert reply(talk, "First ask Bo.") == {"behavior": "deny", "message": "First ask Bo."}


# Our own tools


def served(heard: Heard) -> dict[str, Any]:
    (send,) = heard.sends
    response: dict[str, Any] = sent(send.data)["response"]["response"]["mcp_response"]
    return response


def tell(talk: ClaudeConversation, message: dict[str, Any]) -> Heard:
    return talk.read(json.dumps(mcp(message)).encode())


def test_the_tools_are_served_on_the_wire() -> None:
    talk = conversation()
    opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
    assert served(tell(talk, opening))["result"]["protocolVersion"] == "2025-11-25"
    assert served(tell(talk, {"jsonrpc": "2.0", "method": "notifications/initialized"})) == {
        "jsonrpc": "2.0", "result": {},
    }  # fmt: skip
    tools = served(tell(talk, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["ask_human", "report_progress"]
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "no_such"}}
    assert served(tell(talk, call))["error"]["code"] == -32601


def test_a_question_through_our_tool_waits_and_is_answered() -> None:
    talk = conversation()
    params = {"name": "ask_human", "arguments": {"question": "Deploy?", "options": ["yes", "no"]}}
    assert tell(talk, {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).sends == ()
    assert the_request(talk).asks[0].options == ("yes", "no")
    response = reply(talk, "yes")["mcp_response"]
    assert response == {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "yes"}]}}


def test_a_cancelled_call_is_closed() -> None:
    talk = conversation()
    params = {"name": "ask_human", "arguments": {"question": "Deploy?"}}
    tell(talk, {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
    tell(talk, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
    assert not talk.requests


# What may come


def test_what_is_not_known_is_counted_and_passed_over() -> None:
    assert kinds(heard(conversation(), {"type": "new_in_3.0", "x": 1})) == ["unknown"]
    assert kinds(heard(conversation(), {"type": "stream_event", "event": {}})) == []
    assert kinds(heard(conversation(), {"type": "system", "subtype": "new_in_3.0"})) == []
    asked = {"type": "control_request", "request_id": "x", "request": {"subtype": "hook_callback"}}
    (send,) = conversation().read(json.dumps(asked).encode()).sends
    assert sent(send.data)["response"]["subtype"] == "error"


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"result","modelUsage":[]}', b'{"type":"assistant"}', b'{"type":"assistant","message":7}',
        b'{"type":"user","message":{"content":[7]}}', b'{"type":"control_request"}', b'{"type":7}',
        b'{"type":"system","subtype":"init","mcp_servers":[[]]}', b'{"type":"control_response"}',
        b'{"type":"control_request","request_id":"a","request":{"subtype":"can_use_tool","input":[]}}',
    ],
)  # fmt: skip
def test_messages_of_another_shape_do_no_harm(line: bytes) -> None:
    (draft,) = conversation().read(line).drafts
    assert draft.kind in ("unknown", "log")


def test_tool_results_say_whether_they_were_denied() -> None:
    content = [{"tool_use_id": "t1", "type": "tool_result", "content": [{"type": "text", "text": "no"}],
                "is_error": True}]  # fmt: skip
    meta = [{"id": "t1", "permission_decision": {"decision": "reject"}}]
    message = {"type": "user", "message": {"role": "user", "content": content}, "tool_result_meta": meta}
    (draft,) = heard(conversation(), message)
    assert (draft.kind, draft.data["status"], draft.data["output"]) == ("tool.finished", "denied", "no")


def test_what_a_subagent_does_is_marked() -> None:
    block = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "/a"}}
    message = {"type": "assistant", "message": {"content": [block]}, "parent_tool_use_id": "t0"}
    (draft,) = heard(conversation(), message)
    assert (draft.data["parent"], draft.data["title"]) == ("t0", "/a")


def test_the_state_is_made_again_by_reading_the_same_lines() -> None:
    lines = [init(), can_use("Bash", {"command": "ls"}), can_use("Bash", {"command": "pwd"}, "8c")]
    first, second = conversation(), conversation()
    heard(first, *lines)
    heard(second, *lines)
    assert dict(first.requests) == dict(second.requests)
    assert list(first.requests) == ["9baf", "8c"]
