"""The main job, in a clone of this very project, by keys in a terminal and by commands without one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from harness import git, python
from terminal import Terminal, terminal

PROJECT = Path(__file__).parents[2]
PATIENCE_S = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AGENT = """\
#!/bin/sh
set -e
if [ "$OCTOPOID_TASK_ID" = asking ]; then
  word=$(octopoid ask "Which word shall I write?" --option hello --option goodbye)
else
  word=$OCTOPOID_TASK_ID
fi
echo "$word" > "$OCTOPOID_TASK_ID.txt"
git add "$OCTOPOID_TASK_ID.txt"
git commit -q -m "Write $OCTOPOID_TASK_ID.txt"
"""
TASKS = {
    "asking": "---\nid: asking\ntitle: Write the word of your choice\npriority: P1\n---\nAsk which.\n",
    "plain": "---\nid: plain\ntitle: Write a plain word\ntype: docs\n---\nNo question.\n",
    "after": "---\nid: after\ntitle: Write a word afterwards\nblocked_by: [plain]\n---\nLater.\n",
}


def octopoid(repo: Path, *args: str, status: int = 0) -> str:
    """Run a command as a person would; returns its standard output."""
    done = subprocess.run(
        python("-I", "-m", "octopoid_tui", *args),
        cwd=repo,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this project with three tasks queued and uncommitted work of the user's own."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, so there is nothing to clone")
    repo = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(repo)], check=True, stdin=subprocess.DEVNULL)
    git(repo, "checkout", "-q", "-B", "main")
    git(repo, "config", "user.name", "Ana")
    git(repo, "config", "user.email", "ana@example.org")
    octopoid(repo, "init", "--local")
    agent = tmp_path / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    entry = {"name": "writer", "role": "implement", "adapter": "command", "command": [str(agent)]}
    (repo / ".octopoid" / "agents.yaml").write_text(json.dumps({"agents": [{**entry, "max_instances": 2}]}))
    for name, text in TASKS.items():
        file = tmp_path / f"{name}.md"
        file.write_text(text)
        assert octopoid(repo, "enqueue", "--file", str(file)).strip() == name
    (repo / "my-notes.txt").write_text("not committed\n")
    return repo


def assert_merged(repo: Path, word: str) -> None:
    """All three tasks are on main and in the checkout, once each; what the user had is as it was."""
    assert (repo / "asking.txt").read_text() == f"{word}\n"
    assert (repo / "after.txt").read_text() == "after\n"
    assert (repo / "my-notes.txt").read_text() == "not committed\n"
    assert git(repo, "status", "--porcelain", "--untracked-files=no") == ""
    merged = git(repo, "log", "--format=%(trailers:key=Octopoid-Task,valueonly,separator=)", "-20").split()
    assert sorted(name for name in merged if name in TASKS) == sorted(TASKS)


def test_without_a_screen(clone: Path) -> None:
    octopoid(clone, "run", "--until-idle")
    (question,) = json.loads(octopoid(clone, "questions", "--json"))
    assert (question["task_id"], question["options"]) == ("asking", ["hello", "goodbye"])
    octopoid(clone, "answer", question["id"], "goodbye")
    octopoid(clone, "accept", "plain")
    octopoid(clone, "run", "--until-idle")
    for name in ("asking", "after"):
        assert f"{name}.txt" in octopoid(clone, "diff", name)
        octopoid(clone, "accept", name)
    queues = json.loads(octopoid(clone, "status", "--json"))["queues"]
    assert queues["done"] == 3
    octopoid(clone, "accept", "after", status=4)
    assert_merged(clone, "goodbye")


@pytest.mark.tmux
@pytest.mark.parametrize(("width", "height"), [(200, 50), (80, 24)])
def test_on_the_screen(clone: Path, tmp_path: Path, width: int, height: int) -> None:
    with terminal(tmp_path) as pane:
        pane.start(python("-I", "-m", "octopoid_tui"), clone, width, height)
        pane.wait_for("asks")
        pane.press("4")
        pane.wait_for("Which word shall I write?")
        pane.press("i")
        pane.wait_for("enter send")
        pane.type("hello")
        pane.press("Enter")
        pane.wait_for("answered")
        pane.press("Escape")
        pane.wait_until(lambda screen: "enter send" not in screen, "the line to be left")
        pane.press("1")
        for name in ("asking", "plain", "after"):
            pane.wait_until(lambda screen, name=name: waits_for_review(screen, name), f"{name} to review")
            pane.press("/")
            pane.type(name)
            pane.press("Enter")
            pane.press("d")
            pane.wait_for(f"{name}.txt")
            pane.press("a")
            pane.wait_until(lambda screen, name=name: is_accepted(screen, name), f"{name} to be accepted")
            back_to_the_queues(pane, name)
        pane.press("q")
        pane.wait_for("ended with 0")
    assert_merged(clone, "hello")


def back_to_the_queues(pane: Terminal, name: str) -> None:
    """And to all of them. An escape that is read together with the next key is another key."""
    pane.press("Escape")
    pane.wait_for("1 Queues")
    pane.press("Escape")
    pane.wait_until(lambda screen: f"/ {name}" not in screen, "the filter to be cleared")


def is_accepted(screen: str, name: str) -> bool:
    """By what is said of it, by its state, or by the review having gone on to the next task."""
    return f"{name}.txt" not in screen or bool(re.search(rf"(accepted|done|merging…) +{name}\b", screen))


def waits_for_review(screen: str, name: str) -> bool:
    """Whether a row of the queues shows this task as provisional."""
    return any("provisional" in line and line.rstrip().endswith(name) for line in rows(screen))


def rows(screen: str) -> list[str]:
    """The left part of each line, where the queues are."""
    return [line[:119] for line in screen.splitlines()]
