"""Repositories for tests: made and changed by plain git, as a user or an agent would."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass(frozen=True)
class GitRepo:
    """A working tree that somebody works in with git."""

    path: Path
    who: str = "Una User"

    @classmethod
    def make(cls, path: Path, files: dict[str, str] | None = None, branch: str = "main") -> GitRepo:
        path.mkdir(parents=True)
        repo = cls(path)
        repo.git("init", "--quiet", "--template=", f"--initial-branch={branch}")
        repo.git("config", "user.name", repo.who)
        repo.git("config", "user.email", "una@example.org")
        if files is not None:
            repo.commit("first", files)
        return repo

    def run(self, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *args],
            cwd=self.path,
            env=ENV | env,
            check=check,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
        )

    def git(self, *args: str, **env: str) -> str:
        return self.run(*args, **env).stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str, files: dict[str, str] | None = None) -> str:
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.head()

    def head(self, ref: str = "HEAD") -> str:
        return self.git("rev-parse", ref)

    def refs(self) -> dict[str, str]:
        rows = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(row.split(" ") for row in rows)

    def fingerprint(self, *, without: tuple[str, ...] = ()) -> dict[str, str]:
        """Every file, `.git` too, by its hash; left out are objects and what has one of the prefixes."""
        found = {}
        for folder, _, files in os.walk(self.path):
            for name in files:
                path = Path(folder, name)
                key = str(path.relative_to(self.path))
                if not key.startswith((".git/objects/", *without)):
                    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
                    found[key] = hashlib.sha256(content).hexdigest()
        return found
