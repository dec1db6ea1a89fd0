"""Dead letters on the memory broker: looked at, replayed once and no more, dropped."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import aclosing
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from eventhub import headers as names
from eventhub.brokers.base import NewTopic, TopicInfo
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.faults import Operation
from eventhub.errors import BrokerError, DeclarationError, DecodeError
from eventhub.record import Record, TopicPartition
from eventhub.runtime.dead_letter import Origin, Reason, dead_letter, read_dead_letter
from eventhub.runtime.reading import Reading
from eventhub.runtime.replay import (
    DeadLetterTopic,
    Destination,
    ReplayOptions,
    Selection,
    Settled,
    replay_id,
    replayed,
)
from eventhub.runtime.retry_topic import restored
from eventhub.testing.reading import read_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from eventhub.brokers.base import Broker
    from eventhub.brokers.memory.faults import Faults

ALL = Selection()
LETTERS = "orders.inventory.dlt"
REPLAYS = "orders.inventory.retry.replay"


class StockBusyError(Exception):
    """An error of a service."""


class Network:
    """Loses sends and commits, and their answers, from a crossing on or at one crossing only."""

    def __init__(self, *, lasting: bool = True) -> None:
        """Let everything pass for now."""
        self.crossings: float = math.inf
        """How many crossings pass before one is lost."""
        self.lasting = lasting
        """Whether all are lost from then on."""

    async def before(self, operation: Operation, client: str) -> None:
        """Carry a request."""
        self._cross(operation, client)

    async def after(self, operation: Operation, client: str) -> None:
        """Carry an answer."""
        self._cross(operation, client)

    def _cross(self, operation: Operation, client: str) -> None:
        if operation not in {Operation.SEND, Operation.COMMIT}:
            return
        self.crossings -= 1
        if self.crossings < 0:
            self.crossings = -math.inf if self.lasting else math.inf
            msg = f"{operation} of {client} is lost"
            raise BrokerError(msg)


class Hurried:
    """A clock that jumps instead of sleeping, and notes how far."""

    def __init__(self) -> None:
        """Start at nought."""
        self.slept: list[float] = []

    def now(self) -> float:
        """The seconds slept so far."""
        return self.monotonic()

    def monotonic(self) -> float:
        """The seconds slept so far."""
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(max(0.0, seconds))


def failed(number: int, partition: int, **changed: Any) -> Record:
    """A record of an order, as a handler failed on it."""
    facts: dict[str, Any] = {
        "topic": "orders",
        "offset": number,
        "timestamp": 1_700_000_000.0 + number,
        "key": b"key-%d" % (number % 7),
        "value": b"value-%d" % number,
        "headers": (("ce_id", b"e-%d" % number), ("x", None)),
    }
    return Record(partition=partition, **(facts | changed))


async def broker_with(
    letters: int, *, partitions: int = 2, faults: Faults | None = None, trusted: bool = False, **changed: Any
) -> MemoryBroker:
    """A broker on which the inventory gave up so many orders, in turn from two handlers."""
    broker = MemoryBroker(faults=faults)
    await broker.admin.create_topics([NewTopic(name, partitions) for name in ("orders", LETTERS, REPLAYS)])
    await broker.producer().send(
        [
            dead_letter(
                failed(number, number % partitions, **changed),
                Reason(
                    group="inventory",
                    handler=("reserve", "release")[number % 2],
                    attempt=7,
                    error=(StockBusyError(), ValueError("x"), KeyError("y"))[number % 3],
                    stage="handle",
                    first_failure_at=1_700_000_000.0,
                    failed_at=1_700_000_000.0 + number,
                ),
                topic=LETTERS,
                trusted=trusted,
            )
            for number in range(letters)
        ]
    )
    return broker


def letters_of(broker: MemoryBroker, **options: Any) -> DeadLetterTopic:
    """The dead letters of the inventory from the orders."""
    return DeadLetterTopic(broker, "orders", "inventory", **options)


async def pending(letters: DeadLetterTopic, selection: Selection = ALL) -> list[int]:
    """The numbers of the orders whose letters are pending."""
    async with aclosing(letters.pending(selection)) as found:
        return sorted([letter.origin.offset async for letter in found if letter.origin is not None])


def arrived(broker: MemoryBroker, topic: str = REPLAYS) -> Sequence[Record]:
    """The records in a destination."""
    return broker.records(topic)


def numbers(records: Sequence[Record]) -> list[int]:
    """The numbers of the orders in records."""
    return sorted(int((record.value or b"").removeprefix(b"value-")) for record in records)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """The broker in memory, then a real Kafka."""
    broker = MemoryBroker() if request.param == "memory" else KafkaBroker(request.getfixturevalue("kafka_url"))
    await broker.start()
    yield broker
    await broker.stop()


async def test_pending_letters_are_shown_with_what_is_known_of_them() -> None:
    """Every letter is there, in order within its partition, and looking changes nothing."""
    letters = letters_of(await broker_with(5))
    async with aclosing(letters.pending()) as found:
        seen = [letter async for letter in found]

    assert [0, 1, 2, 3, 4] == await pending(letters)
    assert [0, 2, 4] == [letter.origin.offset for letter in seen if letter.origin and letter.record.partition == 0]
    assert {"reserve", "release"} == {letter.handler for letter in seen}


async def test_a_replay_keeps_the_bytes_and_says_what_it_is() -> None:
    """Key, value, headers and partition are the original ones; origin, id and count are added."""
    broker = await broker_with(1)
    settled = await letters_of(broker).replay(ALL, dry_run=False)
    (record,) = arrived(broker)

    assert Settled(done=1, known=0, left={}, complete=True) == settled
    assert (b"key-0", b"value-0", 0) == (record.key, record.value, record.partition)
    assert (("ce_id", b"e-0"), ("x", None)) == record.headers[:2]
    assert {
        names.ORIGIN_TOPIC: b"orders",
        names.ORIGIN_PARTITION: b"0",
        names.ORIGIN_OFFSET: b"0",
        names.ORIGIN_TIMESTAMP: b"2023-11-14T22:13:20.000000Z",
        names.ORIGIN_GROUP: b"inventory",
        names.REPLAY_ID: replay_id(broker.records(LETTERS)[0]),
        names.REPLAY_COUNT: b"1",
    } == dict(record.headers[2:])


async def test_the_same_replay_twice_sends_nothing_twice() -> None:
    """What was replayed is no longer pending."""
    broker = await broker_with(250)
    first = await letters_of(broker).replay(ALL, dry_run=False)
    second = await letters_of(broker).replay(ALL, dry_run=False)

    assert (250, 0) == (first.done, second.done)
    assert list(range(250)) == numbers(arrived(broker))
    assert [] == await pending(letters_of(broker))


async def test_a_dry_run_changes_nothing() -> None:
    """It says what would be done, and everything is pending as before."""
    broker = await broker_with(10)
    settled = await letters_of(broker).replay(Selection(handler="reserve"))

    assert 5 == settled.done
    assert not arrived(broker)
    assert list(range(10)) == await pending(letters_of(broker))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (ALL, [0, 1, 2, 3, 4, 5, 6, 7]),
        (Selection(handler="release"), [1, 3, 5, 7]),
        (Selection(error_type=f"{__name__}.StockBusyError"), [0, 3, 6]),
        (Selection(key=b"key-0"), [0, 7]),
        (Selection(since=1_700_000_003.0), [3, 4, 5, 6, 7]),
        (Selection(until=1_700_000_003.0), [0, 1, 2]),
        (Selection(since=1_700_000_001.0, until=1_700_000_004.0, handler="release"), [1, 3]),
        (Selection(place=(1, 2)), [5]),
        (Selection(handler="nobody"), []),
    ],
)
async def test_a_selection_is_replayed_and_the_rest_stays(selection: Selection, expected: list[int]) -> None:
    """Looking and replaying mean the same letters, and all others are pending afterwards."""
    broker = await broker_with(8)
    seen = await pending(letters_of(broker), selection)
    settled = await letters_of(broker).replay(selection, dry_run=False)

    assert expected == seen
    assert expected == numbers(arrived(broker))
    assert len(expected) == settled.done
    assert [number for number in range(8) if number not in expected] == await pending(letters_of(broker))


async def test_dropped_letters_are_settled_without_being_sent() -> None:
    """They are not pending, nothing arrives anywhere, and a dry run drops nothing."""
    broker = await broker_with(8)
    would = await letters_of(broker).drop(Selection(handler="reserve"))
    still = await pending(letters_of(broker))
    dropped = await letters_of(broker).drop(Selection(handler="reserve"), dry_run=False)
    nothing = await letters_of(broker).drop(Selection(handler="nobody"), dry_run=False)

    assert (4, 4, 0) == (would.done, dropped.done, nothing.done)
    assert list(range(8)) == still
    assert [1, 3, 5, 7] == await pending(letters_of(broker))
    assert not arrived(broker)


async def test_a_replay_to_the_origin_is_for_every_group() -> None:
    """The record goes to its topic again, where strangers' eyes find the same bytes."""
    broker = await broker_with(3)
    await letters_of(broker).replay(ALL, ReplayOptions(destination=Destination.ORIGIN), dry_run=False)

    assert [0, 1, 2] == numbers(arrived(broker, "orders"))
    assert not arrived(broker)


@pytest.mark.parametrize("destination", list(Destination))
@pytest.mark.parametrize("lasting", [True, False])
async def test_a_replay_that_breaks_off_anywhere_is_finished_by_the_next(
    destination: Destination, lasting: bool
) -> None:
    """Whichever send or commit is lost, before or after it happened, every letter arrives exactly once."""
    options = ReplayOptions(destination=destination, rate=4.0)
    topic = REPLAYS if destination is Destination.GROUP else "orders"
    broken = 0
    for crossings in range(1000):
        network = Network(lasting=lasting)
        broker = await broker_with(9, faults=network)
        network.crossings = crossings
        try:
            await letters_of(broker, clock=Hurried()).replay(ALL, options, dry_run=False)
        except BrokerError:
            broken += 1
        else:
            break
        network.crossings = math.inf
        await letters_of(broker, clock=Hurried()).replay(ALL, options, dry_run=False)

        assert Counter(range(9)) == Counter(numbers(arrived(broker, topic)))
        assert [] == await pending(letters_of(broker))

    assert broken > 10


async def test_what_a_broken_replay_sent_is_known_whatever_the_next_one_means() -> None:
    """Letters that were sent and not remembered are settled by the next run, also if it selects others."""
    network = Network()
    broker = await broker_with(6, partitions=1, faults=network)
    network.crossings = 3  # the mark, and the request to send: its answer is lost
    with pytest.raises(BrokerError, match="lost"):
        await letters_of(broker).replay(Selection(handler="reserve"), dry_run=False)
    network.crossings = math.inf
    settled = await letters_of(broker).replay(
        Selection(handler="release"), ReplayOptions(destination=Destination.ORIGIN), dry_run=False
    )

    assert Settled(done=3, known=3, left={}, complete=True) == settled
    assert [0, 2, 4] == numbers(arrived(broker))
    assert [1, 3, 5] == numbers(arrived(broker, "orders"))
    assert [] == await pending(letters_of(broker))


async def test_a_destination_is_searched_only_after_a_replay_broke_off() -> None:
    """The origin may be huge, so it is not read for nothing."""
    broker = await broker_with(4)
    for destination in Destination:
        options = ReplayOptions(destination=destination)
        await letters_of(broker).replay(Selection(key=b"key-1"), options, dry_run=False)
        await letters_of(broker).replay(ALL, options, dry_run=False)

    assert not [name for name in broker._cluster.groups if name.startswith(("orders.look", f"{REPLAYS}.look"))]


async def test_a_destination_that_is_gone_holds_nothing_of_a_broken_replay() -> None:
    """The next run sends elsewhere what cannot have arrived."""
    network = Network()
    broker = await broker_with(2, faults=network)
    network.crossings = 2  # the mark only
    with pytest.raises(BrokerError, match="lost"):
        await letters_of(broker).replay(ALL, dry_run=False)
    network.crossings = math.inf
    del broker._cluster.topics[REPLAYS]
    settled = await letters_of(broker).replay(ALL, ReplayOptions(destination=Destination.ORIGIN), dry_run=False)

    assert (2, 0) == (settled.done, settled.known)


async def test_dropping_after_a_broken_replay_leaves_its_mark() -> None:
    """What was sent and not remembered is still found later, although something was dropped in between."""
    network = Network()
    broker = await broker_with(6, partitions=1, faults=network)
    network.crossings = 3
    with pytest.raises(BrokerError, match="lost"):
        await letters_of(broker).replay(Selection(handler="reserve"), dry_run=False)
    network.crossings = math.inf
    await letters_of(broker).drop(Selection(handler="release"), dry_run=False)
    settled = await letters_of(broker).replay(ALL, dry_run=False)

    assert (0, 3) == (settled.done, settled.known)
    assert [0, 2, 4] == numbers(arrived(broker))


async def test_letters_that_retention_deleted_are_gone() -> None:
    """Neither before the first run nor between two is anybody waited for."""
    broker = await broker_with(6, partitions=1)
    broker.delete_records(TopicPartition(LETTERS, 0), 1)
    await letters_of(broker).replay(Selection(handler="release"), dry_run=False)
    broker.delete_records(TopicPartition(LETTERS, 0), 3)

    assert [4] == await pending(letters_of(broker))
    assert [1, 3, 5] == numbers(arrived(broker))


async def test_a_topic_that_was_made_anew_is_read_from_its_start() -> None:
    """What is remembered of offsets that do not exist any more says nothing."""
    broker = await broker_with(6, partitions=1)
    await letters_of(broker).replay(ALL, dry_run=False)
    broker.truncate(TopicPartition(LETTERS, 0), 2)

    assert [0, 1] == await pending(letters_of(broker))


async def test_a_letter_is_replayed_a_few_times_only() -> None:
    """What failed again after three replays is left alone, unless more are asked for."""
    again = (*failed(0, 0).headers, (names.REPLAY_ID, b"r"), (names.REPLAY_COUNT, b"3"))
    broker = await broker_with(1, trusted=True, headers=again)
    left = await letters_of(broker).replay(ALL, dry_run=False)
    would = await letters_of(broker).replay(ALL)
    done = await letters_of(broker).replay(ALL, ReplayOptions(max_replays=4), dry_run=False)

    assert {"it was replayed 3 times already": 1} == left.left == would.left
    assert 1 == done.done
    assert b"4" == arrived(broker)[0].header(names.REPLAY_COUNT)


async def test_letters_without_their_value_are_left_alone() -> None:
    """A reference cannot be handled; its record is at the origin."""
    broker = await broker_with(1)
    await broker.producer().send(
        [
            dead_letter(
                failed(1, 0), Reason("inventory", None, 1, KeyError(), "decode", 0.0, 0.0), topic=LETTERS, max_bytes=1
            )
        ]
    )
    settled = await letters_of(broker).replay(ALL, dry_run=False)

    assert {"its value was too large and is only at the origin": 1} == settled.left
    assert 1 == settled.done


async def test_what_others_wrote_is_left_alone() -> None:
    """A record that does not say that this group gave it up is not replayed to it."""
    broker = await broker_with(0)
    mine = dead_letter(failed(0, 0), Reason("inventory", None, 1, KeyError(), "decode", 0.0, 0.0), topic=LETTERS)
    await broker.producer().send(
        [
            mine._replace(headers=()),
            mine._replace(headers=(*mine.headers, (names.ORIGIN_TOPIC, b"payments"))),
            mine._replace(headers=(*mine.headers, (names.ORIGIN_GROUP, b"billing"))),
        ]
    )
    settled = await letters_of(broker).replay(ALL, dry_run=False)

    assert {"it does not say that inventory gave it up from orders": 3} == settled.left
    assert not arrived(broker)


async def test_a_letter_that_the_broker_refuses_stays() -> None:
    """It is counted, and the others go on."""
    broker = await broker_with(3, partitions=1)
    broker._cluster.topics["orders"].info = TopicInfo("orders", 1, max_record_bytes=530)
    await broker.producer().send(
        [
            dead_letter(
                failed(7, 0, value=b"value-7" + b" " * 500),
                Reason("inventory", "reserve", 1, KeyError(), "handle", 0.0, 0.0),
                topic=LETTERS,
            )
        ]
    )
    settled = await letters_of(broker).replay(ALL, ReplayOptions(destination=Destination.ORIGIN), dry_run=False)

    assert {"the broker refuses it": 1} == settled.left
    assert [0, 1, 2] == numbers(arrived(broker, "orders"))
    assert [7] == await pending(letters_of(broker))


async def test_a_rate_is_kept() -> None:
    """Ten letters at four a second take two seconds and a half."""
    clock = Hurried()
    await letters_of(await broker_with(10), clock=clock).replay(ALL, ReplayOptions(rate=4.0), dry_run=False)

    assert 2.5 == clock.monotonic()


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_at_which_nothing_is_sent_is_refused(rate: float) -> None:
    """The declaration says what is wrong."""
    with pytest.raises(DeclarationError, match="rate above 0"):
        ReplayOptions(rate=rate)


async def test_a_missing_topic_is_named() -> None:
    """Whether the letters or their destination are missing, and even in a dry run."""
    broker = MemoryBroker()
    with pytest.raises(BrokerError, match=LETTERS):
        await pending(letters_of(broker))
    await broker.admin.create_topics([NewTopic(LETTERS, 1)])

    with pytest.raises(BrokerError, match=f"no topic {REPLAYS} to replay to"):
        await letters_of(broker).replay(ALL)


async def test_two_runs_at_once_do_not_share_letters() -> None:
    """The second says who is in its way; the first goes on."""
    broker = await broker_with(3, partitions=1)
    async with Reading(broker, LETTERS, memory="inventory.replay.orders", remembers=True):
        with pytest.raises(BrokerError, match=r"read by another run of inventory\.replay\.orders"):
            await letters_of(broker).replay(ALL, dry_run=False)

    assert not arrived(broker)


async def test_a_replay_is_the_same_on_both_brokers(broker: Broker) -> None:
    """What is remembered, in commits and their metadata, is remembered by a real Kafka too."""
    group = f"inventory-{uuid4().hex[:8]}"
    topics = [f"orders.{group}.dlt", f"orders.{group}.retry.replay"]
    await broker.admin.create_topics([NewTopic(topic, 2) for topic in topics])
    producer = broker.producer()
    await producer.start()
    reason = Reason(group, "reserve", 7, StockBusyError(), "handle", 0.0, 0.0)
    await producer.send([dead_letter(failed(n, n % 2), reason, topic=topics[0]) for n in range(10)])
    await producer.stop()
    letters = DeadLetterTopic(broker, "orders", group)
    some = await letters.replay(Selection(key=b"key-3"), dry_run=False)
    left = await pending(letters)
    rest = await letters.replay(ALL, dry_run=False)
    again = await letters.replay(ALL, dry_run=False)
    sent = await read_topic(broker, topics[1])

    assert (1, 9, 0) == (some.done, rest.done, again.done)
    assert [0, 1, 2, 4, 5, 6, 7, 8, 9] == left
    assert list(range(10)) == numbers(sent)
    assert {failed(n, n % 2) for n in range(10)} == {restored(record, "orders") for record in sent}


@pytest.mark.slow
async def test_gaps_that_cannot_be_remembered_end_the_run() -> None:
    """Too many letters left between the settled ones do not fit into a commit; settling the older ones makes room."""
    random = Random(1)
    broker = await broker_with(0, partitions=1)
    letter = dead_letter(failed(0, 0), Reason("inventory", None, 1, KeyError(), "handle", 0.0, 0.0), topic=LETTERS)
    keys = [random.choice([b"a", b"b"]) for _ in range(22_000)]
    await broker.producer().send([letter._replace(key=key) for key in keys])
    some = await letters_of(broker).drop(Selection(key=b"a"), dry_run=False)
    more = await letters_of(broker).replay(Selection(key=b"a"), dry_run=False)
    left = await pending(letters_of(broker))
    rest = await letters_of(broker).drop(ALL, dry_run=False)

    assert not some.complete
    assert not more.complete
    assert 5000 < some.done + more.done < keys.count(b"a")
    assert len(keys) - some.done - more.done == len(left)
    assert Settled(done=len(left), known=0, left={}, complete=True) == rest


def test_a_partition_that_the_destination_lacks_is_chosen_by_the_key() -> None:
    """A destination with fewer partitions still takes every letter."""
    letter = read_dead_letter(failed(1, 5))

    assert replayed(letter, TopicInfo(REPLAYS, 5)).partition is None
    assert replayed(letter, TopicInfo(REPLAYS, 6)).partition == 5


def test_a_replayed_record_is_restored_to_what_it_was() -> None:
    """Topic, partition, offset, timestamp and headers are those of the origin."""
    original = failed(7, 1)
    letter = dead_letter(original, Reason("inventory", None, 1, KeyError(), "decode", 0.0, 0.0), topic=LETTERS)
    stored = Record(LETTERS, 1, 3, 9.0, letter.key, letter.value, letter.headers)
    sent = replayed(read_dead_letter(stored), TopicInfo(REPLAYS, 2))
    read = Record(REPLAYS, 1, 8, 9.5, sent.key, sent.value, sent.headers)

    assert original == restored(read, "orders")
    with pytest.raises(DecodeError, match="no record of topic 'payments'"):
        restored(read, "payments")
    with pytest.raises(DecodeError, match="no record of topic 'orders'"):
        restored(original, "orders")


def test_a_replay_that_fails_again_counts_its_replays() -> None:
    """The next letter has the first origin, the id of the replay and how many there were."""
    reason = Reason("inventory", None, 1, KeyError(), "decode", 0.0, 0.0)
    letter = dead_letter(failed(7, 1), reason, topic=LETTERS)
    sent = replayed(
        read_dead_letter(Record(LETTERS, 1, 3, 9.0, letter.key, letter.value, letter.headers)), TopicInfo(REPLAYS, 2)
    )
    again = dead_letter(
        Record(REPLAYS, 1, 8, 9.5, sent.key, sent.value, sent.headers), reason, topic=LETTERS, trusted=True
    )
    read = read_dead_letter(Record(LETTERS, 1, 4, 9.9, again.key, again.value, again.headers))

    assert Origin("orders", 1, 7, 1_700_000_007.0) == read.origin
    assert 1 == read.replay_count
    assert (read.replay_id or "").encode() == dict(sent.headers)[names.REPLAY_ID]
