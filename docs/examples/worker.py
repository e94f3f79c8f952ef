"""A worker: `OCTOPOID_SERVER=http://HOST:PORT OCTOPOID_API_KEY=oct_… python worker.py NAME` does one task."""

import json
import os
import sys
import threading
import time
import urllib.request

SERVER = os.environ["OCTOPOID_SERVER"].rstrip("/") + "/api/v1/"
HEADERS = {"Content-Type": "application/json"}
if key := os.environ.get("OCTOPOID_API_KEY"):
    HEADERS["Authorization"] = f"Bearer {key}"


def call(method: str, path: str, body: dict | None = None) -> dict | None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, HEADERS, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def beat(worker_id: str, done: threading.Event) -> None:
    while not done.wait(30):
        call("POST", f"workers/{worker_id}/heartbeat", {})


def ask(worker_id: str, order: dict, question: str) -> str:
    said = {"message_type": "request", "conversation_id": order["task_id"], "sender_id": worker_id}
    request = call("POST", "chat/messages", {**said, "message": question})
    while True:
        page = call("GET", f"chat/messages?parent_message_id={request['id']}&wait=25")
        if page["messages"]:
            return page["messages"][0]["message"]


worker_id = call("POST", "workers", {"name": sys.argv[1], "capabilities": ["implement"]})["id"]
done = threading.Event()
threading.Thread(target=beat, args=(worker_id, done), daemon=True).start()
while (order := call("POST", "queue/claim", {"worker_id": worker_id})) is None:
    time.sleep(2)
print("claimed", order["id"], flush=True)
answer = ask(worker_id, order, f"Which library for {order['task']['title']!r}?")
fence = {"worker_id": worker_id, "work_order_id": order["id"], "lease_token": order["lease_token"]}
call("POST", "queue/complete", {**fence, "commits_count": 1, "summary": f"Done with {answer}"})
print("completed", order["id"], "with", answer, flush=True)
done.set()
