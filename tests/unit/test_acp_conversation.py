"""The Agent Client Protocol line by line, as real programs wrote it (shortened)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.config.schema import AgentSpec
from scheduler.agents.acp.adapter import AcpAdapter
from scheduler.agents.acp.conversation import AcpConversation
from scheduler.agents.interface import (
    AgentUnavailable,
    Assignment,
    Draft,
    Heard,
    Opening,
    Request,
    RequestKind,
    Send,
    reply_id,
)

SESSION = "e731e5bf-f23d-4407-af15-70748aee19c9"
OPTIONS = [
    {"optionId": "allow-once", "name": "Yes", "kind": "allow_once"},
    {"optionId": "with-updates", "name": "Yes, always", "kind": "allow_always"},
    {"optionId": "reject", "name": "No", "kind": "reject_once"},
]
WRITE = {
    "toolCallId": "t1", "title": "Write /wt/hello.txt", "kind": "edit",
    "rawInput": {"file_path": "/wt/hello.txt"},
    "content": [{"type": "diff", "path": "/wt/hello.txt", "oldText": None, "newText": "hello\n"}],
}  # fmt: skip


def say(talk: AcpConversation, **message: Any) -> Heard:
    return talk.read(json.dumps({"jsonrpc": "2.0", **message}).encode())


def update(talk: AcpConversation, what: str, **more: Any) -> list[Draft]:
    params = {"sessionId": SESSION, "update": {"sessionUpdate": what, **more}}
    return list(say(talk, method="session/update", params=params).drafts)


def sent(send: Send) -> dict[str, Any]:
    (line,) = send.data.splitlines()
    message: dict[str, Any] = json.loads(line)
    assert message["jsonrpc"] == "2.0"
    return message


def kinds(heard: Heard) -> list[str]:
    return [draft.kind for draft in heard.drafts]


def begun(**setup: Any) -> AcpConversation:
    """A conversation whose first turn runs."""
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt", **setup}))
    talk.begin()
    capabilities = {"loadSession": True}
    info = {"name": "agent", "version": "1.2"}
    reply = {"protocolVersion": 1, "agentCapabilities": capabilities, "agentInfo": info}
    say(talk, id="initialize", result=reply)
    say(talk, id="session", result={"sessionId": SESSION})
    return talk


def ask(talk: AcpConversation, **more: Any) -> Heard:
    params = {"sessionId": SESSION, "toolCall": WRITE, "options": OPTIONS, **more}
    return say(talk, id=0, method="session/request_permission", params=params)


def the_request(talk: AcpConversation) -> Request:
    (request,) = talk.requests.values()
    return request


def test_the_prompt_goes_out_when_the_session_is_there() -> None:
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt", "servers": [{"name": "octopoid"}]}))
    (initialize,) = talk.begin()
    assert sent(initialize)["params"]["protocolVersion"] == 1
    (new,) = say(talk, id="initialize", result={"protocolVersion": 1}).sends
    assert sent(new)["method"] == "session/new"
    assert sent(new)["params"] == {"cwd": "/wt", "mcpServers": [{"name": "octopoid"}]}
    heard = say(talk, id="session", result={"sessionId": SESSION})
    assert kinds(heard) == ["session.started", "turn.started"]
    (prompt,) = heard.sends
    assert not prompt.repeatable, "what is said twice would be done twice"
    assert sent(prompt)["params"]["prompt"] == [{"type": "text", "text": "Do it."}]
    assert not talk.done(())


def test_a_second_reply_to_a_repeated_message_changes_nothing() -> None:
    talk = begun()
    heard = say(talk, id="session", result={"sessionId": "other"})
    assert (heard.drafts, heard.sends) == ((), ())
    (words,) = talk.say("m1", "more")
    assert sent(words)["params"]["sessionId"] == SESSION


def test_a_session_is_gone_on_with_and_its_history_is_not_told_again() -> None:
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt2", "resume": SESSION}))
    (load,) = say(talk, id="initialize", result={"agentCapabilities": {"loadSession": True}}).sends
    assert sent(load)["method"] == "session/load"
    assert update(talk, "agent_message_chunk", content={"type": "text", "text": "old"}) == []
    heard = say(talk, id="resumed", result={})
    assert heard.drafts[0].data["session_ref"] == SESSION
    assert "/wt2" in sent(heard.sends[0])["params"]["prompt"][0]["text"]


def test_a_session_that_is_gone_is_begun_anew() -> None:
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt", "resume": SESSION}))
    say(talk, id="initialize", result={"agentCapabilities": {"loadSession": True}})
    heard = say(talk, id="resumed", error={"code": -32603, "message": "no such session"})
    assert [sent(one)["method"] for one in heard.sends] == ["session/new"]
    assert not talk.done(())


def test_pieces_of_text_become_one_message() -> None:
    talk = begun()
    for piece in ("All ", "is "):
        assert update(talk, "agent_message_chunk", content={"type": "text", "text": piece}) == []
    (thought,) = update(talk, "agent_thought_chunk", content={"type": "text", "text": "hm"})
    assert thought.data["text"] == "All is "
    heard = say(talk, id="prompt", result={"stopReason": "end_turn"})
    assert kinds(heard) == ["thinking", "usage", "turn.finished"]
    assert heard.drafts[-1].data["outcome"] == "completed"
    assert talk.done(())


def test_a_tool_call_begins_when_its_input_is_known_and_ends_once() -> None:
    talk = begun()
    assert update(talk, "tool_call", toolCallId="t1", title="Preparing", kind="edit", rawInput={}) == []
    (started,) = update(
        talk, "tool_call_update", toolCallId="t1", title="Write /wt/a", rawInput={"path": "a"}
    )
    assert started.data == {"tool_id": "t1", "name": "edit", "title": "Write a", "input": {"path": "a"}}
    (finished,) = update(talk, "tool_call_update", toolCallId="t1", status="failed", rawOutput="no such file")
    assert finished.data == {"tool_id": "t1", "status": "error", "output": "no such file"}


@pytest.mark.parametrize(
    ("answer", "option"),
    [("allow", "allow-once"), ("allow always", "with-updates"), ("deny", "reject"), ("hm?", "reject"),
     ('allow {"content": "x"}', "reject")],
)  # fmt: skip
def test_options_are_chosen_by_their_kind(answer: str, option: str) -> None:
    talk = begun()
    assert ask(talk).sends == ()
    request = the_request(talk)
    assert request.kind is RequestKind.PERMISSION
    assert request.asks[0].options == ("allow", "allow always", "deny")
    assert "edit: Write hello.txt" in request.asks[0].text
    assert "+hello" in request.asks[0].text
    reply = talk.reply(request, [answer])[0]
    assert reply.id == "reply 0"
    assert sent(reply)["id"] == 0
    assert sent(reply)["result"] == {"outcome": {"outcome": "selected", "optionId": option}}


def test_the_words_of_a_denial_follow_as_a_prompt_which_must_be_dealt_with() -> None:
    talk = begun()
    ask(talk)
    _, why = talk.reply(the_request(talk), ["deny: use the interface"])
    assert sent(why)["params"]["prompt"][0]["text"] == "use the interface"
    say(talk, id="prompt", result={"stopReason": "end_turn"})
    assert talk.requests == {}
    assert not talk.done([why.id])
    say(talk, id=why.id, result={"stopReason": "end_turn"})
    assert talk.done([why.id])


@pytest.mark.parametrize("answer", ["deny", "no", "allow"])
def test_a_plain_answer_needs_no_prompt(answer: str) -> None:
    talk = begun()
    ask(talk)
    assert len(talk.reply(the_request(talk), [answer])) == 1


def test_an_agent_that_offers_no_way_to_deny_is_cancelled() -> None:
    talk = begun()
    ask(talk, options=OPTIONS[:1])
    reply = talk.reply(the_request(talk), ["deny"])[0]
    assert sent(reply)["result"] == {"outcome": {"outcome": "cancelled"}}


def test_what_agents_yaml_allows_is_not_asked() -> None:
    talk = begun(allowed=["edit"])
    (reply,) = ask(talk).sends
    assert sent(reply)["result"]["outcome"]["optionId"] == "allow-once"
    assert talk.requests == {}
    ask(talk, toolCall={"toolCallId": "t2", "title": "edit", "kind": "execute"})
    assert len(talk.requests) == 1, "a command cannot name itself allowed"


def test_breaking_off_answers_what_is_open() -> None:
    talk = begun()
    ask(talk)
    (asked,) = talk.requests
    cancel, dropped = talk.interrupt("m1")
    assert dropped.id != reply_id(asked), "people are told that nobody waits for their answer any more"
    assert sent(cancel)["method"] == "session/cancel"
    assert "id" not in sent(cancel)
    assert sent(dropped)["result"] == {"outcome": {"outcome": "cancelled"}}
    heard = say(talk, id="prompt", result={"stopReason": "cancelled"})
    assert heard.drafts[-1].data["outcome"] == "interrupted"
    assert not talk.done(["say m1"])


def test_nothing_is_said_before_there_is_a_session() -> None:
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt"}))
    assert talk.say("m1", "hello") == ()
    assert talk.interrupt("m1") == ()


FORM = {
    "mode": "form", "sessionId": SESSION, "message": "Which?",
    "requestedSchema": {"type": "object", "properties": {
        "question_0": {"type": "string", "title": "C", "oneOf": [
            {"const": "r", "title": "Red", "description": "warm"}, {"const": "b", "title": "Blue"}]},
        "question_0_custom": {"type": "string", "title": "Other"},
        "count": {"type": "integer"},
        "sure": {"type": "boolean"},
        "many": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}},
    }},
}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "content"),
    [
        (["Blue", "3", "yes", "x, y"], {"question_0": "b", "count": 3, "sure": True, "many": ["x", "y"]}),
        (["green", "3", "no", "y"], {"question_0_custom": "green", "count": 3, "sure": False, "many": ["y"]}),
        (["Blue", "three", "yes", "x"], None),
        (["Blue", "3", "perhaps", "x"], None),
    ],
)
def test_a_form_is_filled_in_with_answers(answers: list[str], content: dict[str, Any] | None) -> None:
    talk = begun()
    say(talk, id=7, method="elicitation/create", params=FORM)
    request = the_request(talk)
    assert [one.options for one in request.asks] == [("Red", "Blue"), (), ("yes", "no"), ("x", "y")]
    assert "warm" in request.asks[0].text
    (reply,) = talk.reply(request, answers)
    wanted = {"action": "decline"} if content is None else {"action": "accept", "content": content}
    assert sent(reply) == {"jsonrpc": "2.0", "id": 7, "result": wanted}


@pytest.mark.parametrize("method", ["fs/write_text_file", "terminal/create", "new/thing"])
def test_what_it_asks_and_we_do_not_offer_is_refused_at_once(method: str) -> None:
    (reply,) = say(begun(), id="x", method=method, params={"path": "/etc/passwd"}).sends
    assert sent(reply)["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ({"code": -32603, "message": "Internal error: API Error: 429 slow down"}, "rate_limit"),
        ({"code": -32603, "message": "Internal error: 529 overloaded"}, "rate_limit"),
        ({"code": -32000, "message": "Authentication required"}, "refused"),
        ({"code": -32603, "message": "Internal error: 401 invalid x-api-key"}, "refused"),
        ({"code": -32603, "message": "Prompt is too long", "data": {"a": 1}}, "turn.finished"),
    ],
)
def test_an_error_tells_whose_fault_it_is(error: dict[str, Any], found: str) -> None:
    talk = begun()
    heard = say(talk, id="prompt", error=error)
    assert heard.drafts[0].kind == found
    assert heard.drafts[-1].data["outcome"] == "error"
    assert error["message"] in heard.drafts[-1].data["reason"]
    assert talk.done(())


@pytest.mark.parametrize("step", ["initialize", "session"])
def test_a_program_that_cannot_begin_is_ended(step: str) -> None:
    talk = AcpConversation(Opening("run-1", "Do it.", {"worktree": "/wt"}))
    if step == "session":
        say(talk, id="initialize", result={})
    heard = say(talk, id=step, error={"code": -32000, "message": "log in first"})
    assert kinds(heard) == ["refused", "turn.finished"]
    assert talk.done(())


def test_out_of_turns_is_no_fault() -> None:
    heard = say(
        begun(), id="prompt", error={"code": -32603, "message": "Reached maximum number of turns (1)"}
    )
    assert heard.drafts[-1].data["outcome"] == "max_turns"
    heard = say(begun(), id="prompt", result={"stopReason": "max_turn_requests"})
    assert heard.drafts[-1].data["outcome"] == "max_turns"


def test_use_is_of_the_run_where_the_program_tells_a_sessions_cost() -> None:
    talk = begun(resume=None, used={"input": 900, "cost_usd": 0.5})
    for name, cost in (("prompt", 0.6), ("say m1", 0.8)):
        update(talk, "usage_update", used=1, size=2, cost={"amount": cost, "currency": "USD"})
        usage = {"inputTokens": 10, "outputTokens": 5, "cachedReadTokens": 3, "cachedWriteTokens": 1}
        heard = say(talk, id=name, result={"stopReason": "end_turn", "usage": usage})
    (used,) = [draft.data for draft in heard.drafts if draft.kind == "usage"]
    assert used["cost_usd"] == pytest.approx(0.3)
    assert (used["input"], used["output"], used["cache_read"], used["cache_write"]) == (20, 10, 6, 2)


@pytest.mark.parametrize(
    "line",
    [b"warning: old node\n", b"\xff\xfe", b"[]", b"7", b"{}", b'{"id": {}}', b'{"method": 7}', b"[" * 100_000,
     b'{"id": "prompt", "result": {"stopReason": 7}}',
     b'{"method": "session/update", "params": {"update": []}}',
     b'{"id": 1, "method": "session/request_permission", "params": {"options": "x"}}'],
)  # fmt: skip
def test_no_line_is_an_exception(line: bytes) -> None:
    for talk in (begun(), AcpConversation(Opening("run-1", "Do it.", {}))):
        assert all(draft.kind in ("log", "unknown") for draft in talk.read(line).drafts)


def spec(*command: str, **more: Any) -> AgentSpec:
    return AgentSpec(name="a", role="implement", adapter="acp", command=command, **more)


def test_a_missing_program_or_command_is_said(tmp_path: Path) -> None:
    adapter, trial = AcpAdapter(), Assignment.trial(tmp_path)
    with pytest.raises(AgentUnavailable, match="no command"):
        adapter.command(spec(), trial)
    with pytest.raises(AgentUnavailable, match="not found"):
        adapter.command(spec("/nowhere/gemini", "--acp"), trial)
    with pytest.raises(AgentUnavailable, match="model"):
        adapter.command(spec("sh", model="m"), trial)


def test_doubts_name_what_is_to_be_done() -> None:
    adapter = AcpAdapter()
    assert adapter.doubts(spec("/bin/gemini", "--acp", pass_env=("GEMINI_API_KEY",))) == []
    assert "login" in adapter.doubts(spec("/bin/opencode", "acp"))[0]
    assert "not known" in adapter.doubts(spec("/bin/other"))[0]
    assert "--skip-trust" in " ".join(adapter.doubts(spec("gemini", "--acp", "--skip-trust")))
    assert "max_turns" in " ".join(adapter.doubts(spec("gemini", "--acp", max_turns=3)))


@pytest.mark.parametrize("name", [".opencode", "opencode.json"])
def test_a_program_that_would_run_a_repositorys_plugins_is_not_started(tmp_path: Path, name: str) -> None:
    program = tmp_path / "bin" / "opencode"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    trial = Assignment.trial(worktree)
    assert AcpAdapter().command(spec(str(program), "acp"), trial).argv == (str(program), "acp")
    (worktree / name).mkdir()
    with pytest.raises(AgentUnavailable, match=name):
        AcpAdapter().command(spec(str(program), "acp"), trial)
