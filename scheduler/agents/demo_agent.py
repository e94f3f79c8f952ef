"""The program of the scripted agent. Standard library only; it calls no model and no network.

It reads the script from the run's `task.json` (`script: {role: [[step, …], …]}`, one list of steps for
each attempt in that role, the last one again when there are more attempts) and does what each step says.
Steps: `say`, `think`, `write`, `append`, `delete`, `commit`, `ask`, `deliver`, `wait`, `emit`, `usage`,
`resolve`, `flood`, `stream`, `fork`, `crash`, `hang`, `out_of_turns`, `rate_limit`, `exit`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN_DIR = Path(os.environ["OCTOPOID_RUN_DIR"])
WORKTREE = Path(os.environ["OCTOPOID_WORKTREE"])
PACE = float(os.environ.get("OCTOPOID_DEMO_PACE", "1"))
"""How long a `wait` takes, as a factor: 0 skips them."""
ANSWER_POLL_S = 0.05


def emit(kind: str, **data: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, "data": data}) + "\n")
    sys.stdout.flush()


def git(*args: str) -> None:
    subprocess.run(["git", *args], cwd=WORKTREE, check=True, stdout=subprocess.DEVNULL)


def inside(name: str) -> Path:
    """A file of the worktree by its relative name."""
    path = (WORKTREE / name).resolve()
    if not path.is_relative_to(WORKTREE.resolve()):
        raise SystemExit(f"the script names {name!r}, which is outside of the worktree")
    return path


class Agent:
    """Follows one list of steps; `answers` collects what a person replied, for later steps to use."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.tools = 0

    def fill(self, text: str) -> str:
        return text.replace("{answer}", self.answers[-1] if self.answers else "")

    def tool(self, name: str, title: str) -> None:
        self.tools += 1
        emit("tool.started", tool_id=str(self.tools), name=name, title=title)
        emit("tool.finished", tool_id=str(self.tools), status="ok")

    def say(self, text: str) -> None:
        emit("message", role="assistant", text=self.fill(text))

    def think(self, text: str) -> None:
        emit("thinking", text=text)

    def write(self, what: dict[str, str]) -> None:
        path = inside(what["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.fill(what["text"]))
        self.tool("write", what["path"])

    def append(self, what: dict[str, str]) -> None:
        with inside(what["path"]).open("a") as file:
            file.write(self.fill(what["text"]))
        self.tool("edit", what["path"])

    def delete(self, path: str) -> None:
        inside(path).unlink()
        self.tool("delete", path)

    def commit(self, message: str) -> None:
        git("add", "-A")
        if subprocess.run(["git", "diff", "--cached", "--quiet"], cwd=WORKTREE, check=False).returncode == 0:
            self.say("There is nothing to commit.")
            return
        git("commit", "-q", "-m", self.fill(message))
        self.tool("shell", f"git commit -m {message!r}")

    def ask(self, what: dict[str, object]) -> None:
        """Ask through the run directory, as `octopoid ask` does, and wait for the answer."""
        request = f"ask-{len(self.answers) + 1}"
        item = {"id": request, "kind": "ask", **what}
        temporary = RUN_DIR / "outbox" / f".{request}.tmp"
        temporary.write_text(json.dumps(item))
        temporary.rename(RUN_DIR / "outbox" / f"{request}.json")
        reply = RUN_DIR / "inbox" / f"{request}.json"
        while not reply.exists():
            time.sleep(ANSWER_POLL_S)
        self.answers.append(json.loads(reply.read_text())["answer"])
        self.say(f"Understood: {self.answers[-1]}")

    def deliver(self, what: dict[str, object]) -> None:
        """Leave a verdict or a plan in the outbox: an item of the kind it names."""
        kind = str(what["kind"])
        temporary = RUN_DIR / "outbox" / f".{kind}.tmp"
        temporary.write_text(json.dumps(what))
        temporary.rename(RUN_DIR / "outbox" / f"{kind}.json")
        self.tool("write", f"{kind}.json")

    def wait(self, seconds: float) -> None:
        time.sleep(seconds * PACE)

    def emit(self, event: dict[str, object]) -> None:
        """Any event, as it is."""
        emit(str(event["kind"]), **dict(event["data"]))  # type: ignore[call-overload]

    def usage(self, totals: dict[str, float]) -> None:
        emit("usage", **totals)

    def resolve(self, what: dict[str, str]) -> None:
        """Write the resolved file over the conflict markers."""
        path = inside(what["path"])
        if "<<<<<<<" not in path.read_text():
            self.say(f"{what['path']} has no conflict markers")
        self.write(what)

    def flood(self, lines: int) -> None:
        for number in range(lines):
            emit("log", stream="out", text=f"line {number} " + "x" * 80)

    def stream(self, what: dict[str, float]) -> None:
        """Say something `per_second` times a second, for so many `seconds`."""
        begun = time.monotonic()
        for number in range(int(what["seconds"] * what["per_second"])):
            self.say(f"This is what I have to say in sentence {number}, and it is not much.")
            time.sleep(max(0.0, begun + (number + 1) / what["per_second"] - time.monotonic()))

    def fork(self, seconds: float) -> None:
        """Leave a daemon behind, in a session of its own."""
        subprocess.Popen([sys.executable, "-I", "-c", f"import time; time.sleep({seconds})"],
                         start_new_session=True)  # fmt: skip
        self.tool("shell", "nohup sleep &")

    def crash(self, code: int) -> None:
        sys.stderr.write("the script says: crash\n")
        os._exit(code)

    def hang(self, _: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(3600)

    def out_of_turns(self, _: object) -> None:
        emit("turn.finished", outcome="max_turns")
        raise SystemExit(0)

    def rate_limit(self, resets_in_s: float) -> None:
        emit("rate_limit", status="rejected", resets_in_s=resets_in_s)
        raise SystemExit(1)

    def exit(self, code: int) -> None:
        raise SystemExit(code)


def plain_steps(task: dict[str, object]) -> list[dict[str, object]]:
    """What is done for a task without a script, such as a person queues in the demo."""
    title = str(task["title"])
    return [
        {"say": "I am the scripted agent of the demo and call no model: I write your title into a file."},
        {"wait": 2},
        {"write": {"path": f"{task['id']}.md", "text": f"# {title}\n"}},
        {"commit": title},
    ]


def steps_of(task: dict[str, object]) -> list[dict[str, object]]:
    """The steps for this attempt in this role."""
    script = task.get("script") or {"implement": [plain_steps(task)]}
    assert isinstance(script, dict)
    attempts = script.get(str(task["role"])) or script["implement"]
    number = int(str(task["attempt_in_role"]))
    steps: list[dict[str, object]] = attempts[min(number, len(attempts)) - 1]
    return steps


def main() -> int:
    task = json.loads((RUN_DIR / "task.json").read_text())
    agent = Agent()
    emit("session.started", session_ref=os.environ["OCTOPOID_RUN"], version="demo")
    for step in steps_of(task):
        ((name, what),) = step.items()
        getattr(agent, name)(what)
    emit("turn.finished", outcome="completed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
