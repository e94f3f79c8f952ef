"""The environment of agents and checks: an allow-list, built from nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PASSED_ON = ("LANG", "LC_ALL", "TZ")
"""Harmless variables of ours that programs need to print and sort text properly."""


def base_environment(home: Path, bin_dir: Path | None, extra: Mapping[str, str]) -> dict[str, str]:
    """A complete environment with a throw-away HOME and TMPDIR below `home`.

    Args:
        home: made if missing; also holds the temporary folder.
        bin_dir: put first on the search path.
        extra: explicit additions, which win; a search path among them is put behind `bin_dir`.
    """
    temporary = home / "tmp"
    temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
    search = extra.get("PATH") or os.environ.get("PATH", os.defpath)
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env.setdefault("LANG", "C.UTF-8")
    env |= {"HOME": str(home), "TMPDIR": str(temporary), "TERM": "dumb"}
    return env | dict(extra) | {"PATH": f"{bin_dir}:{search}" if bin_dir else search}
