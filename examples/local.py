"""All three services in this process: the broker is memory, the registry is embedded."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from eventhub import Hub, Options, Service
from examples.evidence import Evidence
from examples.scenario import SCHEMA_GRACE, SERVICES, TOPICS, Setup, follow, gather, prepare
from examples.table import Screen
from examples.watch import watching


async def run_here(setup: Setup, screen: Screen, services: Sequence[Service[Any]] = SERVICES) -> Evidence:
    """Run the services until every order has come to its end, then stop them; a test brings broken ones."""
    os.environ.update(setup.environment)
    with logging_to(setup.folder / "services.log"):
        async with Hub("memory://", options=Options(schema_grace=SCHEMA_GRACE)) as hub:
            await prepare(hub.broker)
            async with watching(hub.broker, TOPICS) as watch:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(hub.serve(*services))
                    hostile = await follow(hub.broker, watch, screen, setup.orders)
                    hub.stop()
                return await gather(setup, hub, watch, hostile, exit_codes={})


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write the services' log to a file, since the terminal shows the table."""
    with path.open("w") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper("iso"),
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(file),
        )
        try:
            yield
        finally:
            structlog.reset_defaults()
