"""A server and several machines as processes of their own: what a team has, on one computer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import python

LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)$")
LOOK_EVERY_S = 0.3
PATIENCE_S = 400.0
"""Every step starts several interpreters, on a machine that may be busy."""


def environment(home: Path) -> dict[str, str]:
    """What a program of the person gets: nothing of the test's own settings."""
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


class Process:
    """A command that runs on, and what it has said on stderr."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            python("-I", "-m", "octopoid_tui", *arguments),
            cwd=folder,
            env=environment(folder.parent / "home"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def wait_for(self, wanted: re.Pattern[str]) -> re.Match[str] | None:
        """The line that matches, once it is said; None when the process has ended without it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if ended:
                self._reader.join(PATIENCE_S)
            found = next(filter(None, map(wanted.search, list(self.said))), None)
            if found is not None or ended:
                return found
            time.sleep(0.02)
        raise AssertionError(f"it did not say {wanted.pattern!r}: {self.said}")

    def kill(self) -> None:
        """SIGKILL: it has no chance to say goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


class Server:
    """`octopoid serve` over one SQLite store, always at the same address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._database = f"sqlite:///{folder}/state.db"
        self._process: Process | None = None
        self._port = 0
        self.start()
        made = subprocess.run(
            python("-I", "-m", "octopoid_tui", "keys", "create", "--scope", "work", "--label", "team",
                   "--db", self._database),
            check=True, capture_output=True, text=True, cwd=folder, timeout=PATIENCE_S,
            env=environment(folder.parent / "home"), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.key = made.stdout.strip()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve; after the first time, at the address of then."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            process = Process(self._folder, "serve", "--port", str(self._port), "--db", self._database)
            listening = process.wait_for(LISTENING)
            if listening is not None:
                self._process, self._port = process, int(listening[1])
                return
            process.stop()
            # Another program may have the port for a moment.
            assert time.monotonic() < deadline, process.said

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()


@dataclass
class Machine:
    """A clone with its `.octopoid` folder; commands are typed there."""

    repo: Path
    scheduler: Process | None = field(default=None)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run a command; returns what it printed on stdout."""
        done = self.run(*arguments)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            python("-I", "-m", "octopoid_tui", *arguments),
            cwd=self.repo,
            env=environment(self.repo.parent / "home"),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def start(self) -> None:
        """Run the scheduler from now on."""
        self.scheduler = Process(self.repo, "run")
        assert self.scheduler.wait_for(re.compile("the scheduler runs")) is not None, self.scheduler.said

    def queues(self) -> dict[str, str]:
        """The queue of each task, as this machine sees it."""
        return {task["id"]: task["queue"] for task in self.json("list")}

    def sync(self) -> tuple[str, int, int]:
        """State, pending changes and conflicts."""
        said = self.json("status")["sync"]
        return said["state"], said["pending"], said["conflicts"]


def make_machine(origin: Path, server: Server, name: str, script: str) -> Machine:
    """A clone of `origin`, set up by commands, whose one agent is a shell script."""
    repo = origin.parent / name
    subprocess.run(["git", "clone", "-q", str(origin), str(repo)], check=True, stdin=subprocess.DEVNULL)
    for key, value in (("user.name", "Ana"), ("user.email", "ana@example.org")):
        subprocess.run(["git", "-C", str(repo), "config", key, value], check=True)
    machine = Machine(repo)
    machine("init", "--server", server.url, "--cluster", "team", "--machine-id", name)
    program = origin.parent / f"{name}.sh"
    program.write_text("#!/bin/sh\nset -e\n" + script)
    program.chmod(0o755)
    octopoid = repo / ".octopoid"
    agent = {"name": f"{name}-worker", "role": "implement", "adapter": "command", "command": [str(program)]}
    (octopoid / "agents.yaml").write_text(json.dumps([agent]))
    key = octopoid / "api_key"
    key.touch(0o600)
    key.write_text(server.key + "\n")
    return machine


@contextmanager
def team(origin: Path, scripts: dict[str, str]) -> Iterator[tuple[Server, list[Machine]]]:
    """A server and a machine for each script; whatever of it still runs is ended after the block."""
    server = Server(origin.parent / "server")
    machines: list[Machine] = []
    try:
        for name, script in scripts.items():
            machines.append(make_machine(origin, server, name, script))
        yield server, machines
    finally:
        for machine in machines:
            if machine.scheduler is not None:
                machine.scheduler.stop()
        server.kill()


def wait(true: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true, and return it.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain for: {what}"
        time.sleep(LOOK_EVERY_S)
    return found
