"""The one table of actions: complete, without clashes, and what everything else is made from."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backend.model import Priority, Queue
from octopoid_tui.actions import ACTIONS, BY_ID, Context, Where, actions_of, footer_of
from octopoid_tui.keys import check_keymap, document, textual_keymap
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.help import help_text
from octopoid_tui.screens.operations import OPERATIONS
from octopoid_tui.screens.places.costs import CostsScreen
from octopoid_tui.screens.places.projects import ProjectsScreen
from octopoid_tui.screens.places.rules import RulesScreen
from octopoid_tui.screens.places.settings import SettingsScreen
from octopoid_tui.screens.places.since import SinceScreen
from octopoid_tui.screens.review.screen import ReviewScreen
from octopoid_tui.screens.sync.screen import SyncScreen
from octopoid_tui.screens.task.screen import TaskScreen
from octopoid_tui.snapshot import Snapshot

sys.path.insert(0, str(Path(__file__).parents[1] / "screens"))
from fixed_desk import task

SCREENS = {
    Where.CONTROL: ControlScreen,
    Where.TASK: TaskScreen,
    Where.REVIEW: ReviewScreen,
    Where.SYNC: SyncScreen,
    Where.PROJECTS: ProjectsScreen,
    Where.COSTS: CostsScreen,
    Where.RULES: RulesScreen,
    Where.SINCE: SinceScreen,
    Where.SETTINGS: SettingsScreen,
}


def context(*marked: Queue, queue: Queue = Queue.INCOMING, **fields: object) -> Context:
    subject = replace(task("t1", "a task", queue), **fields)  # type: ignore[arg-type]
    marks = tuple(task(f"m{n}", "a task", q) for n, q in enumerate(marked))
    return Context(Where.CONTROL, Snapshot(), "queues", subject, marks)


def refusal(action_id: str, where: Context) -> str | None:
    return BY_ID[action_id].applies(where)


def test_ids_are_unique_and_every_action_has_a_title_and_a_key() -> None:
    assert len(BY_ID) == len(ACTIONS)
    assert all(action.title and action.keys and action.group for action in ACTIONS)


@pytest.mark.parametrize("where", list(Where))
def test_no_key_means_two_things_on_one_screen(where: Where) -> None:
    assert check_keymap({}) == []
    assert list(actions_of(where))


@pytest.mark.parametrize(
    ("where", "action_id"), [(where, action.id) for where in Where for action in actions_of(where)]
)
def test_every_action_can_be_done_on_every_screen_that_offers_it(where: Where, action_id: str) -> None:
    calls = BY_ID[action_id].calls
    assert hasattr(SCREENS[where], f"do_{calls}") or calls in OPERATIONS


@pytest.mark.parametrize("where", list(Where))
def test_help_lists_every_action_of_the_screen(where: Where) -> None:
    text = help_text(where, {}, 100).plain
    for action in actions_of(where):
        assert action.title in text


def test_help_shows_the_keys_that_a_person_has_chosen() -> None:
    text = help_text(Where.CONTROL, {"task.accept": "f9"}, 100).plain
    assert any("f9" in line and "Accept" in line for line in text.splitlines())


def test_footer_begins_with_the_most_useful_and_ends_with_the_way_out() -> None:
    ids = [action.id for action in footer_of(Where.CONTROL)]
    assert ids[0] == "task.open"
    assert ids[-2:] == ["app.help", "app.quit"]


@pytest.mark.parametrize(
    ("action_id", "queue"),
    [
        ("task.accept", Queue.CLAIMED),
        ("task.reject", Queue.DONE),
        ("task.retry", Queue.INCOMING),
        ("task.cancel", Queue.DONE),
        ("task.enqueue", Queue.INCOMING),
        ("task.hold", Queue.CLAIMED),
    ],
)
def test_a_refusal_names_the_task_and_its_state(action_id: str, queue: Queue) -> None:
    reason = refusal(action_id, context(queue=queue))
    assert reason is not None
    assert "t1" in reason
    assert queue.value in reason


def test_accepted_work_cannot_be_accepted_again() -> None:
    reason = refusal("task.accept", context(queue=Queue.PROVISIONAL, approved_by="human:ana"))
    assert reason is not None
    assert "merge" in reason


def test_without_a_selection_the_reason_says_so() -> None:
    nothing = Context(Where.CONTROL, Snapshot())
    for action_id in ("task.open", "task.accept", "task.cancel", "task.raise", "task.review"):
        assert refusal(action_id, nothing) == "no task is selected"


def test_marks_decide_and_one_that_fits_is_enough() -> None:
    assert refusal("task.accept", context(Queue.DONE, Queue.PROVISIONAL)) is None
    assert refusal("task.accept", context(Queue.DONE, Queue.FAILED)) == (
        "none of the marked tasks is provisional"
    )


def test_priorities_end_at_p0_and_p3() -> None:
    assert refusal("task.raise", context(priority=Priority.P0)) == "t1 is P0 already"
    assert refusal("task.lower", context(priority=Priority.P3)) == "t1 is P3 already"
    assert refusal("task.raise", context(priority=Priority.P1)) is None


def test_a_keymap_with_an_unknown_action_names_the_nearest() -> None:
    assert check_keymap({"task.acept": "A"}) == [
        "keys: there is no action 'task.acept'; did you mean 'task.accept'?"
    ]


def test_a_keymap_that_gives_a_key_twice_names_both_actions() -> None:
    (problem, *_) = check_keymap({"task.accept": "r"})
    assert "'r'" in problem
    assert "task.accept" in problem
    assert "task.reject" in problem


def test_several_keys_of_the_configuration_become_one_string() -> None:
    assert textual_keymap({"task.accept": ("A", "f9"), "pane.zoom": "z"}) == {
        "task.accept": "A,f9",
        "pane.zoom": "z",
    }


def test_the_documented_keys_are_those_of_the_table() -> None:
    """Written anew by `python -m octopoid_tui.keys > docs/keys.md`."""
    written = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert written == document()
