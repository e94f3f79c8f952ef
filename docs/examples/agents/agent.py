"""An agent that greets, in Python: everything that an agent can say, with the standard library alone.

It does its task in two runs, to show how one goes on where the one before has stopped.
"""

import json
import os
import subprocess
import time
from pathlib import Path

RUN_DIR = Path(os.environ["OCTOPOID_RUN_DIR"])
STATE = Path(os.environ["OCTOPOID_STATE_DIR"])  # stays from run to run of this task
TASK = json.loads((RUN_DIR / "task.json").read_text())


def put(name: str, **item: object) -> None:
    """Leave an item in the outbox: written under another name, then renamed, so that it is read whole."""
    temporary = RUN_DIR / "outbox" / f".{name}.tmp"
    temporary.write_text(json.dumps(item))
    temporary.rename(RUN_DIR / "outbox" / f"{name}.json")


def reply(name: str) -> dict[str, object]:
    """Wait for the answer to an item, as long as it takes."""
    answer = RUN_DIR / "inbox" / f"{name}.json"
    while not answer.exists():
        time.sleep(0.2)
    return json.loads(answer.read_text())


def implement() -> None:
    memory = STATE / "word"
    put("usage", kind="usage", input=1200, output=300, cost_usd=0.01, turns=1)
    if not memory.exists():
        put("begun", kind="progress", text="I have read the task.")
        put("word", kind="ask", question="Which word of greeting?", options=["hello", "good day"])
        STATE.mkdir(parents=True, exist_ok=True)
        memory.write_text(str(reply("word")["answer"]))
        put("result", kind="result", outcome="out_of_turns")
        return
    Path("greeting.txt").write_text(memory.read_text() + "\n")
    subprocess.run(["git", "add", "greeting.txt"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "Greet"], check=True)
    put("result", kind="result", outcome="completed")


def review() -> None:
    good = Path("greeting.txt").is_file()
    reason = "It greets." if good else "There is no greeting."
    put("verdict", kind="verdict", verdict="accept" if good else "reject", reason=reason)
    print("usable:", reply("verdict")["usable"])


if TASK["role"] == "review":
    review()
else:
    implement()
