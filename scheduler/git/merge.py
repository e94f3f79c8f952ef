"""Integration: accepted work becomes exactly one merge commit on the hub's target, then is delivered.

Every step can be repeated. The merge and the record that it happened are set in one transaction of refs,
so a second call after a crash finds the record and goes on with the delivery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scheduler.git import facts
from scheduler.git.delivery import Where, deliver_waiting
from scheduler.git.errors import AlreadyMerged, MergeConflict, TargetMoved
from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree
from scheduler.git.names import branch_ref, check_sha, merged_ref
from scheduler.git.replay import commit_on, replay
from scheduler.git.target import sync_target

Strategy = Literal["merge", "squash", "rebase"]
Check = Callable[[str, str], None]
TRIES = 5
SEARCHED = 2000


@dataclass(frozen=True, slots=True)
class Integrated:
    """Accepted work in the target: its merge commit, where the target was moved, and what to tell."""

    merge_sha: str
    target_branch: str
    where: Where
    note: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is to be merged, and on whose word."""

    task_id: str
    title: str
    head_sha: str
    attempt: int
    approved_by: str

    def message(self, body: str = "") -> str:
        """The commit message: title, the given body, trailers."""
        subject = _line(self.title) or f"Accept {self.task_id}"
        return f"{subject}\n\n{body}{self.trailers}"

    @property
    def trailers(self) -> str:
        """What marks the task's one merge commit."""
        return (
            f"Octopoid-Task: {self.task_id}\n"
            f"Octopoid-Attempt: {self.attempt}\n"
            f"Octopoid-Head: {self.head_sha}\n"
            f"Octopoid-Approved-By: {_line(self.approved_by) or 'unknown'}\n"
        )


def integrate(
    hub: Hub,
    task_id: str,
    title: str,
    head_sha: str,
    target_branch: str,
    *,
    approved_by: str,
    attempt: int,
    check: Check,
    strategy: Strategy = "merge",
    update_checkout: bool = True,
) -> Integrated:
    """Merge a head into the target, checked, once; then deliver the target to the user's repository.

    Args:
        check: called with the tree and the candidate commit, without the lock; raises to refuse.
        strategy: one commit with two parents, one commit with all changes, or the commits in a line of
            which the last carries the trailers.

    Raises:
        MergeConflict: with the paths; nothing was changed.
        TargetMoved: the target moved at every try; nothing was changed.
        TargetDiverged, AlreadyMerged, RebaseImpossible, UnrelatedHistories: see there.
    """
    work = Acceptance(task_id, title, check_sha(head_sha), attempt, approved_by)
    ref = branch_ref(target_branch)
    for _ in range(TRIES):
        with hub.lock.held(f"integrate {task_id}"):
            base = sync_target(hub, target_branch)
            merged = find_merged(hub, work, base)
            candidate = None if merged else _candidate(hub, work, base, target_branch, strategy)
        if merged is None and candidate is not None:
            check(hub.git.text("rev-parse", f"{candidate}^{{tree}}"), candidate)
            merged = _commit(hub, work, ref, base, candidate)
        if merged is not None:
            sent = deliver_waiting(hub, target_branch, update_checkout=update_checkout)
            return Integrated(merged, target_branch, sent.where, sent.note)
    raise TargetMoved(
        f"{target_branch} moved at each of {TRIES} tries to integrate {task_id}",
        "accept it again when it rests",
    )


def find_merged(hub: Hub, work: Acceptance, target: str) -> str | None:
    """The commit by which this work is in `target`; None when it is not.

    Raises:
        AlreadyMerged: other work of the same attempt is.
    """
    recorded = hub.sha(merged_ref(work.task_id))
    if recorded and facts.is_ancestor(hub, recorded, target):
        attempt, head = _marks(hub, recorded)
        if head in (work.head_sha, "") or facts.is_ancestor(hub, work.head_sha, recorded):
            return recorded
        if attempt == str(work.attempt):
            raise AlreadyMerged(
                f"{work.task_id} is merged as {recorded[:12]}, from {head[:12]} and not {work.head_sha[:12]}",
                "start another attempt, or make a new task of what is left",
            )
        return None
    found = _by_trailer(hub, work, target)
    if found is None and facts.is_ancestor(hub, work.head_sha, target):
        found = work.head_sha
    return found


def _commit(hub: Hub, work: Acceptance, ref: str, base: str, candidate: str) -> str | None:
    """Advance the hub's target and record the merge, together; None when the target has moved."""
    with hub.lock.held(f"integrate {work.task_id}"):
        record = merged_ref(work.task_id)
        changes: list[tuple[str, str, str | None]] = [
            (record, candidate, hub.sha(record)),
            (ref, candidate, base),
        ]
        return candidate if hub.update_refs(changes, f"accept {work.task_id}") else None


def _candidate(hub: Hub, work: Acceptance, base: str, branch: str, strategy: Strategy) -> str:
    merged = merge_tree(hub, base, work.head_sha)
    if merged.conflicts:
        raise MergeConflict(
            f"{work.task_id} conflicts with {branch} in {', '.join(merged.conflicts[:5])}",
            merged.conflicts,
            merged.messages,
        )
    if strategy == "rebase":
        return replay(hub, work.head_sha, base, work.trailers, f"{work.task_id} onto {branch}")
    if strategy == "squash":
        return commit_on(hub, merged.tree, (base,), work.message(), author_of=work.head_sha)
    return commit_on(hub, merged.tree, (base, work.head_sha), work.message())


def _marks(hub: Hub, sha: str) -> tuple[str, str]:
    """Attempt and head that a merge commit's trailers name; empty where there are none."""
    fields = ",".join(("valueonly", "separator=%x2C"))
    shown = hub.git.text(
        "show", "-s",
        f"--format=%(trailers:key=Octopoid-Attempt,{fields})%x00%(trailers:key=Octopoid-Head,{fields})", sha,
    )  # fmt: skip
    attempt, _, head = shown.partition("\0")
    return attempt.strip(), head.strip()


def _by_trailer(hub: Hub, work: Acceptance, target: str) -> str | None:
    """Search the target for the mark of this very head, for a hub that was lost and made anew.

    Only along first parents: what agents wrote, forged marks included, comes in by second ones.
    """
    rows = hub.git.text(
        "log", "--first-parent", f"-n{SEARCHED}", "--fixed-strings", f"--grep=Octopoid-Head: {work.head_sha}",
        "--format=%H %(trailers:key=Octopoid-Task,valueonly,separator=%x2C)", target, "--",
    ).splitlines()  # fmt: skip
    return next((row.split(" ")[0] for row in rows if row.split(" ", 1)[1] == work.task_id), None)


def _line(text: str) -> str:
    """One printable line, so that a title can neither forge trailers nor reach a terminal's controls."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
