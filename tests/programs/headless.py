"""An agent whose main thread ends while another goes on: it looks like a zombie and is none."""

import ctypes
import os
import platform
import threading
import time


def work() -> None:
    time.sleep(0.1)
    os.write(1, b"ready\n")
    time.sleep(600)


threading.Thread(target=work).start()
SYS_EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]
ctypes.CDLL(None).syscall(SYS_EXIT, 0)
