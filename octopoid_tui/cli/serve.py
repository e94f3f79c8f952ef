"""`serve`: the state for many machines."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import BadInput, NotFound
from octopoid_tui.cli.output import DEBUG_VARIABLE, warn

if TYPE_CHECKING:
    from backend.lifecycle import Limits
    from backend.server.database import Database
    from backend.server.tcp import Site

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="sqlite:///PATH or postgresql://USER@HOST/NAME; without it, this project's own store.",
    ),
]


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.")] = 0,
    db: DatabaseOption = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no key; on a loopback address, for development.")
    ] = False,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front of this server does TLS.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A host name that clients call the server by; may be repeated."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate with its chain, in PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key, in PEM.")] = None,
) -> None:
    """Serve the state to other machines over HTTP, until Ctrl-C.

    Says `listening on http://HOST:PORT` on stderr once it does. Clients need a key: `octopoid keys create`.
    """
    from backend.server.protocol import Certificate
    from backend.server.tcp import Site

    if tls_key is not None and tls_cert is None:
        raise BadInput("--tls-key is of no use without --tls-cert", "give both")
    site = Site(
        host=host,
        port=port,
        hosts=tuple(allow_host or ()),
        keys=not no_auth,
        behind_proxy=behind_proxy,
        certificate=None if tls_cert is None else Certificate(tls_cert, tls_key),
    )
    site.check()
    database, limits = find_database(db)
    level = logging.DEBUG if os.environ.get(DEBUG_VARIABLE) == "1" else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(site, database, limits))


def find_database(given: str | None) -> tuple[Database, Limits]:
    """The database named, or the project's own, and the limits that hold for its tasks.

    Raises:
        BadInput: none is named, and there is no project here.
    """
    from backend.lifecycle import Limits
    from backend.server.database import Database, parse_database
    from scheduler.project import Project

    if given is not None:
        return parse_database(given), Limits()
    try:
        project = Project.open(Path.cwd())
    except NotFound as error:
        raise BadInput("no database is named, and this is no project", "give --db sqlite:///PATH") from error
    if project.config.mode != "local":
        raise BadInput(
            f"this project's state is on {project.config.server.url}",
            "work on that machine, or name a database with --db",
        )
    return Database(file=project.layout.database), project.limits


async def _serve(site: Site, database: Database, limits: Limits) -> None:
    from backend.server.database import own_database
    from backend.server.tcp import TcpServer

    asked = _stop_asked()
    async with own_database(database, limits) as backend:
        server = TcpServer(backend, site)
        url = await server.start()
        try:
            if not site.keys:
                warn("warning: without keys every program on this machine can use this server")
            elif not await backend.list_keys():
                warn("no key is there yet: octopoid keys create --scope work --label NAME")
            warn(f"listening on {url}")
            await asked
        finally:
            await server.stop()
    warn("stopped")


def _stop_asked() -> asyncio.Future[None]:
    """Done at the first signal that ends a program; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        asked.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    return asked
