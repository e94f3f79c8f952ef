"""Agents as they come: talkative, careless, hostile. Each ends in a known way, and its work is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness import ASK_FIRST, EDIT_AND_COMMIT, Work, at_work, demo_project, git, make_project, running, until

from backend.clock import ManualClock
from backend.model import MessageKind, Outcome, Queue, Run
from scheduler.desk import TaskDraft
from scheduler.follow import EVENTS_CAP

OUTBOX = """\
put() {
  printf '%s' "$2" > "$OCTOPOID_RUN_DIR/outbox/.$1.tmp"
  mv "$OCTOPOID_RUN_DIR/outbox/.$1.tmp" "$OCTOPOID_RUN_DIR/outbox/$1.json"
}
"""


def asking(deadline_s: int) -> str:
    """A script that asks with a default, and writes the answer down."""
    request = {"kind": "ask", "question": "Which?", "default": "blue", "deadline_s": deadline_s}
    wait = 'while [ ! -e "$OCTOPOID_RUN_DIR/inbox/q.json" ]; do sleep 0.05; done\n'
    return (
        OUTBOX
        + f"put q '{json.dumps(request)}'\n"
        + wait
        + 'cat "$OCTOPOID_RUN_DIR/inbox/q.json" > word.txt\n'
    )


def peak_memory() -> int:
    """The most memory this process has had since it was last forgotten, in bytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) << 10


def forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


async def the_run(work: Work, task_id: str = "t1") -> Run:
    (run,) = await work.backend.list_runs(task_id=task_id)
    return run


async def logged(work: Work, run: Run) -> list[str]:
    """The scheduler's own lines in the record of a run."""
    events, _ = await work.desk.read_events(run.id)
    return [event.data["text"] for event in events if event.source == "scheduler" and event.kind == "log"]


# What agents ask


async def test_octopoid_ask_goes_on_with_its_default_when_nobody_answers(tmp_path: Path) -> None:
    script = 'octopoid ask "Which?" --default blue --deadline 0.5 > word.txt\n'
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL
        assert "+blue" in await work.desk.diff("t1")
        (asked,) = [m for m in await work.backend.list_messages("t1") if m.kind is MessageKind.QUESTION]
        assert asked.answer == "blue"


async def test_a_default_answers_when_the_deadline_is_over_and_not_before(tmp_path: Path) -> None:
    clock = ManualClock()
    async with at_work(make_project(tmp_path, asking(60)), clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))

        async def asked() -> bool:
            await work.scheduler.run_once()
            return bool(await work.backend.open_questions())

        await until(asked, "the question")
        (question,) = await work.backend.open_questions()
        assert question.default_answer == "blue"
        clock.advance(50)
        await work.scheduler.run_once()
        assert len(await work.backend.open_questions()) == 1
        clock.advance(11)
        await work.scheduler.run_until_idle()
        assert '"answer": "blue"' in await work.desk.diff("t1")
        answers = [e for e in await work.backend.events() if e.entity == "message" and e.kind == "answer"]
        assert [event.actor for event in answers] == ["system:deadline"]


async def test_a_deadline_wakes_the_scheduler_by_itself(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, asking(1))) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        assert '"answer": "blue"' in await work.desk.diff("t1")


async def test_progress_becomes_a_note_and_bad_requests_are_refused_in_the_record(tmp_path: Path) -> None:
    script = OUTBOX + (
        'put p1 \'{"kind": "progress", "text": "half way"}\'\n'
        'put b1 "{"\n'
        "put b2 '[]'\n"
        'put b3 \'{"kind": "no-such-thing"}\'\n'
        'put b4 \'{"kind": "ASK", "question": "?"}\'\n'
        'echo x > "$OCTOPOID_RUN_DIR/outbox/not a request.txt"\n'
        'ln -s /etc/passwd "$OCTOPOID_RUN_DIR/outbox/link.json"\n'
        'mkfifo "$OCTOPOID_RUN_DIR/outbox/fifo.json"\n'
        "sleep 0.6\n"
    )
    async with at_work(make_project(tmp_path, script + EDIT_AND_COMMIT)) as work:
        await work.desk.enqueue(TaskDraft("Talk", id="t1"))
        await work.scheduler.run_until_idle()
        run = await the_run(work)
        assert run.outcome is Outcome.SUBMITTED
        notes = [m for m in await work.backend.list_messages("t1") if m.kind is MessageKind.NOTE]
        assert [(note.body, note.sender.id) for note in notes] == [("half way", "worker")]
        refused = await logged(work, run)
    for name in ("b1", "b2", "b3", "b4", "not a request.txt", "link", "fifo"):
        assert sum(name in line for line in refused) == 1, (name, refused)


async def test_the_agents_default_is_shown_with_its_question(tmp_path: Path) -> None:
    script = 'ANSWER=$(octopoid ask "Which?" --option red --default blue)\necho "$ANSWER" > word.txt\n'
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        assert (question.body, question.options, question.default_answer) == ("Which?", ("red",), "blue")
        await work.desk.answer(question.id, question.default_answer or "")
        await work.scheduler.run_until_idle()
        assert "+blue" in await work.desk.diff("t1")


async def test_two_schedulers_in_turn_take_each_request_once(tmp_path: Path) -> None:
    script = OUTBOX + 'put p1 \'{"kind": "progress", "text": "half way"}\'\n' + ASK_FIRST + EDIT_AND_COMMIT
    repo = make_project(tmp_path, script)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Talk", id="t1"))
        await work.scheduler.run_until_idle()
    async with at_work(repo) as work:
        assert work.scheduler.live_runs == 1, "the run is adopted"
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        await work.desk.answer(question.id, "red")
        await work.scheduler.run_until_idle()
        run = await the_run(work)
        assert (run.attempt, run.outcome) == (1, Outcome.SUBMITTED)
        assert len(await work.backend.list_messages("t1")) == 2
        events, _ = await work.desk.read_events(run.id)
        assert [event.kind for event in events].count("request.opened") == 1


# What agents write


@pytest.mark.slow
async def test_a_flood_of_output_comes_through_in_bounded_memory(tmp_path: Path) -> None:
    """L-60"""
    script = "yes 'a line of output that is neither long nor short' | head -c 20000000\n" + EDIT_AND_COMMIT
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Flood", id="t1"))
        before = forget_peak()
        await work.scheduler.run_until_idle()
        grown = peak_memory() - before
        run = await the_run(work)
        assert run.outcome is Outcome.SUBMITTED
        run_dir = work.desk.run_dir(run.id)
        assert run_dir.transcript.stat().st_size == 20_000_000
        assert run_dir.events_jsonl.stat().st_size < EVENTS_CAP + (8 << 20)
        assert (await work.desk.read_events(run.id))[0][0].data["text"].startswith("a line of output")
    assert grown < 64 << 20


@pytest.mark.parametrize(
    "line",
    [
        '{"kind":"usage","data":{"input":1e300,"turns":"x","cost_usd":99999999999999999999999999}}',
        '{"kind":"session.started","data":{"session_ref":{"a":1}}}',
        '{"kind":"rate_limit","data":{"status":"allowed","resets_in_s":1e300}}',
        '{"kind":"request.opened","data":{"request_id":"ask-1"}}',
        "[" * 5000,
    ],
)
async def test_hostile_events_harm_neither_the_run_nor_others(tmp_path: Path, line: str) -> None:
    repo = demo_project(tmp_path)
    script = {"implement": [[{"write": {"path": "a.txt", "text": "a"}}]]}
    (repo / ".octopoid" / "agents.yaml").write_text(
        "- name: worker\n  role: implement\n  adapter: demo\n  max_instances: 2\n"
    )
    hostile = {"implement": [[{"shell": None}]]}
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Good", id="good", metadata={"demo": script}))
        await work.desk.enqueue(TaskDraft("Hostile", id="t1", metadata={"demo": hostile}))
        await work.scheduler.run_once()
        for run in await work.backend.list_runs(task_id="t1"):
            with work.desk.run_dir(run.id).transcript.open("a") as file:
                file.write(line + "\n")
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("good")).queue is Queue.PROVISIONAL
        assert (await work.backend.get_task("t1")).queue is Queue.ESCALATED, "it ended alike again and again"
        assert not (await work.backend.get_pause()).paused


# What agents do


async def test_a_daemon_of_an_agent_does_not_outlive_its_run(tmp_path: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' > /dev/null 2>&1 &\n" + (
        f'while [ ! -s "{tmp_path}/pid" ]; do sleep 0.02; done\n' + EDIT_AND_COMMIT
    )
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Leave something", id="t1"))
        await work.scheduler.run_until_idle()
        run = await the_run(work)
        end = work.desk.run_dir(run.id).exit()
    assert run.outcome is Outcome.SUBMITTED
    assert end is not None
    assert end.strays_killed >= 1
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


async def test_an_agent_that_deletes_its_worktree_is_tried_again_and_fails(tmp_path: Path) -> None:
    script = 'rm -rf "$OCTOPOID_WORKTREE"\n'
    async with at_work(make_project(tmp_path, script, config="limits:\n  attempts: 1\n")) as work:
        await work.desk.enqueue(TaskDraft("Delete", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert task.queue is Queue.FAILED
        assert "deleted or replaced its worktree" in (task.reason or "")
        assert not (await work.backend.get_pause()).paused


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf .git\n",
        "rm -rf .git && git init -q . \n",
        "rm -rf .git && ln -s /etc .git\n",
        "echo garbage > .git/HEAD\n",
        'cd / && rm -rf "$OCTOPOID_WORKTREE" && mkdir "$OCTOPOID_WORKTREE"\n',
    ],
)
async def test_an_agent_that_ruins_its_repository_ends_in_a_known_way_and_its_work_is_kept(
    tmp_path: Path, harm: str
) -> None:
    script = 'echo precious > precious.txt\ngit add -A\ngit commit -qm "Precious"\n' + harm
    repo = make_project(tmp_path, script, config="limits:\n  attempts: 1\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Ruin", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert task.queue in (Queue.FAILED, Queue.PROVISIONAL, Queue.ESCALATED), task.queue
        assert not (await work.backend.get_pause()).paused
        assert (await the_run(work)).outcome in (Outcome.CRASHED, Outcome.SUBMITTED, Outcome.EMPTY)
    hub = repo / ".octopoid" / "hub.git"
    refs = git(hub, "for-each-ref", "--format=%(refname)").split()
    saved = [ref for ref in refs if "t1" in ref and "precious.txt" in git(hub, "ls-tree", "--name-only", ref)]
    assert saved or "mkdir" in harm, refs
    assert git(hub, "fsck", "--no-dangling") == ""


async def test_rewritten_history_is_no_progress_and_never_merged_as_such(tmp_path: Path) -> None:
    repo = make_project(tmp_path, "git reset -q --hard HEAD~1\n")
    (repo / "more.txt").write_text("more\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "More")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Go back", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.reason) == (Queue.ESCALATED, "it ended well but changed nothing")


async def test_an_orphan_history_can_not_be_merged_and_holds_up_no_other(tmp_path: Path) -> None:
    script = (
        """\
if [ "$OCTOPOID_TASK_ID" = orphan ]; then
  git checkout -q --orphan alone
  git rm -rfq .
  echo alone > alone.txt
  git add -A
  git commit -qm "Alone"
else
"""
        + EDIT_AND_COMMIT
        + "fi\n"
    )
    async with at_work(make_project(tmp_path, script)) as work:
        for name in ("orphan", "good"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        await work.scheduler.run_until_idle()
        for name in ("orphan", "good"):
            await work.desk.accept(name, wait=False)
        await work.scheduler.run_until_idle()
        orphan, good = await work.backend.get_task("orphan"), await work.backend.get_task("good")
        assert good.queue is Queue.DONE
        assert orphan.queue is Queue.ESCALATED
        assert "it cannot be merged" in (orphan.reason or "")
        assert not (await work.backend.get_pause()).paused


@pytest.mark.parametrize(
    "harm",
    [
        'rm -rf "$OCTOPOID_RUN_DIR" || true\n',  # it may lose against what is written there meanwhile
        'rm -f "$OCTOPOID_RUN_DIR/events.jsonl"; ln -s /dev/full "$OCTOPOID_RUN_DIR/events.jsonl"\n',
        'echo garbage > "$OCTOPOID_RUN_DIR/events.jsonl"\n',
        'rm -rf "$OCTOPOID_RUN_DIR/outbox"; echo x > "$OCTOPOID_RUN_DIR/outbox"\n',
        ': > "$OCTOPOID_RUN_DIR/transcript.jsonl"\n',
    ],
)
async def test_an_agent_that_ruins_its_run_directory_still_ends(tmp_path: Path, harm: str) -> None:
    script = EDIT_AND_COMMIT + "echo some output\nsleep 0.5\n" + harm + "echo more output\nsleep 0.5\n"
    async with at_work(make_project(tmp_path, script, config="limits:\n  attempts: 1\n")) as work:
        await work.desk.enqueue(TaskDraft("Ruin", id="t1"))

        async def ended() -> bool:
            await work.scheduler.run_once()
            return bool([run for run in await work.backend.list_runs(task_id="t1") if run.outcome])

        await until(ended, "the run to end")
        first = (await work.backend.list_runs(task_id="t1"))[0]
        assert first.outcome in (Outcome.SUBMITTED, Outcome.LOST)
        assert first.head_sha is not None, "its work is kept"
        assert not (await work.backend.get_pause()).paused


async def test_a_forged_end_is_not_believed_while_the_agent_works(tmp_path: Path) -> None:
    script = (
        """\
echo '{"code": 0}' > "$OCTOPOID_RUN_DIR/exit.json"
while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done
"""
        + EDIT_AND_COMMIT
    )
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Forge", id="t1"))
        await work.scheduler.run_once()
        run_dir = work.desk.run_dir((await the_run(work)).id)

        async def forged() -> bool:
            return run_dir.exit_json.exists()

        await until(forged, "the forged record")
        for _ in range(5):
            await work.scheduler.run_once()
        assert (await the_run(work)).outcome is None
        (run_dir.path / "go").touch()
        await work.scheduler.run_until_idle()
        assert (await the_run(work)).outcome is Outcome.SUBMITTED


# What agents get to know


async def test_no_secret_of_ours_reaches_an_agent_or_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-63; a canary in our environment is nowhere in the agent's, nor in any file of the run."""
    canary = "canary-6f1d0c"
    script = "env > environment.txt\ncat /proc/self/environ | tr '\\0' '\\n'\nenv >&2\n" + EDIT_AND_COMMIT
    repo = make_project(tmp_path, script, agent="  env: {FLAVOUR: sweet}\n")
    for name in ("OCTOPOID_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GIT_DIR", "CLAUDECODE"):
        monkeypatch.setenv(name, canary)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Look around", id="t1"))
        await work.scheduler.run_until_idle()
        run = await the_run(work)
        run_dir = work.desk.run_dir(run.id)
        diff = await work.desk.diff("t1")
    names = {line[1:].partition("=")[0] for line in diff.splitlines() if line.startswith("+") and "=" in line}
    assert {"OCTOPOID_RUN", "OCTOPOID_TASK_ID", "FLAVOUR", "HOME", "PATH"} <= names
    allowed = {
        "PATH",
        "HOME",
        "TMPDIR",
        "TERM",
        "LANG",
        "LC_ALL",
        "TZ",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "FLAVOUR",
    }
    assert {name for name in names if not name.startswith("OCTOPOID_")} <= allowed
    assert canary not in diff
    for path in (repo / ".octopoid").rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
    assert json.loads(run_dir.env_json.read_text())["FLAVOUR"] == "sweet"


async def test_the_users_checkout_and_configuration_are_the_same_bytes_after_a_task(tmp_path: Path) -> None:
    """L-16"""
    repo = make_project(tmp_path)
    git(repo, "status")

    def prints() -> dict[str, str]:
        kept = [path for path in repo.rglob("*") if path.is_file() and ".octopoid" not in path.parts]
        outside = [path for path in kept if "objects" not in path.relative_to(repo).parts]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in outside}

    before = prints()
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_until_idle()
        await work.desk.reject("t1", "Again.")
        await work.scheduler.run_until_idle()
    assert prints() == before


async def test_an_agent_may_bring_its_own_path_and_still_has_octopoid(tmp_path: Path) -> None:
    path = os.environ["PATH"]
    script = "command -v octopoid > where.txt\n" + EDIT_AND_COMMIT
    async with at_work(
        make_project(tmp_path, script, agent=f"  env: {{PATH: '/opt/none:{path}'}}\n")
    ) as work:
        await work.desk.enqueue(TaskDraft("Look", id="t1"))
        await work.scheduler.run_until_idle()
        assert "/.octopoid/bin/octopoid" in await work.desk.diff("t1")


async def test_stopping_the_scheduler_while_agents_start_loses_none(tmp_path: Path) -> None:
    script = 'echo start >> "$OCTOPOID_RUN_DIR/starts"\nsleep 0.3\n' + EDIT_AND_COMMIT
    repo = make_project(tmp_path, script, instances=3)
    async with at_work(repo) as work:
        for number in range(3):
            await work.desk.enqueue(TaskDraft(f"Task {number}", id=f"t{number}"))
        async with running(work):
            await asyncio.sleep(0.05)
    async with at_work(repo) as work:
        await work.scheduler.run_until_idle()
        counts: dict[Any, int] = dict(await work.backend.count_queues())
        assert counts.get(Queue.PROVISIONAL) == 3, counts
        assert await work.backend.list_runs(live=True) == []
    for starts in repo.glob(".octopoid/runs/*/starts"):
        assert starts.read_text() == "start\n"


async def test_a_crash_says_what_the_program_said_last(tmp_path: Path) -> None:
    script = "echo 'first words' >&2\nprintf 'disk \\033[31mfull\\033[0m\\n\\n' >&2\nexit 3\n"
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_until_idle()
        runs = await work.backend.list_runs(task_id="t1")
        assert {run.reason for run in runs} >= {"it ended with exit status 3: disk full"}


async def test_the_agent_of_the_demo_works_on_what_a_person_queues(tmp_path: Path) -> None:
    async with at_work(demo_project(tmp_path)) as work:
        await work.desk.enqueue(TaskDraft("Rate the thing", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert task.queue is Queue.PROVISIONAL
        assert task.head_sha is not None
        hub = work.project.layout.root / "hub.git"
        assert git(hub, "show", f"{task.head_sha}:t1.md") == "# Rate the thing"


@pytest.mark.parametrize("deed", ["mkfifo stderr.log", "ln -s secret stderr.log"])
async def test_an_agent_that_replaces_its_log_holds_up_nothing(tmp_path: Path, deed: str) -> None:
    script = f"cd $OCTOPOID_RUN_DIR\necho secret words > secret\nrm -f stderr.log\n{deed}\nexit 3\n"
    async with at_work(make_project(tmp_path, script)) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_until_idle()
        runs = await work.backend.list_runs(task_id="t1")
        assert {run.outcome for run in runs} == {Outcome.CRASHED}
        assert not any("secret" in (run.reason or "") for run in runs)
