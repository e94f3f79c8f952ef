"""What agents change around them is noticed and told, and what Octopoid or nobody changed is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import EDIT_AND_COMMIT, Work, at_work, git, make_project, until

from backend.model import Queue
from scheduler.desk import TaskDraft

ALL = "  watch: all\n"
WAIT_FOR_GO = 'while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\n'


async def told(work: Work) -> list[str]:
    return [one.reason for one in await work.backend.list_alerts() if one.key.startswith("outside:")]


async def work_off(work: Work, task_id: str = "t1") -> None:
    await work.desk.enqueue(TaskDraft("Work", id=task_id))
    await work.scheduler.run_until_idle()
    assert (await work.backend.get_task(task_id)).queue in (Queue.PROVISIONAL, Queue.DONE)


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        ("echo mine >> $R/README.md", "README.md"),
        ("mkdir $R/src; echo x > $R/src/new.py", "src/"),
        ("echo 'exit 1' > $R/.git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("git -C $R config core.editor evil", ".git/config"),
        ("git -C $R branch other", "other"),
        ("git -C $R checkout -q -b elsewhere", "HEAD, elsewhere"),
        ("git -C $R commit -q --allow-empty -m mine", "main"),
        ("git -C $R update-ref -d refs/tags/v1", "refs/tags/v1"),
        ("git -C $R rev-parse main~1 > $H/refs/octopoid/upstream/main", "refs/octopoid/upstream/main in"),
        ("git -C $H update-ref refs/heads/evil refs/octopoid/upstream/main", "refs/heads/evil in"),
    ],
)
async def test_what_an_agent_does_outside_of_its_worktree_is_told(
    tmp_path: Path, deed: str, named: str
) -> None:
    """L-16"""
    repo = tmp_path / "repo"
    where = f"R={repo}; H={repo}/.octopoid/hub.git\n"
    made = make_project(tmp_path, where + EDIT_AND_COMMIT + deed + "\n", config=ALL)
    git(made, "commit", "-q", "--allow-empty", "-m", "Go on")
    git(made, "tag", "v1")
    async with at_work(made) as work:
        await work_off(work)
        (text,) = await told(work)
        assert f"changed in {repo} while worker worked, and not by Octopoid: {named}" in text
        assert text.endswith("; was it you?")


async def test_what_octopoid_itself_does_is_not_told(tmp_path: Path) -> None:
    made = make_project(tmp_path, EDIT_AND_COMMIT, config=ALL + "review: auto\n", instances=2)
    async with at_work(made) as work:
        for number in range(4):
            await work.desk.enqueue(TaskDraft("Work", id=f"t{number}"))
        await work.scheduler.run_until_idle()
        queues = [(await work.backend.get_task(f"t{number}")).queue for number in range(4)]
        assert queues == [Queue.DONE] * 4
        assert (made / "t3.txt").exists(), "main and the checkout were moved by accepting"
        assert await told(work) == []


async def test_what_a_person_changes_while_nothing_runs_is_not_told(tmp_path: Path) -> None:
    made = make_project(tmp_path, config=ALL)
    async with at_work(made) as work:
        await work_off(work)
        (made / "README.md").write_text("mine\n")
        git(made, "branch", "mine")
        await work_off(work, "t2")
        assert await told(work) == []


async def test_what_happened_while_no_scheduler_was_there_is_told_by_the_next(tmp_path: Path) -> None:
    made = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT, config=ALL)
    async with at_work(made) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_once()
        (run,) = await work.backend.list_runs(live=True)
    (made / "README.md").write_text("changed\n")
    async with at_work(made) as work:
        (work.desk.run_dir(run.id).path / "go").touch()

        async def heard() -> bool:
            await work.scheduler.run_once()
            return bool(await told(work))

        await until(heard, "the change to be told")
        assert "README.md" in (await told(work))[0]


async def test_a_repository_that_an_agent_gave_a_filter_is_not_asked_for_its_files(tmp_path: Path) -> None:
    """L-16: git runs the filters that a repository's configuration names."""
    repo, proof = tmp_path / "repo", tmp_path / "ran"
    deed = (
        f"git -C {repo} config filter.x.clean 'touch {proof}; cat'\n"
        f"echo '* filter=x' > {repo}/.git/info/attributes\necho more >> {repo}/README.md\n"
    )
    async with at_work(make_project(tmp_path, EDIT_AND_COMMIT + deed, config=ALL)) as work:
        await work_off(work)
        (text,) = await told(work)
        assert ".git/config, .git/info/attributes" in text
        assert not proof.exists()


async def test_a_persons_own_work_is_no_news_unless_wanted(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    mine = f"echo mine >> {repo}/README.md\ngit -C {repo} commit -q -a -m mine\n"
    async with at_work(make_project(tmp_path, EDIT_AND_COMMIT + mine)) as work:
        await work_off(work)
        assert await told(work) == []
        hook = repo / ".git" / "hooks" / "pre-commit"
        (tmp_path / "agent.sh").write_text(f"#!/bin/sh\nset -e\necho exit 1 > {hook}\n{EDIT_AND_COMMIT}")
        await work_off(work, "t2")
        (text,) = await told(work)
        assert "not by Octopoid: .git/hooks/pre-commit; was it you?" in text


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    script = f"echo mine >> {repo}/README.md\n{EDIT_AND_COMMIT}"
    made = make_project(tmp_path, script)
    config = made / ".octopoid" / "config.yaml"
    config.write_text("repo:\n  main_branch: main\n  watch: nothing\n")
    async with at_work(made) as work:
        await work_off(work)
        assert await told(work) == []
