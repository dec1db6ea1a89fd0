"""This process's end of the pipe to a keeper (`keeper_main`), which owns the nodes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from eventhub.testing.kafka import keeper_main

_CLOSE_TIMEOUT = 10.0
"""Seconds to wait for the nodes' end; the keeper goes on without us after that."""


class Keeper:
    """Starts nodes, signals them, and knows which have ended.

    Attributes:
        directory: The cluster's; it is removed at the end.
        pid: Of the keeper's own process.
    """

    def __init__(
        self,
        directory: Path,
        pid: int,
        orders: int,
        events: asyncio.StreamReader,
        pipe: asyncio.ReadTransport,
    ) -> None:
        self.directory = directory
        self.pid = pid
        self._orders = orders
        self._events = events
        self._pipe = pipe
        self._reading = asyncio.Lock()
        # Changed by _receive alone, as the keeper's answers say.
        self._pids: dict[int, int] = {}
        self._signalled: dict[int, int] = {}
        self._exits: dict[int, int] = {}
        self._shared = False

    async def start(self, node: int, command: Sequence[str], log: Path) -> int:
        """Start the process of a node and return its pid."""
        self._pids.pop(node, None)
        self._exits.pop(node, None)
        self._order(node=node, command=list(command), log=str(log))
        await self._until(lambda: node in self._pids)
        return self._pids[node]

    async def signal(self, node: int, number: int) -> None:
        """Send a signal to the process of a node; it is delivered, and SIGSTOP obeyed, when this returns."""
        self._signalled.pop(node, None)
        self._order(node=node, signal=number)
        await self._until(lambda: node in self._signalled)

    async def exited(self, node: int) -> int:
        """Wait for the end of a node's process and return its exit code, negative for a signal."""
        await self._until(lambda: node in self._exits)
        return self._exits[node]

    def running(self, node: int) -> bool:
        """Whether a node's process was there when the keeper was last heard."""
        return node in self._pids and node not in self._exits

    async def close(self) -> None:
        """Have every node ended and the cluster's directory removed, and wait for both."""
        os.close(self._orders)
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            while await self._events.readline():
                pass
            with contextlib.suppress(ChildProcessError):  # somebody waits for all children
                os.waitpid(self.pid, 0)  # noqa: ASYNC222 (it closed its output, so it is at its end)
        self._pipe.close()

    def keep(self, made: Path, at: Path) -> None:
        """Have a file kept that a node makes at its end, within the grace."""
        self._order(keep={"made": str(made), "at": str(at)})

    async def share(self, file: Path, text: str, users: Path) -> None:
        """Let the nodes live until their last user ends, and leave them.

        Args:
            file: Where others read of the nodes; the keeper writes and removes it.
            text: What they read.
            users: The file whose lock every user holds, shared.
        """
        self._order(share={"file": str(file), "text": text, "users": str(users)})
        await self._until(lambda: self._shared)
        os.close(self._orders)
        self._pipe.close()

    def _order(self, **order: object) -> None:
        os.write(self._orders, json.dumps(order).encode() + b"\n")

    async def _until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            async with self._reading:  # one at a time; it hears for all
                if not happened():
                    await self._receive()

    async def _receive(self) -> None:
        line = await self._events.readline()
        if not line:  # the keeper was killed, and the nodes with it
            self._exits.update(dict.fromkeys(self._pids, -9))
            message = f"the process that keeps the Kafka nodes (pid {self.pid}) has ended"
            raise ConnectionError(message)
        event = json.loads(line)
        self._shared = self._shared or "shared" in event
        for name, known in (
            ("pid", self._pids),
            ("signalled", self._signalled),
            ("exited", self._exits),
        ):
            if name in event:
                known[event["node"]] = event[name]


async def open_keeper(directory: Path, *, alive: int | None = None, grace: float = 0.0) -> Keeper:
    """Start a keeper that removes this directory at its end.

    Args:
        directory: The cluster's; the keeper's own log is in it.
        alive: A locked descriptor that the keeper holds until it has ended or the nodes are no
            longer shared; None for a cluster that ends with this process.
        grace: Seconds that the nodes get to end by themselves; 0 kills them.
    """
    pid, orders, events = _spawn(directory, grace, alive)
    reader = asyncio.StreamReader()
    try:
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(events, "rb", 0)
        )
    except BaseException:
        os.close(orders)
        raise
    return Keeper(directory, pid, orders, reader, pipe)


def _spawn(directory: Path, grace: float, alive: int | None) -> tuple[int, int, int]:
    """Start the keeper's process: its pid, and our ends of the pipes to it and from it."""
    orders_end, orders = os.pipe()
    events, events_end = os.pipe()
    command = [sys.executable, "-I", "-S", keeper_main.__file__, str(directory), str(grace)]
    # Our stderr would keep the pipe of `pytest | tee` open for as long as the keeper lives.
    log = (os.POSIX_SPAWN_OPEN, 2, str(directory / "keeper.log"), os.O_WRONLY | os.O_CREAT, 0o600)
    files = [(os.POSIX_SPAWN_DUP2, orders_end, 0), (os.POSIX_SPAWN_DUP2, events_end, 1), log]
    if alive is not None:
        files.append((os.POSIX_SPAWN_DUP2, alive, 3))
    # Not subprocess: its object warns about a child that is meant to outlive us.
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=files)
    os.close(orders_end)
    os.close(events_end)
    return pid, orders, events
