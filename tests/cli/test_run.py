"""``eventhub run``: services found by name, one message for what goes wrong, an orderly end."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from eventhub import run
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import serve

PROGRAM = '''
import asyncio
from contextlib import asynccontextmanager, suppress

from eventhub import Event, Service, subscribe


class Tick(Event, topic="ticks"):
    """A second has passed."""


@subscribe(Tick)
async def hear(tick: Tick) -> None:
    """Hear it."""


service = Service("listener", [hear])
number = 7


@asynccontextmanager
async def stubborn():
    """Begin a task that cannot be ended."""
    task = asyncio.create_task(ignoring())
    yield task


async def ignoring():
    """Ignore every cancellation."""
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@asynccontextmanager
async def unreachable():
    """Fail as a service's own code does."""
    raise ConnectionError("no database")
    yield


stuck = Service("stuck", [hear], lifespan=stubborn)
broken = Service("broken", [hear], lifespan=unreachable)
'''


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with a module that holds a service."""
    (tmp_path / "listener.py").write_text(PROGRAM)
    return tmp_path


async def started(folder: Path, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
    """The command line in a process of its own, in a folder."""
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eventhub.cli", "run", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", **{f"EVENTHUB_{k}": v for k, v in settings.items()}},
    )


async def output(process: asyncio.subprocess.Process) -> str:
    """All that a process says until it ends."""
    async with asyncio.timeout(30):
        return (await process.communicate())[0].decode()


async def serving(folder: Path, place: str, **settings: str) -> asyncio.subprocess.Process:
    """The command line once its service has joined its group."""
    process = await started(folder, place, **settings)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"partitions_assigned" not in await process.stdout.readline():
            assert process.returncode is None
    return process


async def test_it_serves_until_it_is_told_to_stop(program: Path) -> None:
    """SIGTERM leads to exit code 0."""
    process = await serving(program, "listener:service")
    process.send_signal(signal.SIGTERM)
    said = await output(process)

    assert 0 == process.returncode, said


async def test_a_registry_may_ask_for_a_token(program: Path) -> None:
    """Whoever has it in the environment is let in, and it shows nowhere."""
    app = EmbeddedRegistry(credentials=Credentials("hunter2"))
    async with serve(app) as registry:
        process = await serving(program, "listener:service", REGISTRY=registry.url, REGISTRY_TOKEN="hunter2")  # noqa: S106
        process.send_signal(signal.SIGTERM)
        served = await output(process)
        stranger = await started(program, "listener:service", REGISTRY=registry.url, REGISTRY_TOKEN="sesame")  # noqa: S106
        refused = await output(stranger)

    assert (0, 1) == (process.returncode, stranger.returncode)
    assert "or the token" in refused
    assert "hunter2" not in served
    assert "sesame" not in refused


async def test_it_ends_also_when_a_task_ignores_its_cancellation(program: Path) -> None:
    """The process is not held up by what nobody can end; it says where that stands."""
    process = await serving(program, "listener:stuck")
    process.send_signal(signal.SIGTERM)
    said = await output(process)

    assert 0 == process.returncode, said
    assert "eventhub.task_ignores_cancellation" in said
    assert "ignoring" in said


async def test_an_error_of_the_service_itself_is_shown_as_python_shows_it(program: Path) -> None:
    """Its last line names the error, and no boxes stand around it."""
    process = await started(program, "listener:broken")
    said = await output(process)

    assert "ConnectionError: no database" == said.strip().splitlines()[-1]
    assert "│" not in said
    assert 1 == process.returncode


def test_running_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A program without a service would end at once, as if all were well."""
    with pytest.raises(SystemExit) as ended:
        run()

    assert 1 == ended.value.code
    assert "no service to run" in capsys.readouterr().err


def test_running_what_is_no_service_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A list of services is a slip of the pen, and its message says how to write it."""
    services: Any = []

    with pytest.raises(SystemExit) as ended:
        run(services)

    assert 1 == ended.value.code
    assert "run takes services, as in run(service) or run(service, other), not list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("listener", "write module:name"),
        ("nowhere:service", "there is no module 'nowhere'"),
        ("listener:number", "is no service but int"),
    ],
)
async def test_a_place_without_a_service_is_named(program: Path, place: str, message: str) -> None:
    """The message says what was looked for."""
    process = await started(program, place)
    said = " ".join((await output(process)).replace("│", " ").split())

    assert message in said
    assert 0 != process.returncode


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"BROKER": "kafka://127.0.0.1:9", "REGISTRY": "http://127.0.0.1:9"}, "RegistryError"),
        ({"BROKER": "kafka://127.0.0.1:9"}, 'serve it with "eventhub registry"'),
        ({"TLS": "perhaps"}, "EVENTHUB_TLS: Input should be a valid boolean"),
        ({"BROKER": "amqp://x", "REGISTRY": "http://127.0.0.1:9"}, "is no broker URL"),
    ],
)
async def test_what_cannot_be_reached_is_one_message_and_exit_code_1(
    program: Path, settings: dict[str, str], message: str
) -> None:
    """There is no wall of traceback, and no hang."""
    process = await started(program, "listener:service", **settings)
    said = await output(process)

    assert message in said
    assert "Traceback" not in said
    assert 1 == process.returncode
