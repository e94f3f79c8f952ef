"""Runs the screen over fixed data, to be looked at: `python tests/screens/run_fixed.py [empty] [theme]`."""

from __future__ import annotations

import sys

import fixed_desk

from octopoid_tui.app import OctopoidApp

if __name__ == "__main__":
    desk = fixed_desk.empty() if "empty" in sys.argv else fixed_desk.fleet()
    theme = next((word for word in sys.argv[1:] if word != "empty"), None)
    OctopoidApp(desk, clock=fixed_desk.CLOCK, theme=theme).run()
