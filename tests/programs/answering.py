"""An agent that asks: by its outbox, and by a line on stdout; it ends when both are answered."""

import json
import os
import sys
import time
from pathlib import Path


def say(value: dict[str, object]) -> None:
    os.write(1, json.dumps(value).encode() + b"\n")


run = Path(os.environ["OCTOPOID_RUN_DIR"])
say({"says": "hello"})
question = run / "outbox" / "q1.json.tmp"
question.write_text(json.dumps({"kind": "ask", "body": "which colour?"}))
question.rename(run / "outbox" / "q1.json")
say({"read": sys.stdin.readline().strip()})
deadline = time.monotonic() + 20
while not (run / "inbox" / "q1.json").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
say({"answer": json.loads((run / "inbox" / "q1.json").read_text())})
sys.exit(0)
