"""`octopoid` on a disk of a few megabytes, in a mount namespace of its own.

The first argument is the folder where the disk appears, with a file `ballast` that takes most of it.
"""

import ctypes
import sys
from pathlib import Path

from octopoid_tui.__main__ import main

folder = Path(sys.argv.pop(1))
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=6m") != 0:
    raise OSError(ctypes.get_errno(), "mount")
(folder / "ballast").write_bytes(bytes(4 * 1024 * 1024))
main()
