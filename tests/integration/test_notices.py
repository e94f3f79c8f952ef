"""What stays wrong is told for as long as it does: files, agents, jobs, and work that cannot be delivered."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import ASK_FIRST, ME, at_work, git, make_project, until

from backend.errors import Refused
from scheduler.desk import Desk, NotPassed, TaskDraft
from scheduler.jobs import JobHealth
from scheduler.notices import Notice, job_notices
from scheduler.project import Project


async def test_l40_a_file_that_breaks_is_named_with_its_line_until_it_is_good_again(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    config = repo / ".octopoid" / "config.yaml"
    good = config.read_text()
    async with at_work(repo) as work:
        assert await work.desk.notices() == ()
        config.write_text(good + "limts: 3\nagents: {max_concurrent: lots}\n")
        work.project.refresh()
        (notice,) = await work.desk.notices()
        assert notice.error
        assert "config.yaml:3: limts is not a known key: did you mean limits?" in notice.text
        assert "is not used, the last good one is" in notice.text
        assert work.project.config.repo.main_branch == "main"
        config.write_text(good)
        work.project.refresh()
        assert await work.desk.notices() == ()


async def test_l40_without_agents_that_is_told(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    (repo / ".octopoid" / "agents.yaml").write_text("agents: []\n")
    async with at_work(repo) as work:
        (notice,) = await work.desk.notices()
        assert not notice.error
        assert "agents.yaml: no agents configured" in notice.text


async def test_a_front_without_a_scheduler_reads_changed_files_by_itself(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo, start=False) as work:
        guest = Desk(work.backend, Project.open(repo), actor=ME)
        (repo / ".octopoid" / "config.yaml").write_text("mode: [\n")
        (notice,) = await guest.notices()
        assert notice.error


def test_l42_a_job_is_told_from_the_third_failure_on() -> None:
    job = JobHealth("tidy", last_error="OSError: disk full", failures=2)
    assert job_notices([job]) == ()
    job.failures = 3
    (notice,) = job_notices([job])
    assert notice == Notice(
        "the scheduler's job 'tidy' has failed 3 times in a row: OSError: disk full; "
        "see .octopoid/logs/scheduler.log",
        error=True,
    )


async def test_accepted_work_that_waits_is_told_with_the_command_that_takes_it(tmp_path: Path) -> None:
    repo = make_project(tmp_path, "echo agent > README.md\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write the readme", id="t1"))
        await work.scheduler.run_until_idle()
        assert await work.desk.notices() == ()
        (repo / "README.md").write_text("my own words\n")
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        (notice,) = await work.desk.notices()
        command = notice.text.partition("to take it now: ")[2]
        assert command.startswith(f"git -C {repo} pull")
        git(repo, "checkout", "README.md")
        await work.scheduler._deliverer.deliver()
        assert await work.desk.notices() == ()


async def test_a_scheduler_that_runs_only_until_idle_delivers_what_waits(tmp_path: Path) -> None:
    repo = make_project(tmp_path, "echo agent > README.md\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write the readme", id="t1"))
        await work.scheduler.run_until_idle()
        (repo / "README.md").write_text("my own words\n")
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        git(repo, "checkout", "README.md")
        await work.scheduler.run_until_idle()
        assert (repo / "README.md").read_text() == "agent\n"


async def test_a_lacking_check_is_told_apart_from_every_other_refusal(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write", id="t1"))
        with pytest.raises(Refused, match="it is incoming") as other:
            await work.desk.accept("t1", wait=False)
        assert not isinstance(other.value, NotPassed)
        await work.scheduler.run_until_idle()
        (repo / ".octopoid" / "config.yaml").write_text("checks: ['true']\n")
        work.project.refresh()
        with pytest.raises(NotPassed, match="has not passed: true"):
            await work.desk.accept("t1", wait=False)


async def test_why_says_what_a_task_at_work_asks(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, ASK_FIRST)) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))

        async def asked() -> bool:
            await work.scheduler.run_once()
            return bool(await work.backend.open_questions())

        await until(asked, "the question")
        (question,) = await work.backend.open_questions()
        said = (await work.desk.why("t1")).summary
        assert f"it asks you: Which word? (octopoid answer {question.id} TEXT)" in said
        await work.desk.answer(question.id, "red")
        await work.scheduler.run_until_idle()
