"""What can go wrong, as classes with a stable slug, an HTTP status and an exit status each."""

from __future__ import annotations

from typing import ClassVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4


class OctopoidError(Exception):
    """Base of every error a person may see: what went wrong, and what to do next.

    Args:
        problem: one sentence that names the thing and the reason.
        next_step: what the reader can do about it; empty when there is nothing to add.
        details: further reasons, one line each.
    """

    slug: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_status: ClassVar[int] = EXIT_FAILED

    def __init__(self, problem: str, next_step: str = "", details: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.details = details

    def __str__(self) -> str:
        return f"{self.problem}: {self.next_step}" if self.next_step else self.problem


class BadInput(OctopoidError):
    """Something given by a person or a program is not valid."""

    slug = "bad-input"
    http_status = 422
    exit_status = EXIT_USAGE


class KeyReused(BadInput):
    """The idempotency key was used for another request."""

    slug = "key-reused"


class ConfigError(BadInput):
    """A configuration file cannot be read or does not fit the schema."""

    slug = "bad-config"


class NotFound(OctopoidError):
    """No such task, run, message or agent."""

    slug = "not-found"
    http_status = 404
    exit_status = EXIT_NOT_FOUND


class Duplicate(OctopoidError):
    """The id is taken."""

    slug = "duplicate"
    http_status = 409
    exit_status = EXIT_REFUSED


class Refused(OctopoidError):
    """The lifecycle does not allow this now."""

    slug = "wrong-state"
    http_status = 409
    exit_status = EXIT_REFUSED


class LeaseLost(Refused):
    """The lease is held by another run since, or by nobody."""

    slug = "lease-lost"


class VersionConflict(Refused):
    """The task has changed since the caller read it."""

    slug = "version-conflict"
    http_status = 412


class DependencyCycle(Refused):
    """The dependency would make a task wait for itself."""

    slug = "dependency-cycle"
    http_status = 422


class UnknownOrchestrator(OctopoidError):
    """The claimant was never registered."""

    slug = "unknown-orchestrator"
    http_status = 422
    exit_status = EXIT_REFUSED


class StoreBusy(OctopoidError):
    """Another process owns the store and does not answer."""

    slug = "store-busy"
    http_status = 503


class Offline(StoreBusy):
    """The server is away, and this cannot wait for it."""

    slug = "offline"


class StoreBroken(OctopoidError):
    """The store cannot be read or written: damaged, full, or of a newer version."""

    slug = "store-broken"
    http_status = 503


class StoreFull(StoreBroken):
    """The disk of the store is full; what is there can be read."""

    slug = "store-full"
    http_status = 507


BY_SLUG: dict[str, type[OctopoidError]] = {
    cls.slug: cls
    for cls in (
        OctopoidError, BadInput, KeyReused, ConfigError, NotFound, Duplicate, Refused, LeaseLost,
        VersionConflict, DependencyCycle, UnknownOrchestrator, StoreBusy, Offline, StoreBroken,
        StoreFull,
    )
}  # fmt: skip
