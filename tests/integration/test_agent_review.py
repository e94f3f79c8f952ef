"""Agents that review: their verdict on one exact commit, what follows from it, and reviews that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import at_work, demo_project, running, until

from backend.model import MessageKind, Outcome, Queue
from scheduler.desk import TaskDraft
from scheduler.pipeline.review import CHECK

REVIEWER = "- name: reviewer\n  role: review\n  adapter: demo\n  env: {OCTOPOID_DEMO_PACE: '0'}\n"
WRITE = [{"write": {"path": "a.txt", "text": "one\n"}}, {"commit": "Write a.txt"}]
WRITE_AGAIN = [{"write": {"path": "a.txt", "text": "two\n"}}, {"commit": "Write it better"}]


def project(tmp_path: Path, review: str, more: str = "") -> Path:
    """A project with one agent that works and one that reviews."""
    repo = demo_project(tmp_path, config=f"review: {review}\n{more}")
    agents = repo / ".octopoid" / "agents.yaml"
    agents.write_text(agents.read_text() + REVIEWER)
    return repo


def verdict(word: str, reason: str = "", **more: Any) -> list[dict[str, Any]]:
    return [{"deliver": {"kind": "verdict", "verdict": word, "reason": reason, **more}}]


def draft(*reviews: list[dict[str, Any]], work: tuple[list[dict[str, Any]], ...] = (WRITE,)) -> TaskDraft:
    script = {"implement": list(work), "review": list(reviews)}
    return TaskDraft("Write a.txt", id="t1", metadata={"demo": script})


async def test_the_approval_of_an_agent_is_enough_where_review_is_agent(tmp_path: Path) -> None:
    """L-23: an approval moves the task."""
    repo = project(tmp_path, "agent")
    async with at_work(repo) as work:
        await work.desk.enqueue(draft(verdict("accept", "It does what was wanted.")))
        assert await work.scheduler.run_until_idle() == "everything is done"
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        (evidence,) = await work.backend.list_evidence("t1")
    assert (task.queue, task.approved_by) == (Queue.DONE, "worker:reviewer")
    assert [(run.role, run.outcome) for run in runs] == [
        ("implement", Outcome.SUBMITTED),
        ("review", Outcome.REVIEWED),
    ]
    assert (evidence.check, evidence.passed, evidence.commit_sha) == (CHECK, True, task.approved_sha)
    assert (repo / "a.txt").read_text() == "one\n"


async def test_a_person_decides_after_the_agent_where_review_is_both(tmp_path: Path) -> None:
    async with at_work(project(tmp_path, "both")) as work:
        await work.desk.enqueue(draft(verdict("accept", "Good.")))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        task = await work.backend.get_task("t1")
        assert (task.queue, task.approved_by) == (Queue.PROVISIONAL, None)
        assert "an agent has reviewed and approved it" in (await work.desk.why("t1")).summary
        async with running(work):
            assert (await work.desk.accept("t1")).queue is Queue.DONE


async def test_nobody_reviews_where_review_is_auto_or_human(tmp_path: Path) -> None:
    async with at_work(project(tmp_path, "human")) as work:
        await work.desk.enqueue(draft(verdict("accept")))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        agents = {agent.name: agent for agent in await work.backend.list_agents()}
        assert "review is human in config.yaml" in (agents["reviewer"].reason or "")
        assert len(await work.backend.list_runs(task_id="t1")) == 1
        (work.project.layout.root / "config.yaml").write_text("review: auto\n")
        work.project.refresh()
        assert await work.scheduler.run_until_idle() == "everything is done"
        assert len(await work.backend.list_runs(task_id="t1")) == 1


async def test_a_rejection_sends_the_work_back_with_its_comments(tmp_path: Path) -> None:
    """L-08"""
    comments = [{"path": "a.txt", "line": 1, "text": "It says one, and two was wanted."}]
    reviews = (verdict("reject", "Not yet.", comments=comments), verdict("accept", "Now it is right."))
    repo = project(tmp_path, "agent")
    async with at_work(repo) as work:
        await work.desk.enqueue(draft(*reviews, work=(WRITE, WRITE_AGAIN)))
        assert await work.scheduler.run_until_idle() == "everything is done"
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        messages = await work.backend.list_messages("t1")
        prompt = work.desk.run_dir(runs[2].id).prompt_md.read_text()
    assert [run.role for run in runs] == ["implement", "review", "implement", "review"]
    assert task.rejection_count == 1
    assert "- a.txt:1: It says one, and two was wanted." in prompt
    assert "Write a.txt" in prompt, "the commits so far"
    said = [(message.sender.id, message.body) for message in messages if message.kind is MessageKind.REVIEW]
    assert said[0] == ("reviewer", "Not yet.\n- a.txt:1: It says one, and two was wanted.")
    assert (repo / "a.txt").read_text() == "two\n"


async def test_the_prompt_of_a_review_holds_diff_and_evidence(tmp_path: Path) -> None:
    async with at_work(
        project(tmp_path, "both", "checks: ['grep -q one a.txt && echo it says one']\n")
    ) as work:
        await work.desk.enqueue(draft(verdict("accept")))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        review = (await work.backend.list_runs(task_id="t1"))[-1]
        prompt = work.desk.run_dir(review.id).prompt_md.read_text()
    assert "+one" in prompt
    assert "it says one" in prompt
    assert task.head_sha is not None
    assert task.head_sha in prompt


async def test_reviews_without_a_verdict_are_none_and_end_at_a_person(tmp_path: Path) -> None:
    """L-45: a review that died is no review."""
    dies = [{"deliver": {"kind": "verdict", "verdict": "accept"}}, {"crash": 3}]
    nothing: list[dict[str, Any]] = [{"say": "Looks good to me!"}]
    async with at_work(project(tmp_path, "agent")) as work:
        await work.desk.enqueue(draft(dies, nothing, verdict("maybe")))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        evidence = await work.backend.list_evidence("t1")
        why = await work.desk.why("t1")
        assert [run.outcome for run in runs[1:]] == [Outcome.CRASHED, Outcome.EMPTY, Outcome.EMPTY]
        assert (task.queue, task.approved_by, task.attempts_counted) == (Queue.PROVISIONAL, None, 1)
        assert evidence == []
        assert "3 reviews by agents left no verdict" in why.summary
        assert 'neither "accept" nor "reject"' in (runs[-1].reason or "")
        async with running(work):
            assert (await work.desk.accept("t1")).queue is Queue.DONE


async def test_what_a_reviewer_changes_is_not_part_of_the_work(tmp_path: Path) -> None:
    meddles = [*WRITE_AGAIN, *verdict("accept", "I have improved it.")]
    repo = project(tmp_path, "agent")
    async with at_work(repo) as work:
        await work.desk.enqueue(draft(meddles))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
    assert (repo / "a.txt").read_text() == "one\n"


async def test_a_verdict_for_another_commit_does_not_count(tmp_path: Path) -> None:
    other = verdict("accept", "Good.", commit="0" * 40)
    async with at_work(project(tmp_path, "agent")) as work:
        await work.desk.enqueue(draft(other))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
    assert task.approved_by is None
    assert "the commit under review" in (runs[-1].reason or "")


async def test_a_person_who_rejects_meanwhile_is_not_overruled(tmp_path: Path) -> None:
    async with at_work(project(tmp_path, "agent")) as work:
        await work.desk.enqueue(draft([{"ask": {"question": "May I?"}}, *verdict("accept")], work=(WRITE,)))
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        await work.desk.pause("to look at it")
        await work.desk.reject("t1", "I have seen enough.")

        async def ended() -> bool:
            await work.scheduler.run_once()
            return await work.backend.list_runs(live=True) == []

        await until(ended, "the reviewer to be stopped")
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
    assert (task.queue, task.approved_by) == (Queue.INCOMING, None)
    assert runs[-1].outcome is Outcome.STOPPED
    assert question.run_id == runs[-1].id
