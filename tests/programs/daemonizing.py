"""An agent that leaves daemons behind: double fork, own session, stdout kept open, SIGTERM ignored.

Arguments: how many, and whether the agent itself stays ("stay") or ends with status 7 ("leave").
"""

import os
import signal
import sys
import time


def daemon() -> None:
    if os.fork():
        os.wait()
        return
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    os.chdir("/")
    time.sleep(600)


for _ in range(int(sys.argv[1])):
    daemon()
os.write(1, b"ready\n")
if sys.argv[2] == "stay":
    time.sleep(600)
sys.exit(7)
