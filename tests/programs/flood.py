"""An agent that writes much: BYTES in lines of LENGTH, and then one last line. 0 BYTES: without end."""

import sys

total, length = int(sys.argv[1]), int(sys.argv[2])
line = b"x" * (length - 1) + b"\n"
written = 0
while not total or written < total:
    sys.stdout.buffer.write(line)
    written += length
sys.stdout.buffer.write(b'{"type": "result"}\n')
