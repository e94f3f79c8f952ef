"""An agent whose daemon is never the same process for long: it forks and exits, again and again.

With "sessions" each of them also begins a session of its own.
"""

import os
import sys
import time

os.write(1, b"ready\n")
if os.fork():
    time.sleep(0.2)
    sys.exit(0)
os.setsid()
while True:
    if os.fork():
        os._exit(0)
    if sys.argv[1:] == ["sessions"]:
        os.setsid()
