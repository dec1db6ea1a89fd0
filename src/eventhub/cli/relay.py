"""``eventhub relay``: carry the rows of an outbox to the broker, apart from any service."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from eventhub.brokers.kafka import KafkaBroker
from eventhub.cli.stores import Dsn, Prefix, Schema, opened_store
from eventhub.errors import EventHubError
from eventhub.outbox.relay import Relay
from eventhub.settings import read_settings


def relay(
    dsn: Dsn,
    broker: Annotated[
        str | None, typer.Option(help="kafka://host:port; EVENTHUB_BROKER and the like if it is left out.")
    ] = None,
    prefix: Prefix = "eventhub",
    schema: Schema = None,
) -> None:
    """Relay until SIGTERM or Ctrl-C; any number of relays share the work."""
    try:
        asyncio.run(_relay(dsn, broker, prefix, schema))
    except EventHubError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


async def _relay(dsn: str, url: str | None, prefix: str, schema: str | None) -> None:
    settings = read_settings()
    broker = KafkaBroker(url if url is not None else settings.broker, security=settings.security)
    await broker.start()
    producer = broker.producer()
    try:
        await producer.start()
        async with opened_store(dsn, prefix, schema) as store:
            running = Relay(store, producer)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, running.stop)
            typer.echo(f"relaying to {broker.url}; stop with Ctrl-C", err=True)
            await running.run()
    finally:
        await producer.stop()
        await broker.stop()
