"""Files that come with the program: the default configuration and the roles' prompts."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The path of a shipped file, such as `roles/implement.md`; it need not exist.

    In an installation the files are beside this module, in a checkout in its `config` folder.
    """
    here = Path(__file__).resolve()
    installed = here.parent / "shipped"
    return (installed if installed.is_dir() else here.parents[2] / "config") / name
