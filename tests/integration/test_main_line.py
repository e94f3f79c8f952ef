"""From a queued task to a merge commit, with a real agent process in a real worktree."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import ASK_FIRST, EDIT_AND_COMMIT, at_work, git, make_project, running

from backend.errors import Refused
from backend.interface import Action
from backend.model import Outcome, Queue, TaskFilter
from scheduler.desk import TaskDraft


async def test_a_task_is_worked_on_submitted_and_merged(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        assert "+t1" in await work.desk.diff("t1")
        assert not (repo / "t1.txt").exists()
        async with running(work):
            task = await work.desk.accept("t1")
    assert task.queue is Queue.DONE
    assert (repo / "t1.txt").read_text() == "t1\n"
    assert git(repo, "rev-parse", "main") == task.merged_sha
    assert "Octopoid-Task: t1" in git(repo, "log", "-1", "--format=%B")
    assert git(repo, "status", "--porcelain") == ""


async def test_the_answer_reaches_the_agent_that_asked(tmp_path: Path) -> None:
    script = ASK_FIRST + 'echo "$ANSWER" > word.txt\ngit add -A\ngit commit -q -m "Write the word"\n'
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Write a word", id="t1"))
        assert await work.scheduler.run_until_idle() == "1 open question"
        (question,) = await work.backend.open_questions()
        assert (question.body, question.options) == ("Which word?", ("red", "blue"))
        await work.desk.answer(question.id, "blue")
        await work.scheduler.run_until_idle()
        assert "+blue" in await work.desk.diff("t1")
        answered = await work.backend.get_message(question.id)
        assert answered.delivered_at is not None


async def test_uncommitted_and_untracked_files_are_collected(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, "echo new > new.txt\necho more >> README.md\n")) as work:
        await work.desk.enqueue(TaskDraft("Change without committing", id="t1"))
        await work.scheduler.run_until_idle()
        diff = await work.desk.diff("t1")
    assert "+new" in diff
    assert "+more" in diff


async def test_a_rejected_task_is_worked_on_again_with_the_reason_in_its_prompt(tmp_path: Path) -> None:
    """L-08"""
    script = 'cat "$OCTOPOID_PROMPT_FILE" > prompt.txt\n' + EDIT_AND_COMMIT
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.desk.reject("t1", "Use fewer words.")
        assert (task.queue, task.rejection_count) == (Queue.INCOMING, 1)
        await work.scheduler.run_until_idle()
        diff = await work.desk.diff("t1")
    assert "Use fewer words." in diff
    assert "Write t1.txt" in diff, "the second prompt names the commits of the first attempt"


async def test_failed_checks_send_the_work_back_with_their_output(tmp_path: Path) -> None:
    script = """\
if grep -q "it is 42" "$OCTOPOID_PROMPT_FILE"; then echo 42 > answer.txt; else echo 41 > answer.txt; fi
"""
    command = "grep -q 42 answer.txt || (echo it is $((40 + 2)); exit 3)"
    check = f"checks:\n  - name: answer\n    command: '{command}'\n"
    async with at_work(make_project(tmp_path, script, config=check)) as work:
        await work.desk.enqueue(TaskDraft("Find the answer", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        evidence = await work.backend.list_evidence("t1")
    assert task.queue is Queue.PROVISIONAL
    assert [run.outcome for run in runs] == [Outcome.CHECKS_FAILED, Outcome.SUBMITTED]
    assert [item.exit_code for item in evidence] == [3, 0]
    assert evidence[-1].commit_sha == task.head_sha


async def test_a_conflict_keeps_the_approval_and_is_resolved_once(tmp_path: Path) -> None:
    """L-06"""
    script = """\
if grep -q '<<<<<<<' shared.txt 2>/dev/null; then
  printf 'both\\n' > shared.txt
else
  echo "$OCTOPOID_TASK_ID" > shared.txt
fi
git add -A
git commit -q -m "Write shared.txt"
"""
    repo = make_project(tmp_path, script, instances=2)
    async with at_work(repo) as work:
        for name in ("one", "two"):
            await work.desk.enqueue(TaskDraft(f"Write {name}", id=name))
        await work.scheduler.run_until_idle()
        assert "it conflicts with two in shared.txt" in (await work.desk.why("one")).summary
        for name in ("one", "two"):
            await work.desk.accept(name, wait=False)
        assert await work.scheduler.run_until_idle() == "everything is done"
        runs = [run for name in ("one", "two") for run in await work.backend.list_runs(task_id=name)]
        tasks = await work.backend.list_tasks(TaskFilter())
    assert sorted(run.role for run in runs) == ["implement", "implement", "resolve"]
    assert {task.queue for task in tasks} == {Queue.DONE}
    assert sum(task.conflict_count for task in tasks) == 1
    assert (repo / "shared.txt").read_text() == "both\n"
    trailers = git(repo, "log", "--format=%(trailers:key=Octopoid-Task,valueonly,separator=)").split()
    assert sorted(trailers) == ["one", "two"], "each accepted task has exactly one merge commit"


async def test_a_crashing_agent_is_tried_again_until_the_cap_and_then_fails(tmp_path: Path) -> None:
    config = "limits:\n  attempts: 2\n"
    async with at_work(make_project(tmp_path, "exit 7\n", config=config)) as work:
        await work.desk.enqueue(TaskDraft("Crash", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        assert task.queue is Queue.FAILED
        assert "exit status 7" in (task.reason or "")
        assert [(run.outcome, run.exit_code) for run in runs] == [(Outcome.CRASHED, 7)] * 2
        again = await work.desk.act("t1", Action.RETRY)
        assert again.queue is Queue.INCOMING
        assert again.attempts_counted == 0


async def test_an_agent_that_changes_nothing_goes_to_a_person(tmp_path: Path) -> None:
    """L-12: success without work is no success."""
    async with at_work(make_project(tmp_path, "true\n")) as work:
        await work.desk.enqueue(TaskDraft("Do nothing", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
    assert task.queue is Queue.ESCALATED
    assert task.reason == "it ended well but changed nothing"


async def test_a_dependent_task_starts_on_the_merged_work_of_its_blocker(tmp_path: Path) -> None:
    script = "ls > seen.txt\n" + EDIT_AND_COMMIT
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("First", id="first"))
        await work.desk.enqueue(TaskDraft("Second", id="second", blocked_by=("first",)))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("second")).queue is Queue.BLOCKED
        await work.desk.accept("first", wait=False)
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("second")
        assert task.queue is Queue.PROVISIONAL
        assert "+first.txt" in await work.desk.diff("second")


async def test_pause_stops_only_intake(tmp_path: Path) -> None:
    """L-03"""
    async with at_work(make_project(tmp_path, ASK_FIRST + EDIT_AND_COMMIT)) as work:
        await work.desk.enqueue(TaskDraft("Before the pause", id="t1"))
        await work.scheduler.run_until_idle()
        await work.desk.pause("lunch")
        await work.desk.enqueue(TaskDraft("After the pause", id="t2"))
        (question,) = await work.backend.open_questions()
        await work.desk.answer(question.id, "red")
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL
        assert (await work.backend.get_task("t2")).queue is Queue.INCOMING
        assert (await work.desk.why("t2")).summary == "intake is paused by human:ana: lunch"
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
        await work.desk.resume()
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t2")).queue is Queue.CLAIMED


async def test_cancelling_ends_the_agent_and_keeps_its_work(tmp_path: Path) -> None:
    """L-05, L-31"""
    script = "echo begun > begun.txt\ngit add -A\ngit commit -q -m Begin\n" + ASK_FIRST
    repo = make_project(tmp_path, script)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Never mind", id="t1"))
        await work.scheduler.run_until_idle()
        await work.desk.act("t1", Action.CANCEL, reason="not needed")
        await work.scheduler.run_until_idle()
        (run,) = await work.backend.list_runs(task_id="t1")
        assert run.outcome is Outcome.STOPPED
        assert await work.backend.open_questions() == []
        assert not work.desk.run_dir(run.id).is_alive()
    refs = git(repo / ".octopoid" / "hub.git", "for-each-ref", "--format=%(refname)", "refs/octopoid/rescue")
    assert "t1" in refs


async def test_a_missing_agent_program_claims_nothing_and_says_so(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    (tmp_path / "agent.sh").unlink()
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Cannot start", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        (agent,) = await work.backend.list_agents()
    assert (task.queue, task.attempt_count) == (Queue.INCOMING, 0)
    assert agent.status == "error"
    assert "was not found" in (agent.reason or "")


async def test_accepting_without_the_checks_needs_an_override(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
        (repo / ".octopoid" / "config.yaml").write_text("checks: ['test -f absent']\n")
        work.project.refresh()
        with pytest.raises(Refused, match="has not passed"):
            await work.desk.accept("t1", wait=False)
        await work.desk.accept("t1", override="the check is wrong", wait=False)
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
