"""``run``: what an orchestrator is told between the start and the end of a process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from eventhub.brokers.kafka import KafkaBroker
from eventhub.run import _hub
from eventhub.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_DEADLINE = 30  # seconds; only a hang reaches it

PROGRAM = '''
import asyncio
import os
import sys

from eventhub import Event, Service, produces, run, subscribe


class Tick(Event, topic="ticks"):
    """A second has passed."""


@produces(Tick)
async def tick(context):
    """Tick once."""
    yield Tick()


@subscribe(Tick)
async def hear(tick: Tick) -> None:
    """Hear it until a line comes in, or for ever."""
    print("hearing", flush=True)
    await (asyncio.Event().wait() if "ENDLESS" in os.environ else asyncio.to_thread(sys.stdin.readline))


run(Service("listener", [tick, hear]))
'''


class Process:
    """A service in a process of its own, whose handler waits for a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Look at a process that was started."""
        self.process = process
        self.said = ""
        """What it has said so far."""

    async def says(self, words: str) -> str:
        """The first line from now on that holds these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_DEADLINE):
            while words not in (line := (await self.process.stdout.readline()).decode()):
                assert line, f"the process ended without saying {words!r}"
                self.said += line
        self.said += line
        return line

    async def goes_on(self) -> int:
        """Let the handler return; the exit code of the process."""
        async with asyncio.timeout(_DEADLINE):
            self.said += (await self.process.communicate(b"\n"))[0].decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def started(folder: Path, **settings: str) -> AsyncIterator[Process]:
    """The program with these settings; it does not outlive the block."""
    (folder / "listener.py").write_text(PROGRAM)
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "listener.py",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", **{f"EVENTHUB_{k}": v for k, v in settings.items()}},
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def probed(process: Process) -> httpx.AsyncClient:
    """A client of the address at which a process says that it answers probes."""
    url = re.search(r"http://\S+", await process.says("eventhub.probes_answered"))
    assert url is not None
    return httpx.AsyncClient(base_url=url[0], trust_env=False)


async def asked(client: httpx.AsyncClient) -> list[int]:
    """Whether a process is live and ready."""
    return [(await client.get(path)).status_code for path in ("/live", "/ready")]


async def test_not_ready_comes_first_when_a_process_is_stopped(tmp_path: Path) -> None:
    """SIGTERM takes readiness while a handler still runs, and life not before the end."""
    async with started(tmp_path, HEALTH_PORT="0") as process, await probed(process) as client:
        await process.says("hearing")
        serving = await asked(client)
        process.process.send_signal(signal.SIGTERM)
        await process.says("eventhub.stopping")
        stopping = await asked(client)
        told = (await client.get("/health")).json()["listener"]
        code = await process.goes_on()

    assert [200, 200] == serving
    assert [200, 503] == stopping
    assert ["it is stopping"] == told["problems"]
    assert 1 == told["detail"]["in_flight"]
    assert 0 == code


async def test_a_second_signal_ends_what_the_first_one_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that never returns would have the whole grace; it is cancelled at once, and the exit code is 0."""
    monkeypatch.setenv("ENDLESS", "yes")
    async with started(tmp_path) as process:
        await process.says("hearing")
        process.process.send_signal(signal.SIGTERM)
        await process.says("eventhub.stopping")
        process.process.send_signal(signal.SIGTERM)
        since = asyncio.get_running_loop().time()
        code = await process.goes_on()
        waited = asyncio.get_running_loop().time() - since

    assert 0 == code, process.said
    assert waited < 20  # the grace is 30 s


async def test_probes_are_answered_before_anything_is_connected(tmp_path: Path) -> None:
    """A process that still waits for its registry is live, and not ready."""
    connected = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        registry = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = {"BROKER": "kafka://127.0.0.1:9", "REGISTRY": registry, "HEALTH_PORT": "0"}
        async with started(tmp_path, **settings) as process, await probed(process) as client:
            async with asyncio.timeout(_DEADLINE):
                await connected.wait()
            starting = await asked(client)
        ended.set()

    assert [200, 503] == starting


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("{taken}", "DeclarationError: cannot answer probes on 127.0.0.1:"),
        ("70000", "DeclarationError: EVENTHUB_HEALTH_PORT: Input should be less than or equal to 65535"),
    ],
)
async def test_a_port_that_cannot_be_had_is_one_message(tmp_path: Path, port: str, message: str) -> None:
    """The process does not run unseen by its orchestrator."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        taken = server.sockets[0].getsockname()[1]
        async with started(tmp_path, HEALTH_PORT=port.format(taken=taken)) as process:
            said = await process.says("Error")
            code = await process.goes_on()

    assert said.startswith(message)
    assert 1 == code


@pytest.mark.parametrize("seconds", [3.0, 35.0])
async def test_a_session_reaches_the_client(seconds: float) -> None:
    """What the setting allows, the client takes."""
    hub = _hub("shop", Settings(broker="kafka://k", registry="http://r", session_timeout=seconds))

    assert isinstance(hub.broker, KafkaBroker)
    assert seconds * 1000 == hub.broker._options.consumer["session_timeout_ms"]


async def test_without_a_port_nothing_listens(tmp_path: Path) -> None:
    """Probes are answered only where they are asked for."""
    async with started(tmp_path) as process:
        await process.says("hearing")
        process.process.send_signal(signal.SIGTERM)
        code = await process.goes_on()

    assert "eventhub.stopping" in process.said
    assert "eventhub.probes_answered" not in process.said
    assert 0 == code


async def test_a_process_says_where_it_runs_which_variable_is_misspelt_and_that_it_has_stopped(tmp_path: Path) -> None:
    """Whoever misspells the broker's variable learns that the service runs in memory."""
    async with started(tmp_path, BROKR="kafka://broker:9092") as process:
        misspelt = await process.says("eventhub.setting_unknown")
        starting = await process.says("eventhub.starting")
        await process.says("hearing")
        process.process.send_signal(signal.SIGTERM)
        await process.says("eventhub.stopping")
        code = await process.goes_on()

    assert "name=EVENTHUB_BROKR" in misspelt
    assert "did_you_mean=EVENTHUB_BROKER" in misspelt
    assert "broker=memory://" in starting
    assert "eventhub.stopped" in process.said.splitlines()[-1]
    assert 0 == code
