"""Each service as a process of its own, on a broker and a registry that are running somewhere."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eventhub import Hub
from examples.evidence import Evidence
from examples.scenario import SCHEMA_GRACE, SERVICES, TOPICS, Setup, follow, gather, prepare
from examples.table import Screen
from examples.watch import watching

STOP_TIMEOUT = 45.0  # seconds; a service drains for at most 30 before it gives up
TAIL_LINES = 12


class ServiceEnded(Exception):
    """A service ended before it was told to."""


@dataclass(frozen=True, slots=True)
class Child:
    """A service that runs as a process, and the file it writes its log to."""

    name: str
    process: Process
    log: Path


async def run_processes(setup: Setup, broker: str, registry: str, screen: Screen) -> Evidence:
    """Run the services until every order has come to its end, then stop them with SIGTERM.

    Raises:
        ServiceEnded: If a service ends by itself.
    """
    environment = {
        **setup.environment,
        "EVENTHUB_BROKER": broker,
        "EVENTHUB_REGISTRY": registry,
        "EVENTHUB_AUTO_REGISTER": "true",
        "EVENTHUB_SCHEMA_GRACE": str(SCHEMA_GRACE),
    }
    async with Hub(broker, registry=registry) as hub:
        await prepare(hub.broker)
        async with watching(hub.broker, TOPICS) as watch:
            async with children(environment, setup.folder) as running:
                async with asyncio.TaskGroup() as tasks:
                    guards = [tasks.create_task(_fail_when_ended(child)) for child in running]
                    hostile = await follow(hub.broker, watch, screen, setup.orders)
                    for guard in guards:
                        guard.cancel()
                exit_codes = await stop(running)
            return await gather(setup, hub.broker, watch, hostile, exit_codes)


@asynccontextmanager
async def children(environment: Mapping[str, str], folder: Path) -> AsyncIterator[list[Child]]:
    """The three services, started; none of them outlives this block."""
    started: list[Child] = []
    try:
        for service in SERVICES:
            child = await _start(service.name, environment, folder)
            started.append(child)
        yield started
    finally:
        for child in started:
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()


async def stop(running: list[Child]) -> Mapping[str, int]:
    """Tell all services to stop, and say with which exit code each did; one that does not is killed."""
    for child in running:
        child.process.send_signal(signal.SIGTERM)
    for child in running:
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
    return {child.name: await child.process.wait() for child in running}


async def _start(name: str, environment: Mapping[str, str], folder: Path) -> Child:
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", f"examples.{name}_service"),
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
        )
    return Child(name, process, log)


async def _fail_when_ended(child: Child) -> None:
    code = await child.process.wait()
    tail = "\n".join(child.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    msg = f"the {child.name} service ended with exit code {code}; the last it said:\n{tail}"
    raise ServiceEnded(msg)
