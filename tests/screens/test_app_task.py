"""One task's tabs, and the form for a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from app_pilot import SMALL, WIDE, Driven, driving
from fixed_desk import ago, fleet, recorded, run, transcript
from textual.widgets import Input, TextArea

from backend.errors import BadInput
from backend.model import Outcome, Queue, RunStatus
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.new_task import Form, NewTask
from octopoid_tui.screens.dialogs.prompt import Prompt
from octopoid_tui.screens.dialogs.why import Why
from octopoid_tui.screens.task.screen import TABS, TaskScreen

GOOD = "01kc7m2q9x4a1"


async def opened(d: Driven, task_id: str = GOOD, tab: str = "description") -> TaskScreen:
    d.control.queues.go_to(task_id)
    await d.press("enter")
    await d.until(lambda: isinstance(d.screen, TaskScreen))
    assert isinstance(d.screen, TaskScreen)
    for _ in range(TABS.index(tab)):
        await d.press("tab")
    return d.screen


SEEN = {
    "description": ("Reads of the cache grow without bound", "work         commit 9ab34c01"),
    "diff": ("self._size += len(value)", "src/cache/store.py"),
    "transcript": (
        "▸ Read  src/cache/store.py",
        "✗ failed",
        "I will count bytes.",
        "✓ ended with exit status 0",
    ),
    "runs": ("✓ submitted", "impl-1", "1 commit, checks passed"),
    "evidence": ("✓ passed  test", "make lint", "212 passed in 8.31s"),
    "why": ("waits for a free implement agent", "✗ closed", "every implement agent is busy (3 of 3)"),
}


@pytest.mark.parametrize("size", [SMALL, WIDE])
@pytest.mark.parametrize("tab", list(SEEN))
async def test_each_tab_shows_its_part(tab: str, size: tuple[int, int]) -> None:
    async with driving(fleet(), size) as d:
        screen = await opened(d, tab=tab)
        for text in SEEN[tab]:
            if size == SMALL and text == "1 commit, checks passed":
                continue
            await d.until(lambda text=text: text in d.text())
        assert screen.tabs.active == tab


async def test_the_timeline_tells_who_did_what_and_why_newest_first() -> None:
    desk = fleet()
    await desk.backend.emit("task", GOOD, "claimed", from_state="incoming", to_state="claimed")
    await desk.backend.emit(
        "task", GOOD, "submitted", from_state="claimed", to_state="provisional", reason="1 commit"
    )
    async with driving(desk) as d:
        await opened(d, tab="timeline")
        await d.until(lambda: "claimed → provisional" in d.text())
        assert d.text().index("submitted") < d.text().index("incoming → claimed")


async def test_messages_show_the_conversation_and_o_opens_it_to_answer() -> None:
    async with driving(fleet()) as d:
        await opened(d, "01kc7m2q9x4b2", "messages")
        await d.until(lambda: "Prefer something without a new service." in d.text())
        await d.press("o")
        await d.until(lambda: isinstance(d.screen, ControlScreen))
        assert d.control.chat.input.has_focus
        await d.type("1")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "token bucket")])


async def test_a_live_transcript_grows_as_the_agent_works() -> None:
    desk = fleet()
    desk.transcripts["run-1"] = transcript(("message", {"role": "assistant", "text": "first"}))
    async with driving(desk) as d:
        await opened(d, "01kc7m2q9x4b1", "transcript")
        await d.until(lambda: "» first" in d.text())
        desk.transcripts["run-1"] += transcript(("message", {"role": "assistant", "text": "second"}))
        await d.until(lambda: "» second" in d.text())


async def test_enter_on_a_run_shows_that_attempts_transcript() -> None:
    desk = fleet()
    desk.backend.runs.insert(
        0,
        run("run-0", GOOD, "impl-7", status=RunStatus.ENDED, outcome=Outcome.CRASHED, ended_at=ago(hours=1)),
    )
    desk.transcripts["run-0"] = transcript(("exited", {"code": 70, "cause": "it crashed"}))
    async with driving(desk) as d:
        await opened(d, tab="runs")
        await d.until(lambda: "✗ crashed" in d.text())
        await d.press("end", "enter")
        await d.until(lambda: "✗ ended with exit status 70: it crashed" in d.text())


async def test_a_search_in_the_transcript_opens_the_call_that_holds_it() -> None:
    async with driving(recorded(), SMALL) as d:
        screen = await opened(d, tab="transcript")
        await d.until(lambda: "turn completed" in d.text())
        assert "session 503ee327" in d.text()
        await d.press("slash")
        await d.type("while self._size")
        await d.press("enter")
        await d.until(lambda: "NameError: name 'LIMIT'" in d.text())
        await d.press("N")
        await d.until(lambda: "+        self._size += len(value)" in d.text())
        assert screen.focused is screen.transcript
        await d.press("slash")
        await d.press(*["backspace"] * 20)
        await d.type("nowhere")
        await d.press("enter")
        await d.until(lambda: "nothing in this transcript holds 'nowhere'" in d.flash)


async def test_questions_stand_with_their_answers() -> None:
    async with driving(recorded()) as d:
        await opened(d, tab="transcript")
        await d.until(lambda: "↳ the oldest" in d.text())
        assert "? Edit: src/store.py  ↳ allow" in d.text()


async def test_an_agent_at_work_is_interrupted_with_a_text_for_it() -> None:
    async with driving(fleet()) as d:
        await opened(d, "01kc7m2q9x4b1", "transcript")
        await d.press("I")
        await d.until(lambda: isinstance(d.screen, Prompt))
        assert "ask what to do instead" in d.text()
        await d.press("ctrl+s")
        await d.until(lambda: [call[0] for call in d.calls("interrupt")] == ["run-1"])
        await d.until(lambda: d.flash == "interrupting impl-1")


async def test_only_an_agent_that_can_be_interrupted_is() -> None:
    desk = fleet()
    desk.backend.runs[0] = replace(desk.backend.runs[0], adapter="command")
    async with driving(desk) as d:
        await opened(d, "01kc7m2q9x4b1", "transcript")
        await d.press("I")
        assert d.flash.endswith("impl-1 cannot be interrupted: command agents do not take it")
        await d.press("escape")
        await opened(d, GOOD, "transcript")
        await d.press("I")
        assert d.flash.endswith("no agent works on it now")
        assert d.calls("interrupt") == []


async def test_a_task_that_changes_is_shown_as_it_is_now() -> None:
    async with driving(fleet()) as d:
        await opened(d)
        backend = d.desk.backend
        await backend.put(replace(backend.tasks[GOOD], queue=Queue.DONE, body="merged and done"))
        await d.until(lambda: "✓ done" in d.text())
        await d.until(lambda: "merged and done" in d.text())


async def test_a_task_that_is_gone_says_so() -> None:
    async with driving(fleet()) as d:
        await opened(d)
        del d.desk.backend.tasks[GOOD]
        await d.desk.backend.emit("task", GOOD)
        await d.until(lambda: "is not in the store any more" in d.text())
        await d.press("a")
        assert d.flash == "Accept: no task is selected"


async def test_w_lists_every_gate_from_the_queues() -> None:
    async with driving(fleet(), SMALL) as d:
        d.control.queues.go_to("01kc7m2q9x4c1")
        await d.press("w")
        await d.until(lambda: isinstance(d.screen, Why))
        assert "✗ closed  role" in d.text()
        assert "more)" in d.text()
        await d.press("escape")
        assert isinstance(d.screen, ControlScreen)


# New task


async def form(d: Driven) -> NewTask:
    await d.press("n")
    await d.until(lambda: isinstance(d.screen, NewTask))
    assert isinstance(d.screen, NewTask)
    return d.screen


def field(dialog: NewTask, name: str) -> Input:
    return dialog.query_one(f"#field-{name}", Input)


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_a_task_is_created_from_what_was_typed(size: tuple[int, int]) -> None:
    async with driving(fleet(), size) as d:
        dialog = await form(d)
        await d.type("Speed up the tests")
        dialog.query_one(TextArea).text = "They take an hour.\n"
        field(dialog, "priority").value = "p1"
        field(dialog, "blocked_by").value = f"{GOOD}"
        field(dialog, "needs").value = "db, port-8080"
        await d.press("ctrl+s")
        await d.until(lambda: d.calls("enqueue"))
        ((draft,),) = d.calls("enqueue")
        assert (draft.title, draft.body, draft.priority) == (
            "Speed up the tests",
            "They take an hour.\n",
            "P1",
        )
        assert (draft.role, draft.base_branch) == ("implement", None)
        assert (draft.blocked_by, draft.needs) == ((GOOD,), ("db", "port-8080"))
        await d.until(lambda: "created 01newtask00001" in d.flash)


async def test_what_is_wrong_is_said_at_the_field_and_nothing_is_sent() -> None:
    async with driving(fleet(), SMALL) as d:
        dialog = await form(d)
        field(dialog, "priority").value = "P9"
        field(dialog, "blocked_by").value = "nope"
        await d.press("ctrl+s")
        text = d.text()
        assert "a task needs a title" in text
        assert "one of P0 (most urgent)" in text
        assert "no task nope" in text
        assert dialog.focused is field(dialog, "title")
        await d.type("x")
        await d.until(lambda: "a task needs a title" not in d.text())
        assert d.calls("enqueue") == []


async def test_a_refusal_of_the_desk_opens_the_form_again_with_everything_typed() -> None:
    async with driving(fleet()) as d:
        d.desk.failure = BadInput("there is no branch 'mian'", "did you mean main?")
        dialog = await form(d)
        await d.type("Speed up")
        dialog.query_one(TextArea).text = "a long text"
        field(dialog, "branch").value = "mian"
        await d.press("ctrl+s")
        await d.until(lambda: "did you mean main?" in d.text())
        again = d.screen
        assert isinstance(again, NewTask)
        assert again is not dialog
        assert field(again, "title").value == "Speed up"
        assert again.query_one(TextArea).text == "a long text"
        d.desk.failure = None
        field(again, "branch").value = "main"
        await d.pilot.pause()
        await d.press("ctrl+s")
        await d.until(lambda: "created" in d.flash)


async def test_leaving_the_form_keeps_what_was_typed() -> None:
    async with driving(fleet()) as d:
        dialog = await form(d)
        await d.type("Half a tit")
        await d.press("escape")
        await d.until(lambda: isinstance(d.screen, ControlScreen))
        dialog = await form(d)
        assert field(dialog, "title").value == "Half a tit"


def test_a_title_too_long_and_a_name_that_cannot_be_one_are_refused() -> None:
    from octopoid_tui.snapshot import Snapshot

    problems = Form(title="x" * 201, role="two roles", needs="../etc").problems(Snapshot())
    assert set(problems) == {"title", "role", "needs"}
