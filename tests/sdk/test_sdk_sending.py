"""What is sent, what is sent again, and what is not, as a server sees it."""

from __future__ import annotations

import ast
import inspect
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, is_typeddict

import octopoid_sdk
import pytest
from octopoid_sdk import (
    AsyncOctopoidSDK,
    ClientClosed,
    NotUnderstood,
    OctopoidClient,
    OctopoidError,
    OctopoidSDK,
    Request,
    Retries,
    ServerUnreachable,
    Unavailable,
)
from octopoid_sdk.exchange import Answer, Plan
from octopoid_sdk.operation import Asynchronous, Blocking, operation
from octopoid_sdk.stream import Feed

from backend.server.operations import Operation, find_operation

SOURCE = Path(octopoid_sdk.__file__).parent
ROOT = Path(__file__).parents[2]
QUICK = Retries(attempts=3, first_pause_s=0.0)
PROBLEM = {"slug": "store-busy", "error": "the store is busy", "next_step": "wait", "details": ["a"]}

Reply = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body; None is a connection that breaks."""


@dataclass
class Seen:
    """What reached a server that answers as a test tells it to."""

    replies: list[Reply]
    url: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def keys(self) -> list[str | None]:
        return [headers.get("idempotency-key") for _, _, headers in self.requests]


@contextmanager
def answering(*replies: Reply) -> Iterator[Seen]:
    seen = Seen([*replies])

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.requests.append((self.command, self.path, headers))
            self.close_connection = True
            reply = seen.replies.pop(0)
            if reply is None:
                return
            status, extra, body = reply
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *args: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ok(data: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(data).encode()


def busy(**headers: str) -> Reply:
    return (
        503,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps(PROBLEM).encode(),
    )


def test_a_broken_connection_is_tried_again_with_the_same_key() -> None:
    with answering(None, None, ok({"paused": False})) as seen, OctopoidSDK(seen.url, retries=QUICK) as sdk:
        assert sdk.status.resume() == {"paused": False}
    assert len(seen.requests) == 3
    assert len(set(seen.keys)) == 1
    assert None not in seen.keys


async def test_the_awaited_client_does_the_same() -> None:
    with answering(None, busy(Retry_After="0"), ok({"paused": False})) as seen:
        async with AsyncOctopoidSDK(seen.url, retries=QUICK) as sdk:
            assert await sdk.status.resume() == {"paused": False}
    assert len(set(seen.keys)) == 1
    assert len(seen.requests) == 3


def test_every_change_has_a_key_of_its_own_and_reading_has_none() -> None:
    with answering(ok({}), ok({}), ok({})) as seen, OctopoidSDK(seen.url) as sdk:
        sdk.status.resume()
        sdk.status.resume()
        sdk.status.paused()
    first, second, third = seen.keys
    assert first != second
    assert third is None


def test_a_server_that_says_when_is_asked_again_then() -> None:
    with answering(busy(Retry_After="0"), ok({"status": "ok"})) as seen, OctopoidSDK(seen.url) as sdk:
        assert sdk.status.health()["status"] == "ok"
    assert len(seen.requests) == 2


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "3600"}, {"Retry_After": "tomorrow"}])
def test_a_server_that_does_not_or_wants_too_long_is_not(headers: dict[str, str]) -> None:
    with (
        answering(busy(**headers)) as seen,
        OctopoidSDK(seen.url, retries=QUICK) as sdk,
        pytest.raises(Unavailable, match="the store is busy: wait") as refused,
    ):
        sdk.status.health()
    assert (refused.value.slug, refused.value.details) == ("store-busy", ("a",))
    assert len(seen.requests) == 1


def test_attempts_are_bounded_and_the_error_says_that_it_may_have_been_done() -> None:
    with (
        answering(None, None, None) as seen,
        OctopoidSDK(seen.url, retries=QUICK) as sdk,
        pytest.raises(ServerUnreachable, match="nobody answers") as lost,
    ):
        sdk.status.resume()
    assert lost.value.sent
    assert len(seen.requests) == 3


def test_nobody_there_and_nothing_sent() -> None:
    with socket.socket() as taken:  # nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with OctopoidSDK(url, retries=QUICK) as sdk, pytest.raises(ServerUnreachable) as lost:
            sdk.status.resume()
    assert not lost.value.sent


def test_what_was_not_answered_in_time_is_not_sent_again() -> None:
    plan = Plan(Request("POST", "v1/tasks"), QUICK)
    with pytest.raises(ServerUnreachable):
        plan.after_failure("slow", connected=True, timed_out=True)


def test_pauses_grow_to_a_bound() -> None:
    plan = Plan(Request("GET", "health"), Retries(attempts=6, first_pause_s=1.0, longest_pause_s=4.0))
    pauses = [plan.after_failure("away", connected=False) for _ in range(5)]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, [1, 2, 4, 4, 4], strict=True))
    assert plan.after_answer(Answer(503, {"retry-after": "1"}, b"")) is None


@pytest.mark.parametrize("body", [b"hello", b"<html>"])
def test_a_stranger_is_not_understood(body: bytes) -> None:
    with (
        answering((200, {}, body)) as seen,
        OctopoidSDK(seen.url) as sdk,
        pytest.raises(NotUnderstood, match="is it Octopoid"),
    ):
        sdk.status.health()


def test_a_closed_client_says_so() -> None:
    sdk = OctopoidSDK("http://127.0.0.1:1")
    sdk.close()
    with pytest.raises(ClientClosed):
        sdk.status.health()


@pytest.mark.parametrize("url", ["", "octopoid.example.org", "ftp://octopoid.example.org", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a server"):
        OctopoidSDK(url)


def test_the_key_is_never_shown_and_goes_to_no_other_server() -> None:
    with (
        answering(ok({})) as other,
        answering((302, {"Location": other.url}, b"{}")) as seen,
        OctopoidSDK(seen.url, "oct_secret_key") as sdk,
    ):
        assert "secret" not in repr(sdk._transport.server)
        with pytest.raises(NotUnderstood, match="redirects"):
            sdk.status.health()
    assert seen.requests[0][2]["authorization"] == "Bearer oct_secret_key"
    assert other.requests == []


def test_a_feed_gives_each_event_once_whatever_the_chunks() -> None:
    text = b"".join(b"id: %d\nevent: change\ndata: {}\n\n" % seq for seq in (3, 4, 5)) + b": still here\n\n"
    for size in (1, 2, 7, 1000):
        feed = Feed(2, None)
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert [frame.seq for chunk in chunks for frame in feed.take(chunk)] == [3, 4, 5]
        assert feed.headers()["Last-Event-ID"] == "5"
        assert feed.take(text) == []


def test_patience_ends() -> None:
    now = [0.0]
    feed = Feed(0, 10.0, lambda: now[0])
    gone = ServerUnreachable("gone")
    feed.lost(gone)
    now[0] = 11.0
    with pytest.raises(ServerUnreachable, match="gone"):
        feed.lost(gone)


# Every method, by what it needs


NOT_CALLED = {
    "metrics": "text for Prometheus, which fetches it by itself",
    "requeue_task": "an older name of release_task",
}
"""Documented addresses without a method, and why."""

BESIDE = {
    "Task": {"commits_count"},
    "Message": {"task_id"},
    "Evidence": {"passed"},
    "Orchestrator": {"lost"},
    "Session": {"worker_id"},
}
"""What the server adds to a record where it sends it."""

ARGUMENTS: dict[str, Any] = {"action": "force", "tasks": [], "parts": [], "leases": [], "agents": []}
BY_TYPE = {"bool": True, "int": 1, "float": 1.0, "Mapping": {}, "Sequence": ["x"]}


def argument(parameter: inspect.Parameter) -> Any:
    """Something that fits a parameter, by its name or its type."""
    if parameter.name in ARGUMENTS:
        return ARGUMENTS[parameter.name]
    kind = str(parameter.annotation).partition("[")[0].partition(" ")[0]
    return BY_TYPE.get(kind, "x")


def namespaces(kind: type) -> list[str]:
    return [name for name in dir(kind) if isinstance(inspect.getattr_static(kind, name), property)]


def operations() -> Iterator[tuple[str, Callable[..., Any]]]:
    with OctopoidSDK() as sdk:
        parts = [OctopoidClient, *(type(getattr(sdk, name)) for name in namespaces(OctopoidSDK))]
    for part in parts:
        for name in dir(part):
            found = inspect.getattr_static(part, name)
            if isinstance(found, operation):
                yield f"{part.__name__}.{name}", found.call


def sent(call: Callable[..., Any], *, everything: bool) -> tuple[Request, Operation]:
    """What a call sends first, with all its arguments or those it needs, and the address that takes it."""
    given = {
        parameter.name: argument(parameter)
        for parameter in inspect.signature(call).parameters.values()
        if everything or parameter.default is inspect.Parameter.empty
    }
    wanted: Request = next(call(**given))
    return wanted, find_operation(wanted.method, f"/api/{wanted.path}")


@pytest.mark.parametrize("everything", [False, True], ids=["needed", "all"])
@pytest.mark.parametrize(("name", "call"), list(operations()), ids=[name for name, _ in operations()])
def test_every_method_hits_a_route_that_exists(name: str, call: Callable[..., Any], everything: bool) -> None:
    wanted, found = sent(call, everything=everything)
    assert found.described, f"{wanted.method} {wanted.path} is no documented address"
    if wanted.content is not None and found.body is not None:
        known = {field.name for field in found.body.__dataclass_fields__.values()}
        apart = {"sender_type", "sender_id", "message_type", "lease_token", "actor", "scope"}
        assert json.loads(wanted.content).keys() <= known | apart
    if wanted.params is not None:
        assert found.query is not None
        assert wanted.params.keys() <= set(found.query.__dataclass_fields__)


def test_every_documented_address_has_a_method() -> None:
    document = json.loads((ROOT / "sdk" / "openapi.json").read_text(encoding="utf-8"))
    documented = {said["operationId"] for path in document["paths"].values() for said in path.values()}
    called = {sent(call, everything=False)[1].name for _, call in operations()}
    assert documented - called == NOT_CALLED.keys()


CALLED_THERE = {"SyncConflict": "Conflict", "WaitingChange": "Waiting"}
"""Records that the server's document has under another name."""

WITHOUT_SCHEMA = {"ChatPage", "Claim", "Health", "QueueStatus", "WorkerBeat", "WorkerLease"}
"""Answers that it describes where they are given."""


def test_a_record_has_no_key_that_the_server_does_not_send() -> None:
    document = json.loads((ROOT / "sdk" / "openapi.json").read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]
    records = {name for name in octopoid_sdk.__all__ if is_typeddict(getattr(octopoid_sdk, name))}
    assert {name for name in records if CALLED_THERE.get(name, name) not in schemas} == WITHOUT_SCHEMA
    for name in records - WITHOUT_SCHEMA:
        kind, schema = getattr(octopoid_sdk, name), schemas[CALLED_THERE.get(name, name)]
        assert kind.__annotations__.keys() <= schema["properties"].keys() | BESIDE.get(name, set())


def test_both_kinds_of_client_have_the_same_methods() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert names(OctopoidSDK) == names(AsyncOctopoidSDK)
    with OctopoidSDK() as near:
        far = AsyncOctopoidSDK()
        for name in namespaces(OctopoidSDK):
            one, other = getattr(near, name), getattr(far, name)
            assert isinstance(one, Blocking)
            assert isinstance(other, Asynchronous)
            assert names(type(one)) == names(type(other))


def test_it_stands_alone() -> None:
    """It needs httpx and the standard library, and httpx only once something is sent."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            roots = []
            if isinstance(node, ast.Import):
                roots = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                roots = [node.module or ""]
            for root in roots:
                top = root.partition(".")[0]
                assert top in sys.stdlib_module_names | {"httpx", "octopoid_sdk"}, (
                    f"{path.name} imports {root}"
                )
    code = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); import octopoid_sdk; "
    code += "print('httpx' in sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_every_error_is_the_packages_own() -> None:
    kinds = [getattr(octopoid_sdk, name) for name in octopoid_sdk.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) >= 15
    assert all(issubclass(kind, OctopoidError) for kind in errors)
