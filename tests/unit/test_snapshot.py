"""The picture of the fleet: how it is built, and that changes give what building anew would give."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.model import Priority, Queue, Task
from backend.ranking import unlocked
from octopoid_tui.snapshot import Changes, Snapshot, apply, build, view_key

sys.path.insert(0, str(Path(__file__).parents[1] / "screens"))
from fixed_desk import NOW, ago, fleet, question, task


def built(*tasks: Task, **changes: object) -> Snapshot:
    return build(tasks, Changes(seq=1, **changes))  # type: ignore[arg-type]


def test_incoming_is_in_claim_order_priority_then_rejected_then_oldest() -> None:
    snapshot = built(
        task("new", "t", created_at=ago(hours=1)),
        task("old", "t", created_at=ago(hours=9)),
        task("rejected", "t", created_at=ago(hours=1), rejection_count=1),
        task("urgent", "t", priority=Priority.P0, created_at=ago(minutes=1)),
    )
    assert [t.id for t in snapshot.views[Queue.INCOMING]] == ["urgent", "rejected", "old", "new"]


def test_done_has_the_newest_first_and_all_begins_with_what_waits_for_a_person() -> None:
    snapshot = built(
        task("d1", "t", Queue.DONE, completed_at=ago(hours=3)),
        task("d2", "t", Queue.DONE, completed_at=ago(hours=1)),
        task("i", "t"),
        task("e", "t", Queue.ESCALATED),
        task("p", "t", Queue.PROVISIONAL, submitted_at=ago(hours=1)),
    )
    assert [t.id for t in snapshot.views[Queue.DONE]] == ["d2", "d1"]
    assert [t.id for t in snapshot.all_tasks()] == ["e", "p", "i", "d2", "d1"]


def test_questions_are_ranked_by_what_an_answer_unlocks_then_priority_then_age() -> None:
    tasks = [
        task("hub", "t", Queue.CLAIMED, priority=Priority.P3),
        task("a", "t", Queue.BLOCKED, blocked_by=("hub",)),
        task("b", "t", Queue.BLOCKED, blocked_by=("a",)),
        task("urgent", "t", Queue.CLAIMED, priority=Priority.P0),
        task("old", "t", Queue.CLAIMED),
        task("new", "t", Queue.CLAIMED),
    ]
    asked = (
        question("q-new", "new", "new?", created_at=ago(minutes=1)),
        question("q-old", "old", "old?", created_at=ago(minutes=9)),
        question("q-urgent", "urgent", "urgent?"),
        question("q-hub", "hub", "hub?"),
    )
    ranked = built(*tasks, questions=asked).questions
    assert [q.message.id for q in ranked] == ["q-hub", "q-urgent", "q-old", "q-new"]
    assert [q.unlocks for q in ranked] == [2, 0, 0, 0]


def test_answered_and_withdrawn_questions_are_not_listed() -> None:
    asked = (
        question("a", "t", "?", answered_at=NOW),
        question("w", "t", "?", withdrawn_at=NOW),
        question("o", "t", "?"),
    )
    assert [q.message.id for q in built(questions=asked).questions] == ["o"]


def test_a_cycle_of_blocked_tasks_is_counted_once_and_ends() -> None:
    dependents = {"a": frozenset({"b"}), "b": frozenset({"c", "a"}), "c": frozenset({"b"})}
    assert unlocked("a", dependents) == {"b", "c"}


def test_leases_end_soonest_first_and_tell_the_part_that_is_left() -> None:
    late, soon = NOW + timedelta(minutes=4), NOW + timedelta(minutes=1)
    snapshot = built(
        task("late", "t", Queue.CLAIMED, claimed_by="impl-1", orchestrator_id="m", lease_expires_at=late),
        task("review", "t", Queue.PROVISIONAL, orchestrator_id="m", lease_expires_at=soon),
        task("free", "t", Queue.PROVISIONAL),
    )
    leases = snapshot.leases()
    assert [lease.task.id for lease in leases] == ["review", "late"]
    span = timedelta(minutes=5)
    assert leases[1].fraction_left(NOW, span) == pytest.approx(0.8)
    assert leases[0].fraction_left(NOW + timedelta(hours=1), span) == 0.0


def test_what_waits_for_a_person_are_questions_unaccepted_work_and_escalations() -> None:
    snapshot = fleet().backend
    picture = build(snapshot.tasks.values(), Changes(1, questions=tuple(snapshot.messages)))
    assert picture.waiting_for_you == 5
    assert [t.id for t in picture.to_review()] == ["01kc7m2q9x4a1", "01kc7m2q9x4a2"]


def test_any_sequence_of_changes_gives_what_building_anew_gives() -> None:
    """Property: moving tasks within the views is the same as sorting everything again."""
    dice = random.Random(7)
    tasks = {f"t{n}": task(f"t{n}", "t") for n in range(40)}
    snapshot = built(*tasks.values())
    for step in range(60):
        changed = []
        for key in dice.sample(sorted(tasks), min(4, len(tasks))):
            tasks[key] = replace(
                tasks[key],
                queue=dice.choice(list(Queue)),
                priority=dice.choice(list(Priority)),
                blocked_by=tuple(dice.sample([f"t{n}" for n in range(40)], 2)),
                updated_at=ago(seconds=dice.randrange(9999)),
                version=tasks[key].version + 1,
            )
            changed.append(tasks[key])
        gone = (changed.pop().id,) if step % 5 == 4 else ()
        for key in gone:
            del tasks[key]
        snapshot = apply(snapshot, Changes(seq=step, tasks=tuple(changed), gone=gone))
        anew = build(tasks.values(), Changes(seq=step))
        assert dict(snapshot.tasks) == dict(anew.tasks)
        for queue in Queue:
            assert snapshot.views.get(queue, ()) == anew.views.get(queue, ())
        assert {k: v for k, v in snapshot.dependents.items() if v} == dict(anew.dependents)


def test_a_change_leaves_the_old_snapshot_as_it_was() -> None:
    old = built(task("a", "t"))
    new = apply(old, Changes(seq=2, tasks=(task("a", "t", Queue.DONE, completed_at=NOW),)))
    assert old.tasks["a"].queue is Queue.INCOMING
    assert old.count(Queue.INCOMING) == 1
    assert (new.count(Queue.INCOMING), new.count(Queue.DONE)) == (0, 1)


def test_one_change_among_many_tasks_sorts_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task(f"t{n:06}", "t", created_at=ago(seconds=n)) for n in range(10_000)]
    snapshot = build(tasks, Changes(seq=1))
    placed = 0

    def counted(one: Task) -> Any:
        nonlocal placed
        placed += 1
        return view_key(one)

    monkeypatch.setattr("octopoid_tui.snapshot.view_key", counted)
    apply(snapshot, Changes(seq=2, tasks=(replace(tasks[5000], queue=Queue.CLAIMED, version=9),)))
    assert 0 < placed < 100  # a search by halves in two views; sorting anew looks at every task
