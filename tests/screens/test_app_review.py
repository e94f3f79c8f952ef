"""Review: reading, accepting, rejecting, commenting, going on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, fleet_screen
from fixed_desk import FixedDesk, fleet
from textual.widgets import TextArea

from backend.errors import Refused, StoreBroken
from backend.model import Queue, Task
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.confirm import Confirm
from octopoid_tui.screens.dialogs.prompt import Prompt
from octopoid_tui.screens.review import screen as review_screen
from octopoid_tui.screens.review.screen import ReviewScreen
from octopoid_tui.screens.task.screen import TaskScreen
from scheduler.desk import NotPassed

GOOD = "01kc7m2q9x4a1"
FAILED = "01kc7m2q9x4a2"


async def review(d: Driven, task_id: str = GOOD) -> None:
    d.control.queues.go_to(task_id)
    await d.press("d")
    await d.until(lambda: isinstance(d.screen, ReviewScreen) and "checks:" in d.text())


async def prompt(d: Driven) -> Prompt:
    await d.until(lambda: isinstance(d.screen, Prompt))
    assert isinstance(d.screen, Prompt)
    return d.screen


async def test_files_diff_and_evidence_are_on_one_screen() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.until(lambda: "OrderedDict()" in d.text())
        text = d.text()
        assert "checks: ✓ 2 passed" in text
        assert "~ src/cache/store.py" in text
        assert "+ tests/test_store.py" in text
        assert "2 files   +15 -2" in text
        assert "1 of 3" in text


async def test_small_leaves_the_file_list_out_and_braces_go_through_the_files() -> None:
    async with driving(fleet(), SMALL) as d:
        await review(d)
        await d.until(lambda: "OrderedDict()" in d.text())
        assert "1/2" in d.text()
        await d.press("right_curly_bracket")
        await d.until(lambda: "2/2" in d.text())


async def test_a_accepts_and_says_so_and_goes_on_with_the_next_task() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("a")
        await d.until(lambda: "Explain every setting" in d.text())
        assert d.calls("accept") == [(GOOD, None)]
        assert d.flash.startswith(f"accepted {GOOD}")
        d.screen.review(GOOD)  # type: ignore[attr-defined]
        await d.until(lambda: "◆ merging…" in d.text())


async def test_a_key_meant_for_the_task_before_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("a")
        await d.until(lambda: "Explain every setting" in d.text())
        monkeypatch.setattr(review_screen, "MEANT_FOR_THE_LAST", 1e9)
        await d.press("a")
        assert d.flash == f"this is the next task now: {FAILED}"
        monkeypatch.setattr(review_screen, "MEANT_FOR_THE_LAST", 0.0)
        await d.press("a")
        await prompt(d)


async def test_after_a_rejection_too_the_next_one_is_shown() -> None:
    async with driving(fleet()) as d:
        await review(d, FAILED)
        await d.press("r")
        (await prompt(d)).area.text = "Say more."
        await d.press("ctrl+s")
        await d.until(lambda: "Bound the cache" in d.text())


async def test_when_nothing_else_is_to_be_reviewed_that_is_said() -> None:
    base = fleet()
    await base.backend.put(replace(base.backend.tasks[FAILED], queue=Queue.DONE))
    async with driving(base) as d:
        await review(d)
        await d.press("a")
        await d.until(lambda: "◆ merging…" in d.text())
        fleet_screen(d).flash_line.clear()
        await d.until(lambda: "nothing else to review: esc goes back" in d.text())


async def test_a_refusal_without_an_override_asks_for_none() -> None:
    class Strict(FixedDesk):
        async def accept(self, task_id: str, **options: Any) -> Task:
            raise Refused(f"task {task_id} is approved, but the scheduler has ended")

    base = fleet()
    async with driving(Strict(base.backend, diffs=base.diffs)) as d:
        await review(d)
        await d.press("a")
        await d.until(lambda: "the scheduler has ended" in d.flash)
        assert isinstance(d.screen, ReviewScreen)


async def test_failed_checks_ask_for_a_reason_before_anything_is_accepted() -> None:
    desk = fleet()
    async with driving(desk) as d:
        await review(d, FAILED)
        assert "✗ 1 failed: links" in d.text()
        await d.press("a")
        dialog = await prompt(d)
        assert "links failed (exit status 1)" in d.text()
        await d.press("ctrl+s")
        assert "write something first" in d.text()
        assert d.calls("accept") == []
        dialog.area.text = "the two links are to pages of the next release"
        await d.press("ctrl+s")
        await d.until(
            lambda: d.calls("accept") == [(FAILED, "the two links are to pages of the next release")]
        )


async def test_missing_evidence_that_only_the_desk_knows_of_asks_for_a_reason_too() -> None:
    class Strict(FixedDesk):
        async def accept(self, task_id: str, **options: Any) -> Task:
            if options["override"] is None:
                raise NotPassed(f"task {task_id} has not passed: build", "reject it")
            return await super().accept(task_id, **options)

    base = fleet()
    async with driving(Strict(base.backend, diffs=base.diffs)) as d:
        await review(d)
        await d.press("a")
        dialog = await prompt(d)
        assert "has not passed: build" in d.text()
        dialog.area.text = "there is no build here"
        await d.press("ctrl+s")
        await d.until(lambda: d.calls("accept") == [(GOOD, "there is no build here")])


async def test_a_refusal_that_no_reason_can_lift_is_shown() -> None:
    class Gone(FixedDesk):
        async def accept(self, task_id: str, **options: Any) -> Task:
            await self._change(task_id, queue=Queue.INCOMING)
            raise Refused(f"task {task_id} is incoming")

    base = fleet()
    async with driving(Gone(base.backend, diffs=base.diffs)) as d:
        await review(d)
        await d.press("a")
        await d.until(lambda: d.flash == f"task {GOOD} is incoming")
        assert isinstance(d.screen, ReviewScreen)


async def test_r_rejects_with_the_reason_that_the_agent_will_read() -> None:
    async with driving(fleet(), SMALL) as d:
        await review(d)
        await d.press("r")
        (await prompt(d)).area.text = "Count the keys too.\nAnd test that."
        await d.press("ctrl+s")
        await d.until(lambda: d.calls("reject") == [(GOOD, "Count the keys too.\nAnd test that.")])
        assert "queued again" in d.flash


async def test_a_rejection_left_half_written_is_there_again() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("r")
        (await prompt(d)).area.text = "Count the"
        await d.press("escape")
        await d.until(lambda: isinstance(d.screen, ReviewScreen))
        assert d.calls("reject") == []
        await d.press("r")
        assert (await prompt(d)).area.text == "Count the"


async def test_a_rejection_that_fails_keeps_the_reason() -> None:
    async with driving(fleet()) as d:
        await review(d)
        d.desk.failure = StoreBroken("the disk is full")
        await d.press("r")
        (await prompt(d)).area.text = "Count the keys too."
        await d.press("ctrl+s")
        await d.until(lambda: d.flash == "the disk is full")
        d.desk.failure = None
        await d.press("r")
        assert (await prompt(d)).area.text == "Count the keys too."


async def test_comments_on_lines_go_into_the_rejection() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.until(lambda: "OrderedDict()" in d.text())
        await d.press("j", "j", "j", "j", "j", "j", "enter")
        (await prompt(d)).area.text = "why ordered?"
        await d.press("ctrl+s")
        await d.until(lambda: isinstance(d.screen, ReviewScreen))
        await d.press("r")
        text = (await prompt(d)).area.text
        assert text.startswith("src/cache/store.py:1")
        assert text.endswith(": why ordered?\n")


async def test_n_goes_round_what_waits_and_leaves_out_what_is_accepted() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("n")
        await d.until(lambda: "Explain every setting" in d.text())
        await d.press("n")
        await d.until(lambda: "Bound the cache" in d.text())
        await d.press("N")
        await d.until(lambda: "Explain every setting" in d.text())


async def test_nothing_else_to_review_is_said() -> None:
    desk = fleet()
    del desk.backend.tasks[FAILED]
    async with driving(desk) as d:
        await review(d)
        await d.press("n")
        assert d.flash == "nothing else waits for your review"


async def test_work_without_changes_says_so() -> None:
    desk = fleet()
    desk.diffs = {}
    async with driving(desk) as d:
        await review(d)
        await d.until(lambda: "No changes were collected" in d.text())


async def test_d_on_a_task_nobody_has_worked_on_says_why_not() -> None:
    async with driving(fleet()) as d:
        d.control.queues.go_to("01kc7m2q9x4c1")
        await d.press("d")
        assert "has not been worked on yet" in d.flash
        assert isinstance(d.screen, ControlScreen)


async def test_t_opens_the_task_and_escape_goes_back_step_by_step() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("t")
        await d.until(lambda: isinstance(d.screen, TaskScreen))
        await d.press("escape")
        await d.until(lambda: isinstance(d.screen, ReviewScreen))
        await d.press("escape")
        await d.until(lambda: isinstance(d.screen, ControlScreen))


async def test_several_marked_are_accepted_after_one_confirmation_but_failed_ones_are_left_out() -> None:
    async with driving(fleet(), WIDE) as d:
        for task_id in (GOOD, FAILED):
            d.control.queues.go_to(task_id)
            await d.press("space")
        await d.press("a")
        await d.until(lambda: isinstance(d.screen, Confirm))
        assert "Accept 2 tasks?" in d.text()
        await d.press("y")
        await d.until(lambda: d.calls("accept") == [(GOOD, None)])
        await d.until(lambda: "accepted 1 of 2" in d.flash)


async def test_the_diff_is_read_once_for_one_piece_of_work() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.desk.backend.put(replace(d.desk.backend.tasks[GOOD], approved_by="human:ana"))
        await d.until(lambda: "merging" in d.text())
        assert d.calls("diff") == [(GOOD,)]


async def test_a_prompt_takes_lines_and_its_text_area_has_the_focus() -> None:
    async with driving(fleet()) as d:
        await review(d)
        await d.press("r")
        dialog = await prompt(d)
        assert isinstance(dialog.focused, TextArea)
        await d.type("one")
        await d.press("enter")
        await d.type("two")
        assert dialog.area.text == "one\ntwo"
