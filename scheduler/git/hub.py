"""The hub: a bare repository of ours between the user's repository and the agents.

Its configuration is a constant of this module and is compared at every opening. Agents read its
objects; a push to it is refused by its configuration.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scheduler.git.errors import GitError, HubTampered, MissingBranch, NoCommits, RepositoryUnsupported
from scheduler.git.lock import RepoLock
from scheduler.git.names import BASES, branch_ref, is_sha, upstream_ref
from scheduler.git.run import Git

FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--no-recurse-submodules")
FETCH_TIMEOUT_S = 600.0

_CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = always
[gc]
\tauto = 0
[receive]
\thideRefs = refs/
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
_CONFIGS = (_CONFIG.format(version=0), _CONFIG.format(version=1) + _SHA256)
# Files through which a repository can be made to run programs or to read objects from elsewhere.
_FOREIGN = (
    "config.worktree", "hooks", "info/attributes", "info/grafts", "objects/info/alternates", "commondir",
)  # fmt: skip
_LOST_RACE = ("but expected", "already exists", "is missing but expected", "unable to resolve reference")


@dataclass(frozen=True, slots=True)
class Hub:
    """One repository's hub under `root`, fed from the user's repository `source`."""

    root: Path
    source: Path

    @classmethod
    def open(cls, root: Path, source_repo: Path) -> Hub:
        """Open the hub, making it first where there is none; leftovers of killed commands are removed.

        Raises:
            NotARepository: `source_repo` is none.
            RepositoryUnsupported: it is a shallow or partial clone.
            HubTampered: the hub's configuration is not what was written.
        """
        user = Git.user(source_repo)
        hub = cls(root.resolve(), source_repo.resolve())
        _refuse_incomplete(user, hub.source)
        hub.tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
        with hub.lock.held("open the hub"):
            if not hub.path.exists():
                hub._make(user.text("rev-parse", "--show-object-format"))
            hub._verify()
            # All writers hold our lock, and so do the git processes they started: nobody needs these.
            for pattern in ("*.lock", "refs/**/*.lock", "objects/*.lock", "objects/info/*.lock"):
                for leftover in hub.path.glob(pattern):
                    leftover.unlink()
            for scratch in hub.tmp.iterdir():
                shutil.rmtree(scratch, ignore_errors=True)
        return hub

    @property
    def path(self) -> Path:
        """The bare repository."""
        return self.root / "hub.git"

    @property
    def tmp(self) -> Path:
        """Private scratch space on the hub's file system."""
        return self.root / "tmp"

    @property
    def lock(self) -> RepoLock:
        """The repository's lock."""
        return RepoLock(self.root / "hub.lock")

    @property
    def git(self) -> Git:
        """Git on the hub."""
        return Git(self.path)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private directory that is gone after the block."""
        path = Path(tempfile.mkdtemp(dir=self.tmp))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sha(self, ref: str) -> str | None:
        """The commit a full ref name or object id stands for; None when there is none."""
        found = self.git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", ok_codes=(0, 1))
        return found.text.strip() if found.returncode == 0 else None

    def update_refs(self, changes: Sequence[tuple[str, str, str | None]], reason: str) -> bool:
        """Set refs in one transaction, each from its expected old value.

        Args:
            changes: (ref, new commit, old commit). An old value of None means that the ref must not exist,
                an empty one that it does not matter.
            reason: the line for the ref log.

        Returns:
            False, with nothing changed, when a ref had another value than expected.
        """
        zero = "0" * len(changes[0][1])
        lines = []
        for ref, new, old in changes:
            expected = zero if old is None else old
            lines.append(f"update {ref} {new} {expected}".rstrip() + "\n")
        with self.lock.held(reason):
            done = self.git.run(
                "update-ref", "-m", f"octopoid: {reason}", "--stdin",
                input="".join(lines).encode(), ok_codes=(0, 128),
            )  # fmt: skip
        if done.returncode == 0:
            return True
        if any(sign in done.stderr for sign in _LOST_RACE):
            return False
        raise GitError(
            f"cannot {reason}: git refused to set {', '.join(ref for ref, _, _ in changes)}",
            "see the details; `octopoid doctor` checks the hub",
            command=("update-ref", "--stdin"),
            returncode=done.returncode,
            stderr=done.stderr,
        )

    def sync_base(self, branch: str) -> str:
        """Fetch the head of the user's branch, and return it.

        Raises:
            MissingBranch: the user's repository has no such branch; names the nearest.
            NoCommits: it has no commit at all.
        """
        ref, mirror = branch_ref(branch), upstream_ref(branch)
        user = Git.user(self.source)
        head = user.run("rev-parse", "--verify", "--quiet", ref, ok_codes=(0, 1))
        if head.returncode:
            raise self._missing(user, branch)
        if self.sha(mirror) == head.text:
            return head.text
        common = user.text("rev-parse", "--path-format=absolute", "--git-common-dir")
        # The user's history is the user's: old objects that today's fsck dislikes are taken as they are.
        fetcher = Git(self.path, config=("fetch.fsckObjects=false",))
        with self.lock.held(f"fetch {branch}"):
            fetcher.run(*FETCH, "--", common, f"+{ref}:{mirror}", timeout=FETCH_TIMEOUT_S)
            sha = self.sha(mirror)
        if sha is None:
            raise GitError(f"{branch} of {self.source} is no commit", "make it point to one")
        return sha

    def fetch_commit(self, sha: str) -> bool:
        """Make sure that the hub has a commit, from the user's repository if need be; whether it has."""
        if not is_sha(sha):
            return False
        if self.sha(sha) is not None:
            return True
        user = Git.user(self.source)
        if not user.says("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}"):
            return False
        common = user.text("rev-parse", "--path-format=absolute", "--git-common-dir")
        fetcher = Git(self.path, config=("fetch.fsckObjects=false",))
        with self.lock.held(f"fetch {sha[:12]}"):
            fetcher.run(*FETCH, "--", common, f"+{sha}:{BASES}{sha}", timeout=FETCH_TIMEOUT_S)
        return True

    def resolve_base(self, branch: str) -> tuple[str, str]:
        """The branch and the commit it stands for now, to be stored with a task."""
        return branch, self.sync_base(branch)

    def _missing(self, user: Git, branch: str) -> GitError:
        listed = user.text("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
        names = [name.split("/", 2)[2] for name in listed.splitlines()]
        if not names:
            return NoCommits(f"{self.source} has no commits yet", "make a first commit there, then try again")
        near = difflib.get_close_matches(branch, names, n=3, cutoff=0.5)
        near += [name for name in names if name.endswith(f"/{branch}") and name not in near]
        return MissingBranch(branch, near, str(self.source))

    def _make(self, object_format: str) -> None:
        with self.scratch() as scratch:
            new = scratch / "hub.git"
            Git(None).run(
                "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(new)
            )
            (new / "config").write_text(_CONFIGS[1] if object_format == "sha256" else _CONFIGS[0])
            new.rename(self.path)

    def _verify(self) -> None:
        config = self.path / "config"
        if (
            config.is_symlink()
            or not config.is_file()
            or config.read_text("utf-8", "replace") not in _CONFIGS
        ):
            raise HubTampered(
                f"{config} is not what Octopoid wrote",
                "look at what changed it; then move the hub away, and it is made anew from your repository",
            )
        for name in _FOREIGN:
            if (self.path / name).exists() or (self.path / name).is_symlink():
                raise HubTampered(
                    f"{self.path / name} was not made by Octopoid", "look at it, then remove it by hand"
                )


def _refuse_incomplete(user: Git, source: Path) -> None:
    if user.text("rev-parse", "--is-shallow-repository") == "true":
        raise RepositoryUnsupported(
            f"{source} is a shallow clone, so its history is not all there",
            f"run `git -C {source} fetch --unshallow`",
        )
    partial = user.run(
        "config",
        "--local",
        "--get-regexp",
        r"^(extensions\.partialclone|remote\..*\.promisor)$",
        ok_codes=(0, 1),
    )
    if partial.returncode == 0:
        raise RepositoryUnsupported(
            f"{source} is a partial clone, so objects would have to come from the network",
            "make a full clone and use that one",
        )
