"""A shop for the tests of the runtime: both brokers, events of one test's own, and services on them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventhub import Event, Hub, Options, Service, Tombstone
from eventhub.brokers.base import Broker
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import MemoryBroker
from eventhub.record import Record
from eventhub.registry.client import embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.runtime.dead_letter import DeadLetter, read_dead_letter
from eventhub.service import dead_letter_topic
from eventhub.testing.reading import read_topic
from eventhub.testing.waiting import until


class Shop:
    """Event classes on topics that no other test uses, one broker and one registry."""

    def __init__(self, connect: Callable[[], Broker]) -> None:
        """Declare the events."""
        self.connect = connect
        """Makes a broker for a hub."""
        self._registry = EmbeddedRegistry()
        self.unique = unique = uuid.uuid4().hex[:8]

        class Order(Event, topic=f"orders-{unique}", key="customer", name="Order"):
            """An order; orders of one customer are in order."""

            customer: str
            number: int = 0

        class Receipt(Event, topic=f"receipts-{unique}", key="customer", name="Receipt"):
            """The receipt for an order."""

            customer: str
            number: int = 0

        self.order: Any = Order
        self.receipt: Any = Receipt
        self.gone: Any = Tombstone[Order]

    def orders(self, customers: str) -> list[Any]:
        """One order a letter, whose customer is that letter."""
        return [self.order(customer=letter, number=number) for number, letter in enumerate(customers)]

    def name(self, service: str) -> str:
        """The name of a group that no other test uses."""
        return f"{service}-{self.unique}"

    @asynccontextmanager
    async def hub(self, options: Options | None = None) -> AsyncIterator[Hub]:
        """A hub of its own, as another process would have it."""
        options = options or Options(commit_interval=0.1)
        registry = embedded_registry(self._registry)
        async with Hub(self.connect(), registry=registry, auto_register=True, provision=True, options=options) as hub:
            yield hub

    @asynccontextmanager
    async def serving(self, *services: Service[Any], options: Options | None = None) -> AsyncIterator[Hub]:
        """A hub that serves for the length of the block, then stops in order."""
        async with self.hub(options) as hub, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(hub.serve(*services))
            await until(lambda: serving.done() or joined(hub, len(services)), timeout=30)
            yield hub
            hub.stop()

    async def records(self, topic: str) -> list[Record]:
        """All records of a topic."""
        async with self._connected() as broker:
            return await read_topic(broker, topic)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Broker]:
        broker = self.connect()
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()

    async def letters(self, event: Any, service: Service[Any]) -> list[DeadLetter]:
        """What a service gave up of an event's topic."""
        topic = dead_letter_topic(event.__event__.topic, service.name)
        return [read_dead_letter(record) for record in await self.records(topic)]

    async def committed(self, event: Any, service: Service[Any]) -> int:
        """How many records of an event's topic a service has committed."""
        async with self._connected() as broker:
            stored = await broker.admin.committed(service.name)
        return sum(position.offset for tp, position in stored.items() if tp.topic == event.__event__.topic)


def joined(hub: Hub, services: int) -> bool:
    """Whether every service of a hub has its share."""
    workers = [supervisor.worker for supervisor in hub.supervisors]
    return len(workers) == services and all(worker and worker.assignment.joined for worker in workers)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def shop(request: pytest.FixtureRequest) -> Shop:
    """A shop on the broker in memory, then one on a real Kafka."""
    if request.param == "kafka":
        url: str = request.getfixturevalue("kafka_url")
        return Shop(lambda: KafkaBroker(url))
    broker = MemoryBroker()
    return Shop(lambda: broker)
