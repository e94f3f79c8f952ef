"""Where the owner's socket lies: beside the store, or in a private folder where that path is too long."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from backend.errors import StoreBroken

PATH_LIMIT = 100
"""Bytes; Linux takes 107, macOS 103."""

PRIVATE = 0o600


def choose_address(wanted: Path, environ: Mapping[str, str] | None = None) -> Path:
    """`wanted`, or a place in the user's runtime folder when it is too long for a socket, or no text."""
    wanted = wanted.absolute()
    if len(os.fsencode(wanted)) <= PATH_LIMIT and _is_text(wanted):
        return wanted
    given = os.environ if environ is None else environ
    uid = os.getuid()
    runtime = given.get("XDG_RUNTIME_DIR", "")
    folder = (
        Path(runtime) / "octopoid"
        if os.path.isabs(runtime) and os.path.isdir(runtime)
        else Path(f"/tmp/octopoid-{uid}")
    )
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    chosen = folder / f"{digest}.sock"
    return chosen if len(os.fsencode(chosen)) <= PATH_LIMIT else Path(f"/tmp/octopoid-{uid}/{digest}.sock")


def listen(address: Path, backlog: int = 128) -> socket.socket:
    """A listening socket at `address` that only this user can connect to.

    The caller owns the store, so a socket left there by a dead owner is removed.

    Raises:
        StoreBroken: the folder is not ours, something else lies at the address, or it cannot be bound.
    """
    try:
        _prepare_folder(address.parent)
        _remove_stale(address)
        return _bind(address, backlog)
    except OSError as error:
        raise StoreBroken(
            f"no socket can be opened at {address}: {error.strerror or error}",
            "other processes cannot reach this one; check the folder",
        ) from error


def check_address(address: Path) -> str | None:
    """Why this process should not connect to `address`; None when it may."""
    try:
        found = address.lstat()
    except OSError as error:
        return f"{address}: {error.strerror}"
    if not stat.S_ISSOCK(found.st_mode):
        return f"{address} is no socket"
    if os.geteuid() not in (0, found.st_uid):
        return f"{address} belongs to user {found.st_uid}"
    return None


def _is_text(path: Path) -> bool:
    """Whether the path can be written down in a record, which is UTF-8."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _bind(address: Path, backlog: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            # On Linux the mode of the unbound socket becomes that of the file, from its first moment on.
            os.fchmod(sock.fileno(), PRIVATE)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EPERM):
                raise
        sock.bind(os.fspath(address))
        address.chmod(PRIVATE)  # before listening, so that nobody could have connected
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=False, exist_ok=True)
    above = folder.parent.stat()
    if not above.st_mode & stat.S_IWOTH:
        return
    # Anyone could have put something at this name before we did.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StoreBroken(
            f"{folder} is not a folder of this user alone",
            f"remove it, or set XDG_RUNTIME_DIR to a private folder: rm -r {folder}",
        )


def _remove_stale(address: Path) -> None:
    try:
        found = address.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StoreBroken(f"{address} is in the way of the socket", "move it away")
    address.unlink()
