"""Records that wait in a topic of their group's own: on both brokers, by a clock that is moved by hand."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from eventhub import Context, Hub, Options, Ordering, Retry, Service, subscribe
from eventhub import headers as names
from eventhub.brokers.base import NewTopic
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import Operation
from eventhub.errors import AuthorizationFailed, DecodeError
from eventhub.record import ProducerRecord, Record
from eventhub.runtime.dead_letter import Reason, dead_letter, read_dead_letter
from eventhub.runtime.replay import DeadLetterTopic, Selection
from eventhub.runtime.retry_topic import restored, set_aside
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import client_admin
from tests.runtime.conftest import Shop
from tests.runtime.storm import Network, StormyShop

REASON = Reason("inventory", "reserve", 4, OSError("no"), "handle", 1_700_000_000.0, 1_700_000_002.5)
RETRIES = "orders.inventory.retry.10s"
ORIGINAL = Record("orders", 2, 7, 1_699_999_999.0, b"key", b"\x00value", (("x", b"y"), ("x", None)))


def read(sent: ProducerRecord, offset: int = 3) -> Record:
    """A record as it is read that was sent to one of the group's own topics."""
    return Record(sent.topic, sent.partition or 0, offset, 1_700_000_003.0, sent.key, sent.value, sent.headers)


def test_what_is_set_aside_is_restored_as_it_was() -> None:
    """Bytes, place and time are those of the origin, in the partition of the same number."""
    sent = set_aside(ORIGINAL, REASON, topic=RETRIES)

    assert (RETRIES, b"key", b"\x00value", 2) == (*sent[:3], sent.partition)
    assert ORIGINAL.headers == sent.headers[:2]
    assert ORIGINAL == restored(read(sent), "orders")


def test_what_was_tried_is_told_and_why_it_failed_is_not() -> None:
    """The attempts and the first failure go on counting; errors are for dead letters."""
    told = read_dead_letter(read(set_aside(ORIGINAL, REASON, topic=RETRIES)))

    assert (4, 1_700_000_000.0, "reserve", "inventory") == (
        told.attempt,
        told.first_failure_at,
        told.handler,
        told.group,
    )
    assert (None, None, None) == (told.error_type, told.error_message, told.error_stack)


def test_what_is_set_aside_again_keeps_its_first_origin_and_its_replay() -> None:
    """From one topic of the group's own to the next; the dead letter at the end has them, too."""
    replay = (names.REPLAY_ID, b"r-1"), (names.REPLAY_COUNT, b"2")
    first = read(set_aside(ORIGINAL, REASON, topic=RETRIES))
    first = first._replace(headers=(*first.headers, *replay))
    again = read(set_aside(first, REASON, topic="orders.inventory.retry.1m", trusted=True), 9)
    letter = read_dead_letter(read(dead_letter(again, REASON, topic="orders.inventory.dlt", trusted=True)))

    assert ORIGINAL == restored(again, "orders")
    assert (ORIGINAL[:4], "r-1", 2) == (letter.origin, letter.replay_id, letter.replay_count)


def test_what_a_stranger_says_of_a_record_is_dropped() -> None:
    """Headers of this kind count only on topics of the group's own."""
    lies = ((names.ORIGIN_TOPIC, b"payments"), (names.ATTEMPT, b"99"), (names.REPLAY_ID, b"r-1"))
    told = read_dead_letter(read(set_aside(ORIGINAL._replace(headers=lies), REASON, topic=RETRIES)))

    assert (ORIGINAL[:4], 4, None) == (told.origin, told.attempt, told.replay_id)


def test_a_record_that_does_not_say_where_it_stood_is_not_restored() -> None:
    """Nor one of another topic."""
    with pytest.raises(DecodeError, match="no record of topic 'payments'"):
        restored(read(set_aside(ORIGINAL, REASON, topic=RETRIES)), "payments")
    with pytest.raises(DecodeError, match="no record of topic 'orders'"):
        restored(ORIGINAL, "orders")


class Ahead:
    """A clock that stands still, ahead of the machine's by as much as a test says.

    The machine's keeps the times of records, so what is written now is due a wait later by this clock,
    or as much later still as a slow machine takes for the test; never earlier.
    """

    def __init__(self) -> None:
        """Begin with the machine's time."""
        self.ahead = 0.0
        self._began = time.time()

    def now(self) -> float:
        """The time of day."""
        return self._began + self.ahead

    def monotonic(self) -> float:
        """The time in which waits are measured; a look takes a moment, so that the poll task is seen to turn."""
        self.ahead += 1e-6
        return self.ahead

    def passes(self) -> bool:
        """Let a moment pass."""
        self.ahead += 0.05
        return True

    async def sleep(self, seconds: float) -> None:
        """Return when the time has come."""
        end = self.monotonic() + seconds
        await until(lambda: self.monotonic() >= end, timeout=60)


def options(clock: Ahead) -> Options:
    """A runtime by this clock."""
    return Options(clock=clock, commit_interval=0.1, partitions=1, random=lambda: 0.0)


class Checkout:
    """A service without order; it fails some of its orders as often as it is told to."""

    def __init__(self, shop: Shop, *waits: float, failures: dict[int, int]) -> None:
        """Fail orders, by number, so many times."""
        self.tries: list[tuple[int, int]] = []
        """The number and the attempt of every call."""
        self.places: list[tuple[str, int, int, str]] = []
        """Where the handler was told that each of them stands, and its id."""
        self.times: list[float] = []
        """When each was made, by the machine's clock."""

        @subscribe(shop.order, ordering=Ordering.NONE, retry=Retry(waits=waits))
        async def check_out(order: Any, context: Context[None]) -> None:
            record = context.record
            self.times.append(time.time())
            self.tries.append((order.number, context.attempt))
            self.places.append((record.topic, record.partition, record.offset, context.stamp.id))
            if sum(number == order.number for number, _ in self.tries) <= failures.get(order.number, 0):
                raise OSError

        self.service = Service(shop.name("checkout"), [check_out])

    def attempts(self, number: int) -> Sequence[int]:
        """The attempts at one order."""
        return [attempt for tried, attempt in self.tries if tried == number]


async def rests(hub: Hub) -> None:
    """Return once a record is seen to wait, and the reader has come back to look twice more."""
    [supervisor] = hub.supervisors
    await until(lambda: supervisor.health().detail.waiting)
    for _ in range(2):
        worker = supervisor.worker
        assert worker is not None
        turn = worker.heartbeat
        await until(lambda worker=worker, turn=turn: worker.heartbeat > turn)  # type: ignore[misc] # its default has no type


async def test_a_record_that_waits_long_holds_back_nothing(shop: Shop) -> None:
    """All others are handled once, in turn, and committed over; it comes back when it is due, and no earlier."""
    clock, checkout = Ahead(), Checkout(shop, 10.0, failures={0: 1})
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await hub.publish_many(shop.orders("abcde"))
        await rests(hub)
        before = list(checkout.tries)
        async with asyncio.timeout(30):
            while await shop.committed(shop.order, checkout.service) < 5:
                await hub.broker.admin.topics()
        health = hub.health()[checkout.service.name]
        clock.ahead += 8.0
        await rests(hub)
        early = list(checkout.tries)
        clock.ahead += 40.0
        await until(lambda: len(checkout.tries) == 6)

    assert [(number, 1) for number in range(5)] == before == early
    assert (0, 2) == checkout.tries[-1]
    assert 1 == len({place for place, tried in zip(checkout.places, checkout.tries, strict=True) if not tried[0]})
    assert (0, 1, 0) == (health.detail.lag, health.detail.waiting, health.detail.in_flight)
    assert [] == await shop.letters(shop.order, checkout.service)


async def test_attempts_count_on_through_all_topics_to_the_dead_letter(shop: Shop) -> None:
    """Long and short waits in turn; the letter says where the record stood at first and how often it was tried."""
    clock, checkout = Ahead(), Checkout(shop, 0.0, 10.0, 0.0, 30.0, failures={1: 99})
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await hub.publish_many(shop.orders("abc"))
        counters = hub.supervisors[0].counters
        for aside, wait in ((1, 10.0), (2, 30.0)):
            await until(lambda aside=aside: counters.set_aside == aside)  # type: ignore[misc] # its default has no type
            await rests(hub)
            clock.ahead += wait + 1.0
        await until(lambda: counters.dead_lettered == 1)
        told = counters.set_aside, counters.retried, counters.handled

    [letter] = await shop.letters(shop.order, checkout.service)
    original = (await shop.records(shop.order.__event__.topic))[1]

    assert [1, 2, 3, 4, 5] == checkout.attempts(1)
    assert (2, 4, 2) == told
    assert original[:4] == letter.origin
    assert 5 == letter.attempt
    assert (original.key, original.value, original.headers) == (
        letter.record.key,
        letter.record.value,
        letter.record.headers[: len(original.headers)],
    )
    assert 42.0 == pytest.approx(letter.failed_at - (letter.first_failure_at or 0.0), abs=1.0)


async def test_a_restart_in_the_middle_of_a_wait_neither_shortens_nor_prolongs_it(shop: Shop) -> None:
    """The next process reads on where the last one waited, and handles nothing else again."""
    clock, checkout = Ahead(), Checkout(shop, 10.0, failures={0: 1})
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await hub.publish_many(shop.orders("abc"))
        await rests(hub)
    clock.ahead += 6.0
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await rests(hub)
        early = len(checkout.tries)
        [name] = checkout.service.retry_topics
        [copy] = await shop.records(name)
        clock.ahead += copy.timestamp + 10.0 - clock.now()
        await until(lambda: len(checkout.tries) > early)

    assert 3 == early
    assert [(0, 1), (0, 2), (1, 1), (2, 1)] == sorted(checkout.tries)


async def test_a_replay_that_fails_again_waits_like_any_other(shop: Shop) -> None:
    """Its attempts begin anew, and the next letter counts its replays."""
    clock, checkout = Ahead(), Checkout(shop, 10.0, failures={0: 3})
    letters = shop.order.__event__.topic, checkout.service.name
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        counters = hub.supervisors[0].counters
        await hub.publish_many(shop.orders("a"))
        await rests(hub)
        clock.ahead += 11.0
        await until(lambda: counters.dead_lettered == 1)
        await DeadLetterTopic(hub.broker, *letters).replay(Selection(), dry_run=False)
        await until(lambda: counters.handled == 1 or hub.supervisors[0].health().detail.waiting)
        clock.ahead += 11.0
        await until(lambda: counters.handled == 1)

    assert [1, 2, 1, 2] == checkout.attempts(0)
    assert 1 == len(set(checkout.places))


async def test_what_a_stranger_writes_beside_a_record_is_not_obeyed(shop: Shop) -> None:
    """Neither its attempts nor its origin, when it is read and when it is set aside."""
    clock, checkout = Ahead(), Checkout(shop, 10.0, failures={1: 2})
    topic = shop.order.__event__.topic
    lies = (
        (names.ATTEMPT, b"2"),
        (names.ORIGIN_TOPIC, b"x"),
        (names.ORIGIN_PARTITION, b"5"),
        (names.ORIGIN_OFFSET, b"6"),
    )
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await hub.publish(shop.orders("ab")[1])
        [order] = await shop.records(topic)
        await hub.producer.send([ProducerRecord(topic, order.key, order.value, (*order.headers, *lies), 0)])
        await until(lambda: hub.supervisors[0].counters.set_aside == 2)
        await rests(hub)
        clock.ahead += 50.0
        await until(lambda: len(checkout.tries) == 4)

    assert [1, 1, 2, 2] == checkout.attempts(1)
    assert [(topic, 0, 0), (topic, 0, 1)] * 2 == [place[:3] for place in checkout.places]


class Forbidding(Network):
    """A network behind which a right to write is missing."""

    denied = False

    async def before(self, operation: Operation, client: str) -> None:
        """Deny what is sent."""
        if self.denied and operation is Operation.SEND:
            msg = "no right to write"
            raise AuthorizationFailed(msg, resource="topic")
        await super().before(operation, client)


class NarrowShop(StormyShop):
    """A shop whose retry topics a test may make unfit."""

    def __init__(self) -> None:
        """Begin with fit ones."""
        self.rights = Forbidding()
        super().__init__(self.rights)

    async def shrink(self, checkout: Checkout) -> None:
        """Let the one retry topic take hardly anything."""
        [name] = checkout.service.retry_topics
        topic = self.broker._cluster.topics[name]
        topic.info = replace(topic.info, max_record_bytes=100)

    async def deny(self, _: Checkout) -> None:
        """Take the right to write away."""
        self.rights.denied = True


@pytest.mark.parametrize("make_unfit", [NarrowShop.shrink, NarrowShop.deny])
async def test_what_a_retry_topic_does_not_take_waits_in_its_lane(
    make_unfit: Callable[[NarrowShop, Checkout], Awaitable[None]],
) -> None:
    """With its value, and aloud; the others go on, and it is handled when its wait is over."""
    shop = NarrowShop()
    await refuse(shop, lambda checkout: make_unfit(shop, checkout))


@pytest.mark.kafka
async def test_what_is_too_large_for_a_retry_topic_on_kafka_waits_in_its_lane(kafka_url: str) -> None:
    """It is found out before it is sent."""
    shop = Shop(lambda: KafkaBroker(kafka_url))

    async def shrink(checkout: Checkout) -> None:
        [name] = checkout.service.retry_topics
        small = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": "100"})
        async with client_admin(KafkaBroker(kafka_url)) as client:
            await client.alter_configs([small])

    await refuse(shop, shrink)


async def refuse(shop: Shop, make_unfit: Callable[[Checkout], Awaitable[None]]) -> None:
    """Fail an order whose retry topic was made unfit, and see what becomes of it."""
    clock, checkout = Ahead(), Checkout(shop, 10.0, failures={0: 1})
    async with shop.hub(options(clock)) as hub:
        await hub.broker.admin.create_topics([NewTopic(name) for name in checkout.service.retry_topics])
        await hub.publish_many(shop.orders("abc"))
    await make_unfit(checkout)
    with capture_logs() as logs:
        async with shop.serving(checkout.service, options=options(clock)) as hub:
            [supervisor] = hub.supervisors
            await until(lambda: supervisor.health().detail.parked_records == 1 and len(checkout.tries) == 3)
            held = await shop.committed(shop.order, checkout.service)
            clock.ahead += 10.5
            await until(lambda: len(checkout.tries) == 4)
    refused = [line for line in logs if line["event"] == "eventhub.set_aside_refused"]

    assert [(0, 1), (1, 1), (2, 1), (0, 2)] == checkout.tries
    assert (0, 3) == (held, await shop.committed(shop.order, checkout.service))
    assert [("warning", 0, *checkout.service.retry_topics)] == [
        (line["log_level"], line["offset"], line["to"]) for line in refused
    ]


async def test_nothing_is_finished_before_the_broker_has_what_was_set_aside() -> None:
    """While it is away the record rests, is not committed over, and is not tried again; then it is set aside."""
    clock, shop = Ahead(), StormyShop()
    checkout = Checkout(shop, 10.0, failures={0: 1})
    async with shop.hub(options(clock)) as hub:
        await hub.publish_many(shop.orders("abc"))
    shop.network.lost = {Operation.SEND}
    async with shop.serving(checkout.service, options=options(clock)) as hub:
        await until(lambda: clock.passes() and shop.network.losses >= 3)
        before = await shop.committed(shop.order, checkout.service), len(checkout.tries)
        shop.network.lost.clear()
        await until(lambda: clock.passes() and len(checkout.tries) == 4)

    assert (0, 3) == before
    assert [1, 2] == checkout.attempts(0)
    assert 3 == await shop.committed(shop.order, checkout.service)


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_wait_by_the_machines_own_clocks_is_not_shorter_than_declared(kafka_url: str) -> None:
    """From the time that the broker keeps of the copy to the next call of the handler."""
    shop = Shop(lambda: KafkaBroker(kafka_url))
    checkout = Checkout(shop, 10.0, failures={0: 1})
    async with shop.serving(checkout.service) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: len(checkout.tries) == 2, timeout=60)
    [name] = checkout.service.retry_topics
    [copy] = await shop.records(name)

    assert copy.timestamp + 10.0 <= checkout.times[-1]
