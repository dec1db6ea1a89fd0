"""Where a worker begins in a partition, and what it does when that is not there any more."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from aiokafka.admin import NewPartitions, RecordsToDelete
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from eventhub import Options, Service, Start, subscribe
from eventhub.brokers.base import Broker, Consumer, NewTopic, OffsetAndMetadata, OffsetRange, RebalanceListener
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.kafka.consumer import KafkaConsumer
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.clock import ManualClock, SystemClock
from eventhub.errors import CommitFailed, OffsetOutOfRange, RecordUnreadable
from eventhub.record import Record, TopicPartition
from eventhub.runtime.assignment import Assignment, restarts_of, start_offset
from eventhub.runtime.channels import Channel
from eventhub.runtime.delay import Delay
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.offset_map import OffsetMap, encode_map
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.partition import ALONE, Lane, Partition
from eventhub.subscription import Ordering
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import client_admin
from tests.runtime.conftest import Shop
from tests.runtime.storm import StormyShop


def listener(shop: Shop, seen: list[int]) -> Service[Any]:
    """A service that notes the number of every order."""

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)

    return Service(shop.name("listener"), [listen])


@pytest.mark.parametrize(
    ("committed", "start", "known_group", "offset"),
    [
        (None, Start.EARLIEST, False, 3),
        (None, Start.LATEST, False, 9),
        (None, Start.LATEST, True, 3),
        (7, Start.EARLIEST, True, 7),
        (7, Start.LATEST, True, 7),
        (1, Start.LATEST, True, 1),
    ],
)
def test_a_commit_counts_then_the_option_and_a_new_partition_is_read_in_full(
    committed: int | None, start: Start, known_group: bool, offset: int
) -> None:
    """A partition without a commit in a group that has some was added later, so all of it is unread."""
    stored = None if committed is None else OffsetAndMetadata(committed, "")

    assert offset == start_offset(stored, OffsetRange(3, 9), start, known_group=known_group)


async def test_a_new_group_may_begin_at_what_is_written_from_now_on(shop: Shop) -> None:
    """What was there before is not read, not even after a restart."""
    seen: list[int] = []
    service, latest = listener(shop, seen), Options(start=Start.LATEST, commit_interval=0.1)
    orders = shop.orders("abcabc")
    async with shop.hub() as hub:
        await hub.publish_many(orders[:3])
    async with shop.serving(service, options=latest):
        pass
    async with shop.hub() as hub:
        await hub.publish_many(orders[3:])
    async with shop.serving(service, options=latest):
        await until(lambda: len(seen) >= 3)

    assert [3, 4, 5] == sorted(seen)


@pytest.mark.kafka
async def test_a_partition_that_is_added_is_read_in_full_by_whoever_gets_it(kafka_url: str) -> None:
    """Also by a member that had nothing before, in a group that began at the end."""
    shop, seen = Shop(lambda: KafkaBroker(kafka_url, client={"metadata_max_age_ms": 500})), list[int]()
    service, options = listener(shop, seen), Options(start=Start.LATEST, commit_interval=0.1, partitions=1)
    topic, orders = shop.order.__event__.topic, shop.orders("abcdefghij")
    async with AsyncExitStack() as stack:
        for _ in range(3):  # orders, replays, and one member without a partition
            await stack.enter_async_context(shop.serving(service, options=options))
        async with client_admin(KafkaBroker(kafka_url)) as admin:
            await admin.create_partitions({topic: NewPartitions(2)})
        async with shop.hub() as writer:
            written = await writer.publish_many(orders)
        await until(lambda: len(seen) == len(orders), timeout=30)

    assert {0, 1} == {place.partition for place in written}
    assert list(range(len(orders))) == sorted(seen)


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_topic_that_is_made_again_is_handled_from_its_beginning(kafka_url: str) -> None:
    """Although the new one is longer than what was committed of the old one; the same service goes on."""
    shop, seen = Shop(lambda: KafkaBroker(kafka_url, client={"metadata_max_age_ms": 500})), list[int]()
    service, options = listener(shop, seen), Options(commit_interval=0.1, partitions=1)
    topic, orders = shop.order.__event__.topic, shop.orders("a" * 12)
    async with shop.serving(service, options=options) as hub:
        await hub.publish_many(orders[:4])
        await until(lambda: len(seen) == 4)
        while await shop.committed(shop.order, service) < 4:
            await checkpoint()
        async with client_admin(KafkaBroker(kafka_url)) as admin:
            await admin.delete_topics([topic])
            while topic in await hub.broker.admin.topics():
                await checkpoint()
        [supervisor] = hub.supervisors
        await until(
            lambda: supervisor.worker and {topic} - {tp.topic for tp in supervisor.worker.assignment.partitions}
        )
        await hub.broker.admin.create_topics([NewTopic(topic)])
        async with shop.hub() as writer:
            written = await writer.publish_many(orders[4:])
        await until(lambda: len(seen) == 12, timeout=30)
        rebuilt = supervisor.counters.rebuilt

    assert list(range(8)) == [place.offset for place in written]
    assert list(range(12)) == seen
    assert 0 == rebuilt


async def test_a_position_that_retention_deleted_is_taken_up_at_the_next_record(shop: Shop) -> None:
    """The service goes on with what is there."""
    seen = list[int]()
    service = listener(shop, seen)
    await handle_two_and_delete_two_more(shop, service)
    with capture_logs() as logs:
        async with shop.serving(service) as hub:
            await until(lambda: len(seen) == 4)
            rebuilt = hub.supervisors[0].counters.rebuilt

    assert [0, 1, 4, 5] == seen
    assert [(2, 4)] == [(log["asked"], log["offset"]) for log in logs if log["event"] == "eventhub.offset_reset"]
    assert 0 == rebuilt


async def test_a_position_that_is_gone_may_end_the_service_instead(shop: Shop) -> None:
    """Whoever cannot do without a record hears of it."""
    seen = list[int]()
    service = listener(shop, seen)
    await handle_two_and_delete_two_more(shop, service)
    async with shop.hub(Options(fail_on_offset_reset=True)) as hub:
        with pytest.raises(OffsetOutOfRange):
            await asyncio.wait_for(hub.serve(service), 5)

    assert [0, 1] == seen


async def test_a_log_that_was_cut_off_below_the_commit_is_read_in_full() -> None:
    """What the commit notes as finished beyond it stood in another log; the records there now are others."""
    broker, seen = MemoryBroker(), list[int]()
    shop, options = Shop(lambda: broker), Options(partitions=1, stop_grace=0.0)
    hanging = asyncio.Event()

    @subscribe(shop.order)
    async def listen(order: Any) -> None:
        seen.append(order.number)
        if order.customer == "slow":
            await hanging.wait()

    service = Service(shop.name("listener"), [listen])
    async with shop.serving(service, options=options) as hub:
        places = await hub.publish_many([*shop.orders("abc"), shop.order(customer="slow"), *shop.orders("ab")])
        await until(lambda: hub.supervisors[0].counters.handled == 5)
    seen.clear()
    broker.truncate(TopicPartition(places[0].topic, 0), 2)
    async with shop.serving(service, options=options) as hub:
        await until(lambda: seen == [0, 1])
        for order in shop.orders("abcdef")[2:]:
            await hub.publish(order)
        await until(lambda: len(seen) == 6)

    assert [0, 1, 2, 3, 4, 5] == seen
    assert 6 == await shop.committed(shop.order, service)


class Revoking:
    """A ``Consumer`` whose partitions are revoked while it asks for offsets."""

    def __init__(self, assignment: Assignment) -> None:
        """Revoke from this assignment."""
        self._assignment = assignment
        self.sought: list[int] = []

    async def offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, OffsetRange]:
        """Revoke, then answer."""
        await self._assignment.on_revoked(set(partitions))
        return {partition: OffsetRange(5, 9) for partition in partitions}

    async def commit(self, _: object) -> None:
        """Store nothing."""

    def seek(self, _: TopicPartition, offset: int) -> None:
        """Note the offset."""
        self.sought.append(offset)


async def test_a_partition_that_is_revoked_while_its_log_is_asked_for_is_left_alone() -> None:
    """Where its next owner begins is not ours to say, and nothing ends for it."""
    lanes = Lanes(ignore, concurrency=1, clock=SystemClock())
    assignment = Assignment("group", {}, lanes, Options())
    consumer = Revoking(assignment)
    assignment.use(cast("Consumer", consumer))
    place = TopicPartition("orders", 0)
    assignment.partitions[place] = Partition(place, Ordering.KEY, Offsets(0), 0)
    await assignment.reset({place: 0})

    assert {} == assignment.partitions
    assert [] == consumer.sought


async def handle_two_and_delete_two_more(shop: Shop, service: Service[Any]) -> None:
    """Of six orders of one key the first two are handled, and the next two deleted."""
    orders = shop.orders("aaaaaa")
    async with shop.serving(service) as hub:
        [place, _] = await hub.publish_many(orders[:2])
        await until(lambda: hub.supervisors[0].counters.handled == 2)
    async with shop.hub() as hub:
        await hub.publish_many(orders[2:])
        await delete_records(hub.broker, TopicPartition(place.topic, place.partition), 4)


async def delete_records(broker: Broker, partition: TopicPartition, before: int) -> None:
    """Delete the records below an offset, as retention does."""
    if isinstance(broker, KafkaBroker):
        async with client_admin(broker) as admin:
            await admin.delete_records({partition: RecordsToDelete(before_offset=before)})
    elif isinstance(broker, MemoryBroker):
        broker.delete_records(partition, before)


ELSEWHERE = encode_map(OffsetMap(0, 4, frozenset({0})))
"""A map by which all records but the first are finished; it belongs to another offset than it is found at."""


@pytest.mark.parametrize("metadata", ["", "foreign", "\u20ac" * 1000, (ELSEWHERE or "")[:-4], ELSEWHERE])
async def test_a_commit_of_another_program_counts_and_what_it_noted_does_not(shop: Shop, metadata: str) -> None:
    """The group goes on from its offset, and handles all that comes after it, once."""
    seen = list[int]()
    service = listener(shop, seen)
    orders = shop.orders("aaaa")
    async with shop.hub() as hub:
        [place, *_] = await hub.publish_many(orders)
        stranger = Stranger()
        consumer = hub.broker.consumer(service.name, [place.topic], stranger)
        await consumer.start()
        await consumer.commit({TopicPartition(place.topic, place.partition): OffsetAndMetadata(2, metadata)})
        await consumer.stop()
    async with shop.serving(service):
        await until(lambda: len(seen) >= 2)

    assert [2, 3] == seen
    assert 4 == await shop.committed(shop.order, service)


class Stranger:
    """A member of the group that is no eventhub."""

    async def on_revoked(self, partitions: object) -> None:
        """Do nothing."""

    async def on_assigned(self, partitions: object) -> None:
        """Do nothing."""


async def test_a_crash_repeats_only_what_was_finished_since_the_last_commit() -> None:
    """What was committed is not handled again, what was not is, and nothing is left out."""
    shop, seen = StormyShop(session_timeout=0.1), list[int]()
    service, orders = listener(shop, seen), shop.orders("abcdefabcdef")
    async with shop.serving(service, options=Options(commit_interval=0.01)) as hub:
        await hub.publish_many(orders[:6])
        while await shop.committed(shop.order, service) < 6:
            await checkpoint()
        shop.network.lost = {Operation.COMMIT}
        await hub.publish_many(orders[6:])
        await until(lambda: len(seen) == 12)
        shop.network.lost = set(Operation)  # from here on nobody hears of this process any more
    shop.network.lost = set()
    async with shop.serving(service):
        await until(lambda: len(seen) >= 18)

    assert [0, 1, 2, 3, 4, 5] == sorted(seen[:6])
    assert [6, 7, 8, 9, 10, 11] == sorted(seen[6:12]) == sorted(seen[12:])


@pytest.mark.parametrize(
    ("known", "held", "expected"),
    [
        (None, OffsetRange(0, 10), 1),
        (OffsetMap(5, 5, restarts=3), OffsetRange(0, 10), 4),
        (OffsetMap(5, 5, restarts=3), OffsetRange(0, 5), 0),
    ],
)
def test_taking_over_a_partition_counts_only_where_there_is_something_to_read(
    known: OffsetMap | None, held: OffsetRange, expected: int
) -> None:
    """A quiet partition is under no suspicion."""
    assert expected == restarts_of(known, 5, held)


async def test_what_was_given_up_is_not_committed_any_more() -> None:
    """A commit that failed as a partition was revoked is not made up for: somebody else may own it by now."""
    shop = StormyShop()
    service = listener(shop, [])
    topic = shop.order.__event__.topic
    async with shop.hub() as hub:
        await hub.publish_many(shop.orders("a"))
        lanes = Lanes(ignore, concurrency=1, clock=SystemClock())
        assignment = Assignment(service.name, {topic: Channel(Ordering.KEY)}, lanes, Options())
        consumer = shop.broker.consumer(service.name, [topic], assignment)
        assignment.use(consumer)
        await consumer.start()
        owned = list(assignment.partitions.values())
        owned[0].offsets.passed(0)

        shop.network.lost = {Operation.COMMIT}
        await assignment.on_revoked(set(assignment.partitions))
        shop.network.lost = set()
        await assignment.commit(owned)
        await consumer.stop()

    assert 0 == await shop.committed(shop.order, service)


@pytest.mark.parametrize(
    ("careful", "queued", "asked"), [(True, True, True), (False, True, False), (False, False, True)]
)
async def test_after_a_careful_stretch_a_partition_is_asked_once_nothing_queues_there(
    careful: bool, queued: bool, asked: bool
) -> None:
    """Otherwise what comes would queue there too, and keys never get their lanes back."""
    lanes = Lanes(ignore, concurrency=1, clock=SystemClock())
    assignment = Assignment("group", {}, lanes, Options())
    place = TopicPartition("orders", 0)
    owned = assignment.partitions[place] = Partition(place, Ordering.KEY, Offsets(0), 0, careful=careful)
    if queued:
        owned.lanes[ALONE] = Lane(owned, ALONE, None, 0.0)

    assert asked == (assignment.askable() == [place])


async def test_partitions_that_belong_to_others_already_are_given_up_at_once() -> None:
    """Whoever was thrown out cancels its handlers, however long the grace is: somebody else handles their records."""
    broker = MemoryBroker(session_timeout=0.1, rebalance_timeout=1e6)
    shop, cancelled, seen = Shop(lambda: broker), asyncio.Event(), list[int]()

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        seen.append(order.number)
        if order.number == 0 and not cancelled.is_set():
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    service, options = Service(shop.name("fenced"), [handle]), Options(commit_interval=60.0, drain_grace=1e5)
    async with shop.serving(service, options=options) as hub:
        await hub.publish_many(shop.orders("ab"))
        await until(lambda: hub.supervisors[0].counters.handled == 1)
        group = broker._cluster.group(service.name)
        group.leave(next(iter(group._members)))
        await asyncio.wait_for(cancelled.wait(), 10)
        await until(lambda: len(seen) == 4)

    assert [0, 1] == sorted(seen[:2]) == sorted(seen[2:])


class Apart:
    """A consumer that cannot poll its partitions; every part that is not asked for is left out."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Hold these records in batches that only ``read_apart`` reads."""
        self._records = records
        self.sought: list[int] = []

    async def poll(self, _: Collection[TopicPartition], **__: object) -> Mapping[TopicPartition, Sequence[Record]]:
        """Fail."""
        msg = "a header"
        raise RecordUnreadable(msg)

    async def read_apart(
        self, partition: TopicPartition, offset: int, *, max_records: int
    ) -> tuple[Sequence[Record], int]:
        """The records from there on, and one more offset that holds none behind the last."""
        found = [r for r in self._records if (r.topic, r.partition) == partition and r.offset >= offset]
        return found[:max_records], found[:max_records][-1].offset + (2 if len(found) <= max_records else 1)

    def seek(self, _: TopicPartition, offset: int) -> None:
        """Note where it is read on."""
        self.sought.append(offset)


@pytest.mark.parametrize(
    ("written", "position", "taken"), [((-11.0, -3.0), 6, 1), ((-11.0, -12.0), 8, 2), ((0.0,), 5, 0)]
)
async def test_what_is_read_apart_from_a_retry_topic_waits_like_the_rest(
    written: Sequence[float], position: int, taken: int
) -> None:
    """What is not due is read again when it is, and not passed over."""
    clock, place = ManualClock(), TopicPartition("retries", 0)
    records = [Record(*place, 5 + n, clock.now() + at, None, b"") for n, at in enumerate(written)]
    lanes = Lanes(ignore, concurrency=1, clock=clock)
    assignment, consumer = Assignment("group", {}, lanes, Options(clock=clock)), Apart(records)
    assignment.use(cast("Consumer", consumer))
    owned = assignment.partitions[place] = Partition(place, Ordering.NONE, Offsets(5), 5, origin="orders")
    owned.delay = Delay(10.0)
    lanes.start()
    await assignment.read_apart(10)
    await until(lambda: owned.offsets.next == 5 + taken)
    await lanes.stop()

    assert position == owned.position == consumer.sought[-1]
    assert [] == [place for place in assignment.askable() if taken < len(records)]


async def test_no_more_is_read_apart_than_there_is_room_for_and_each_partition_has_its_turn() -> None:
    """Whoever writes such headers fills no memory, and holds up no partition with others of the kind."""
    handled: list[tuple[int, int]] = []

    async def process(record: Record, _: Partition) -> None:
        handled.append((record.partition, record.offset))

    places = [TopicPartition("orders", number) for number in range(3)]
    consumer = Apart([Record(*place, offset, 0.0, None, b"") for place in places for offset in range(5)])
    lanes = Lanes(process, concurrency=1, clock=SystemClock())
    assignment = Assignment("group", {}, lanes, Options())
    assignment.use(cast("Consumer", consumer))
    assignment.partitions.update((place, Partition(place, Ordering.KEY, Offsets(0), 0)) for place in places)
    lanes.start()
    for _turn in range(4):
        await until(lambda: lanes.hungry)
        await assignment.read_apart(2)
    await until(lambda: lanes.hungry)
    await lanes.stop()

    assert [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (0, 2), (0, 3)] == handled


class Silent:
    """A consumer whose broker has not answered for so long."""

    def silence(self, _: TopicPartition) -> float:
        """The seconds."""
        return 45.0


@pytest.mark.parametrize(("asked_for", "silence"), [(60.0, 45.0), (10.0, 10.0), (0.0, 0.0)])
def test_the_broker_is_not_silent_while_nobody_asks(asked_for: float, silence: float) -> None:
    """The age of its last answer grows while a partition rests or has no room; it counts from the next question on."""
    clock, place = ManualClock(), TopicPartition("orders", 0)
    assignment = Assignment("group", {}, Lanes(ignore, concurrency=1, clock=clock), Options(clock=clock))
    assignment.use(cast("Consumer", Silent()))
    partition = assignment.partitions[place] = Partition(place, Ordering.KEY, Offsets(0), 0)
    for crowded, passing in ((False, 100.0), (True, 100.0), (False, asked_for / 2), (False, asked_for / 2)):
        partition.crowded = crowded
        assignment.ask()
        clock.advance(passing)

    assert silence == assignment.silence()


class Late:
    """A consumer whose commits are answered when a test says so; the first is refused."""

    def __init__(self) -> None:
        """Begin with nothing committed."""
        self.answers = asyncio.Event()
        self.commits: list[Mapping[TopicPartition, OffsetAndMetadata]] = []
        self.meanwhile: Callable[[], None] | None = None
        """What happens while a commit is under way."""

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Wait for the answer."""
        self.commits.append(offsets)
        first = len(self.commits) == 1
        await self.answers.wait()
        if self.meanwhile is not None:
            self.meanwhile()
        if first:
            msg = "the group has moved on"
            raise CommitFailed(msg)

    async def committed(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, None]:
        """Nothing."""
        return dict.fromkeys(places)

    async def offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """Ten records in each."""
        return dict.fromkeys(places, OffsetRange(0, 10))

    def seek(self, *_: object) -> None:
        """Do nothing."""


async def test_a_refusal_that_comes_late_says_nothing_of_what_was_assigned_since() -> None:
    """What is finished there is committed at the next rebalance, and its handlers have their grace."""
    clock, place, consumer = ManualClock(), TopicPartition("orders", 0), Late()
    lanes = Lanes(ignore, concurrency=1, clock=clock)
    assignment = Assignment("group", {"orders": Channel(Ordering.KEY)}, lanes, Options(clock=clock))
    assignment.use(cast("Consumer", consumer))
    await assignment.on_assigned({place})
    committing = asyncio.ensure_future(assignment.commit())
    await until(lambda: consumer.commits)
    assignment.partitions.clear()  # as if it had been revoked with the commit still under way
    await assignment.on_assigned({place})
    offsets = assignment.partitions[place].offsets
    consumer.answers.set()
    await committing
    offsets.passed(0)
    consumer.meanwhile = lambda: offsets.passed(1)  # as handlers do that have their grace
    await assignment.on_revoked({place})

    assert [0, 1, 2] == [commit[place].offset for commit in consumer.commits]


async def ignore(_: Record, __: Partition) -> None:
    """Handle a record."""


async def test_a_partition_is_not_read_on_far_beyond_a_record_that_is_stuck() -> None:
    """What is finished behind it has to fit into a commit; when it is done, the partition goes on."""
    shop, seen, release = StormyShop(), list[int](), asyncio.Event()

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        if order.number == 0:
            await release.wait()
        seen.append(order.number)

    service = Service(shop.name("stuck"), [handle])
    options = Options(max_span=5, max_poll_records=1, poll_timeout=0.01, partitions=1)
    async with shop.serving(service, options=options) as hub:
        await hub.publish_many(shop.orders("abcdefghijkl"))
        await until(lambda: len(seen) == 4)
        [worker] = [supervisor.worker for supervisor in hub.supervisors]
        heartbeat = worker.heartbeat if worker is not None else 0.0
        await until(lambda: worker is not None and worker.heartbeat > heartbeat + 0.05)
        before = sorted(seen)
        release.set()
        await until(lambda: len(seen) == 12)

    assert [1, 2, 3, 4] == before


class Commits:
    """A network on which commits take their time, and that sees how many are under way."""

    def __init__(self) -> None:
        """Begin with none."""
        self.made = self.under_way = self.most = 0

    async def before(self, operation: Operation, _: str) -> None:
        """Hold a commit up for some turns of the loop."""
        if operation is Operation.COMMIT:
            self.made += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _turn in range(10):
                await checkpoint()

    async def after(self, operation: Operation, _: str) -> None:
        """Note that a commit has come to its end."""
        self.under_way -= operation is Operation.COMMIT


async def test_one_commit_is_made_after_the_other() -> None:
    """An older position can never arrive after a newer one, however many ask for a commit."""
    commits = Commits()
    broker, seen = MemoryBroker(faults=commits), list[int]()
    shop = Shop(lambda: broker)
    async with shop.serving(listener(shop, seen), options=Options(commit_interval=0.001)) as hub:
        [worker] = [supervisor.worker for supervisor in hub.supervisors]
        assert worker is not None
        for order in shop.orders("abcdefghij"):
            await hub.publish(order)
            await asyncio.gather(worker.assignment.commit(), worker.assignment.commit())
        await until(lambda: len(seen) == 10)

    assert commits.made > 5
    assert 1 == commits.most


NONSENSE = "these bytes make no sense"


class HalfBlind:
    """A ``Broker`` whose client cannot take some records apart, and nobody others."""

    def __init__(self, broker: MemoryBroker, *, unreadable: int, damaged: int) -> None:
        """Stumble over these offsets of partition 0."""
        self._broker = broker
        self._unreadable = unreadable
        self._damaged = damaged

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> Any:
        """A consumer that stumbles."""
        consumer = cast("Any", self._broker.consumer(group, topics, listener))
        poll, read_apart = consumer.poll, consumer.read_apart

        async def polling(*args: Any, **options: Any) -> Any:
            polled = await poll(*args, **options)
            offsets = {r.offset for records in polled.values() for r in records if r.partition == 0}
            if offsets & {self._unreadable, self._damaged}:
                raise RecordUnreadable(NONSENSE)
            return polled

        async def reading_apart(partition: TopicPartition, offset: int, *, max_records: int) -> Any:
            if offset == self._damaged:
                raise RecordUnreadable(NONSENSE)
            return await read_apart(partition, offset, max_records=min(max_records, self._damaged - offset))

        consumer.poll, consumer.read_apart = polling, reading_apart
        return consumer


async def test_what_the_client_cannot_take_apart_is_handled_and_damage_stops_its_partition() -> None:
    """What nobody can read is not passed over; the other partitions go on."""
    broker = MemoryBroker()
    shop, seen = Shop(lambda: broker), list[int]()
    service = listener(shop, seen)
    half_blind = cast("Broker", HalfBlind(broker, unreadable=1, damaged=3))
    shop.connect = lambda: half_blind
    async with shop.serving(service, options=Options(poll_timeout=0.01, partitions=2)) as hub:
        places = await hub.publish_many(shop.orders("abcdefghijkl"))
        readable = [number for number, at in enumerate(places) if at.partition == 1 or (at.offset or 0) < 3]
        await until(lambda: sorted(seen) == readable)
        await until(lambda: all(found.detail.unreadable == 1 for found in hub.health().values()))
        [found] = hub.health().values()

    assert 3 + sum(at.partition == 1 for at in places) == len(readable)
    assert "1 partitions stand still at a batch that nobody can read" in found.problems
    assert len(readable) == await shop.committed(shop.order, service)


class NotedConsumer(KafkaConsumer):
    """A member that notes when it commits."""

    said: list[str]

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Note it."""
        self.said.append("commit")
        await super().commit(offsets)


class NotedListener:
    """A listener that notes from when until when nothing is owned."""

    def __init__(self, listener: RebalanceListener, said: list[str]) -> None:
        """Begin with nothing said."""
        self._listener = listener
        self._said = said

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note the end of it."""
        await self._listener.on_revoked(partitions)
        self._said.append("revoked")

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note the beginning of it."""
        self._said.append("assigned")
        await self._listener.on_assigned(partitions)


class Noted(KafkaBroker):
    """A Kafka whose members note what they do."""

    def __init__(self, url: str) -> None:
        """Begin with nothing noted."""
        super().__init__(url)
        self.said: list[str] = []

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> NotedConsumer:
        """A member that notes."""
        told = NotedListener(listener, self.said)
        consumer = NotedConsumer(group, topics, told, options=self._options.consumer, admin=self._admin)
        consumer.said = self.said
        return consumer


@pytest.mark.kafka
async def test_nothing_is_committed_between_revocation_and_assignment(kafka_url: str) -> None:
    """A commit in between would be one too late, and cost every member another rebalance."""
    noted, never = Noted(kafka_url), asyncio.get_running_loop().create_future()
    brokers: list[Broker] = [noted]
    shop = Shop(lambda: brokers[-1])

    @subscribe(shop.order)
    async def handle(_: Any) -> None:
        await asyncio.wait([never], timeout=0.02)

    service, options = Service(shop.name("slow"), [handle]), Options(commit_interval=0.001)
    async with shop.serving(service, options=options) as hub:
        writing = asyncio.ensure_future(hub.publish_many(shop.orders("abcdefghij" * 100)))
        await until(lambda: hub.supervisors[0].counters.handled > 10)
        brokers.append(KafkaBroker(kafka_url))
        async with shop.serving(service, options=options):
            pass
        await until(lambda: noted.said.count("assigned") == 3, timeout=30)
        await until(lambda: noted.said[-1] == "commit")
        await writing
    said = "".join(word[0] for word in noted.said)

    assert re.fullmatch("r?ac+rac+rac+", said)
