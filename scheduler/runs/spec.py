"""What a supervisor is told about the agent it starts.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

MARK_NAME = "OCTOPOID_RUN"
NONCE_NAME = "OCTOPOID_RUN_NONCE"


class RunSpec(NamedTuple):
    """How to start one agent and when to end it.

    `env` is the agent's whole environment apart from the two marks. `stdin` is `fifo` or `null`.
    Times are in seconds while the machine is awake; `wall_clock_s` None means no limit.
    `spool_cap_bytes` bounds the transcript; `stderr.log` may take a quarter of it besides.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    stdin: str
    wall_clock_s: float | None
    grace_s: float
    spool_cap_bytes: int
    nonce: str
    mark: str

    def environment(self) -> dict[str, str]:
        """The agent's environment with the marks by which its processes are known later."""
        return {**self.env, MARK_NAME: self.mark, NONCE_NAME: self.nonce}

    def marks(self) -> frozenset[bytes]:
        """What the environment of every process of this run holds. The nonce tells equal run ids apart."""
        return frozenset({os.fsencode(f"{MARK_NAME}={self.mark}"), os.fsencode(f"{NONCE_NAME}={self.nonce}")})


def decode_spec(data: bytes) -> RunSpec:
    """Read `spec.json`.

    Raises:
        ValueError: if it is not a specification.
    """
    try:
        raw = json.loads(data)
        limit = raw["wall_clock_s"]
        spec = RunSpec(
            argv=tuple(str(part) for part in raw["argv"]),
            cwd=str(raw["cwd"]),
            env={str(name): str(value) for name, value in raw["env"].items()},
            stdin=str(raw["stdin"]),
            wall_clock_s=None if limit is None else float(limit),
            grace_s=float(raw["grace_s"]),
            spool_cap_bytes=int(raw["spool_cap_bytes"]),
            nonce=str(raw["nonce"]),
            mark=str(raw["mark"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"spec.json is not a run specification: {type(error).__name__} {error}") from error
    if not spec.argv or spec.stdin not in ("fifo", "null"):
        raise ValueError("spec.json needs a program in argv, and 'fifo' or 'null' as stdin")
    return spec
