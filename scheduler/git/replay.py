"""Commits written on the target: with an author taken over, or replayed one by one."""

from __future__ import annotations

from scheduler.git.errors import MergeConflict, RebaseImpossible
from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree
from scheduler.git.names import check_sha

_TRAILER = "octopoid-"


def commit_on(
    hub: Hub, tree: str, parents: tuple[str, ...], message: str, author_of: str | None = None
) -> str:
    """Write a commit; with `author_of`, its author and date are those of that commit."""
    env: dict[str, str] = {}
    if author_of:
        name, email, date = hub.git.run(
            "show", "-s", "--date=raw", "--format=%an%x00%ae%x00%ad", author_of
        ).text.split("\0")
        env = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
    made = hub.git.with_env(**env).run(
        "commit-tree", tree, *(part for parent in parents for part in ("-p", parent)),
        input=message.encode("utf-8", "surrogateescape"),
    )  # fmt: skip
    return made.text.strip()


def replay(hub: Hub, head: str, onto: str, trailers: str, what: str) -> str:
    """Replay the commits of `head` that `onto` lacks on top of it; the last one gets the trailers.

    Commits that change nothing any more are dropped.

    Raises:
        RebaseImpossible: there are merge commits among them.
        MergeConflict: a commit does not apply.
    """
    rows = hub.git.text(
        "rev-list", "--reverse", "--topo-order", "--parents", f"{check_sha(onto)}..{check_sha(head)}", "--"
    ).splitlines()
    commits = [row.split() for row in rows]
    if any(len(commit) != 2 for commit in commits):
        raise RebaseImpossible(
            f"cannot rebase {what}: its history holds merges or a new beginning", "merge or squash it instead"
        )
    steps: list[tuple[str, str]] = []
    at = onto
    for sha, parent in commits:
        tree = _pick(hub, at, sha, parent, what)
        if tree != hub.git.text("rev-parse", f"{at}^{{tree}}"):
            at = commit_on(hub, tree, (at,), _message(hub, sha), author_of=sha)
            steps.append((sha, tree))
    if not steps:
        return commit_on(hub, hub.git.text("rev-parse", f"{onto}^{{tree}}"), (onto,), f"{what}\n\n{trailers}")
    sha, tree = steps[-1]
    parent = hub.git.text("rev-parse", f"{at}^")
    return commit_on(hub, tree, (parent,), f"{_message(hub, sha)}\n{trailers}", author_of=sha)


def _pick(hub: Hub, at: str, sha: str, parent: str, what: str) -> str:
    # A commit with the tree we are at and the parent of the one to apply: its merge base with that one is
    # the parent, which makes the merge a cherry-pick.
    stand_in = hub.git.text("commit-tree", "-p", parent, "-m", "stand-in", f"{at}^{{tree}}")
    merged = merge_tree(hub, stand_in, sha)
    if merged.conflicts:
        raise MergeConflict(
            f"{what} conflicts at its commit {sha[:12]} in {', '.join(merged.conflicts[:5])}",
            merged.conflicts,
            merged.messages,
        )
    return merged.tree


def _message(hub: Hub, sha: str) -> str:
    """A commit's message without trailers of ours, which only the scheduler may set."""
    body = hub.git.text("show", "-s", "--format=%B", sha)
    lines = [line for line in body.splitlines() if not line.strip().lower().startswith(_TRAILER)]
    return "\n".join(lines).strip() + "\n"
