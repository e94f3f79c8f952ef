"""The client of an Octopoid server.

`OctopoidSDK` has the calls by what they are about (`sdk.tasks.create(…)`), `OctopoidClient` the most used
ones in one flat class; `AsyncOctopoidSDK` and `AsyncOctopoidClient` are the same to be awaited. Below them,
`Transport` and `AsyncTransport` send any `Request`, for those who read the answers themselves.
"""

from octopoid_sdk.client import AsyncOctopoidClient, AsyncOctopoidSDK, OctopoidClient, OctopoidSDK
from octopoid_sdk.errors import (
    ApiError,
    BadRequest,
    ClientClosed,
    Conflict,
    DependencyCycle,
    Duplicate,
    LeaseLost,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotUnderstood,
    OctopoidError,
    ServerError,
    ServerUnreachable,
    TooManyRequests,
    Unavailable,
    UnknownOrchestrator,
    VersionConflict,
)
from octopoid_sdk.exchange import Answer, Request, Retries
from octopoid_sdk.records import (
    Agent,
    Claim,
    Event,
    Evidence,
    Health,
    Message,
    Orchestrator,
    Pause,
    Run,
    Task,
)
from octopoid_sdk.stream import Frame
from octopoid_sdk.transport import AsyncTransport, Server, Transport

__all__ = [
    "Agent",
    "Answer",
    "ApiError",
    "AsyncOctopoidClient",
    "AsyncOctopoidSDK",
    "AsyncTransport",
    "BadRequest",
    "Claim",
    "ClientClosed",
    "Conflict",
    "DependencyCycle",
    "Duplicate",
    "Event",
    "Evidence",
    "Frame",
    "Health",
    "LeaseLost",
    "Message",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "NotUnderstood",
    "OctopoidClient",
    "OctopoidError",
    "OctopoidSDK",
    "Orchestrator",
    "Pause",
    "Request",
    "Retries",
    "Run",
    "Server",
    "ServerError",
    "ServerUnreachable",
    "Task",
    "TooManyRequests",
    "Transport",
    "Unavailable",
    "UnknownOrchestrator",
    "VersionConflict",
]
