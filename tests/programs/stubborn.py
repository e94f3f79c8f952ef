"""An agent that ignores every polite way to end, and says when it does."""

import os
import signal
import sys
import time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.write(1, b"ready\n")
while True:
    sys.stdin.read()
    time.sleep(0.05)
