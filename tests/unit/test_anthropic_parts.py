"""Our own agent's parts: memory, permissions, files, commands, and the scheduler's end of its protocol."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from scheduler.agents.anthropic import shell
from scheduler.agents.anthropic.conversation import AnthropicConversation
from scheduler.agents.anthropic.files import READ_LIMIT, Folder, ToolError
from scheduler.agents.anthropic.permissions import Permissions
from scheduler.agents.anthropic.session import ENDED, Session
from scheduler.agents.interface import Opening, RequestKind

CALL = {"type": "tool_use", "id": "c1", "name": "read", "input": {}}
ENV = {"PATH": os.environ["PATH"]}


# Memory


def test_a_session_that_was_killed_in_a_call_can_be_gone_on_with(tmp_path: Path) -> None:
    session = Session(tmp_path / "s" / "one.jsonl")
    assert session.fresh
    session.told(["Do it."])
    session.said([CALL, {**CALL, "id": "c2"}])
    session.result("c1", "read", error=False)
    with (tmp_path / "s" / "one.jsonl").open("ab") as file:
        file.write(b'{"role": "user", "cont')
    again = Session(tmp_path / "s" / "one.jsonl")
    again.told(["Go on."])
    first, second, third = again.for_request()
    assert [first["role"], second["role"], third["role"]] == ["user", "assistant", "user"]
    results, words = third["content"][:2], third["content"][2]
    assert [(one["tool_use_id"], one["content"], one["is_error"]) for one in results] == [
        ("c1", ENDED, True),
        ("c2", ENDED, True),
    ]
    assert words == {"type": "text", "text": "Go on.", "cache_control": {"type": "ephemeral"}}
    assert Session(tmp_path / "s" / "one.jsonl").for_request() == again.for_request()


def test_marks_for_the_cache_are_not_kept(tmp_path: Path) -> None:
    session = Session(tmp_path / "one.jsonl")
    session.told(["Do it."])
    session.for_request()
    session.said([{"type": "text", "text": "Done."}])
    session.told(["More."])
    marked = [m for m in session.for_request() if "cache_control" in str(m)]
    assert len(marked) == 1
    assert "cache_control" not in (tmp_path / "one.jsonl").read_text()


# Permissions


@pytest.mark.parametrize(
    "command",
    ["git status; rm -rf /", "git log | sh", "git $(id)", "git `id`", "git log > x", "git\nrm x", "git a & b",
     "rm x", "git\\\nrm"],
)  # fmt: skip
def test_a_pattern_allows_no_more_than_a_plain_command(command: str) -> None:
    permissions = Permissions(("run(git *)", "write"))
    assert permissions.allows("run", "git status --short")
    assert permissions.allows("write")
    assert not permissions.allows("edit")
    assert not permissions.allows("run", command)


def test_what_a_person_allows_always_is_this_command_or_this_tool() -> None:
    permissions = Permissions("ask")
    permissions.allow_always("run", "make; true")
    assert permissions.allows("run", "make; true")
    assert not permissions.allows("run", "make")
    assert not permissions.allows("edit")
    permissions.allow_always("edit")
    assert permissions.allows("edit")


# Files


def test_only_text_files_are_read_and_within_bounds(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(READ_LIMIT + 1)
    (tmp_path / "lines").write_text("".join(f"{n}\n" for n in range(1, 11)))
    refused = {"fifo": "is no file", "binary": "is no text", "large": "larger than", ".": "is no file"}
    for name, why in refused.items():
        with pytest.raises(ToolError, match=why):
            folder.read(name, 1, 10)
    assert folder.read("lines", 1, 2000) == (tmp_path / "lines").read_text()
    assert folder.read("lines", 3, 2) == "3\n4\n\n(lines 3 to 4 of 10; ask for others)"


def test_an_edit_is_of_one_place_unless_everywhere_is_meant(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "a").write_text("one two one")
    with pytest.raises(ToolError, match="2 times"):
        folder.to_edit("a", "one", "x", everywhere=False)
    with pytest.raises(ToolError, match="does not hold"):
        folder.to_edit("a", "", "x", everywhere=True)
    change = folder.to_edit("a", "one", "x", everywhere=True)
    (tmp_path / "a").write_text("one two")
    with pytest.raises(ToolError, match="changed meanwhile"):
        folder.apply(change)
    assert (tmp_path / "a").read_text() == "one two"


def test_a_folder_that_becomes_a_way_out_while_a_person_thinks_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    folder = Folder(tmp_path / "tree")
    change = folder.to_write("sub/a", "x")
    (tmp_path / "tree" / "sub").rmdir()
    (tmp_path / "tree" / "sub").symlink_to(tmp_path)
    with pytest.raises(ToolError, match="outside"):
        folder.apply(change)
    assert not (tmp_path / "a").exists()


# Commands


async def test_much_output_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write('begin' + 'x' * 3_000_000 + 'end')"
    ran = await shell.run([sys.executable, "-c", script], tmp_path, ENV, 60)
    assert ran.status == 0
    assert ran.output.startswith("begin")
    assert ran.output.endswith("end")
    assert "bytes left out" in ran.output
    assert len(ran.output) < shell.HEAD + shell.TAIL + 100


async def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > pid; echo said; wait"
    ran = await shell.run(["sh", "-c", script], tmp_path, ENV, 2)
    assert (ran.status, ran.output) == (None, "said\n")
    await _until_gone(int((tmp_path / "pid").read_text()))


async def test_a_daemon_that_holds_the_output_does_not_hold_up(tmp_path: Path) -> None:
    ran = await asyncio.wait_for(
        shell.run(["sh", "-c", "sleep 600 & echo $! > pid; echo said"], tmp_path, ENV, 600), 60
    )
    assert (ran.status, ran.output) == (0, "said\n")
    os.kill(int((tmp_path / "pid").read_text()), 9)


async def test_a_command_is_ended_when_it_is_broken_off(tmp_path: Path) -> None:
    running = asyncio.create_task(
        shell.run(["sh", "-c", "echo $$ > .pid; mv .pid pid; exec sleep 600"], tmp_path, ENV, 600)
    )
    async with asyncio.timeout(60):
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await _until_gone(int((tmp_path / "pid").read_text()))


async def _until_gone(pid: int) -> None:
    """Wait until a process has ended; one that nobody has reaped yet has."""
    async with asyncio.timeout(60):
        while True:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                return
            if state == "Z":
                return
            await asyncio.sleep(0.02)


# The scheduler's end


def test_a_conversation_is_done_when_all_that_was_said_was_dealt_with() -> None:
    talk = AnthropicConversation(Opening("run", "Do it.", {"resumed": True}))
    (prompt,) = talk.begin()
    assert b"new checkout" in prompt.data
    assert not talk.done(())
    talk.read(b'{"kind":"turn.started","data":{}}')
    talk.read(b'{"kind":"request","data":{"id":"r1","kind":"question","ask":{"text":"Which?"}}}')
    (request,) = talk.requests.values()
    assert (request.kind, request.asks[0].text) == (RequestKind.QUESTION, "Which?")
    (reply,) = talk.reply(request, ["red"])
    assert (reply.id, reply.data) == (
        "reply r1",
        b'{"do":"reply","id":"r1","text":"","answers":["red"]}\n',
    )
    talk.read(b'{"kind":"closed","data":{"id":"r1"}}')
    assert not talk.requests
    assert talk.reply(request, ["red"]) == ()
    talk.read(b'{"kind":"turn.finished","data":{"outcome":"completed","said":["prompt","say m1"]}}')
    assert talk.done(("say m1",))
    assert not talk.done(("say m1", "say m2"))


@pytest.mark.parametrize("kind", ["sent", "exited", "no such"])
def test_a_program_cannot_speak_for_the_scheduler(kind: str) -> None:
    line = f'{{"kind":"{kind}","data":{{"send_id":"say m1"}}}}'.encode()
    (draft,) = AnthropicConversation(Opening("run", "Do it.", {})).read(line).drafts
    assert draft.kind == "unknown"
