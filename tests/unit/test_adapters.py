"""Adapters: any bytes an agent may write become events, and what cannot be started is said before."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.config.schema import AgentSpec
from scheduler.agents.command import CommandAdapter
from scheduler.agents.demo import DemoAdapter
from scheduler.agents.events import KINDS
from scheduler.agents.interface import Adapter, AgentUnavailable, Assignment, Opening
from scheduler.agents.registry import ADAPTERS, adapter_for
from scheduler.follow import TEXT_LIMIT, shorten

NOWHERE = Path("/nonexistent")
ASSIGNMENT = Assignment.trial(NOWHERE)
OPENING = Opening("run", "Do it.", {})


def spec(*command: str, **more: object) -> AgentSpec:
    return AgentSpec(name="worker", role="implement", adapter="command", command=command, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())
@given(st.binary(max_size=300))
def test_any_line_is_read(adapter: Adapter, line: bytes) -> None:
    for draft in adapter.converse(OPENING).read(line).drafts:
        assert draft.kind in KINDS
        json.dumps(shorten(draft.data)).encode()


HOSTILE = [
    b"", b"\x1b]52;c;x\x07", b"\xff\xfe\x00", b"[" * 200_000, b'{"a":' * 100_000, b"{}", b"null", b"[]", b"7",
    b'{"kind":"log"}', b'{"kind":"log","data":7}', b'{"kind":7,"data":{}}', b'{"kind":"no such","data":{}}',
    b'{"kind":"usage","data":{"input":1e999,"cost_usd":-1}}', b'{"kind":"message","data":{"text":"\\ud800"}}',
    b'{"kind":"usage","data":{"input":99999999999999999999999999999}}', b"x" * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())
def test_hostile_lines_are_read_too(adapter: Adapter, line: bytes) -> None:
    drafts = adapter.converse(OPENING).read(line).drafts
    assert len(drafts) == 1
    assert drafts[0].kind in KINDS
    assert all(len(text) <= TEXT_LIMIT for text in shorten(drafts[0].data).values() if isinstance(text, str))


def test_the_output_of_a_command_is_a_log_and_never_more() -> None:
    line = b'{"kind":"turn.finished","data":{"outcome":"max_turns"}}\x1b[2J'
    (draft,) = CommandAdapter().converse(OPENING).read(line).drafts
    assert draft.kind == "log"
    assert "\x1b" not in shorten(draft.data)["text"]


def test_the_demo_agent_speaks_our_vocabulary() -> None:
    (draft,) = DemoAdapter().converse(OPENING).read(b'{"kind":"usage","data":{"input":3}}').drafts
    assert (draft.kind, draft.data) == ("usage", {"input": 3})
    (other,) = DemoAdapter().converse(OPENING).read(b'{"kind":"hack","data":{}}').drafts
    assert other.kind == "unknown"
    (text,) = DemoAdapter().converse(OPENING).read(b"Traceback").drafts
    assert (text.kind, text.data["text"]) == ("log", "Traceback")


def test_texts_are_cleaned_and_bounded_however_deep_they_lie() -> None:
    data = {"input": {"a\x1b[0mb": ["\x1b[31mred", {"deep": "x" * (TEXT_LIMIT + 5)}]}, "n": 3, "t": "\x00"}
    clean = shorten(data)
    assert clean["input"]["ab"][0] == "red"
    assert len(clean["input"]["ab"][1]["deep"]) == TEXT_LIMIT
    assert (clean["n"], clean["t"]) == (3, "\ufffd")


def test_what_is_nested_too_deeply_is_left_out() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert len(str(shorten(deep))) < 1000


def test_a_program_is_found_by_the_path_that_the_agent_will_have(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "my-agent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = CommandAdapter().command(
        spec("my-agent", "--flag", env={"PATH": str(program.parent)}, args=("more",)), ASSIGNMENT
    )
    assert found.argv == (str(program), "--flag", "more")


@pytest.mark.parametrize(
    ("command", "why"),
    [((), "has adapter 'command' but no command"), (("no-such-program-anywhere",), "was not found")],
)
def test_what_cannot_be_started_is_said(command: tuple[str, ...], why: str) -> None:
    with pytest.raises(AgentUnavailable, match=why) as caught:
        CommandAdapter().command(spec(*command), ASSIGNMENT)
    assert caught.value.next_step


def test_a_file_that_may_not_be_executed_is_said(tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text("#!/bin/sh\n")
    with pytest.raises(AgentUnavailable, match="is not executable"):
        CommandAdapter().command(spec(str(tmp_path / "agent.sh")), ASSIGNMENT)


def test_the_demo_agent_is_a_program_of_its_own() -> None:
    argv = DemoAdapter().command(AgentSpec(name="d", role="implement", adapter="demo"), ASSIGNMENT).argv
    assert argv[:2] == (sys.executable, "-I")
    assert Path(argv[2]).is_file()


@pytest.mark.parametrize("name", ["", "no-such"])
def test_an_adapter_this_version_has_not_names_those_it_has(name: str) -> None:
    with pytest.raises(AgentUnavailable, match="not available in this version") as caught:
        adapter_for(name)
    assert ", ".join(sorted(ADAPTERS)) in caught.value.next_step
