"""What this machine is called."""

from __future__ import annotations

import re
import socket

from backend.config.schema import Config
from backend.ids import check_id


def machine_id(config: Config) -> str:
    """`server.machine_id`, or the host's name made fit for an id."""
    if config.server.machine_id is not None:
        return config.server.machine_id
    return host_id(socket.gethostname())


def host_id(hostname: str) -> str:
    """A host's name as an id: its first label, other characters made `-`."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", hostname.partition(".")[0]).strip("-_")
    return check_id(label[:32] or "localhost", "host name")


def orchestrator_id(config: Config) -> str:
    """The name of this machine's scheduler: cluster and machine.

    Raises:
        BadInput: both together are too long for an id.
    """
    return check_id(f"{config.server.cluster}-{machine_id(config)}", "cluster and machine_id together,")
