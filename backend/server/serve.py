"""The server on a UNIX socket, in the process that owns the store. Light to import, heavy once started."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import StoreBroken
from backend.interface import Backend
from backend.server.address import choose_address, listen

if TYPE_CHECKING:
    from backend.server.events import Streams
    from backend.server.protocol import EmbeddedServer


class SocketServer:
    """Serves `backend` at `path` to this user's other processes. The caller owns the store."""

    def __init__(self, backend: Backend, path: Path) -> None:
        self._backend = backend
        self.address = choose_address(path)
        """Where it really listens: elsewhere than `path` when that is too long for a socket."""
        self._server: EmbeddedServer | None = None
        self._streams: Streams | None = None
        self._sock: socket.socket | None = None
        self._inode: os.stat_result | None = None

    async def start(self) -> None:
        """Listen and answer. Loads the web framework off the loop.

        Raises:
            StoreBroken: no socket can be opened there.
        """
        if self._server is not None:
            raise RuntimeError(f"the server at {self.address} is started already")
        modules = ("backend.server.app", "backend.server.protocol")
        app_module, protocol_module = await asyncio.to_thread(
            lambda: [*map(importlib.import_module, modules)]
        )
        app = app_module.create_app(self._backend)
        server: EmbeddedServer = protocol_module.EmbeddedServer(app)
        sock = listen(self.address)
        self._sock, self._inode = sock, self.address.lstat()
        try:
            await server.start(sock)
        except BaseException as error:
            self._remove()
            sock.close()
            if isinstance(error, OSError):
                raise StoreBroken(
                    f"the server at {self.address} does not start: {error}",
                    "end what holds this address, or name another",
                ) from error
            raise
        self._server, self._streams = server, app.state.streams

    async def stop(self) -> None:
        """End the streams, let requests under way finish, and remove the socket."""
        server, self._server = self._server, None
        if server is None or self._sock is None:
            return
        self._remove()
        if self._streams is not None:
            self._streams.closing.set()
        await server.stop(self._sock)

    def _remove(self) -> None:
        """Remove the socket file, unless another owner's is there by now."""
        with contextlib.suppress(FileNotFoundError):
            if self._inode is not None and os.path.samestat(self._inode, self.address.lstat()):
                self.address.unlink()
