"""An agent with a tree of sixteen: sessions, groups, stopped ones, ones that ignore SIGTERM."""

import os
import signal
import sys
import time


def grow(depth: int, number: int) -> None:
    for child in range(2 if depth < 3 else 0):
        if os.fork() == 0:
            grow(depth + 1, child)
            if number:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if child:
                os.setsid()
            if depth == 2 and child:
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(600)
            os._exit(0)


grow(0, 0)
if os.fork() == 0:
    os.setpgid(0, 0)
    time.sleep(600)
os.write(1, b"ready\n")
time.sleep(600)
sys.exit(0)
