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

    if arguments[:1] == ["mcp"]:
        from octopoid_tui.cli.mcp import serve

        raise SystemExit(serve(arguments[1:]))

    if not arguments and sys.stdin.isatty() and sys.stdout.isatty():
        raise SystemExit(_open_screen())

    from octopoid_tui.cli.application import run

    raise SystemExit(run(arguments))


def _open_screen() -> int:
    import gc

    # Nothing that is imported is garbage: looking for some would delay the first paint.
    gc.disable()
    from backend.errors import OctopoidError
    from octopoid_tui.cli.failures import INTERRUPTED, escape_unprintable, report
    from octopoid_tui.screen import open_screen

    escape_unprintable()
    try:
        return open_screen()
    except (OctopoidError, OSError) as error:
        return report(error)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    main()
