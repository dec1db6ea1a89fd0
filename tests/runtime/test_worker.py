"""The path of a record on both brokers: handled, retried, given up, committed, and never lost."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from eventhub import Context, Event, Limits, Options, Retry, Service, subscribe
from eventhub import headers as names
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.codecs.serde import Serde
from eventhub.errors import AuthorizationFailed
from eventhub.record import ProducerRecord
from eventhub.runtime.replay import DeadLetterTopic, Selection
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop

NOW = Retry(waits=(0.0, 0.0))


def listening(shop: Shop, seen: list[Any], **options: Any) -> Service[Any]:
    """A service that notes every order it handles."""

    @subscribe(shop.order, **options)
    async def listen(order: Any) -> None:
        seen.append((order.customer, order.number))

    return Service(shop.name("listener"), [listen])


async def test_what_a_handler_returns_is_published_before_the_order_is_committed(shop: Shop) -> None:
    """Every order leads to one receipt, and the commit covers them all."""
    Order, Receipt = shop.order, shop.receipt  # noqa: N806 - classes

    @subscribe(Order)
    async def receipt(order: Any) -> Receipt:  # type: ignore[valid-type]
        return Receipt(customer=order.customer, number=order.number)  # type: ignore[no-any-return]

    service = Service(shop.name("cashier"), [receipt])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("abcab" * 20))
        await until(lambda: hub.supervisors[0].counters.published == 100)

    assert 100 == await shop.committed(Order, service)
    receipts = await shop.records(Receipt.__event__.topic)

    assert 100 == len({record.header("ce_id") for record in receipts})
    assert all(record.header("ce_causationid") for record in receipts)


async def test_a_clean_stop_leaves_nothing_to_do_again(shop: Shop) -> None:
    """A second process handles only what the first one never finished."""
    seen: list[Any] = []
    service = listening(shop, seen)
    orders = shop.orders("abcdefgh" * 50)
    async with shop.serving(service) as hub:
        await hub.publish_many(orders)
        await until(lambda: len(seen) > 50)
    async with shop.serving(service):
        await until(lambda: len(seen) >= 400)

    assert {(order.customer, order.number): 1 for order in orders} == Counter(seen)


async def test_a_record_that_was_running_at_the_stop_is_finished_first(shop: Shop) -> None:
    """The stop waits for the handler within its grace, and commits what it finished."""
    started, release, seen = asyncio.Event(), asyncio.Event(), []

    @subscribe(shop.order)
    async def slowly(order: Any) -> None:
        started.set()
        await release.wait()
        seen.append(order.number)

    service = Service(shop.name("slow"), [slowly])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aa"))
        await started.wait()
        hub.stop()
        release.set()

    assert [0] == seen
    assert 1 == await shop.committed(shop.order, service)


async def test_a_record_that_outlives_the_stop_is_left_for_the_next_process(shop: Shop) -> None:
    """Cancelled means not finished; what was finished beside it is not done again."""
    stuck, seen = asyncio.Event(), []

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        if order.number == 0 and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        seen.append((order.customer, order.number))

    service = Service(shop.name("stuck"), [handle])
    orders = shop.orders("abcdabcdabcd")
    async with shop.serving(service, options=Options(stop_grace=0.0)) as hub:
        await hub.publish_many(orders)
        await until(lambda: len(seen) == 9)
    async with shop.serving(service):
        await until(lambda: len(seen) == 12)

    assert Counter((order.customer, order.number) for order in orders) == Counter(seen)
    assert [0, 4, 8] == [number for customer, number in seen if customer == "a"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x01\x00\x00\x00\x01rest", "magic"),
        (b"\x00\x00\x00\x00\x01\x02", "bytes"),
        (b"\x00\x00\x00\x00\x63rest", "99"),
        (b"", "empty"),
    ],
)
async def test_bytes_that_no_schema_explains_are_dead_lettered_and_the_next_record_goes_on(
    shop: Shop, value: bytes, reason: str
) -> None:
    """The letter holds the original bytes and a readable reason."""
    seen: list[Any] = []
    service = listening(shop, seen)
    async with shop.serving(service, options=Options(schema_grace=0.0)) as hub:
        await hub.publish(shop.order(customer="a"))
        topic = shop.order.__event__.topic
        await hub.producer.send([ProducerRecord(topic, b"a", value, (("x", b"y"),))])
        await hub.publish(shop.order(customer="a", number=1))
        await until(lambda: len(seen) == 2)

    [letter] = await shop.letters(shop.order, service)

    assert (b"a", value) == (letter.record.key, letter.record.value)
    assert ("x", b"y") in letter.record.headers
    assert "decode" == letter.stage
    assert reason in (letter.error_message or "")


async def test_a_failure_is_retried_while_its_key_waits_and_other_keys_go_on(shop: Shop) -> None:
    """The key's order survives the retry."""
    seen: list[Any] = []

    @subscribe(shop.order, retry=Retry(waits=(0.05, 0.05)))
    async def handle(order: Any) -> None:
        seen.append((order.customer, order.number))
        if order.number == 0 and len([number for _, number in seen if number == 0]) < 3:
            raise OSError

    service = Service(shop.name("flaky"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aaab"))
        await until(lambda: len(seen) == 6)

    assert [0, 0, 0, 1, 2] == [number for customer, number in seen if customer == "a"]
    assert [] == await shop.letters(shop.order, service)
    assert 4 == await shop.committed(shop.order, service)


@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, RecursionError, SystemError])
async def test_whatever_a_handler_raises_fails_its_record_only(shop: Shop, error: type[BaseException]) -> None:
    """Exceptions outside Exception, and cancellations that nobody asked for, are failures like any other."""
    seen: list[Any] = []

    @subscribe(shop.order, retry=Retry(on=BaseException, waits=(0.0,)))
    async def handle(order: Any) -> None:
        if order.number == 0:
            raise error
        seen.append(order.number)

    service = Service(shop.name("raising"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aa"))
        await until(lambda: seen)

    [letter] = await shop.letters(shop.order, service)

    assert (error.__name__, 2) == ((letter.error_type or "").rpartition(".")[2], letter.attempt)


async def test_a_handler_that_somebody_else_cancelled_is_tried_again(shop: Shop) -> None:
    """As a pool of connections does when it is closed; that is no reason to give the record up."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(waits=(0.0,)))
    async def handle(order: Any) -> None:
        seen.append(order.number)
        if len(seen) == 1:
            query = asyncio.get_running_loop().create_future()
            query.cancel()
            await query

    service = Service(shop.name("cut-off"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aa"))
        await until(lambda: hub.supervisors[0].counters.handled == 2)

    assert [0, 0, 1] == seen
    assert [] == await shop.letters(shop.order, service)


async def test_members_share_the_work_and_each_key_stays_in_order(shop: Shop) -> None:
    """Two members join and one leaves while records flow; nothing is lost, and within a member nothing overtakes."""
    seen: list[list[Any]] = [[], [], []]
    services = [listening(shop, noted) for noted in seen]
    orders = shop.orders("abcdefghij" * 60)
    async with shop.serving(services[0]) as first:
        await first.publish_many(orders[:200])
        async with shop.serving(services[1]):
            await first.publish_many(orders[200:400])
            async with shop.serving(services[2]):
                await first.publish_many(orders[400:])
                await until(lambda: len({order for noted in seen for order in noted}) == 600, timeout=30)

    handled = Counter(order for noted in seen for order in noted)

    assert {(order.customer, order.number) for order in orders} == set(handled)
    assert {1} == set(handled.values())
    for noted in seen:
        for customer in "abcdefghij":
            numbers = [number for name, number in noted if name == customer]
            assert sorted(numbers) == numbers


async def test_a_tombstone_is_an_event_to_a_handler_that_asks_for_it(shop: Shop) -> None:
    """It comes with its key, in the order of that key."""
    seen: list[Any] = []

    @subscribe(shop.order, shop.gone)
    async def handle(event: Any) -> None:
        seen.append(event)

    order, gone = shop.order(customer="a"), shop.gone(key=b"a")
    async with shop.serving(Service(shop.name("listener"), [handle])) as hub:
        await hub.publish(order)
        await hub.publish(gone)
        await hub.publish(order)
        await until(lambda: len(seen) == 3)

    assert [order, gone, order] == seen
    assert [False, True, False] == [record.value is None for record in await shop.records(order.__event__.topic)]


async def test_a_tombstone_that_nobody_asked_for_is_passed_over(shop: Shop) -> None:
    """It is no failure, and the record after it is handled."""
    seen: list[Any] = []
    service = listening(shop, seen)
    async with shop.serving(service) as hub:
        await hub.publish(shop.gone(key=b"a"))
        await hub.publish(shop.order(customer="a", number=7))
        await until(lambda: seen)

    assert [("a", 7)] == seen
    assert 2 == await shop.committed(shop.order, service)
    assert [] == await shop.letters(shop.order, service)


async def test_a_dead_letter_that_is_replayed_is_handled_as_if_it_had_never_failed(shop: Shop) -> None:
    """The handler sees the original event and stamp; failing again gives a letter that counts its replays."""
    seen: list[Any] = []

    @subscribe(shop.order, retry=Retry(attempts=1))
    async def handle(order: Any, context: Context[None]) -> None:
        seen.append((order.customer, context.stamp.id, context.record.topic, context.record.offset))
        if len(seen) < 3:
            raise OSError

    service = Service(shop.name("replayed"), [handle])
    topic = shop.order.__event__.topic
    async with shop.serving(service) as hub:
        await hub.publish(shop.order(customer="a"))
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 1)
        letters = DeadLetterTopic(hub.broker, topic, service.name)
        await letters.replay(Selection(), dry_run=False)
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 2)
        await letters.replay(Selection(), dry_run=False)
        await until(lambda: len(seen) == 3)

    assert 1 == len(set(seen))
    assert [0, 1] == sorted(letter.replay_count for letter in await shop.letters(shop.order, service))
    assert ["eventhub-replay" not in name for name, _ in (await shop.records(topic))[0].headers]


async def test_a_replay_does_not_wait_for_newer_records_of_its_key(shop: Shop) -> None:
    """It is read from another topic, whose keys have lanes of their own: order is what a replay gives up."""
    seen, release = list[int](), asyncio.Event()

    @subscribe(shop.order, retry=Retry(attempts=1))
    async def listen(order: Any) -> None:
        seen.append(order.number)
        if seen == [0]:
            raise LookupError
        if order.number == 1:
            await release.wait()

    service = Service(shop.name("listener"), [listen])
    first, second = shop.orders("aa")
    async with shop.serving(service) as hub:
        await hub.publish(first)
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 1)
        await hub.publish(second)
        await until(lambda: seen == [0, 1])
        letters = DeadLetterTopic(hub.broker, shop.order.__event__.topic, service.name)
        await letters.replay(Selection(), dry_run=False)
        await until(lambda: len(seen) == 3)
        release.set()

    assert [0, 1, 0] == seen


async def test_a_replay_may_have_a_schema_that_its_process_has_not_met(shop: Shop) -> None:
    """It is fetched for the topic that the record stood on at first, as for any other record of that topic."""
    seen: list[Any] = []
    service, topic = listening(shop, seen), shop.order.__event__.topic

    class Newer(Event, topic=topic, key="customer", name="Order"):
        customer: str
        number: int = 0
        note: str = ""

    origin = (names.ORIGIN_TOPIC, topic.encode()), (names.ORIGIN_PARTITION, b"0"), (names.ORIGIN_OFFSET, b"7")
    async with shop.serving(service) as hub:
        serde = Serde(hub.registry, auto_register=True)
        await serde.prepare(writes=[Newer])
        value = serde.encode(Newer(customer="a", number=7))
        await hub.producer.send([ProducerRecord(service.replay_topics[0], b"a", value, origin)])
        await until(lambda: hub.supervisors[0].counters.handled + hub.supervisors[0].counters.dead_lettered)

    assert [("a", 7)] == seen


async def test_a_stranger_on_the_replay_topic_is_given_up_and_harms_nobody(shop: Shop) -> None:
    """A record that does not say where it came from is no replay."""
    seen: list[Any] = []
    service = listening(shop, seen)
    async with shop.serving(service) as hub:
        await hub.producer.send([ProducerRecord(service.replay_topics[0], b"a", b"\x00\x00\x00\x00\x01")])
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 1)

    [letter] = await shop.letters(shop.order, service)

    assert "no record of topic" in (letter.error_message or "")
    assert [] == seen


async def test_what_a_handler_makes_of_our_cancellation_is_not_held_against_its_record(shop: Shop) -> None:
    """Cleaning up may fail, as it does in database clients; the record is left for the next process, not given up."""
    stuck, seen = asyncio.Event(), []

    @subscribe(shop.order, retry=Retry(waits=()))
    async def handle(order: Any) -> None:
        if not stuck.is_set():
            stuck.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise ConnectionError
        seen.append(order.number)

    service = Service(shop.name("spoiled"), [handle])
    async with shop.serving(service, options=Options(stop_grace=0.0)) as hub:
        await hub.publish_many(shop.orders("a"))
        await stuck.wait()
    async with shop.serving(service):
        await until(lambda: seen)

    assert [0] == seen
    assert [] == await shop.letters(shop.order, service)


async def test_whoever_is_hurried_cancels_at_once_and_commits_what_is_finished(shop: Shop) -> None:
    """The grace would be a minute; the next process handles what was cut off, and nothing else."""
    stuck, seen = asyncio.Event(), []

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        if order.number == 0 and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        seen.append(order.number)

    service = Service(shop.name("hurried"), [handle])
    async with shop.serving(service, options=Options(stop_grace=60.0)) as hub:
        await hub.publish_many(shop.orders("abcd"))
        await until(lambda: len(seen) == 3)
        hub.stop()
        hub.hurry()
        since = asyncio.get_running_loop().time()
    waited = asyncio.get_running_loop().time() - since
    async with shop.serving(service):
        await until(lambda: len(seen) == 4)

    assert waited < 50
    assert [1, 2, 3, 0] == [*sorted(seen[:3]), *seen[3:]]


async def test_several_events_of_one_call_are_published_in_the_order_returned(shop: Shop) -> None:
    """Those of one key stand in that order on their topic, whatever else is returned at the same time."""
    Order, Receipt = shop.order, shop.receipt  # noqa: N806 - classes

    @subscribe(Order)
    async def split(order: Any) -> list[Receipt]:  # type: ignore[valid-type]
        return [Receipt(customer=order.customer, number=10 * order.number + part) for part in range(10)]

    service = Service(shop.name("splitter"), [split])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aaa"))
        await until(lambda: hub.supervisors[0].counters.published == 30)
        reader, records = hub.reader([Receipt]), await shop.records(Receipt.__event__.topic)
        await reader.resolve(records[0])
        numbers = [reader.decode(record).number for record in records]  # type: ignore[union-attr]

    assert list(range(30)) == numbers


async def test_while_too_many_keys_wait_nothing_is_fetched(shop: Shop) -> None:
    """What comes meanwhile stays with the broker, and is handled once a key waits no more."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(waits=(0.5,)))
    async def handle(order: Any) -> None:
        seen.append(order.number)
        if len(seen) == 1:
            raise OSError

    service = Service(shop.name("parked"), [handle])
    async with shop.serving(service, options=Options(max_parked_keys=1, poll_timeout=0.01)) as hub:
        orders = shop.orders("abc")
        await hub.publish(orders[0])
        [worker] = [supervisor.worker for supervisor in hub.supervisors]
        assert worker is not None
        await until(lambda: worker.lanes.parked_keys)
        await hub.publish_many(orders[1:])
        await until(lambda: len(seen) == 4)

    assert [0, 0] == seen[:2]
    assert [1, 2] == sorted(seen[2:])


@pytest.mark.parametrize("limits", [Limits(100, max_in_flight=8), Limits(100, max_in_flight_bytes=1)])
async def test_no_more_is_read_than_may_be_unfinished(shop: Shop, limits: Limits) -> None:
    """Handlers that hang leave the rest with the broker; the bytes are looked at between two polls."""
    release = asyncio.Event()

    @subscribe(shop.order)
    async def handle(_: Any) -> None:
        await release.wait()

    service = Service(shop.name("full"), [handle], limits=limits)
    async with shop.serving(service, options=Options(max_poll_records=2, poll_timeout=0.01)) as hub:
        await hub.publish_many(shop.orders("abcdefghijklmnopqrstuvwxyz"))
        [worker] = [supervisor.worker for supervisor in hub.supervisors]
        assert worker is not None
        await until(lambda: worker.lanes.in_flight > 0)
        heartbeat = worker.heartbeat
        await until(lambda: worker.heartbeat > heartbeat + 0.1)
        unfinished = worker.lanes.in_flight
        release.set()
        await until(lambda: worker.counters.handled == 26)

    assert 0 < unfinished <= 8


class Denying:
    """A broker that takes the right to read away."""

    def __init__(self) -> None:
        """Deny nothing yet."""
        self.denying = False
        self.denied = 0

    async def before(self, operation: Operation, _: str) -> None:
        """Refuse what is polled."""
        if operation is Operation.POLL and self.denying:
            self.denied += 1
            msg = "the right is gone"
            raise AuthorizationFailed(msg, resource="topic")

    async def after(self, _: Operation, __: str) -> None:
        """Let every answer come back."""


async def test_a_stop_does_not_wait_for_the_next_attempt_to_read() -> None:
    """Where a right is missing the attempts are up to half a minute apart, as long as an orchestrator waits."""
    faults, waited = Denying(), asyncio.Event()
    broker = MemoryBroker(faults=faults)
    shop = Shop(lambda: broker)

    def jitter() -> float:
        waited.set()
        return 3600.0 * 5  # makes the wait one of an hour

    service = listening(shop, [])
    async with shop.serving(service, options=Options(random=jitter)) as hub:
        faults.denying = True
        await waited.wait()
        async with asyncio.timeout(10):
            hub.stop()
            await until(lambda: not hub.supervisors)

    assert 1 == faults.denied


async def test_a_stop_that_is_cancelled_still_leaves_the_group(shop: Shop) -> None:
    """Otherwise a member that nobody drives would keep its partitions, and nobody would read them."""
    stuck, seen = asyncio.Event(), set[int]()

    @subscribe(shop.order)
    async def handle(order: Any) -> None:
        if not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        seen.add(order.number)

    service = Service(shop.name("impatient"), [handle])
    async with shop.hub() as hub, asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(hub.serve(service))
        await hub.publish_many(shop.orders("abcdef"))
        await stuck.wait()
        hub.stop()
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.lanes.running)
        for _turn in range(10):
            await checkpoint()
        serving.cancel()
    async with shop.serving(service):
        await until(lambda: len(seen) == 6)

    assert {0, 1, 2, 3, 4, 5} == seen
