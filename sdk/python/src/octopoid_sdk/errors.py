"""What can go wrong: one class per kind of refusal, with the server's own words."""

from __future__ import annotations


class OctopoidError(Exception):
    """Base of every error that this package raises."""


class ServerUnreachable(OctopoidError):
    """The server cannot be reached, or the connection to it broke.

    Attributes:
        sent: whether the request may have arrived, and a change may have been made.
    """

    def __init__(self, problem: str, *, sent: bool = False) -> None:
        super().__init__(problem)
        self.sent = sent


class ClientClosed(OctopoidError):
    """The client was used after it was closed."""


class NotUnderstood(OctopoidError):
    """The answer is not what a server of this API sends."""


class ApiError(OctopoidError):
    """The server refused the request.

    Attributes:
        status: the HTTP status.
        slug: the kind of problem, stable across versions; empty when the server gave none.
        problem: what is wrong, one sentence.
        next_step: what to do about it; may be empty.
        details: further reasons, one line each.
        retry_after: seconds after which the server wants to be asked again, if it said so.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        *,
        slug: str = "",
        next_step: str = "",
        details: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{problem}: {next_step}" if next_step else problem)
        self.status = status
        self.problem = problem
        self.slug = slug
        self.next_step = next_step
        self.details = details
        self.retry_after = retry_after


class BadRequest(ApiError):
    """Something in the request is not valid."""


class NotAuthenticated(ApiError):
    """No key was sent, or the server does not know it."""


class NotAllowed(ApiError):
    """The key does not permit this."""


class NotFound(ApiError):
    """There is no such task, run, message or address."""


class Conflict(ApiError):
    """The lifecycle does not allow this now."""


class Duplicate(Conflict):
    """The id is taken."""


class LeaseLost(Conflict):
    """The lease is held by another run since, or by nobody."""


class DependencyCycle(Conflict):
    """The dependency would make a task wait for itself."""


class VersionConflict(Conflict):
    """The task has changed since the caller read it."""


class UnknownOrchestrator(BadRequest):
    """The claimant was never registered."""


class TooManyRequests(ApiError):
    """The server wants to be asked less often."""


class ServerError(ApiError):
    """The server failed."""


class Unavailable(ServerError):
    """The server cannot answer now."""


BY_SLUG: dict[str, type[ApiError]] = {
    "duplicate": Duplicate,
    "lease-lost": LeaseLost,
    "dependency-cycle": DependencyCycle,
    "version-conflict": VersionConflict,
    "unknown-orchestrator": UnknownOrchestrator,
}
BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: VersionConflict,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_class(status: int, slug: str) -> type[ApiError]:
    """The class for a refusal: by its slug where that is known, else by its status."""
    kind = BY_SLUG.get(slug) or BY_STATUS.get(status)
    if kind is not None:
        return kind
    return ServerError if status >= 500 else BadRequest
