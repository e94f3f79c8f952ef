"""Claims over HTTP, as ratios measured in one run.

    python tests/bench/bench_http.py [--smoke]

A real `octopoid serve` on TCP against a minimal Starlette handler that runs the same SQL, both on uvicorn and
SQLite with synchronous FULL, called by the same client over connections that are kept open; then

- the same against a handler that does not look at a database;
- with a key, and an idempotency key with each request, against without;
- a claim through the SDK's transport against one through `http.client`.
"""

from __future__ import annotations

import asyncio
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aims import arguments, p50_p99, report
from by_hand import HEAD, MACHINE, seed

from backend.keys import KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import SYSTEM, ClaimRequest
from backend.remote import RemoteBackend

ROOT = Path(__file__).parents[2]
BURST = 80
"""Changes that one key may make at once, with some room."""
START_S = 60.0
NAMES = count()
Pair = Callable[[], float]
"""Claim and submit; the seconds that the claim took."""


@contextmanager
def program(*command: str, stream: str) -> Iterator[str]:
    """Run a server; its URL, which it says on a stream."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=home, env={**environment, "HOME": home}, text=True,
            stdin=subprocess.DEVNULL, **{stream: subprocess.PIPE},
        )  # fmt: skip
        guard = threading.Timer(START_S, process.kill)
        guard.start()
        said = process.stdout if stream == "stdout" else process.stderr
        assert said is not None
        lines = []
        try:
            for line in said:
                lines.append(line)
                if found := re.search(r"listening on (\S+)", line):
                    guard.cancel()
                    yield found[1]
                    return
            raise RuntimeError(f"{command} did not start: {''.join(lines)}")
        finally:
            guard.cancel()
            process.send_signal(signal.SIGTERM)
            process.wait()
            said.close()


def ours(path: Path, *options: str) -> Any:
    return program(
        "-m", "octopoid_tui", "serve", "--port", "0", "--db", f"sqlite:///{path}", *options, stream="stderr"
    )


def plain(path: Path) -> Any:
    return program(str(Path(__file__).parent / "plain_server.py"), str(path), stream="stdout")


class Client:
    """A connection that is kept open, and no more than that."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc)
        self.headers = {"Content-Type": "application/json", **(headers or {})}

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        self._connection.request("POST", path, msgspec.json.encode(body), self.headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}: {content[:300]!r}")
        return msgspec.json.decode(content)

    def claim(self) -> tuple[str, dict[str, object]]:
        run_id = f"r{next(NAMES)}"
        wish = {
            "orchestrator_id": MACHINE, "agent_name": "a", "adapter": "demo", "run_id": run_id,
            "lease_seconds": 300,
        }  # fmt: skip
        task = self.post("/api/v1/tasks/claim", wish)
        end = {"outcome": "submitted", "reason": "done"}
        done = {
            "actor": "system:scheduler", "lease_token": task["lease_token"], "run_id": run_id,
            "head_sha": HEAD, "run_end": end,
        }  # fmt: skip
        return task["id"], done

    def pair(self) -> float:
        begun = perf_counter()
        task_id, done = self.claim()
        took = perf_counter() - begun
        self.post(f"/api/v1/tasks/{task_id}/submit", done)
        return took

    def bare(self) -> float:
        begun = perf_counter()
        self.post("/bare", {"run_id": "r"})
        return perf_counter() - begun

    def close(self) -> None:
        self._connection.close()


def together(
    url: str, clients: int, seconds: float, act: Callable[[Client], float]
) -> tuple[float, list[float]]:
    """How often a second the clients get through together, and how long each first call of theirs took."""
    waits: list[float] = []
    failures: list[BaseException] = []
    until = perf_counter() + seconds

    def work() -> None:
        client = Client(url)
        try:
            while perf_counter() < until:
                waits.append(act(client))
        except BaseException as error:
            failures.append(error)
        finally:
            client.close()

    begun = perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return len(waits) / (perf_counter() - begun), waits


def compare(by_hand: str, served: str, seconds: float, rounds: int) -> None:
    for clients in (1, 16):
        rates: dict[str, list[float]] = {"hand": [], "ours": [], "bare": []}
        waits: list[float] = []
        for _ in range(rounds):
            rates["hand"].append(together(by_hand, clients, seconds, Client.pair)[0])
            rate, found = together(served, clients, seconds, Client.pair)
            rates["ours"].append(rate)
            waits += found
            rates["bare"].append(together(by_hand, clients, seconds, Client.bare)[0])
        hand, here, bare = (statistics.median(rates[name]) for name in ("hand", "ours", "bare"))
        p50, p99 = p50_p99(waits)
        detail = f"{here:.0f} / {hand:.0f} pairs/s, claim p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        report(f"serve / Starlette with the same SQL, {clients}", here / hand, detail, least=0.40)
        detail = f"{2 * here:.0f} / {bare:.0f} requests/s"
        report(f"requests / Starlette without a database, {clients}", 2 * here / bare, detail)


async def make_keys(path: Path, number: int) -> list[str]:
    backend = await LocalBackend.open(path)
    try:
        new = NewKey("bench", KeyScope.WORK)
        return [(await backend.create_key(new, actor=SYSTEM)).token for _ in range(number)]
    finally:
        await backend.close()


def guarded(open_url: str, keyed_url: str, keys: list[str]) -> None:
    """What keys, their limits and the memory of idempotency keys cost a claim and its submission."""
    without: list[float] = []
    through: list[float] = []
    free = Client(open_url)
    for key in keys:
        client = Client(keyed_url, {"Authorization": f"Bearer {key}"})
        for _ in range(BURST // 2):
            without.append(timed(free.pair))
            through.append(timed(lambda client=client: keyed_pair(client)))
        client.close()
    free.close()
    low, high = statistics.median(without), statistics.median(through)
    share = 1 - low / high
    detail = f"{high * 1e6:.0f} / {low * 1e6:.0f} µs a pair"
    report("share of key, limits and idempotency key", share, detail, most=0.15)


def keyed_pair(client: Client) -> float:
    client.headers["Idempotency-Key"] = f"k{next(NAMES)}"
    task_id, done = client.claim()
    client.headers["Idempotency-Key"] = f"k{next(NAMES)}"
    client.post(f"/api/v1/tasks/{task_id}/submit", done)
    return 0.0


def timed(act: Callable[[], object]) -> float:
    begun = perf_counter()
    act()
    return perf_counter() - begun


async def by_sdk(url: str, number: int) -> float:
    """The median time of one claim through `RemoteBackend`."""
    backend = RemoteBackend(url)
    times = []
    for _ in range(number):
        begun = perf_counter()
        if await backend.claim(ClaimRequest(MACHINE, "a", "demo", f"r{next(NAMES)}", 300)) is None:
            raise RuntimeError("too few tasks")
        times.append(perf_counter() - begun)
    await backend.close()
    return statistics.median(times[number // 10 :])


def main() -> None:
    smoke = arguments(__doc__).smoke
    seconds, rounds, number, keys = (0.3, 1, 30, 1) if smoke else (2.0, 3, 500, 15)
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{which}.db" for which in ("hand", "ours", "keyed")]
        for path in paths:
            seed(path, 3_000 if smoke else 40_000).close()
        tokens = asyncio.run(make_keys(paths[2], keys))
        with plain(paths[0]) as by_hand, ours(paths[1], "--no-auth") as served, ours(paths[2]) as keyed:
            compare(by_hand, served, seconds, rounds)
            guarded(served, keyed, tokens)
            client = Client(served)
            raw = statistics.median([timed(client.claim) for _ in range(number)])
            sdk = asyncio.run(by_sdk(served, number))
            detail = f"{sdk * 1e6:.0f} / {raw * 1e6:.0f} µs"
            report("claim by RemoteBackend / by http.client", sdk / raw, detail, most=1.5)


if __name__ == "__main__":
    sys.exit(main())
