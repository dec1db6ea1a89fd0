"""Processes of one service, and the network between them and the broker.

A process is a hub of its own on the shared broker. What makes it one is its context: every task
that it starts is noted with it, so that it can be killed, and every operation on the broker is
asked for on its behalf, so that it can be paused or cut off.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from random import Random
from typing import Any

from eventhub import Hub, Service
from eventhub.brokers.memory import Operation
from eventhub.errors import BrokerError, PublishUncertain
from tests.simulation.virtual import TASKS

PROCESS: ContextVar["Process | None"] = ContextVar("PROCESS", default=None)
"""Whose operation it is; None for the simulation's own."""

REQUEST_TIMEOUT = 3.0
"""Seconds after which a client gives up a request that nobody answers; no port waits without limit."""
LOSS = 0.15
"""The share of requests, and of answers, that get lost while the network loses some."""

_ENDLESS = frozenset({Operation.POLL, Operation.COMMIT, Operation.HEARTBEAT, Operation.LEAVE})
"""What a client may wait for without end; looking something up and joining have deadlines in every adapter."""

_DEATH_ROUNDS = 1000  # in which a process that is killed has to be gone


class Process:
    """One process that serves."""

    def __init__(self, name: str) -> None:
        """Begin alive and awake."""
        self.name = name
        self.hub: Hub | None = None
        """Its hub, once there is one."""
        self.member = ""
        """The name of its member of the group, or nothing before there is one; another worker has another."""
        self.dead = False
        """Whether nothing of it reaches anybody any more."""
        self.leaving = False
        """Whether it was told to stop, or is dead."""
        self.cut = False
        """Whether it cannot reach the broker."""
        self.silent = False
        """Whether what it cannot reach does not even refuse."""
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task that it ever started."""
        self.failure: BaseException | None = None
        """What it ended with, or None."""
        self.ended = asyncio.Event()
        self._awake = asyncio.Event()
        self._awake.set()
        self._main: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup, hub: Callable[[], Hub], service: Service[Any]) -> None:
        """Serve, as a task among those of the simulation."""
        context = copy_context()
        context.run(PROCESS.set, self)
        context.run(TASKS.set, self.tasks)
        self._main = tasks.create_task(self._serve(hub, service), context=context)

    async def _serve(self, make_hub: Callable[[], Hub], service: Service[Any]) -> None:
        try:
            async with make_hub() as self.hub:
                await self.hub.serve(service)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the simulation has to judge it
            self.failure = error
        finally:
            self.ended.set()

    def stop(self) -> None:
        """Tell it to stop."""
        self.leaving = True
        if self.hub is not None:
            self.hub.stop()

    def hurry(self) -> None:
        """Tell it to wait no longer."""
        self.leaving = True
        if self.hub is not None:
            self.hub.hurry()

    def cancel(self) -> None:
        """Cancel what serves."""
        self.leaving = True
        if self._main is not None:
            self._main.cancel()

    async def kill(self) -> None:
        """End it as kill -9 does: whatever its tasks still do on their way out reaches nobody."""
        self.dead = self.leaving = True
        self._awake.set()
        for _ in range(_DEATH_ROUNDS):
            if not (left := [task for task in self.tasks if not task.done()]):
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        msg = f"{self.name} does not die"
        raise RuntimeError(msg)

    def pause(self) -> None:
        """Let it stand still."""
        self._awake.clear()

    def resume(self) -> None:
        """Let it go on."""
        self._awake.set()

    async def sleep(self, seconds: float) -> None:
        """Let a handler wait, and longer while its process stands still.

        Raises:
            CancelledError: If the process is dead, so that the handler does not go on by mistake.
        """
        await asyncio.sleep(seconds)
        await self.awake()
        if self.dead:
            raise asyncio.CancelledError

    async def awake(self) -> None:
        """Return once it does not stand still."""
        await self._awake.wait()

    def left_behind(self) -> list[str]:
        """The tasks that it did not end."""
        return [f"{task.get_name()} {task.get_coro()}" for task in self.tasks if not task.done()]


class Network:
    """The way to the broker: the ``Faults`` of its memory."""

    def __init__(self, latency: float, draw: Random, stored: Callable[[], None]) -> None:
        """Begin without faults.

        Args:
            latency: Seconds that an operation takes at most.
            draw: Where chance comes from.
            stored: Called whenever positions were stored.
        """
        self._latency = latency
        self._draw = draw
        self._stored = stored
        self.away = False
        """Whether the broker cannot be reached."""
        self.silent = False
        """Whether it then does not even refuse."""
        self.losing = False
        """Whether requests and answers get lost now and then."""
        self.deaf: set[str] = set()
        """Clients that are not answered any more."""
        self.broken: set[str] = set()
        """Clients whose next poll fails."""

    async def before(self, operation: Operation, client: str) -> None:
        """Carry a request."""
        if client in self.deaf:
            await self._keep_waiting(operation)
        if client in self.broken and operation is Operation.POLL:
            self.broken.remove(client)
            msg = "the connection is broken"
            raise BrokerError(msg)
        process = PROCESS.get()
        if process is None or operation is Operation.ADMIN:
            return
        await self._travel(process)
        if self.away or process.cut:
            await self._lose(operation, silent=self.silent if self.away else process.silent)
        if self.losing and self._draw.random() < LOSS:
            await self._lose(operation, silent=self._draw.random() < LOSS)

    async def after(self, operation: Operation, client: str) -> None:
        """Carry an answer."""
        del client
        if operation is Operation.COMMIT:
            self._stored()
        process = PROCESS.get()
        if process is None:
            return
        if self.losing and self._draw.random() < LOSS:
            await self._lose(operation, silent=True)
        await self._travel(process)

    async def _keep_waiting(self, operation: Operation) -> None:
        """Let a client wait that would wait for ever, or give up where the port says that it does."""
        if operation in _ENDLESS:
            await asyncio.Event().wait()
        await self._lose(operation, silent=True)

    async def _travel(self, process: Process) -> None:
        await _alive(process)
        if self._latency:
            await asyncio.sleep(self._latency * self._draw.random())
            await _alive(process)

    async def _lose(self, operation: Operation, *, silent: bool) -> None:
        if silent:
            await asyncio.sleep(REQUEST_TIMEOUT)
        if operation is Operation.SEND:
            msg = "nobody knows whether the broker has it"
            raise PublishUncertain(msg)
        msg = f"{operation} is lost"
        raise BrokerError(msg)


async def _alive(process: Process) -> None:
    """Wait while a process stands still, and fail for one that is dead."""
    await process.awake()
    if process.dead:
        msg = f"{process.name} is dead"
        raise BrokerError(msg)
