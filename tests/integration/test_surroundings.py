"""What agents change in the git settings of the user's repository is told; ordinary work there is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness import EDIT_AND_COMMIT, Work, at_work, git, make_project, until

from backend.model import Queue
from scheduler.desk import TaskDraft
from scheduler.surroundings import read

WAIT_FOR_GO = 'while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\n'


async def told(work: Work) -> list[str]:
    alerts = [one.reason for one in await work.backend.list_alerts() if one.key.startswith("settings:")]
    return [reason.partition("not by Octopoid: ")[2] for reason in alerts]


async def work_off(work: Work, task_id: str = "t1") -> None:
    await work.desk.enqueue(TaskDraft("Work", id=task_id))
    await work.scheduler.run_until_idle()
    assert (await work.backend.get_task(task_id)).queue in (Queue.PROVISIONAL, Queue.DONE)


def agent_of(tmp_path: Path, script: str) -> None:
    (tmp_path / "agent.sh").write_text(f"#!/bin/sh\nset -e\n{EDIT_AND_COMMIT}{script}\n")


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        ("echo 'exit 1' > $R/.git/hooks/pre-commit", "hooks/pre-commit"),
        ("git -C $R config core.editor evil", "config"),
        ("echo '* filter=x' > $R/.git/info/attributes", "info/attributes"),
        ("ln -s /dev/zero $R/.git/info/attributes", "info/attributes"),
        ("mkfifo $R/.git/info/attributes", "info/attributes"),
        ("truncate -s 20G $R/.git/info/attributes", "info/attributes"),
        ("mv $R/.git/info $R/.git/x; touch $R/.git/info", "info/exclude"),
        ("rm -r $R/.git/hooks; touch $R/.git/hooks", "hooks"),
        ("touch $R/.git/hooks/$(printf 'caf\\351')", "hooks/caf\\xe9"),
        (
            "printf '[branch \"x\"]\\n\\tremote = o\\n[core]\\n\\teditor = evil\\n' >> $R/.git/config",
            "config",
        ),
        ("printf '[branch \"x\"] [core]\\n\\teditor = evil\\n' >> $R/.git/config", "config"),
    ],
)
async def test_what_an_agent_does_to_the_settings_is_told(tmp_path: Path, deed: str, named: str) -> None:
    """L-16"""
    repo = tmp_path / "repo"
    async with at_work(make_project(tmp_path, f"R={repo}\n{EDIT_AND_COMMIT}{deed}\n")) as work:
        await work_off(work)
        assert await told(work) == [f"{named}; was it you?"]


@pytest.mark.parametrize(
    "deed",
    [
        "echo mine >> $R/README.md; git -C $R commit -q -a -m mine",
        "git -C $R branch other; git -C $R tag v1; git -C $R gc -q",
        "git -C $R config branch.main.remote origin; git -C $R config branch.main.merge refs/heads/main",
        "mkdir -p $R/src; echo x > $R/src/new.py",
    ],
)
async def test_what_everybody_does_while_agents_work_is_not_told(tmp_path: Path, deed: str) -> None:
    repo = tmp_path / "repo"
    async with at_work(make_project(tmp_path, f"R={repo}\n{EDIT_AND_COMMIT}{deed}\n")) as work:
        await work_off(work)
        assert await told(work) == []


async def test_what_octopoid_itself_does_is_not_told(tmp_path: Path) -> None:
    made = make_project(tmp_path, EDIT_AND_COMMIT, config="review: auto\n", instances=2)
    async with at_work(made) as work:
        for number in range(4):
            await work.desk.enqueue(TaskDraft("Work", id=f"t{number}"))
        await work.scheduler.run_until_idle()
        queues = [(await work.backend.get_task(f"t{number}")).queue for number in range(4)]
        assert queues == [Queue.DONE] * 4
        assert (made / "t3.txt").exists(), "main and the checkout were moved by accepting"
        assert await told(work) == []


async def test_what_a_person_changes_while_nothing_runs_is_not_told(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    async with at_work(made) as work:
        await work_off(work)
        git(made, "config", "core.editor", "mine")
        await work_off(work, "t2")
        assert await told(work) == []


async def test_of_two_that_start_together_one_looks_and_neither_goes_unseen(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    deed = f"echo exit 1 > {repo}/.git/hooks/by-$OCTOPOID_TASK_ID\n{WAIT_FOR_GO}{EDIT_AND_COMMIT}"
    made = make_project(tmp_path, deed, instances=2)
    async with at_work(made) as work:
        for name in ("a", "b"):
            await work.desk.enqueue(TaskDraft("Work", id=name))
        await work.scheduler.run_once()
        runs = await work.backend.list_runs(live=True)
        assert len(runs) == 2
        hooks = [made / ".git" / "hooks" / f"by-{name}" for name in ("a", "b")]

        async def both_planted() -> bool:
            return all(hook.exists() for hook in hooks)

        await until(both_planted, "both agents to be at work")
        for run in runs:
            (work.desk.run_dir(run.id).path / "go").touch()
        await work.scheduler.run_until_idle()
        assert await told(work) == ["hooks/by-a, hooks/by-b; was it you?"]


async def test_a_later_finding_does_not_hide_an_earlier_one(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    made = make_project(tmp_path, f"{EDIT_AND_COMMIT}echo exit 1 > {repo}/.git/hooks/pre-commit\n")
    async with at_work(made) as work:
        await work_off(work)
        agent_of(tmp_path, f"git -C {repo} config core.editor evil")
        await work_off(work, "t2")
        assert sorted(await told(work)) == ["config; was it you?", "hooks/pre-commit; was it you?"]


async def test_a_planted_filter_is_told_and_never_run_by_us(tmp_path: Path) -> None:
    """L-16: git runs the filters that a repository's configuration names."""
    repo, proof = tmp_path / "repo", tmp_path / "ran"
    deed = (
        f"git -C {repo} config filter.x.clean 'touch {proof}; cat'\n"
        f"echo '* filter=x' > {repo}/.git/info/attributes\ntouch -d yesterday {repo}/README.md\n"
    )
    async with at_work(make_project(tmp_path, EDIT_AND_COMMIT + deed)) as work:
        await work_off(work)
        assert await told(work) == ["config, info/attributes; was it you?"]
        agent_of(tmp_path, "true")
        await work_off(work, "t2")
        assert not proof.exists()


async def test_a_repository_that_cannot_be_looked_at_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> dict[str, str]:
        raise PermissionError("not yours")

    monkeypatch.setattr("scheduler.surroundings.read", fail)
    async with at_work(make_project(tmp_path)) as work:
        await work_off(work)
        assert await told(work) == []


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    script = f"echo exit 1 > {repo}/.git/hooks/pre-commit\n{EDIT_AND_COMMIT}"
    async with at_work(make_project(tmp_path, script, config="  watch: false\n")) as work:
        await work_off(work)
        assert await told(work) == []


def test_only_files_that_are_there_count(tmp_path: Path) -> None:
    assert read(tmp_path) == {}
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "pre-push.sample").write_text("exit 0\n")
    (tmp_path / "config").write_text("[core]\n")
    assert read(tmp_path).keys() == {"config"}
    before = read(tmp_path)
    os.chmod(tmp_path / "config", 0o600)
    assert read(tmp_path) != before
