"""The agents of docs/examples, as they stand."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from harness import at_work, make_project

from backend.model import MessageKind, Outcome, Queue
from scheduler.desk import TaskDraft

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "agents"
PROGRAMS = {"agent.py": sys.executable, "agent.mjs": "node", "agent.sh": "sh"}


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_an_example_works_from_its_question_to_accepted_work(name: str, tmp_path: Path) -> None:
    program = shutil.which(PROGRAMS[name])
    if program is None:
        pytest.skip(f"{PROGRAMS[name]} is not installed: {name} cannot be tried")
    command = {"adapter": "command", "command": [program, str(EXAMPLES / name)]}
    agents = [{"name": role, "role": role, **command} for role in ("implement", "review")]
    repo = make_project(tmp_path, config="review: agent\n")
    (repo / ".octopoid" / "agents.yaml").write_text(json.dumps(agents))
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Greet", id="t1"))
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        assert (question.body, question.options) == ("Which word of greeting?", ("hello", "good day"))
        await work.desk.answer(question.id, "good day")
        await work.scheduler.run_until_idle()
        runs = await work.backend.list_runs(task_id="t1")
        assert [run.outcome for run in runs] == [
            Outcome.OUT_OF_TURNS,
            Outcome.SUBMITTED,
            Outcome.REVIEWED,
        ]
        assert [(run.tokens_input, run.cost_usd, run.turns) for run in runs[:2]] == [(1200, 0.01, 1)] * 2
        notes = [m.body for m in await work.backend.list_messages("t1") if m.kind is MessageKind.NOTE]
        assert notes.count("I have read the task.") == 1
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
    assert (repo / "greeting.txt").read_text() == "good day\n"
