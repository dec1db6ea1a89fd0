"""Trials on both brokers: where processes keep dying, one record at a time is handled, and marked while it is."""

import asyncio
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint

from eventhub import Exhausted, Hub, Limits, Options, Ordering, Retry, Service, subscribe
from eventhub.brokers.base import NewTopic, OffsetAndMetadata
from eventhub.brokers.memory import Operation
from eventhub.record import RecordMetadata, TopicPartition
from eventhub.runtime.assignment import CAREFUL_RESTARTS
from eventhub.runtime.breaker import BreakerOptions
from eventhub.runtime.offset_map import OffsetMap, decode_map, encode_map
from eventhub.runtime.watchdog import Patience
from eventhub.runtime.worker import Worker
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop
from tests.runtime.storm import Hurried, StormyShop


def careful_worker(hub: Hub) -> Worker:
    """The worker of a hub's only service, as if processes had kept dying in all of its partitions."""
    worker = cast("Worker", hub.supervisors[0].worker)
    for partition in worker.assignment.partitions.values():
        partition.careful, partition.careful_until = True, 1000
    return worker


async def marks(hub: Hub, service: Service[Any]) -> int:
    """How many partitions hold a record that would be accused, were the process to die now."""
    await cast("Worker", hub.supervisors[0].worker).assignment.commit()
    stored = (await hub.broker.admin.committed(service.name)).values()
    maps = [decode_map(position.metadata, position.offset) for position in stored]
    return sum(found is not None and found.trying for found in maps)


async def commit_as_if_died(hub: Hub, service: Service[Any], place: TopicPartition, known: OffsetMap) -> None:
    """Leave behind what a process that died had committed of a partition."""
    assigned = asyncio.Event()

    class Owner:
        async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
            assert place in partitions
            assigned.set()

        async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None: ...

    consumer = hub.broker.consumer(service.name, service.topics, Owner())
    await consumer.start()
    await assigned.wait()
    await consumer.commit({place: OffsetAndMetadata(known.base, encode_map(known) or "")})
    await consumer.stop()


def partitions(places: Collection[RecordMetadata]) -> set[int]:
    """Where records stand."""
    return {place.partition for place in places}


async def test_careful_partitions_take_no_place_from_each_other(shop: Shop) -> None:
    """With one place to run, a record that is tried alone and has to wait for its next attempt gets it again."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(waits=(0.05,)))
    async def listen(order: Any) -> None:
        seen.append(order.number)
        await checkpoint()
        if len(seen) == 1:
            raise LookupError

    service = Service(shop.name("listener"), [listen], limits=Limits(concurrency=1))
    async with shop.serving(service) as hub:
        worker = careful_worker(hub)
        places = await hub.publish_many(shop.orders("abcdef"))
        await until(lambda: worker.counters.handled == 6)

    assert 1 < len(partitions(places))
    assert {0, 1, 2, 3, 4, 5} == set(seen)


async def test_one_record_of_all_careful_partitions_is_handled_at_a_time(shop: Shop) -> None:
    """And it alone is marked, so that a death accuses nobody else."""
    running, seen = set[int](), list[tuple[set[int], int]]()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        running.add(order.number)
        seen.append((set(running), await marks(hub, service)))
        running.remove(order.number)

    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service) as hub:
        worker = careful_worker(hub)
        places = await hub.publish_many(shop.orders("abcdef"))
        await until(lambda: worker.counters.handled == 6)

    assert 1 < len(partitions(places))
    assert [(1, 1)] * 6 == [(len(together), marked) for together, marked in seen]


async def test_where_processes_die_in_one_partition_the_records_of_all_are_tried(shop: Shop) -> None:
    """Whatever ran beside a trial might be what ends the process, and the record on trial be accused of it."""
    running, together, marked = set[int](), list[int](), list[int]()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        running.add(order.number)
        together.append(len(running))
        marked.append(await marks(hub, service))
        running.remove(order.number)

    service = Service(shop.name("listener"), [listen])
    async with shop.hub() as hub:
        await hub.broker.admin.create_topics([NewTopic(topic, 3) for topic in service.topics])
        places = await hub.publish_many(shop.orders("abcdef"))
        place = TopicPartition(places[0].topic, places[0].partition)
        await commit_as_if_died(hub, service, place, OffsetMap(0, 0, restarts=CAREFUL_RESTARTS - 1))
    async with shop.serving(service) as hub:
        await until(lambda: hub.supervisors[0].counters.handled == 6)

    assert 1 < len(partitions(places))
    assert ([1] * 6, [1] * 6) == (together, marked)


async def test_no_record_is_tried_before_the_broker_has_its_mark() -> None:
    """While commits fail the last mark stands, and would accuse a record that is done of what the next one does."""
    shop, seen = StormyShop(), list[int]()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)
        if order.number == 0:
            shop.network.lost = {Operation.COMMIT}

    options = Options(clock=Hurried(), partitions=1, patience=Patience(commits_failed=1_000_000))
    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service, options=options) as hub:
        careful_worker(hub)
        await hub.publish_many(shop.orders("ab"))
        await until(lambda: shop.network.losses > 3)
        unmarked = list(seen)
        shop.network.lost.clear()
        await until(lambda: len(seen) == 2)

    assert [0] == unmarked
    assert [0, 1] == seen


async def test_a_record_that_rests_is_not_accused_of_what_ends_the_process_meanwhile(shop: Shop) -> None:
    """Its mark stands in the commit for as long as its handler runs, in every attempt, and not between two."""
    marked: list[int] = []
    failing = asyncio.Event()

    @subscribe(shop.order, retry=Retry(waits=(0.5, 3600.0)))
    async def listen(_: Any) -> None:
        marked.append(await marks(hub, service))
        failing.set()
        raise LookupError

    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service) as hub:
        worker = careful_worker(hub)
        await hub.publish_many(shop.orders("a"))
        for _attempt in range(2):
            await failing.wait()
            failing.clear()
            await until(lambda: worker.lanes.parked_keys == 1)
            marked.append(await marks(hub, service))

    assert [1, 0, 1, 0] == marked


@pytest.mark.parametrize(
    "retry", [Retry(waits=(3600.0,)), Retry(waits=(), exhausted=Exhausted.HALT_KEY)], ids=["rests", "halts"]
)
async def test_a_careful_partition_whose_record_waits_holds_up_no_other(shop: Shop, retry: Retry) -> None:
    """While no handler of it runs it may end no process, so the next partition's record is tried."""
    seen = set[int]()

    @subscribe(shop.order, retry=retry, ordering=Ordering.PARTITION)
    async def listen(order: Any) -> None:
        seen.add(order.number)
        if order.number == 0:
            raise LookupError

    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service) as hub:
        worker = careful_worker(hub)
        [first] = await hub.publish_many(shop.orders("a"))
        await until(lambda: worker.lanes.parked_keys == 1)
        places = await hub.publish_many(shop.orders("abcdef")[1:])
        others = {number for number, place in enumerate(places, start=1) if place.partition != first.partition}
        await until(lambda: seen >= others)

    assert others
    assert {0} | others == seen


async def test_careful_partitions_wait_for_the_end_of_an_outage_without_a_mark(shop: Shop) -> None:
    """Whoever waits at the gate is on no trial, so the probe may be anybody's, and is a trial of its own."""
    down, marked, seen = True, list[int](), set[int]()

    @subscribe(shop.order, retry=Retry(waits=(0.0,) * 100))
    async def listen(order: Any) -> None:
        if down:
            raise ConnectionError
        seen.add(order.number)
        marked.append(await marks(hub, service))

    options = Options(
        commit_interval=0.1, breaker=BreakerOptions(failures=3, keys=2, probe_wait=0.2, probe_wait_limit=0.2)
    )
    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service, options=options) as hub:
        worker = careful_worker(hub)
        await hub.publish_many(shop.orders("abcdef"))
        await until(lambda: worker.gate.shut and worker.lanes.parked_keys > 1)
        marked.append(await marks(hub, service))
        down = False
        await until(lambda: worker.counters.handled == 6)

    assert [0, 1, 1, 1, 1, 1, 1] == marked
    assert {0, 1, 2, 3, 4, 5} == seen
