"""The control screen: panes, tabs, marks, filter, states, sizes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from app_pilot import SMALL, WIDE, driving
from fixed_desk import FixedBackend, FixedDesk, ago, empty, fleet, question, task
from textual.widgets import Input

from backend.errors import StoreBroken
from backend.interface import Action
from backend.model import Pause, Queue
from octopoid_tui.desktop import Desktop
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.confirm import Confirm
from octopoid_tui.screens.dialogs.help import Help
from octopoid_tui.screens.task.screen import TaskScreen


async def test_wide_shows_four_panes_with_number_and_count() -> None:
    async with driving(fleet()) as d:
        text = d.text()
        for title in ("▸ 1 Queues 16", "2 Agents 3/5 at work", "3 Leases 3", "4 Chat 2 open"):
            assert title in text
        assert "Bound the cache by bytes" in text
        assert "provisional is full (3 of 3): review first" not in d.lines()[0]


async def test_small_shows_one_pane_and_a_bar_that_names_the_four() -> None:
    async with driving(fleet(), SMALL) as d:
        bar = d.lines()[1]
        for title in ("1 Queues 16", "2 Agents", "3 Leases 3", "4 Chat 2 open"):
            assert title in bar
        assert d.control.queues.display
        assert not d.control.query_one("#side").display
        await d.press("3")
        assert "impl-3" in d.text()
        assert not d.control.queues.display
        assert d.control.leases.grid.has_focus


@pytest.mark.parametrize("size", [SMALL, (100, 30), (110, 28), (130, 40), WIDE])
async def test_no_pane_covers_another_at_any_size(size: tuple[int, int]) -> None:
    async with driving(fleet(), size) as d:
        shown = [pane.region for pane in d.control.panes if pane.region]
        for one in shown:
            for other in shown:
                assert one is other or not one.overlaps(other)
            assert d.app.screen.region.contains_region(one)
        assert all(len(line.rstrip()) <= size[0] for line in d.lines())


async def test_too_small_says_what_it_needs_and_comes_back() -> None:
    async with driving(fleet(), (52, 14)) as d:
        assert "Too small: 52x14" in d.text()
        assert "Queues" not in d.text()
        await d.pilot.resize_terminal(80, 24)
        await d.pilot.pause()
        assert "1 Queues 16" in d.text()


async def test_number_keys_and_tab_go_through_the_panes_and_escape_comes_back() -> None:
    async with driving(fleet()) as d:
        for key, pane in (("2", "agents"), ("3", "leases"), ("4", "chat"), ("1", "queues")):
            await d.press(key)
            assert pane == d.control.pane.KEY
        await d.press("tab", "tab")
        assert d.control.pane.KEY == "leases"
        await d.press("shift+tab")
        assert d.control.pane.KEY == "agents"
        await d.press("escape")
        assert d.control.pane.KEY == "queues"


async def test_zoom_gives_one_pane_the_whole_screen() -> None:
    async with driving(fleet()) as d:
        await d.press("2", "z")
        assert d.control.agents.size.width == WIDE[0]
        assert not d.control.queues.display
        await d.press("escape")
        assert d.control.queues.display


async def test_arrows_and_letters_move_and_the_cursor_stays_on_its_task() -> None:
    async with driving(fleet()) as d:
        await d.press("j", "down", "k")
        grid = d.control.queues.grid
        assert grid.cursor_id == "01kc7m2q9x4a1"
        await d.desk.backend.put(task("00urgent", "comes first", Queue.ESCALATED))
        await d.until(lambda: grid.row_count == 17)
        assert grid.cursor_id == "01kc7m2q9x4a1"


async def test_brackets_switch_the_queue_and_its_count_is_in_the_title() -> None:
    async with driving(fleet()) as d:
        await d.press("]")
        assert d.control.queues.active_tab == "incoming"
        assert d.control.queues.title == "1 Queues 3"
        await d.press("[", "[")
        assert d.control.queues.active_tab == "cancelled"
        assert "No task is cancelled." in d.text()


async def test_filter_narrows_as_one_types_and_escape_clears_it() -> None:
    async with driving(fleet()) as d:
        await d.press("slash")
        await d.type("queue:provisional !settings")
        await d.until(lambda: d.control.queues.grid.row_count == 3)
        assert "3 of 16" in d.text()
        await d.type(" cache")
        await d.until(lambda: d.control.queues.grid.row_count == 1)
        await d.press("enter")
        assert d.control.queues.grid.has_focus
        assert d.control.queues.title == "1 Queues 1/16"
        await d.press("escape")
        await d.until(lambda: d.control.queues.grid.row_count == 16)


async def test_a_filter_that_matches_nothing_says_how_to_go_on() -> None:
    async with driving(fleet()) as d:
        await d.press("slash")
        await d.type("zzzz")
        await d.until(lambda: d.control.queues.grid.row_count == 0)
        assert "No task matches the filter." in d.text()


async def test_keys_typed_into_the_filter_do_nothing_else() -> None:
    async with driving(fleet()) as d:
        await d.press("slash")
        await d.type("acqpnr")
        assert d.control.queues.bar.text == "acqpnr"
        assert d.desk.calls == []
        assert isinstance(d.screen, ControlScreen)


async def test_marks_are_acted_on_together_after_a_confirmation_that_counts_them() -> None:
    async with driving(fleet()) as d:
        await d.press("]", "space", "space", "c")
        await d.until(lambda: isinstance(d.screen, Confirm))
        assert "Cancel 2 tasks?" in d.text()
        assert "Paginate the task list by key" in d.text()
        assert d.calls("act") == []
        await d.press("y")
        await d.until(lambda: len(d.calls("act")) == 2)
        assert {call[1] for call in d.calls("act")} == {Action.CANCEL}
        await d.until(lambda: not d.control.queues.marked)


async def test_no_is_what_enter_means_in_a_confirmation() -> None:
    async with driving(fleet()) as d:
        await d.press("c")
        await d.until(lambda: isinstance(d.screen, Confirm))
        await d.press("enter")
        await d.until(lambda: isinstance(d.screen, ControlScreen))
        assert d.calls("act") == []


async def test_a_disabled_action_says_why_not() -> None:
    async with driving(fleet()) as d:
        await d.press("a")
        assert d.flash == "Accept: 01kc7m2q9x4hd is escalated: only provisional tasks can be accepted"
        assert d.flash in d.text()
        assert d.calls("accept") == []


async def test_retry_hold_enqueue_and_priority_reach_the_store() -> None:
    async with driving(fleet()) as d:
        await d.press("R")
        await d.until(lambda: d.calls("act") == [("01kc7m2q9x4hd", Action.RETRY)])
        d.control.queues.go_to("01kc7m2q9x4c2")
        await d.press("b")
        await d.until(lambda: ("01kc7m2q9x4c2", Action.HOLD) in d.calls("act"))
        await d.until(lambda: d.app.picture.snapshot.tasks["01kc7m2q9x4c2"].queue is Queue.BACKLOG)
        await d.press("e")
        await d.until(lambda: ("01kc7m2q9x4c2", Action.ENQUEUE) in d.calls("act"))
        await d.until(lambda: d.app.picture.snapshot.tasks["01kc7m2q9x4c2"].queue is Queue.INCOMING)
        await d.press("plus")
        await d.until(lambda: d.app.picture.snapshot.tasks["01kc7m2q9x4c2"].priority == "P1")


async def test_pause_is_on_the_status_line_at_once_and_p_resumes() -> None:
    async with driving(fleet()) as d:
        await d.press("p")
        await d.until(lambda: "PAUSED by human:ana" in d.lines()[0])
        await d.press("p")
        await d.until(lambda: "PAUSED" not in d.lines()[0])
        assert d.calls("resume") == [()]


async def test_l46_a_silent_scheduler_is_an_error_on_the_status_line() -> None:
    desk = fleet()
    one = desk.backend.orchestrators[0]
    desk.backend.orchestrators = [replace(one, last_cycle_at=ago(hours=16))]
    async with driving(desk) as d:
        assert "✗ scheduler silent, last cycle 16h ago" in d.lines()[0]
    async with driving(desk, SMALL) as d:
        assert "✗ silent 16h" in d.lines()[0]


async def test_an_empty_project_says_what_to_press() -> None:
    for size in (WIDE, SMALL):
        async with driving(empty(), size) as d:
            assert "No tasks yet." in d.text()
            assert "Press n to create one." in d.text()
            assert "✗ no scheduler" in d.lines()[0]


async def test_while_the_store_is_slow_the_panes_say_that_they_load() -> None:
    desk = fleet()
    desk.backend.held = asyncio.Event()
    async with driving(desk, loaded=False) as d:
        assert "… Reading the tasks" in d.text()
        assert "… loading" in d.lines()[0]
        desk.backend.held.set()
        await d.until(lambda: "Bound the cache" in d.text())


async def test_a_store_that_fails_leaves_its_last_picture_marked_as_stale() -> None:
    async with driving(fleet()) as d:
        await d.desk.backend.fail(StoreBroken("the disk is full"))
        await d.until(lambda: "✗ stale" in d.lines()[0])
        assert "the disk is full" in d.text()
        assert "Bound the cache" in d.text()
        assert d.control.queues.grid.stale
        await d.press("n")
        assert d.flash == "New task: the store does not answer"
        await d.desk.backend.fail(None)
        await d.press("ctrl+r")
        await d.until(lambda: "● live" in d.lines()[0])
        assert not d.control.queues.grid.stale


async def test_a_store_that_never_answered_shows_the_reason_in_the_pane() -> None:
    desk = fleet()
    desk.backend.failure = StoreBroken("octopoid.db is of a newer version")
    async with driving(desk, loaded=False) as d:
        await d.until(lambda: d.app.picture.feed.status == "stale")
        assert "octopoid.db is of a newer version" in d.text()
        assert "ctrl+r tries now" in d.text()


async def test_a_refusal_of_the_desk_is_shown_and_nothing_breaks() -> None:
    async with driving(fleet()) as d:
        d.desk.failure = StoreBroken("the store is locked", "close the other screen")
        await d.press("R")
        await d.until(lambda: d.flash == "the store is locked: close the other screen")
        d.desk.failure = None
        await d.press("R")
        await d.until(lambda: "queued again" in d.flash)


async def test_help_opens_over_the_screen_and_escape_closes_it() -> None:
    async with driving(fleet(), SMALL) as d:
        await d.press("question_mark")
        await d.until(lambda: isinstance(d.screen, Help))
        assert "Open task" in d.text()
        await d.press("escape")
        assert isinstance(d.screen, ControlScreen)


async def test_the_palette_offers_what_is_possible_and_goes_to_a_task_by_name() -> None:
    async with driving(fleet()) as d:
        await d.press("ctrl+p")
        await d.type("date picker")
        await d.until(lambda: "Task: Replace the date picker" in d.text())
        await d.press("enter")
        await d.until(lambda: d.control.queues.grid.cursor_id == "01kc7m2q9x4c2")


async def test_the_palette_leaves_out_what_is_not_possible() -> None:
    async with driving(fleet()) as d:
        await d.press("ctrl+p")
        await d.type("tasks:")
        await d.until(lambda: "Tasks: Open task" in d.text())
        assert "Tasks: Accept" not in d.text()


async def test_enter_opens_the_task_from_every_list() -> None:
    async with driving(fleet()) as d:
        for pane in ("1", "3"):
            await d.press(pane, "enter")
            await d.until(lambda: isinstance(d.screen, TaskScreen))
            await d.press("escape")
            assert isinstance(d.screen, ControlScreen)


async def test_an_idle_agent_shows_the_gate_that_keeps_it_idle() -> None:
    async with driving(fleet()) as d:
        await d.press("2")
        assert "docs-1 (docs, claude): provisional is full (3 of 3): review first" in d.text()


async def test_quitting_asks_when_agents_would_lose_their_scheduler() -> None:
    class Running:
        jobs: dict[str, object] = {}  # noqa: RUF012
        stopped = False

        async def start(self) -> None: ...

        async def run(self) -> None:
            await asyncio.Event().wait()

        async def stop(self) -> None:
            self.stopped = True

    scheduler = Running()
    async with driving(fleet(), scheduler=scheduler) as d:
        await d.press("q")
        await d.until(lambda: isinstance(d.screen, Confirm))
        assert "3 agents are at work. They go on without the screen" in " ".join(d.text().split())
        await d.press("y")
        await d.until(lambda: not d.app.is_running)
    assert scheduler.stopped


async def test_quitting_without_a_scheduler_of_its_own_does_not_ask() -> None:
    async with driving(fleet()) as d:
        await d.press("q")
        await d.until(lambda: not d.app.is_running)


async def test_a_scheduler_that_fails_is_said_aloud() -> None:
    class Failing:
        jobs: dict[str, object] = {}  # noqa: RUF012

        async def start(self) -> None:
            raise StoreBroken("git is not installed")

        async def run(self) -> None: ...

        async def stop(self) -> None: ...

    async with driving(fleet(), scheduler=Failing()) as d:
        await d.until(lambda: "the scheduler has failed" in d.flash)
        assert "git is not installed" in d.flash


async def test_the_caller_is_told_after_the_first_paint() -> None:
    told: list[bool] = []

    async def ready() -> None:
        told.append(True)

    async with driving(fleet(), on_ready=ready) as d:
        await d.until(lambda: told == [True])


async def test_a_key_map_of_the_configuration_moves_an_action_and_the_footer_shows_it() -> None:
    async with driving(fleet(), keymap={"fleet.pause": "f9", "task.new": ("f2", "ctrl+n")}) as d:
        await d.press("p")
        assert d.calls("pause") == []
        await d.press("f9")
        await d.until(lambda: d.calls("pause") == [(None,)])
        assert "f2 new" in d.text()


async def test_a_wrong_key_map_is_told_and_the_rest_works() -> None:
    async with driving(fleet(), keymap={"task.acept": "A"}) as d:
        await d.until(lambda: "did you mean 'task.accept'" in d.flash)


async def test_a_new_question_flashes_and_rings_once_within_the_cool_down() -> None:
    async with driving(fleet(), bell=True) as d:
        rung: list[bool] = []
        d.app._notifier._bell = lambda: rung.append(True)
        await d.desk.backend.post(question("m-8", "01kc7m2q9x4b3", "Which index?"))
        await d.until(lambda: d.flash == "impl-2 asks: Which index?")
        await d.desk.backend.post(question("m-9", "01kc7m2q9x4b3", "And now?"))
        await d.until(lambda: d.flash == "impl-2 asks: And now?")
        assert rung == [True]


def desktop(folder: Path, monkeypatch: pytest.MonkeyPatch, *, status: int = 0) -> Desktop:
    """A desktop whose program writes what it is to show into the file `shown`, a line each."""
    program = folder / "notify-send"
    program.write_text(f'#!/bin/sh\nfor text; do :; done; echo "$text" >> {folder}/shown; exit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
    return Desktop.find("linux")


def shown(folder: Path) -> list[str]:
    path = folder / "shown"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_new_question_is_shown_on_the_desktop_once_within_the_cool_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driving(fleet(), desktop=desktop(tmp_path, monkeypatch)) as d:
        await d.desk.backend.post(question("m-8", "01kc7m2q9x4b3", "Which index?"))
        await d.until(lambda: shown(tmp_path) == ["impl-2 asks: Which index?"])
        await d.desk.backend.post(question("m-9", "01kc7m2q9x4b3", "And now?"))
        await d.until(lambda: d.flash == "impl-2 asks: And now?")
        assert shown(tmp_path) == ["impl-2 asks: Which index?"]


async def test_a_desktop_that_takes_nothing_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driving(fleet(), desktop=desktop(tmp_path, monkeypatch, status=1)) as d:
        await d.desk.backend.post(question("m-8", "01kc7m2q9x4b3", "Which index?"))
        await d.until(lambda: "notify-send ended with 1" in d.flash)


async def test_work_that_becomes_provisional_is_announced() -> None:
    async with driving(fleet()) as d:
        key = "01kc7m2q9x4b3"
        await d.desk.backend.put(replace(d.desk.backend.tasks[key], queue=Queue.PROVISIONAL))
        await d.until(lambda: f"{key} waits for your review" in d.flash)


HOSTILE = "[red]x[/red] [@click=app.quit]y[/] \x1b[2J\x1b]52;c;aGk=\x07 \u202egnp.exe [/"


async def test_hostile_text_in_every_field_is_shown_as_plain_text() -> None:
    desk = fleet()
    backend = desk.backend
    key = "01kc7m2q9x4b2"
    backend.tasks[key] = replace(
        backend.tasks[key], title=HOSTILE, reason=HOSTILE, claimed_by=HOSTILE, orchestrator_id=HOSTILE
    )
    backend.agents = [replace(a, name=HOSTILE, reason=HOSTILE, role=HOSTILE) for a in backend.agents[:1]]
    backend.messages = [question("m-2", key, HOSTILE, HOSTILE, HOSTILE)]
    for size in (WIDE, SMALL):
        async with driving(desk, size, mode=HOSTILE) as d:
            d.control.queues.go_to(key)
            for pane in ("1", "2", "3", "4"):
                await d.press(pane)
                text = d.text()
                assert "\x1b" not in text
                assert "\u202e" not in text
                assert "[red]x" in text
            await d.press("1", "enter")
            await d.until(lambda: isinstance(d.screen, TaskScreen))
            assert "[red]x" in d.text()
            assert "\x1b" not in d.text()


async def test_a_hundred_thousand_tasks_are_filtered_without_a_late_key() -> None:
    tasks = {f"t{n:06}": task(f"t{n:06}", f"Task {n}") for n in range(100_000)}
    async with driving(FixedDesk(FixedBackend(tasks=tasks))) as d:
        assert d.control.queues.grid.row_count == 100_000
        loop = asyncio.get_running_loop()
        late: list[float] = []

        async def watch() -> None:
            while True:
                started = loop.time()
                await asyncio.sleep(0.005)
                late.append(loop.time() - started - 0.005)

        watcher = asyncio.create_task(watch())
        d.control.queues.bar.query_one(Input).value = "99999"
        await d.until(lambda: d.control.queues.grid.row_count == 1)
        watcher.cancel()
        # Two cores shared with other tests: what is shown here is that no slice is the whole work.
        assert sorted(late)[len(late) // 2] < 1.0


async def test_themes_change_and_no_color_starts_with_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driving(fleet()) as d:
        assert d.app.theme == "octopoid-dark"
        await d.press("T")
        await d.until(lambda: d.app.theme == "octopoid-light")
    monkeypatch.setenv("NO_COLOR", "1")
    async with driving(fleet(), theme="light") as d:
        assert d.app.theme == "octopoid-mono"
        assert "◆ provisional" in d.text()


async def test_u_takes_back_what_was_done_to_many_tasks() -> None:
    async with driving(fleet()) as d:
        await d.press("u")
        assert d.flash == "Undo: nothing was moved or cancelled that could be taken back"
        d.control.queues.choose_tab("incoming")
        await d.press("space", "j", "space", "b")
        await d.until(lambda: isinstance(d.screen, Confirm))
        await d.press("y")
        await d.until(lambda: d.flash == "moved to the backlog: 2 tasks; u undoes it")
        await d.until(lambda: d.app.picture.snapshot.count(Queue.INCOMING) == 1)
        await d.press("u")
        await d.until(lambda: d.app.picture.snapshot.count(Queue.INCOMING) == 3)
        assert d.flash == "undone: moved to the backlog: 2 tasks"
        await d.press("u")
        assert d.flash == "Undo: nothing was moved or cancelled that could be taken back"


async def test_a_cancelled_backlog_task_is_brought_back_into_the_backlog() -> None:
    async with driving(fleet()) as d:
        d.control.queues.go_to("01kc7m2q9x4f1")
        await d.press("c")
        await d.until(lambda: isinstance(d.screen, Confirm))
        await d.press("y")
        await d.until(lambda: d.flash == "cancelled 01kc7m2q9x4f1; u undoes it")
        await d.press("u")
        await d.until(lambda: d.flash.startswith("undone"))
        assert d.desk.backend.tasks["01kc7m2q9x4f1"].queue is Queue.BACKLOG


async def test_what_cannot_be_taken_back_is_not_offered() -> None:
    async with driving(fleet()) as d:
        d.control.queues.go_to("01kc7m2q9x4b1")
        await d.press("c")
        await d.until(lambda: isinstance(d.screen, Confirm))
        await d.press("y")
        await d.until(lambda: d.flash == "cancelled 01kc7m2q9x4b1")
        assert d.app.undo is None


async def test_a_scrollbar_covers_no_cell_of_the_table() -> None:
    tasks = {f"m{n:02}": task(f"m{n:02}", f"Task {n} " + "long " * 9) for n in range(60)}
    async with driving(FixedDesk(FixedBackend(tasks=tasks)), (60, 20)) as d:
        assert d.control.queues.grid.show_vertical_scrollbar
        header, first = d.lines()[3], d.lines()[4]
        assert header.rstrip().endswith(" Age")
        assert first[:59].rstrip().endswith(" 5h")


async def test_the_bar_of_a_small_screen_counts_what_the_filter_leaves() -> None:
    async with driving(fleet(), SMALL) as d:
        await d.press("slash")
        await d.type("queue:provisional")
        await d.until(lambda: "1 Queues 3/16" in d.lines()[1])


async def test_a_task_whose_agent_asks_says_so_where_there_is_no_room_for_the_reason() -> None:
    async with driving(fleet(), SMALL) as d:
        assert sum("? asks you" in line for line in d.lines()) == 2


async def test_an_incoming_task_says_what_it_waits_for() -> None:
    desk = fleet()
    desk.backend.tasks["01nobody"] = task("01nobody", "Paint it", role="painter")
    async with driving(desk) as d:
        d.control.queues.go_to("01nobody")
        await d.until(lambda: "01nobody: no agent works in role painter" in d.text())
        d.control.queues.go_to("01kc7m2q9x4c2")
        await d.until(lambda: "01kc7m2q9x4c2: waits for a free agent" in d.text())


@pytest.mark.parametrize("size", [(60, 20), SMALL, WIDE])
async def test_what_a_key_does_is_never_broken_into_the_column_of_the_keys(size: tuple[int, int]) -> None:
    async with driving(fleet(), size) as d:
        await d.press("question_mark")
        await d.until(lambda: isinstance(d.screen, Help) and "Open task" in d.text())
        await d.pilot.pause()
        inside = [line.partition("│")[2] for line in d.lines() if line.count("│") >= 2]
        told = [line[1:] for line in inside if "scroll" not in line]
        assert len(told) > 10
        assert all(line.startswith("  ") or line[:1].isupper() or not line.strip(" │") for line in told)


async def test_the_reason_of_a_pause_is_below_the_status_line() -> None:
    desk = fleet()
    desk.backend.pause_state = Pause(
        True, "system:scheduler", "git clone failed: no space left", ago(seconds=1)
    )
    async with driving(desk, SMALL) as d:
        assert "! nothing new starts; system:scheduler paused it: git clone failed" in d.lines()[1]


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_the_agent_under_the_cursor_tells_what_its_kind_can_do(size: tuple[int, int]) -> None:
    desk = fleet()
    desk.backend.agents[-1] = replace(desk.backend.agents[-1], adapter="another")
    async with driving(desk, size) as d:
        assert "agents can" not in d.text()
        await d.press("2")
        assert "claude agents can: resume, steer, interrupt," in d.text()
        await d.press("G")
        assert "another agents can do no more than their work" in d.text()
        await d.press("1")
        assert "agents can" not in d.text()
