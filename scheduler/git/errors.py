"""What can go wrong with git. `systemic` says whether the machinery is at fault or the task is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from backend.errors import EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_USAGE, OctopoidError

STDERR_SHOWN = 600


class GitError(OctopoidError):
    """A git command failed.

    Args:
        problem: what failed and why.
        next_step: what to do about it.
        command: the git arguments, without the safety overrides.
        returncode: git's exit status; None when git did not end by itself.
        stderr: what git said.
    """

    slug = "git"
    systemic: ClassVar[bool] = True

    def __init__(
        self,
        problem: str,
        next_step: str = "",
        *,
        command: Sequence[str] = (),
        returncode: int | None = None,
        stderr: str = "",
    ) -> None:
        said = tuple(line for line in stderr.strip()[-STDERR_SHOWN:].splitlines() if line)
        super().__init__(problem, next_step, said)
        self.command = tuple(command)
        self.returncode = returncode
        self.stderr = stderr


class GitMissing(GitError):
    """There is no git program, or it is too old."""

    slug = "git-missing"


class GitTimeout(GitError):
    """Git did not end in time and was stopped."""

    slug = "git-timeout"


class DiskFull(GitError):
    """No space, or no quota, left."""

    slug = "disk-full"


class OutputTooLarge(GitError):
    """Git wrote more than the caller was ready to hold."""

    slug = "git-output-too-large"
    systemic = False


class NotARepository(GitError):
    """The path holds no git repository."""

    slug = "not-a-repository"
    exit_status = EXIT_NOT_FOUND


class RepositoryUnsupported(GitError):
    """A shallow or partial clone: its history is not all there."""

    slug = "repository-unsupported"


class NoCommits(GitError):
    """The repository has no commit to start from."""

    slug = "no-commits"


class HubTampered(GitError):
    """Something other than Octopoid changed the hub's configuration."""

    slug = "hub-tampered"


class RepoLocked(GitError):
    """Another operation holds the repository's lock."""

    slug = "repository-locked"
    http_status = 503

    def __init__(self, problem: str, next_step: str = "", *, holder: str = "") -> None:
        super().__init__(problem, next_step)
        self.holder = holder


class BadName(GitError):
    """A branch name that git or we do not accept."""

    slug = "bad-branch-name"
    http_status = 422
    exit_status = EXIT_USAGE
    systemic = False


class MissingBranch(GitError):
    """The repository has no such branch. `nearest` holds existing names that look like it."""

    slug = "missing-branch"
    http_status = 422
    exit_status = EXIT_NOT_FOUND
    systemic = False

    def __init__(self, name: str, nearest: Sequence[str], repository: str) -> None:
        hint = f"did you mean {', '.join(nearest)}?" if nearest else "create it, or name another base branch"
        super().__init__(f"there is no branch {name!r} in {repository}", hint)
        self.name = name
        self.nearest = tuple(nearest)


class MergeConflict(GitError):
    """The work and the target change the same lines. Nothing was changed anywhere."""

    slug = "merge-conflict"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False

    def __init__(self, problem: str, paths: Sequence[str], messages: Sequence[str] = ()) -> None:
        super().__init__(problem, "resolve it on the task's branch; the approval is kept")
        self.paths = tuple(paths)
        self.messages = tuple(messages)
        self.details = self.messages or self.paths


class UnrelatedHistories(GitError):
    """The work shares no commit with the target."""

    slug = "unrelated-histories"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class RebaseImpossible(GitError):
    """The work holds merge commits, which cannot be replayed in a line."""

    slug = "rebase-impossible"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class AlreadyMerged(GitError):
    """The task has its merge commit, from other work than is offered now."""

    slug = "already-merged"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class UnresolvedConflict(GitError):
    """A conflict was said to be resolved and is not."""

    slug = "unresolved-conflict"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class TargetMoved(GitError):
    """The target branch moved again and again while the work was being integrated."""

    slug = "target-moved"
    http_status = 409


class TargetDiverged(GitError):
    """The user's branch and the accepted work that waits in the hub do not fit together."""

    slug = "target-diverged"
    http_status = 409
    exit_status = EXIT_REFUSED
    # Not the task's fault, and every further acceptance on this branch would meet it.
    systemic = True


class DirtyCheckout(GitError):
    """The user's checkout has changes of its own and is left alone."""

    slug = "dirty-checkout"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class WorkspaceRefused(GitError):
    """A workspace is not what we made, or may not be touched now."""

    slug = "workspace-refused"
    http_status = 409
    exit_status = EXIT_REFUSED
    systemic = False


class WorkspaceGone(GitError):
    """The workspace's directory does not exist any more."""

    slug = "workspace-gone"
    exit_status = EXIT_NOT_FOUND
    systemic = False
