"""The process that owns the nodes: it obeys, and it ends what it started."""

import os
import signal
import sys
from pathlib import Path

import pytest

from eventhub.testing.kafka.keeper import Keeper, open_keeper

WAITING = "import signal; signal.pause()"

WRITES_AT_ITS_END = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path("made").write_text("whole"), sys.exit()))
open("ready", "w").close()
signal.pause()
"""

BUSY = """
import hashlib, threading
def work():
    while True: hashlib.sha256(bytes(1 << 24))  # without the interpreter's lock
for _ in range(4): threading.Thread(target=work, daemon=True).start()
work()
"""

NEVER_ENDS = """
import pathlib, signal
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("made").write_text("half"))
open("ready", "w").close()
while True: signal.pause()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A cluster's directory, as a keeper gets it."""
    directory = tmp_path / "cluster"
    directory.mkdir()
    return directory


async def _start(keeper: Keeper, program: str) -> int:
    return await keeper.start(1, [sys.executable, "-c", program], keeper.directory / "server.log")


def _threads(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


async def test_a_node_is_started_and_its_end_is_told(directory: Path) -> None:
    """What a node prints is in its log, and how it ended is known."""
    keeper = await open_keeper(directory)
    await _start(keeper, "print('hello'); raise SystemExit(3)")
    code = await keeper.exited(1)
    printed = (directory / "server.log").read_text()
    running = keeper.running(1)
    await keeper.close()

    assert 3 == code
    assert "hello\n" == printed
    assert not running


async def test_a_signal_reaches_the_node(directory: Path) -> None:
    """A node that is signalled ends by it."""
    keeper = await open_keeper(directory)
    await _start(keeper, WAITING)
    await keeper.signal(1, signal.SIGKILL)
    code = await keeper.exited(1)
    await keeper.close()

    assert -signal.SIGKILL == code


async def test_a_stopped_node_runs_no_more(directory: Path) -> None:
    """Not even the threads that were at work when the signal came."""
    keeper = await open_keeper(directory)
    pid = await _start(keeper, BUSY)
    states = set()
    for _ in range(20):
        await keeper.signal(1, signal.SIGSTOP)
        states |= {thread.joinpath("stat").read_text().rpartition(") ")[2][0] for thread in _threads(pid)}
        await keeper.signal(1, signal.SIGCONT)
    await keeper.close()

    assert {"T"} == states


async def test_closing_ends_the_nodes_and_removes_the_directory(directory: Path) -> None:
    """Nothing is left of a closed keeper, its own process included."""
    keeper = await open_keeper(directory)
    pid = await _start(keeper, WAITING)
    await keeper.close()

    assert not directory.exists()
    for ended in (pid, keeper.pid):
        with pytest.raises(ProcessLookupError):
            os.kill(ended, 0)


async def test_a_dead_keeper_is_an_error(directory: Path) -> None:
    """Who waits for a node learns that its keeper is gone, and the node with it."""
    keeper = await open_keeper(directory)
    await _start(keeper, WAITING)
    os.kill(keeper.pid, signal.SIGKILL)
    with pytest.raises(ConnectionError, match=f"pid {keeper.pid}"):
        await keeper.exited(1)
    running = keeper.running(1)
    await keeper.close()

    assert not running


@pytest.mark.parametrize(
    ("program", "kept"), [(WRITES_AT_ITS_END, ["kept"]), (NEVER_ENDS, [])], ids=["in time", "too late"]
)
async def test_what_a_node_makes_at_its_end_is_kept_when_it_is_whole(
    directory: Path, tmp_path: Path, program: str, kept: list[str]
) -> None:
    """A file of a node that ended within the grace is kept; that of one that had to be killed is not."""
    os.mkfifo(directory / "ready")
    keeper = await open_keeper(directory, grace=1.0)
    await _start(keeper, program)
    keeper.keep(made=directory / "made", at=tmp_path / "kept")
    (directory / "ready").read_text()
    await keeper.close()

    assert not directory.exists()
    assert kept == [file.name for file in tmp_path.iterdir()]


async def test_what_cannot_be_kept_is_let_go(directory: Path, tmp_path: Path) -> None:
    """A place that is gone, as on a full disk, does not keep the keeper from clearing up."""
    os.mkfifo(directory / "ready")
    keeper = await open_keeper(directory, grace=1.0)
    await _start(keeper, WRITES_AT_ITS_END)
    keeper.keep(made=directory / "made", at=tmp_path / "gone" / "kept")
    keeper.keep(made=directory / "never made", at=tmp_path / "kept")
    (directory / "ready").read_text()
    await keeper.close()

    assert [] == list(tmp_path.iterdir())
