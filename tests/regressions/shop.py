"""Processes of one service on a broker in memory, on virtual time: an hour of waiting takes no time at all.

What runs is the runtime itself; only time, the network and the registry belong to the tests.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from eventhub import Event, Hub, Options, Service
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.brokers.partitioner import partition_for
from eventhub.errors import BrokerError, PublishUncertain
from eventhub.record import ProducerRecord, TopicPartition
from eventhub.runtime.dead_letter import DeadLetter, read_dead_letter
from eventhub.runtime.worker import Worker
from eventhub.service import dead_letter_topic
from tests.simulation.processes import PROCESS, Process
from tests.simulation.registry import Registry
from tests.simulation.virtual import VirtualClock, VirtualLoop

GROUP = "shop"
LOOK = 0.05  # seconds between two looks at a condition


class Order(Event, topic="orders", key="customer"):
    """An order; those of one customer are in order."""

    customer: str
    number: int = 0


class Receipt(Event, topic="receipts", key="customer"):
    """The receipt for an order."""

    customer: str
    number: int = 0


ORDERS = Order.__event__.topic


class Network:
    """The way to the broker, on which a test loses or holds up what it likes."""

    def __init__(self, clock: VirtualClock) -> None:
        """Begin without faults."""
        self._clock = clock
        self.lost: set[Operation] = set()
        """Requests of processes that do not arrive."""
        self.held: dict[Operation, str] = {}
        """Requests that do not arrive as long as they stand here, and the process whose they are."""
        self.asked: list[Operation] = []
        """All requests of processes so far."""

    async def before(self, operation: Operation, client: str) -> None:
        """Carry a request."""
        del client
        process = PROCESS.get()
        if process is None or operation is Operation.ADMIN:
            return
        self.asked.append(operation)
        await process.awake()
        while self.held.get(operation) == process.name and not process.dead:
            await self._clock.sleep(LOOK)
        if operation in self.lost or process.dead:
            msg = f"{operation} is lost"
            raise PublishUncertain(msg) if operation is Operation.SEND else BrokerError(msg)

    async def after(self, operation: Operation, client: str) -> None:
        """Carry an answer."""


class Shop:
    """One broker, one registry, and as many processes as a test starts."""

    def __init__(self, loop: VirtualLoop) -> None:
        """Begin without processes."""
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.network = Network(self.clock)
        self.broker = MemoryBroker(self.clock, faults=self.network)
        self.registry = Registry()
        self.tries: list[tuple[str, int]] = []
        """Every call of a handler that noted it: the process and the number of the order, in order."""
        self._tasks = asyncio.TaskGroup()
        self._processes: list[Process] = []
        self._till = self._hub(Options(clock=self.clock, partitions=1))

    async def __aenter__(self) -> Self:
        """Open."""
        await self._tasks.__aenter__()
        await self._till.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close, whatever still runs."""
        for process in self._processes:
            await process.kill()
        await self._till.__aexit__()
        await self._tasks.__aexit__(None, None, None)

    async def start(self, service: Service[Any], name: str = "one", **options: Any) -> Process:
        """Start a process that serves, and wait until it has its share of the group."""
        process = Process(name)
        self._processes.append(process)
        chosen = replace(Options(clock=self.clock, partitions=1, random=lambda: 0.0), **options)
        process.start(self._tasks, lambda: self._hub(chosen), service)
        await self.until(lambda: process.failure is not None or joined(process))
        return process

    async def stop(self, process: Process) -> None:
        """Tell a process to stop and wait until it has."""
        process.stop()
        await self.until(process.ended.is_set)

    async def publish(self, *orders: Order) -> None:
        """Publish orders, from outside all processes."""
        await self._till.publish_many(orders)

    async def write(self, *records: ProducerRecord) -> None:
        """Write records that need not be events."""
        await self._till.producer.send(records)

    async def until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Return once a condition holds.

        Raises:
            AssertionError: If it does not hold in so many seconds.
        """
        for _ in range(int(timeout / LOOK)):
            if condition():
                return
            await self.clock.sleep(LOOK)
        assert condition(), f"it does not come within {timeout} s"

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.clock.sleep(seconds)

    def note(self, order: Order) -> int:
        """Note that a handler was called; returns how often it was for this order."""
        process = PROCESS.get()
        self.tries.append((process.name if process is not None else "", order.number))
        return self.tried(order.number)

    def tried(self, number: int) -> int:
        """How often an order was handed to a handler."""
        return sum(tried == number for _, tried in self.tries)

    async def committed(self, partition: int = 0) -> int | None:
        """What the group has committed of the orders, or None."""
        stored = (await self.broker.admin.committed(GROUP)).get(TopicPartition(ORDERS, partition))
        return stored.offset if stored is not None else None

    @property
    def letters(self) -> Sequence[DeadLetter]:
        """What the group gave up of the orders."""
        topic = dead_letter_topic(ORDERS, GROUP)
        there = topic in self.broker._cluster.topics
        return [read_dead_letter(record) for record in self.broker.records(topic)] if there else []

    def _hub(self, options: Options) -> Hub:
        return Hub(self.broker, registry=self.registry, auto_register=True, provision=True, options=options)


def worker(process: Process) -> Worker:
    """The worker of a process."""
    found = process.hub.supervisors[0].worker if process.hub is not None and process.hub.supervisors else None
    assert found is not None
    return found


def joined(process: Process) -> bool:
    """Whether a process has its share of the group."""
    supervisors = process.hub.supervisors if process.hub is not None else []
    return bool(supervisors) and all(s.worker is not None and s.worker.assignment.joined for s in supervisors)


def owns(process: Process, partition: int) -> bool:
    """Whether a process has a partition of the orders."""
    return joined(process) and TopicPartition(ORDERS, partition) in worker(process).assignment.partitions


def customer(partition: int, partitions: int, count: int = 1) -> str:
    """The count-th customer whose orders go to a partition."""
    names = (f"c{number}" for number in range(1000))
    fitting = [name for name in names if partition_for(name.encode(), partitions) == partition]
    return fitting[count - 1]
