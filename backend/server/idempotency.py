"""A change that comes again under the same `Idempotency-Key` is answered as it was the first time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from backend.errors import BadInput, OctopoidError
from backend.interface import Backend
from backend.once import Answer, Asked, Once
from backend.server.caller import SCOPE_NAME, Caller
from backend.server.guard import BODY_NAME, READ_ONLY, replay
from backend.server.operations import OPERATIONS
from backend.server.problems import AnsweredOnce, problem
from backend.server.wire import BACKEND_NAME

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY_LIMIT = 128
READING = frozenset(operation.path for operation in OPERATIONS if operation.reads)
LOCAL = "local"
"""In place of a caller, where no key is asked for."""
REPLAYED = ("idempotency-replayed", "true")


class Idempotency:
    """Answers from the store what was answered before; what is new is answered in the transaction it changes.

    So a replica, or a server that has been started again, gives the same answer, and a change that was kept
    has its answer kept too. What ended in a server error is not kept.
    """

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self.app = app
        self._backend = backend if isinstance(backend, Once) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if key is None or self._backend is None or not _changes(scope):
            await self.app(scope, receive, send)
            return
        try:
            asked = _asked(scope, key)
            answer, before = await self._backend.once(asked, lambda inner: self._act(scope, inner))
        except OctopoidError as error:
            await problem(error)(scope, receive, send)
        else:
            await _send(answer, (REPLAYED,) if before else (), send)

    async def _act(self, scope: Scope, backend: Backend) -> Answer:
        """Let the application answer a request through `backend`."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        inner = {**scope, BACKEND_NAME: backend}
        await self.app(inner, replay(scope[BODY_NAME], _nothing_more), keep)
        return _answer(messages)


def _changes(scope: Scope) -> bool:
    return scope["method"] not in READ_ONLY and scope["path"] not in READING


def _asked(scope: Scope, key: str) -> Asked:
    if not 0 < len(key) <= KEY_LIMIT:
        raise BadInput("the idempotency key is not usable", f"give 1 to {KEY_LIMIT} characters")
    caller: Caller | None = scope.get(SCOPE_NAME)
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope["raw_path"], scope["query_string"], scope[BODY_NAME]):
        digest.update(len(part).to_bytes(8, "big") + part)
    return Asked(LOCAL if caller is None else caller.key_id, key, digest.hexdigest())


def _answer(messages: list[Message]) -> Answer:
    start, *rest = messages
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    body = b"".join(message.get("body", b"") for message in rest).decode()
    again = None
    if ("cache-control", "no-store") in headers:
        # A secret is in it, of which the store keeps but a digest.
        again = _said(
            problem(
                AnsweredOnce(
                    "the answer was given once and is not kept",
                    "revoke what was made then, and ask again under another key",
                )
            )
        )
    return Answer(start["status"], headers, body, again)


def _said(response: Response) -> Answer:
    return _answer(
        [{"status": response.status_code, "headers": response.raw_headers}, {"body": response.body}]
    )


async def _send(answer: Answer, more: tuple[tuple[str, str], ...], send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*answer.headers, *more)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body.encode()})


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}
