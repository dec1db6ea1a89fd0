"""``eventhub registry``: a served registry, from its first word to its end."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from eventhub.errors import RegistryError
from eventhub.registry.auth import Basic, Bearer
from eventhub.registry.base import Schema
from eventhub.registry.client import HttpSchemaRegistry


async def started(*arguments: str, environment: Mapping[str, str] = os.environ) -> asyncio.subprocess.Process:
    """The command line in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eventhub.cli", "registry", *arguments, stderr=asyncio.subprocess.PIPE, env=environment
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


async def test_what_it_was_told_survives_a_kill(tmp_path: Path) -> None:
    """With a directory the schemas are there again after kill -9, for those who know the token."""
    ids = []
    for _ in range(2):
        process = await started("--port", "0", "--data", str(tmp_path / "data"), "--token", "secret")
        line = await first_line(process)
        url = re.search(r"http://\S+?(?=,)", line)
        assert url is not None
        client = HttpSchemaRegistry(url[0], auth=Bearer("secret"))
        found = await client.versions("orders-value")
        ids += [(version.id, version.version) for version in found]
        await client.register("orders-value", Schema('{"type": "string"}'))
        await client.stop()
        process.send_signal(signal.SIGKILL)
        await process.wait()

    assert "data; stop with Ctrl-C" in line
    assert [(1, 1)] == ids


async def test_a_user_is_let_in_and_nobody_else() -> None:
    """The password comes from the environment, where nobody else sees it, and clients are refused without it."""
    environment = {**os.environ, "EVENTHUB_REGISTRY_PASSWORD": "secret"}
    process = await started("--port", "0", "--host", "0.0.0.0", "--username", "ada", environment=environment)  # noqa: S104
    url = re.search(r"http://\S+?(?=,)", await first_line(process))
    assert url is not None
    address = url[0].replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - every address is this one too
    client, stranger = HttpSchemaRegistry(address, auth=Basic("ada", "secret")), HttpSchemaRegistry(address)
    await client.start()
    with pytest.raises(RegistryError) as refused:
        await stranger.start()
    await client.stop()
    await stranger.stop()
    process.terminate()
    await process.wait()

    assert 401 == refused.value.status


@pytest.mark.parametrize(
    ("credentials", "reason"), [((), "lets everybody in"), (("--username", "", "--password", ""), "may not be empty")]
)
async def test_an_address_that_would_let_everybody_in_is_refused(credentials: tuple[str, ...], reason: str) -> None:
    """One line says why, and the exit code is 1."""
    process = await started("--host", "0.0.0.0", "--port", "0", *credentials)  # noqa: S104 - the point of the test
    line = await first_line(process)

    assert reason in line
    assert 1 == await process.wait()
