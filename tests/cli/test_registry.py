"""``eventhub registry``: a served registry, from its first word to its end."""

import asyncio
import os
import re
import signal
import sys

from eventhub.registry.base import Schema
from eventhub.registry.client import HttpSchemaRegistry


async def started(*arguments: str) -> asyncio.subprocess.Process:
    """The command line in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eventhub.cli", "registry", *arguments, stderr=asyncio.subprocess.PIPE, env=os.environ
    )


async def first_line(process: asyncio.subprocess.Process) -> str:
    """What a process says first."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        return (await process.stderr.readline()).decode()


async def test_it_serves_until_it_is_told_to_stop() -> None:
    """A client registers a schema; SIGTERM ends the process with exit code 0."""
    process = await started("--port", "0")
    url = re.search(r"http://\S+?(?=,)", await first_line(process))
    assert url is not None
    client = HttpSchemaRegistry(url[0])
    await client.start()
    registered = await client.register("orders-value", Schema('{"type": "string"}'))
    await client.stop()
    process.send_signal(signal.SIGTERM)

    assert 1 == registered.version
    assert 0 == await process.wait()


async def test_an_address_that_would_let_everybody_in_is_refused() -> None:
    """One line says why, and the exit code is 1."""
    process = await started("--host", "0.0.0.0", "--port", "0")  # noqa: S104 - the point of the test
    line = await first_line(process)

    assert "lets everybody in" in line
    assert 1 == await process.wait()
