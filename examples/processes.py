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

MODULES = {service.name: f"examples.{service.name}_service" for service in SERVICES}
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
    environment = {**setup.environment, **addresses(broker, registry)}
    async with Hub(broker, registry=registry) as hub:
        await prepare(hub.broker)
        async with watching(hub.broker, TOPICS) as watch:
            async with children(MODULES, environment, setup.folder) as running:
                async with asyncio.TaskGroup() as tasks:
                    guards = [tasks.create_task(_fail_when_ended(child)) for child in running.values()]
                    hostile = await follow(hub.broker, watch, screen, setup.orders)
                    for guard in guards:
                        guard.cancel()
                exit_codes = await stop(running)
            return await gather(setup, hub, watch, hostile, exit_codes)


def addresses(broker: str, registry: str) -> Mapping[str, str]:
    """The variables that tell a service where it runs."""
    return {
        "EVENTHUB_BROKER": broker,
        "EVENTHUB_REGISTRY": registry,
        "EVENTHUB_AUTO_REGISTER": "true",
        "EVENTHUB_SCHEMA_GRACE": str(SCHEMA_GRACE),
    }


@asynccontextmanager
async def children(
    modules: Mapping[str, str], environment: Mapping[str, str], folder: Path
) -> AsyncIterator[dict[str, Child]]:
    """Programs by name, started; neither they nor what took their places outlives this block."""
    running: dict[str, Child] = {}
    try:
        for name, module in modules.items():
            running[name] = await start(name, module, environment, folder)
        yield running
    finally:
        for child in running.values():
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()


async def stop(running: Mapping[str, Child]) -> Mapping[str, int]:
    """Tell all that run to stop, and say with which exit code each ended; one that does not stop is killed."""
    for child in running.values():
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)
    for child in running.values():
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
    return {name: await child.process.wait() for name, child in running.items()}


async def start(name: str, module: str, environment: Mapping[str, str], folder: Path) -> Child:
    """Start a program; what it says goes to the end of a file."""
    log = folder / f"{name}.log"
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module),
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
        )
    return Child(name, process, log)


async def _fail_when_ended(child: Child) -> None:
    raise ended(child, await child.process.wait())


def ended(child: Child, code: int) -> ServiceEnded:
    """The error about a service that ended by itself, with the last it said."""
    tail = "\n".join(child.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    return ServiceEnded(f"the {child.name} service ended with exit code {code}; the last it said:\n{tail}")
