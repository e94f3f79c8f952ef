"""The key for a server, where it is kept in a file."""

from __future__ import annotations

import stat
from pathlib import Path

from backend.config.textfile import UnreadableFile, read_text
from backend.errors import ConfigError

NAME = "api_key"


def read_key(folder: Path) -> str | None:
    """The key in the file `api_key` of a `.octopoid` folder; None when there is no such file.

    Raises:
        ConfigError: others can read the file, or it does not hold one key.
    """
    path = folder / NAME
    try:
        file = read_text(path)
    except UnreadableFile as error:
        if not path.exists():
            return None
        raise ConfigError(f"{path} {error.reason}", "it holds the server's key and nothing else") from error
    if stat.S_IMODE(file.mode) & 0o077:
        raise ConfigError(f"{path} holds a key and others can read it", f"chmod 600 {path}")
    key = file.text.strip()
    if not key or len(key.split()) != 1 or not key.isascii():
        raise ConfigError(f"{path} does not hold one key", "write the key into it, and nothing else")
    return key
