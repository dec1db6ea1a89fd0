"""``eventhub registry``: serve the embedded Schema Registry over HTTP."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from eventhub.errors import EventHubError
from eventhub.registry.embedded.server import serve


def registry(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any that is free.")] = 8081,
) -> None:
    """Serve a Schema Registry in memory until SIGTERM or Ctrl-C."""
    try:
        asyncio.run(_serve(host, port))
    except (EventHubError, OSError) as error:
        typer.echo(f"cannot serve a registry on {host}:{port}: {error}", err=True)
        sys.exit(1)


async def _serve(host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serve(host=host, port=port) as server:
        typer.echo(f"Schema Registry on {server.url}, in memory; stop with Ctrl-C", err=True)
        await stopped.wait()
