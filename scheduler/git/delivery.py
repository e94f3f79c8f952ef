"""Delivery: bringing accepted work from the hub into the user's repository, or saying why it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scheduler.git import facts
from scheduler.git.checkouts import fast_forward, find_checkout
from scheduler.git.errors import DirtyCheckout, GitError, MissingBranch, RepoLocked, TargetMoved
from scheduler.git.hub import FETCH, FETCH_TIMEOUT_S, Hub
from scheduler.git.names import branch_ref
from scheduler.git.run import Git
from scheduler.git.target import note_delivered, pull_command, sync_target

Where = Literal["ref", "checkout", "hub"]
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the target is now: moved as a ref, moved with its checkout, or waiting in the hub and why."""

    where: Where
    sha: str
    note: str


def deliver_waiting(hub: Hub, branch: str, *, update_checkout: bool = True) -> Delivery:
    """Move the user's branch to the hub's target. Safe to call at any time; does nothing when nothing waits.

    Raises:
        TargetDiverged: the user's commits and the waiting work conflict.
        TargetMoved: the user's branch moved at every try.
    """
    with hub.lock.held(f"deliver {branch}"):
        for _ in range(ATTEMPTS):
            try:
                target = sync_target(hub, branch)
            except MissingBranch:
                waiting = hub.sha(branch_ref(branch))
                if waiting is None:
                    raise
                return Delivery("hub", waiting, _gone_note(hub, branch))
            done = _deliver(hub, branch, target, update_checkout)
            if done is not None:
                return done
    raise TargetMoved(
        f"{branch} in {hub.source} moved at each of {ATTEMPTS} tries", "try again when it rests"
    )


def fetch_into(user: Git, hub: Hub, ref: str) -> None:
    """Bring the objects behind a hub ref into the user's repository, without touching a ref there."""
    user.run(*FETCH, "--", str(hub.path), ref, timeout=FETCH_TIMEOUT_S)


def _deliver(hub: Hub, branch: str, target: str, update_checkout: bool) -> Delivery | None:
    """One try; None when the branch moved meanwhile."""
    ref, user = branch_ref(branch), Git.user(hub.source)
    old = user.text("rev-parse", "--verify", f"{ref}^{{commit}}")
    where: Where = "ref"
    checkout_path = str(hub.source)
    try:
        checkout = find_checkout(user, ref)
        if checkout is not None:
            where, checkout_path = "checkout", str(checkout.path)
        if old == target:
            note_delivered(hub, branch, target)
            return Delivery(where, target, f"{branch} is up to date")
        if hub.sha(old) is None or not facts.is_ancestor(hub, old, target):
            return None  # the user committed after our fetch
        if checkout is not None and not update_checkout:
            raise DirtyCheckout(f"{branch} is checked out at {checkout.path}", "repo.update_checkout is off")
        fetch_into(user, hub, ref)
        if checkout is None:
            user.run("update-ref", "-m", "octopoid: accepted work", ref, target, old)
        else:
            fast_forward(checkout, ref, old, target, "accepted work")
    except DirtyCheckout as dirty:
        command = pull_command(hub, checkout_path, branch)
        return Delivery("hub", target, f"{dirty}; the accepted work waits. To take it: {command}")
    except RepoLocked as locked:
        return Delivery("hub", target, f"{locked}; the accepted work waits and is delivered later")
    except GitError as error:
        if "cannot lock ref" in error.stderr and "but expected" in error.stderr:
            return None
        raise
    note_delivered(hub, branch, target)
    return Delivery(where, target, f"{branch} moved to {target[:12]}")


def _gone_note(hub: Hub, branch: str) -> str:
    command = f"git -C {hub.source} fetch {hub.path} {branch}:{branch}"
    return f"branch {branch} is gone from {hub.source}; the accepted work waits. To have it back: {command}"
