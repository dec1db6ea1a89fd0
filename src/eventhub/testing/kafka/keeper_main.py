"""The process that owns a cluster's nodes, and ends them when nobody is left to use them.

It needs nothing but the standard library and is started by its path, so that it is there in some
30 ms. A test process that is killed with -9 cannot clean up; but the kernel closes its pipe and
gives back its locks, and that is what this process waits for.

Lines in, as JSON, until the end of the input:
    {"node": 1, "command": ["java", ...], "log": "/tmp/.../node-1/server.log"}
    {"node": 1, "signal": 19}
    {"share": {"file": "broker.json", "text": "...", "users": "users.lock"}}
    {"keep": {"made": "/tmp/.../classes.jsa", "at": "/home/.../classes.jsa"}}
Lines out:
    {"node": 1, "pid": 4711}
    {"node": 1, "signalled": 19}
    {"node": 1, "exited": -9}
    {"shared": true}
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ALIVE = 3
"""The descriptor, inherited, whose lock tells others that a shared cluster's keeper is alive."""

_USERS_INTERVAL = 0.2
"""Seconds between two looks for users of a shared cluster: how long it outlives the last one."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Sharing:
    """How a cluster outlives who started it.

    Attributes:
        file: Tells other processes of the cluster for as long as they may use it.
        text: What it tells them.
        users: The file whose lock every user holds, shared.
    """

    file: str
    text: str
    users: str


class Nodes:
    """The nodes and what is asked of them."""

    def __init__(self) -> None:
        # Changed by the main thread alone; the others only wait for one process each.
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._keepsakes: list[tuple[Path, Path]] = []
        self.sharing: Sharing | None = None

    def obey(self, order: dict[str, Any]) -> None:
        """Do what one line says."""
        match order:
            case {"node": node, "command": command, "log": log}:
                self._processes[node] = process = _start(command, Path(log))
                _say(node=node, pid=process.pid)
                threading.Thread(target=_report_exit, args=(node, process), daemon=True).start()
            case {"node": node, "signal": number}:
                self._processes[node].send_signal(number)
                if number == signal.SIGSTOP:
                    _wait_until_stopped(self._processes[node].pid)
                _say(node=node, signalled=number)
            case {"keep": {"made": made, "at": at}}:
                self._keepsakes.append((Path(made), Path(at)))
            case {"share": sharing}:
                self.sharing = Sharing(**sharing)
                _write(Path(self.sharing.file), self.sharing.text.encode())
                _say(shared=True)
            case _:
                message = f"no order of a keeper: {order}"
                raise ValueError(message)

    def any_running(self) -> bool:
        """Whether at least one node is there."""
        return any(process.poll() is None for process in self._processes.values())

    def end(self, grace: float) -> None:
        """End every node, with this many seconds to do it themselves; keep what they made."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM if grace else signal.SIGKILL)
        deadline = time.monotonic() + grace
        in_time = [_ended_by(deadline, process) for process in self._processes.values()]
        if not all(in_time):
            return
        for made, at in self._keepsakes:
            with contextlib.suppress(OSError):  # it was not made, or there is no room for it: it only saves time
                _write(at, made.read_bytes())


def _ended_by(deadline: float, process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            # Safe although there are threads: they hold no lock, they sleep in waitpid.
            preexec_fn=_die_with_keeper if sys.platform == "linux" else None,  # noqa: PLW1509
        )


def _wait_until_stopped(pid: int) -> None:
    """Return when no thread of a process runs any more: those on another core may go on after the signal."""
    with contextlib.suppress(ChildProcessError, AttributeError):  # it has ended; or a system that cannot tell
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # its end stays another thread's to tell


_LIBC = ctypes.CDLL(None)


def _die_with_keeper() -> None:
    """Have the kernel end the node even when this process is killed with -9 (Linux only)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _report_exit(node: int, process: subprocess.Popen[bytes]) -> None:
    _say(node=node, exited=process.wait())


def _say(**event: Any) -> None:
    # Who asked may be gone; what it asked for is then ended by main.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(event).encode() + b"\n")


def _write(file: Path, content: bytes) -> None:
    """Write a file that is never seen half written."""
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    draft.rename(file)


def _wait_until_unused(nodes: Nodes, sharing: Sharing) -> None:
    """Return when no process holds the users' lock any more, or the nodes are gone.

    A new user meets either a cluster that stays for it, or none at all: the file goes, and the
    sign of life ends, before anybody else can take the users' lock.
    """
    descriptor = os.open(sharing.users, os.O_RDWR | os.O_CREAT, 0o600)
    while nodes.any_running():
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(_USERS_INTERVAL)
    Path(sharing.file).unlink(missing_ok=True)
    os.close(_ALIVE)
    os.close(descriptor)


def main(directory: Path, grace: float) -> None:
    """Keep nodes until the input ends, or, when they are shared, until their last user has gone."""
    os.setsid()  # Ctrl-C is for the tests; they may still need the nodes to end well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    nodes = Nodes()
    try:
        for line in sys.stdin:
            nodes.obey(json.loads(line))
        if nodes.sharing:
            _wait_until_unused(nodes, nodes.sharing)
    finally:
        nodes.end(grace)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
