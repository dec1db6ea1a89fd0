"""``eventhub registry``: serve the embedded Schema Registry over HTTP."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from eventhub.errors import EventHubError
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.journal import open_store
from eventhub.registry.embedded.server import serve
from eventhub.registry.embedded.store import Store


def registry(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any that is free.")] = 8081,
    data: Annotated[Path | None, typer.Option(help="A directory to keep schemas in; without, in memory.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="EVENTHUB_REGISTRY_TOKEN", help="The token that clients have to send.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="The user that clients have to be.")] = None,
    password: Annotated[str, typer.Option(envvar="EVENTHUB_REGISTRY_PASSWORD", help="The user's password.")] = "",
    incompatible_code: Annotated[
        int, typer.Option(help="The error_code of incompatible schemas; Confluent's newest servers say 40901.")
    ] = 409,
) -> None:
    """Serve a Schema Registry until SIGTERM or Ctrl-C.

    On another address than loopback a token or a user is needed.
    """
    memory = nullcontext(Store(incompatible_code=incompatible_code))
    place = "in memory" if data is None else f"in {data}"
    try:
        credentials = Credentials(token, username, password)
        with memory if data is None else open_store(data, incompatible_code=incompatible_code) as store:
            asyncio.run(_serve(EmbeddedRegistry(store, credentials=credentials), host, port, place))
    except (EventHubError, OSError) as error:
        typer.echo(f"cannot serve a registry on {host}:{port}: {error}", err=True)
        sys.exit(1)


async def _serve(app: EmbeddedRegistry, host: str, port: int, place: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serve(app, host, port) as server:
        typer.echo(f"Schema Registry on {server.url}, {place}; stop with Ctrl-C", err=True)
        await stopped.wait()
