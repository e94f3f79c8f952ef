"""`octopoid serve` and `octopoid keys` as processes of their own."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
from server_process import PATIENCE_S, Server, environment

Start = Callable[..., "Server"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def begin(*arguments: str) -> Server:
        servers.append(Server(tmp_path, "--db", f"sqlite:///{tmp_path}/state.db", *arguments))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def keys(folder: Path, *arguments: str, status: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "octopoid_tui", "keys", *arguments, "--db", f"sqlite:///{folder}/state.db"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def get(url: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE_S).status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_when_asked(start: Start, number: signal.Signals) -> None:
    server = start("--no-auth")
    health = httpx.get(f"{server.url}/api/health", trust_env=False, timeout=PATIENCE_S)
    assert health.json()["status"] == "healthy"
    assert any("without keys" in line for line in server.said)
    assert server.end(number) == 0
    assert server.said[-1] == "stopped"
    assert server.process.stdout is not None
    assert server.process.stdout.read() == ""


def test_keys_are_made_used_and_revoked_while_it_runs(start: Start, tmp_path: Path) -> None:
    server = start()
    tasks = f"{server.url}/api/v1/tasks"
    assert get(tasks) == 401
    made = keys(tmp_path, "create", "--scope", "work", "--label", "vm", "--orchestrator", "c-a")
    token = made.stdout.strip()
    assert re.fullmatch(r"oct_[0-9a-z]{14}_[0-9a-f]{64}", token)
    assert token not in made.stderr
    assert get(tasks, token) == 200
    listed = keys(tmp_path, "list", "--json")
    (key,) = json.loads(listed.stdout)
    assert (key["scope"], key["label"], key["orchestrator_id"]) == ("work", "vm", "c-a")
    assert token not in listed.stdout
    keys(tmp_path, "revoke", key["id"])
    assert get(tasks, token) == 401
    assert "revoked" in keys(tmp_path, "list").stdout


def test_keys_can_be_made_before_it_runs_and_outlive_it(start: Start, tmp_path: Path) -> None:
    token = keys(tmp_path, "create", "--scope", "read", "--label", "board").stdout.strip()
    first = start()
    assert get(f"{first.url}/api/v1/tasks", token) == 200
    assert first.end() == 0
    second = start()
    assert get(f"{second.url}/api/v1/tasks", token) == 200
    keys(tmp_path, "revoke", "nothing", status=3)
    keys(tmp_path, "create", "--scope", "read", status=2)


def test_a_request_under_way_is_answered_before_it_stops(start: Start) -> None:
    """The long-poll is told at once, not after its time."""
    server = start("--no-auth")
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as asking:
        asking.sendall(f"GET /api/v1/events?wait=25 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        # The server reads in one loop: by the time it has answered this, it has begun on the other.
        assert get(f"{server.url}/metrics") == get(f"{server.url}/metrics") == 200
        begun = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begun < 24
        assert asking.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_one_process_owns_the_store(start: Start) -> None:
    first = start("--no-auth")
    assert first.url
    second = start("--no-auth")
    assert second.wait() == 1
    assert any("owns the store already" in line for line in second.said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "in the clear"),
        (("--host", "0.0.0.0", "--no-auth", "--behind-proxy"), "without keys"),
        (("--port", "99999"), "99999"),
        (("--tls-key", "x"), "--tls-cert"),
    ],
)
def test_what_would_be_unsafe_is_refused(start: Start, arguments: tuple[str, ...], said: str) -> None:
    """X8: 0.0.0.0 is not bound just so."""
    server = start(*arguments)
    assert server.wait() == 2
    assert any(said in line for line in server.said)


def test_behind_a_proxy_it_answers_to_the_names_it_is_given(start: Start) -> None:
    server = start("--host", "0.0.0.0", "--behind-proxy", "--allow-host", "octopoid.example")
    port = server.url.rpartition(":")[2]
    health = f"http://127.0.0.1:{port}/api/health"
    for host, status in (("octopoid.example", 200), ("evil.example", 421), (f"127.0.0.1:{port}", 200)):
        answer = httpx.get(health, headers={"Host": host}, trust_env=False, timeout=PATIENCE_S)
        assert answer.status_code == status, host


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite://x", "sqlite:///"])
def test_a_database_that_is_not_understood_is_not_repeated(tmp_path: Path, url: str) -> None:
    server = Server(tmp_path, "--db", url)
    try:
        assert server.wait() == 2
        assert "secret" not in "".join(server.said)
        assert any("postgresql://" in line for line in server.said)
    finally:
        server.close()


def test_a_server_over_postgresql_is_the_same(tmp_path: Path) -> None:
    with postgres.server().database() as url:
        made = subprocess.run(
            [
                sys.executable,
                "-m",
                "octopoid_tui",
                "keys",
                "create",
                "--scope",
                "work",
                "--label",
                "vm",
                "--db",
                url,
            ],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        replicas = [Server(tmp_path, "--db", url) for _ in range(2)]
        try:
            new = {"id": "t1", "role": "implement"}
            first, second = (f"{server.url}/api/v1/tasks" for server in replicas)
            with httpx.Client(headers=headers, trust_env=False, timeout=PATIENCE_S) as http:
                assert http.post(first, json=new).status_code == 201
                assert http.get(f"{second}/t1").json()["id"] == "t1"
            assert [server.end() for server in replicas] == [0, 0]
        finally:
            for server in replicas:
                server.close()
