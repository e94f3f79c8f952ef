"""Requests and answers as data, and when a request is sent again. Nothing here touches the network."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from octopoid_sdk.errors import ApiError, NotUnderstood, ServerUnreachable, error_class

T = TypeVar("T")
Json = dict[str, Any]
Params = Mapping[str, str | int | float | Sequence[str]]

API = "v1"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `path` begins after `/api/`."""

    method: str
    path: str
    params: Params | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_change(self) -> bool:
        return self.method not in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Steps = Generator[Request, Any, T]
"""One call: yields requests, is sent what their answers hold, and returns its result."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a request is sent again; a change keeps its idempotency key.

    Sent again is what met a broken connection, and what the server answered with 429 or 503 and a
    `Retry-After`. What was not answered in time is not: it may be under way.
    """

    attempts: int = 4
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0
    """A server that wants a longer wait than this is not waited for: its answer is raised."""
    connecting: bool = True
    """Whether a server that accepts no connection is tried again."""


class Plan:
    """The attempts of one request."""

    def __init__(self, request: Request, retries: Retries) -> None:
        self._retries = retries
        self._left = retries.attempts - 1
        self._pause = retries.first_pause_s
        self._is_change = request.is_change
        self.headers = dict(request.headers)
        if request.is_change:
            # One key for all attempts: a change that was made already is answered, not made again.
            self.headers.setdefault("Idempotency-Key", secrets.token_hex(16))
        if request.content is not None:
            self.headers.setdefault("Content-Type", "application/json")

    def after_failure(self, problem: str, *, connected: bool, timed_out: bool = False) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ServerUnreachable: there is no next attempt.
        """
        hopeless = timed_out or not (connected or self._retries.connecting)
        if hopeless or not self._left:
            raise ServerUnreachable(problem, sent=connected and self._is_change)
        return self._next_pause(self._pause * random.uniform(0.5, 1.0))

    def after_answer(self, answer: Answer) -> float | None:
        """Seconds to wait before the next attempt, or None to take this answer."""
        wait = retry_after(answer.headers)
        if answer.status not in (429, 503) or wait is None or not self._left:
            return None
        return None if wait > self._retries.longest_pause_s else self._next_pause(wait)

    def _next_pause(self, pause: float) -> float:
        self._left -= 1
        self._pause = min(2 * self._pause, self._retries.longest_pause_s)
        return pause


def request(
    method: str,
    *parts: str,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Request:
    """A request to `/api/v1/<parts>`; what is None in `body` and `params` is left out.

    Raises:
        ValueError: a part is empty or would name another address.
    """
    content = None if body is None else json.dumps(given(body), ensure_ascii=False).encode()
    headers = {} if version is None else {"If-Match": f'"v{version}"'}
    query = {name: _query(value) for name, value in given(params or {}).items()}
    return Request(method, address(*parts), query or None, content, headers)


def address(*parts: str) -> str:
    """The path of a request."""
    for part in parts:
        if part in ("", ".", "..") or "/" in part:
            raise ValueError(f"{part[:80]!r} is no id: ids hold no '/' and are not empty")
    return "/".join((API, *(quote(part, safe="") for part in parts)))


def given(values: Mapping[str, Any]) -> Json:
    """Only what is not None."""
    return {name: value for name, value in values.items() if value is not None}


def _query(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str | int | float) else [str(one) for one in value]


def read(answer: Answer) -> Any:
    """The data of an answer; None when it has no body.

    Raises:
        ApiError: the server refused.
        NotUnderstood: the body is no JSON.
    """
    if answer.status == 204:
        return None
    if 300 <= answer.status < 400:
        raise NotUnderstood("the server redirects to another address: give that one")
    try:
        data = json.loads(answer.content)
    except ValueError:
        if answer.status >= 400:
            raise error_class(answer.status, "")(
                answer.status, f"the server answered {answer.status} without a reason"
            ) from None
        raise NotUnderstood(
            f"the server answered {answer.status} with something that is no JSON: is it Octopoid?"
        ) from None
    if answer.status < 400:
        return data
    raise as_error(answer, data)


def as_error(answer: Answer, data: Any) -> ApiError:
    """The exception for an answer that is a problem (RFC 9457)."""
    said = data if isinstance(data, dict) else {}
    slug = str(said.get("slug") or "")
    problem = said.get("error") or said.get("detail") or said.get("title")
    details = said.get("details")
    return error_class(answer.status, slug)(
        answer.status,
        str(problem or f"the server answered {answer.status}"),
        slug=slug,
        next_step=str(said.get("next_step") or ""),
        details=tuple(str(line) for line in details) if isinstance(details, list) else (),
        retry_after=retry_after(answer.headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After` header, if there is one that names seconds."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
