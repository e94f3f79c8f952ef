"""A draft becomes tasks by the desk, with what the project adds to each, or none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import at_work, demo_project, git

from backend.errors import BadInput, NotFound, Refused
from backend.model import TaskFilter
from backend.planning import DraftStatus, NewDraft, NewProject
from scheduler.desk import TaskDraft


async def test_each_line_becomes_a_task_on_the_branch_of_the_project(tmp_path: Path) -> None:
    repo = demo_project(tmp_path)
    git(repo, "branch", "limits")
    async with at_work(repo) as work:
        backend, actor = work.backend, work.desk.actor
        await backend.create_project(
            NewProject("web", "Limits", str(actor), base_branch="limits", auto_accept=True), actor=actor
        )
        await backend.create_draft(NewDraft("d1", "A limiter", str(actor), project_id="web"), actor=actor)
        wanted = [TaskDraft(title, "why", project_id="web") for title in ("Count", "Refuse")]
        after = await work.desk.promote("d1", wanted)
        tasks = [await backend.get_task(task_id) for task_id in after.task_ids]
    assert after.status is DraftStatus.PROMOTED
    assert [(task.title, task.body, task.project_id) for task in tasks] == [
        ("Count", "why", "web"),
        ("Refuse", "why", "web"),
    ]
    assert {(task.base_branch, task.auto_accept, task.role) for task in tasks} == {
        ("limits", True, "implement")
    }


async def test_one_that_cannot_be_keeps_all_from_being_made(tmp_path: Path) -> None:
    async with at_work(demo_project(tmp_path, config="limits: {incoming: 2}\n")) as work:
        actor = work.desk.actor
        await work.backend.create_draft(NewDraft("d1", "A limiter", str(actor)), actor=actor)
        with pytest.raises(BadInput, match="no title"):
            await work.desk.promote("d1", [TaskDraft("Count"), TaskDraft("  ")])
        with pytest.raises(Refused, match=r"limits\.incoming"):
            await work.desk.promote("d1", [TaskDraft("a"), TaskDraft("b"), TaskDraft("c")])
        with pytest.raises(NotFound):
            await work.desk.promote("d2", [TaskDraft("Count")])
        assert await work.backend.list_tasks(TaskFilter()) == []
        assert (await work.backend.get_draft("d1")).status is DraftStatus.IDEA
