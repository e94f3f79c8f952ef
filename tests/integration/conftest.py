"""Fixtures of the integration tests: a user's repository, its hub, and workspaces of agents."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scheduler.git.hub import Hub
from scheduler.git.workspace import Identity, Workspace, create

FILES = {
    "README.md": "one\ntwo\nthree\nfour\nfive\n",
    "src/app.py": "print('app')\n",
    ".gitignore": "*.log\n",
}


def _load() -> ModuleType:
    name = "octopoid_test_gitrepo"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "gitrepo.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def gitrepo() -> type:
    """The class `GitRepo` of tests/gitrepo.py."""
    return _load().GitRepo


@pytest.fixture
def git_house(tmp_path: Path, gitrepo: type) -> SimpleNamespace:
    """A user's repository with one commit, its hub, and `work` that makes workspaces as agents see them."""
    user = gitrepo.make(tmp_path / "user repo", dict(FILES))
    hub = Hub.open(tmp_path / "octo dir", user.path)
    trees = tmp_path / "octo dir" / "worktrees"

    def work(task_id: str, attempt: int = 1, **kept: str) -> Workspace:
        start = kept.pop("start", None) or hub.sync_base("main")
        return create(hub, trees, task_id, attempt, start, Identity("Ada Agent", "ada@example.org"), **kept)

    def agent(workspace: Workspace) -> object:
        return gitrepo(workspace.path, "Ada Agent")

    make: Callable[..., Workspace] = work
    return SimpleNamespace(user=user, hub=hub, trees=trees, work=make, agent=agent, tmp=tmp_path)
