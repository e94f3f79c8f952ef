"""What a reviewing agent has to leave: its word on one exact commit. Read as what it is, hostile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.clean import clean
from backend.errors import BadInput

KIND = "verdict"
WORDS = {"accept": True, "approve": True, "reject": False}
REASON_LIMIT = 8000
COMMENT_LIMIT = 2000
COMMENTS_LIMIT = 100
PATH_LIMIT = 500
FORM = 'write {"kind": "verdict", "verdict": "accept" or "reject", "reason": "…", "comments": []}'


@dataclass(frozen=True, slots=True)
class Comment:
    """One remark on a place in the work."""

    path: str
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the work may be accepted, and why."""

    accepts: bool
    reason: str
    comments: tuple[Comment, ...] = ()

    def text(self) -> str:
        """As feedback: the reason, then each comment with its place."""
        lines = [self.reason] if self.reason else []
        for comment in self.comments:
            place = comment.path if comment.line is None else f"{comment.path}:{comment.line}"
            lines.append(f"- {place}: {comment.text}" if place else f"- {comment.text}")
        return "\n".join(lines)


def read_verdict(payload: Mapping[str, object], commit: str | None) -> Verdict:
    """
    Args:
        commit: the commit under review; a verdict that names another one does not count.

    Raises:
        BadInput: it is no usable verdict; `details` names each fault.
    """
    problems: list[str] = []
    word = payload.get("verdict")
    if not isinstance(word, str) or word.strip().lower() not in WORDS:
        problems.append('"verdict" is neither "accept" nor "reject"')
    reason = payload.get("reason", "")
    if not isinstance(reason, str):
        problems.append('"reason" is no text')
    named = payload.get("commit")
    if named is not None and not (isinstance(named, str) and named and (commit or "").startswith(named)):
        problems.append(f'"commit" is not {commit}, the commit under review')
    comments = _comments(payload.get("comments", []), problems)
    accepts = isinstance(word, str) and WORDS.get(word.strip().lower(), False)
    said = clean(reason).strip()[:REASON_LIMIT] if isinstance(reason, str) else ""
    if not problems and not accepts and not said and not comments:
        problems.append("a rejection needs a reason, or comments")
    if problems:
        raise BadInput("the verdict cannot be used", FORM, tuple(problems))
    return Verdict(accepts, said, comments)


def _comments(given: object, problems: list[str]) -> tuple[Comment, ...]:
    if not isinstance(given, list) or len(given) > COMMENTS_LIMIT:
        problems.append(f'"comments" is no list of at most {COMMENTS_LIMIT}')
        return ()
    found = []
    for number, one in enumerate(given, 1):
        text = one.get("text") if isinstance(one, dict) else None
        if not isinstance(text, str) or not text.strip():
            problems.append(f"comment {number} has no text")
            continue
        path, line = one.get("path", ""), one.get("line")
        found.append(
            Comment(
                clean(path, newlines=False)[:PATH_LIMIT] if isinstance(path, str) else "",
                line if isinstance(line, int) and not isinstance(line, bool) and 0 < line < 10**9 else None,
                clean(text).strip()[:COMMENT_LIMIT],
            )
        )
    return tuple(found)
