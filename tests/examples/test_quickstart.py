"""The quickstart, followed as it stands: its files, its tests, and its service on a real Kafka."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventhub.registry.embedded.server import serve
from eventhub.testing.kafka import StartKafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = Path(__file__).parent.parent.parent / "docs" / "quickstart.md"
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE)
OUTCOME = "RecordMetadata(topic='orders', partition=0, offset=0)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the page shows."""
    for file in FILE.finditer(PAGE.read_text(encoding="utf-8")):
        (tmp_path / file["name"]).write_text(file["text"], encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def started(folder: Path, *command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python command in a process of its own that does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "PYTHONUNBUFFERED": "1"}
        | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    """All that a process says until it ends."""
    async with asyncio.timeout(60):
        return (await process.communicate())[0].decode()


async def heard(process: asyncio.subprocess.Process, words: str) -> str:
    """What a process says up to the line with these words."""
    assert process.stdout is not None
    lines = ""
    async with asyncio.timeout(60):
        while words not in lines and (line := await process.stdout.readline()):
            lines += line.decode()
    return lines


async def test_the_tests_that_it_shows_pass(folder: Path) -> None:
    """Two tests, with nothing but the files of the page."""
    async with started(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider") as process:
        output = await said(process)

    assert "2 passed" in output, output


@pytest.mark.kafka
async def test_its_service_runs_on_kafka(folder: Path, start_kafka: StartKafka) -> None:
    """An order that is placed is reserved, and Ctrl-C ends the service in order."""
    async with start_kafka() as kafka, serve() as registry:
        script = folder / "place_order.py"
        text = script.read_text(encoding="utf-8")
        text = text.replace("localhost:9092", kafka.bootstrap).replace("http://localhost:8081", registry.url)
        script.write_text(text, encoding="utf-8")
        settings = {"BROKER": f"kafka://{kafka.bootstrap}", "REGISTRY": registry.url}
        settings |= {"PROVISION": "true", "AUTO_REGISTER": "true"}
        environment = {f"EVENTHUB_{name}": value for name, value in settings.items()}
        async with started(folder, "-m", "eventhub.cli", "run", "inventory:service", **environment) as service:
            assert "partitions_assigned" in await heard(service, "partitions_assigned")
            async with started(folder, "place_order.py") as script_process:
                outcome = await said(script_process)
            reserving = await heard(service, "reserving")
            service.send_signal(signal.SIGINT)
            rest = await said(service)

    assert outcome.endswith(OUTCOME), outcome
    assert "reserving 2 of tea for o-1" in reserving, reserving
    assert 0 == service.returncode, rest


def test_what_it_prints_is_what_the_page_shows() -> None:
    """The page shows the outcome that the test above sees."""
    assert OUTCOME in PAGE.read_text(encoding="utf-8")
