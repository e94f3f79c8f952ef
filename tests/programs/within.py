"""Becomes another program that runs Python inside of something: `within.py PROGRAM ARGUMENT… SCRIPT.py …`."""

import os
import sys

place = next(number for number, word in enumerate(sys.argv[1:], 1) if word.endswith(".py"))
os.execv(sys.argv[1], [*sys.argv[1:place], sys.executable, *sys.argv[place:]])
