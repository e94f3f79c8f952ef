"""Two machines go on working while their server is dead, and everything is done exactly once afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import git, make_repo
from machines import Machine, Server, team, wait

LOG = 'echo "$OCTOPOID_TASK_ID" >> "$0.log"\n'
COMMIT = """\
echo "$WORD" > "$OCTOPOID_TASK_ID.txt"
git add -A
git commit -q -m "Write $OCTOPOID_TASK_ID.txt"
"""
ASKS = LOG + 'WORD=$(octopoid ask "Which word?" --option red --option blue)\n' + COMMIT
WAITS = LOG + 'until [ -e "$(dirname "$0")/gate" ]; do sleep 0.1; done\nWORD=plain\n' + COMMIT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def begun(machine: Machine) -> list[str]:
    """The tasks that the machine's agent was started on, once for each start."""
    log = machine.repo.parent / f"{machine.repo.name}.sh.log"
    return log.read_text().split() if log.exists() else []


def ask_offline(machine: Machine) -> bool:
    return machine.sync()[0] == "offline"


def test_two_machines_work_on_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    """L-21: one claim, one holder, also over an outage."""
    origin = make_repo(tmp_path / "origin")
    with team(origin, {"one": ASKS, "two": WAITS}) as (server, (one, two)):
        for machine in (one, two):
            machine.start()
        for task_id in ("t1", "t2"):
            one("enqueue", "Write a word", "--id", task_id, "--auto-accept")
        (question,) = wait(lambda: one.json("questions"), "a question")
        wait(lambda: begun(two), "the other machine's agent")
        assert sorted(begun(one) + begun(two)) == ["t1", "t2"]
        server.kill()

        for machine in (one, two):
            wait(lambda m=machine: ask_offline(m), "word that the server is away")  # type: ignore[misc]
        assert one.json("questions")[0]["id"] == question["id"]
        one("answer", question["id"], "blue")
        one("enqueue", "Write another word", "--id", "t3", "--auto-accept")
        two("enqueue", "Write another word", "--id", "t4", "--auto-accept")
        said = one("why", "t3")
        assert "the server is away: no new task is claimed (since 20" in said
        (tmp_path / "gate").touch()
        for machine in (one, two):
            (task_id,) = begun(machine)
            wait(lambda m=machine, t=task_id: m.queues()[t] == "provisional", "the work, handed in here")  # type: ignore[misc]
            state, pending, conflicts = machine.sync()
            assert (state, conflicts) == ("offline", 0)
            assert pending > 0
        assert "t4" not in one.queues()
        assert two.run("sync").returncode == 1

        server.start()
        for machine in (one, two):
            machine.run("sync")  # it would find out by itself, but seldom looks after so long a time
        names = ["t1", "t2", "t3", "t4"]

        def answered() -> bool:
            """Every agent of the first machine asks; each is answered as it comes."""
            for asked in one.json("questions"):
                one.run("answer", asked["id"], "blue")
            return one.queues() == dict.fromkeys(names, "done")

        wait(answered, "four finished tasks")
        for machine in (one, two):
            wait(lambda m=machine: m.sync() == ("online", 0, 0), "everything sent")  # type: ignore[misc]
            assert machine.queues() == dict.fromkeys(names, "done")
            assert machine.json("conflicts") == []
        assert sorted(begun(one) + begun(two)) == names
        for name in names:
            (run,) = one.json("show", name)["runs"]
            assert run["outcome"] == "submitted"
        merged = [git(machine.repo, "ls-tree", "--name-only", "main").split() for machine in (one, two)]
        assert sorted(path for paths in merged for path in paths if path.startswith("t")) == [
            f"{name}.txt" for name in names
        ]


def test_a_scheduler_that_starts_without_its_server_adopts_what_runs(tmp_path: Path) -> None:
    """L-31: agents outlive the scheduler, and the next one finds them, server or not."""
    origin = make_repo(tmp_path / "origin")
    with team(origin, {"one": WAITS}) as (server, (one,)):
        one.start()
        one("enqueue", "Write a word", "--id", "t1", "--auto-accept")
        wait(lambda: begun(one), "the agent")
        wait(lambda: one.json("status")["agents"][0]["pid"], "word of the agent")
        _kill_both(server, one)
        assert one.queues() == {"t1": "claimed"}
        one.start()

        def adopted() -> bool:
            (agent,) = one.json("status")["agents"]
            return (agent["status"], agent["task_id"]) == ("busy", "t1")

        wait(adopted, "the agent, adopted")
        (tmp_path / "gate").touch()
        wait(lambda: one.queues()["t1"] == "provisional", "the work, handed in here")
        assert one.sync()[0] == "offline"
        server.start()
        wait(lambda: one.queues()["t1"] == "done", "the merge")
        wait(lambda: one.sync() == ("online", 0, 0), "everything sent")
        assert begun(one) == ["t1"]
        assert git(one.repo, "show", "main:t1.txt") == "plain"


def _kill_both(server: Server, machine: Machine) -> None:
    server.kill()
    assert machine.scheduler is not None
    machine.scheduler.kill()
    machine.scheduler = None
