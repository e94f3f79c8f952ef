"""The demo plays itself: real processes, real worktrees, a question, a repair, a rejection, a conflict."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import git, python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_headless_demo_merges_every_task() -> None:
    done = subprocess.run(
        python("-I", "-m", "octopoid_tui", "demo", "--headless", "--json"),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    repo = Path(result["repo"])
    try:
        merged = result.pop("merged")
        assert result == {
            "tasks": 5,
            "done": 5,
            "failed": 0,
            "questions_answered": 1,
            "rejected_once": 1,
            "conflicts_resolved": 1,
            "repo": str(repo),
        }
        assert len(set(merged.values())) == 5
        for commit in merged.values():
            git(repo, "merge-base", "--is-ancestor", commit, "main")
        assert git(repo, "status", "--porcelain") == ""
        assert "no model is called" in done.stderr
        assert 'return f"* {text.upper()} *"' in (repo / "text.py").read_text(), "the conflict's resolution"
    finally:
        shutil.rmtree(repo.parent)
