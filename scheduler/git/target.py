"""The hub's target branch: the user's branch plus accepted work that waits to be delivered."""

from __future__ import annotations

import shlex

from scheduler.git import facts
from scheduler.git.errors import TargetDiverged, TargetMoved
from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree
from scheduler.git.names import REPLACED, branch_ref, followed_ref, upstream_ref

Change = tuple[str, str, str | None]


def pull_command(hub: Hub, checkout: str, branch: str) -> str:
    """The one command with which a person takes the waiting work into a checkout."""
    repo, path = shlex.quote(checkout), shlex.quote(str(hub.path))
    return f"git -C {repo} pull --no-rebase --no-edit {path} {shlex.quote(branch)}"


def sync_target(hub: Hub, branch: str) -> str:
    """Bring the hub's target up to the user's branch as it is now, and return it.

    Waiting work stays in; when the user's branch has moved too, both are merged. A user who took
    delivered commits back (reset, amend, rebase) is followed.

    Raises:
        TargetDiverged: waiting work and the user's own commits conflict, or the user's branch was
            rewritten under waiting work.
        MissingBranch, NoCommits: the user's branch is gone.
    """
    with hub.lock.held(f"bring {branch} up to date"):
        upstream = hub.sync_base(branch)
        ref, followed_at = branch_ref(branch), followed_ref(branch)
        target, followed = hub.sha(ref), hub.sha(followed_at)
        if target is None or followed is None:
            return _set(hub, branch, [(ref, upstream, target), (followed_at, upstream, followed)], upstream)
        if upstream == followed:
            return target
        new, more = _combine(hub, branch, target, followed, upstream)
        return _set(hub, branch, [(ref, new, target), (followed_at, upstream, followed), *more], new)


def note_delivered(hub: Hub, branch: str, sha: str) -> None:
    """Remember that the user's branch is at `sha`, put there by us."""
    hub.update_refs([(upstream_ref(branch), sha, ""), (followed_ref(branch), sha, "")], f"delivered {branch}")


def drop_waiting(hub: Hub, branch: str) -> str:
    """Set the hub's target back to the user's branch; waiting work is kept under a ref, and returned."""
    with hub.lock.held(f"drop what waits for {branch}"):
        upstream = hub.sync_base(branch)
        old = hub.sha(branch_ref(branch)) or upstream
        changes: list[Change] = [
            (branch_ref(branch), upstream, ""), (followed_ref(branch), upstream, ""), _replaced(branch, old)
        ]  # fmt: skip
        _set(hub, branch, changes, upstream)
    return old


def _combine(hub: Hub, branch: str, target: str, followed: str, upstream: str) -> tuple[str, list[Change]]:
    if facts.is_ancestor(hub, target, upstream):
        return upstream, []
    if not facts.is_ancestor(hub, followed, upstream):
        if target == followed:
            return upstream, [_replaced(branch, target)]
        raise TargetDiverged(
            f"{branch} was rewritten in {hub.source} while accepted work was waiting for it",
            f"take the waiting work with `{pull_command(hub, str(hub.source), branch)}`, or drop it",
        )
    if facts.is_ancestor(hub, upstream, target):
        return target, []
    merged = merge_tree(hub, upstream, target)
    if merged.conflicts:
        raise TargetDiverged(
            f"your commits on {branch} conflict with accepted work that waits in {hub.path} "
            f"({', '.join(merged.conflicts[:5])})",
            f"run `{pull_command(hub, str(hub.source), branch)}` and resolve the conflict",
        )
    message = f"Merge accepted work into {branch}\n"
    made = hub.git.run(
        "commit-tree", merged.tree, "-p", upstream, "-p", target, input=message.encode()
    )  # fmt: skip
    return made.text.strip(), []


def _replaced(branch: str, sha: str) -> Change:
    return (f"{REPLACED}{branch}/{sha}", sha, "")


def _set(hub: Hub, branch: str, changes: list[Change], result: str) -> str:
    if not hub.update_refs(changes, f"bring {branch} up to date"):
        raise TargetMoved(f"{branch} in {hub.path} was changed by something else", "try again")
    return result
