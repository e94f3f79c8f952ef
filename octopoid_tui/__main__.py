"""The entry point. It decides with the standard library alone what has to be imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `octopoid` with the arguments of this process, and exit with its status."""
    arguments = sys.argv[1:]
    # Agents ask often and wait inside this process: it must start quickly and stay small.
    if arguments[:1] == ["ask"]:
        from octopoid_tui.cli.ask import ask

        raise SystemExit(ask(arguments[1:]))

    from octopoid_tui.cli.application import run

    raise SystemExit(run(arguments))


if __name__ == "__main__":
    main()
