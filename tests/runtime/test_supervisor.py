"""What outlives a worker whose connection broke, on both brokers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint

from eventhub import Hub, Options, Service, produces, subscribe
from eventhub.brokers.base import Broker, NewTopic, RebalanceListener
from eventhub.brokers.memory import MemoryBroker
from eventhub.errors import BrokerError, TopicMissing
from eventhub.runtime.supervisor import Supervisor
from eventhub.runtime.wiring import Wiring
from eventhub.service import retry_topic
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import client_admin, until_gone
from tests.events import OrderCreated
from tests.runtime.conftest import Shop


class Breakable:
    """A broker whose consumers break when told to, as clients do whose connection is gone."""

    def __init__(self, broker: Broker) -> None:
        """Begin sound."""
        self._broker = broker
        self.consumers: list[BreakableConsumer] = []
        """Every consumer that was asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> "BreakableConsumer":
        """A consumer that can be broken."""
        self.consumers.append(BreakableConsumer(self._broker.consumer(group, topics, listener)))
        return self.consumers[-1]


class BreakableConsumer:
    """A consumer that breaks when told to."""

    def __init__(self, consumer: Any) -> None:
        """Begin sound."""
        self._consumer = consumer
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def failure(self) -> BaseException | None:
        """Why it cannot go on."""
        return BrokerError("the connection is gone") if self.broken else self._consumer.failure()


@pytest.mark.slow
async def test_the_next_worker_waits_for_a_handler_that_swallowed_its_cancellation(shop: Shop) -> None:
    """Its record is delivered again, and is handled only after the handler under the worker before has ended."""
    log, release = list[str](), asyncio.Event()

    @subscribe(shop.order)
    async def handle(_: Any) -> None:
        log.append("begins")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                log.append("goes on")
        log.append("ends")

    service, connect = Service(shop.name("stubborn"), [handle]), shop.connect
    broker = Breakable(connect())
    shop.connect = lambda: cast("Broker", broker)
    async with shop.serving(service, options=Options(commit_interval=0.1, drain_grace=0.0)) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: log)
        broker.consumers[0].broken = True
        await until(lambda: len(broker.consumers) == 2 and in_flight(hub) == 1, timeout=60)
        before = list(log)
        release.set()
        await until(lambda: log.count("ends") == 2)
    shop.connect = connect

    assert ["begins", "goes on", "goes on"] == before
    assert ["ends", "begins", "ends"] == log[3:]
    assert 1 == await shop.committed(shop.order, service)


@pytest.mark.slow
async def test_a_service_whose_topic_was_deleted_says_so_and_goes_on_once_it_is_made_again(shop: Shop) -> None:
    """Also when its connection breaks meanwhile: whoever deleted the topic may be about to make it again."""
    seen = list[int]()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)

    service, broker, topic = Service(shop.name("listener"), [listen]), Breakable(shop.connect()), topic_of(shop)
    orders = shop.orders("abcabc")
    shop.connect = lambda: cast("Broker", broker)
    async with shop.serving(service) as hub:
        await hub.publish_many(orders[:3])
        await until(lambda: len(seen) == 3)
        await delete(hub.broker, topic)
        broker.consumers[0].broken = True
        await until(lambda: hub.supervisors[0].counters.rebuilt > 1, timeout=60)
        told = hub.health()[service.name]
        await hub.broker.admin.create_topics([NewTopic(topic, 3)])
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.assignment.joined, timeout=60)
        await hub.publish_many(orders[3:])
        await until(lambda: len(seen) == 6)

    assert {0, 1, 2, 3, 4, 5} == set(seen)
    assert not told.ready
    assert topic in str(told.problems)


async def test_a_retry_topic_of_an_earlier_version_may_be_deleted_while_the_next_one_runs(shop: Shop) -> None:
    """Also when the connection breaks afterwards: nothing asks for it, so the next worker reads on without."""
    seen = list[int]()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)

    service, broker = Service(shop.name("listener"), [listen]), Breakable(shop.connect())
    left, orders = retry_topic(topic_of(shop), service.name, 10), shop.orders("ab")
    shop.connect = lambda: cast("Broker", broker)
    async with shop.hub() as hub:
        await hub.broker.admin.create_topics([NewTopic(left)])
    async with shop.serving(service) as hub:
        [supervisor] = hub.supervisors
        read = set(supervisor.topics)
        await hub.publish(orders[0])
        await until(lambda: len(seen) == 1)
        await delete(hub.broker, left)
        broker.consumers[0].broken = True
        await until(lambda: left not in supervisor.topics, timeout=60)
        await hub.publish(orders[1])
        await until(lambda: len(seen) == 2, timeout=60)

    assert {left} == read - set(supervisor.topics)


async def test_a_topic_that_was_never_there_ends_the_service_at_once(shop: Shop) -> None:
    """Nobody has read it, so its name is a mistake."""

    @subscribe(shop.order)
    async def listen(_: Any) -> None: ...

    service = Service(shop.name("listener"), [listen])
    async with shop.hub() as hub:
        with pytest.raises(TopicMissing, match=topic_of(shop)):
            await asyncio.wait_for(Supervisor(service, hub._wiring(service)).run(), 30)


def topic_of(shop: Shop) -> str:
    """Where the shop's orders stand."""
    topic: str = shop.order.__event__.topic
    return topic


async def delete(broker: Any, topic: str) -> None:
    """Delete a topic."""
    if broker.url.startswith("memory"):
        broker.delete_topic(topic)
        return
    async with client_admin(broker) as admin:
        await admin.delete_topics([topic])
    await until_gone(broker, topic)


def in_flight(hub: Hub) -> int:
    """How many records the present worker has in hand or in its queues."""
    worker = hub.supervisors[0].worker
    return worker.lanes.in_flight if worker is not None else 0


class Cancelled:
    """What runs beside a worker, until its pool is closed."""

    async def run(self) -> None:
        """Be cancelled by what it waits for."""
        await checkpoint()
        raise asyncio.CancelledError

    def stop(self) -> None:
        """Have ended."""

    async def idle(self) -> bool:
        """Have nothing to do."""
        return True


async def test_what_runs_beside_the_worker_and_is_cancelled_by_what_it_waits_for_ends_the_service() -> None:
    """A task group takes that for an orderly end, and a service without its relay would look healthy."""

    @produces(OrderCreated)
    async def never() -> AsyncIterator[OrderCreated]:
        await asyncio.Event().wait()
        yield OrderCreated(order_id="o-1")

    unused = cast("Any", None)
    wiring = Wiring(MemoryBroker(), unused, unused, {}, Options(), lambda *_: [Cancelled()])
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="what runs beside the worker was cancelled by what it waits for"):
            await Supervisor(Service("shop", [never]), wiring).run()
