"""What this machine is called."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from backend.config.schema import Config
from backend.errors import StoreBroken
from backend.ids import check_id, new_id


def machine_id(config: Config) -> str:
    """`server.machine_id`, or the host's name made fit for an id."""
    if config.server.machine_id is not None:
        return config.server.machine_id
    return host_id(socket.gethostname())


def host_id(hostname: str) -> str:
    """A host's name as an id: its first label, other characters made `-`."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", hostname.partition(".")[0]).strip("-_")
    return check_id(label[:32] or "localhost", "host name")


def instance_id(path: Path) -> str:
    """Which installation this is: an id kept in a file, and the host's name, since folders get copied.

    Raises:
        StoreBroken: the file can be neither read nor made.
    """
    try:
        try:
            with path.open("x", encoding="ascii") as new:
                new.write(new_id() + "\n")
        except FileExistsError:
            pass
        return f"{path.read_text(encoding='ascii').strip()}@{socket.gethostname()}"
    except (OSError, UnicodeDecodeError) as error:
        raise StoreBroken(f"{path} cannot be used ({error})", "remove it: a new one is made") from error


def orchestrator_id(config: Config) -> str:
    """The name of this machine's scheduler: cluster and machine.

    Raises:
        BadInput: both together are too long for an id.
    """
    return check_id(f"{config.server.cluster}-{machine_id(config)}", "cluster and machine_id together,")
