"""When records of a retry topic are due, by the numbers and on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from eventhub import Limits, Ordering, Retry, Service, subscribe
from eventhub.brokers.memory import Operation
from eventhub.record import Record
from eventhub.runtime.delay import LONGEST_REST, SHORTEST_REST, Delay
from eventhub.service import retry_topic
from tests.regressions.shop import GROUP, ORDERS, Order, Shop, worker
from tests.simulation.virtual import VirtualLoop

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run async tests on a loop whose time passes when nobody has anything to do."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop of the test's own on virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Shop(loop) as shop:
        yield shop


def records(*written: float, first: int = 0) -> Sequence[Record]:
    """Records that were written at these times, in seconds from now."""
    return [Record("retries", 0, first + place, NOW + at, None, b"") for place, at in enumerate(written)]


def test_records_are_due_after_their_wait_and_the_first_that_is_not_holds_back_the_rest() -> None:
    """Also those behind it that would be due: order is what a partition has."""
    delay, read = Delay(10.0), records(-12.0, -10.0, -4.0, -11.0)

    assert read[:2] == delay.due(read, NOW, 100.0)
    assert 106.0 == delay.until
    assert read[2:] == delay.due(read[2:], NOW + 6.0, 106.0)


def test_a_partition_rests_for_a_while_though_its_next_record_is_due_in_a_moment() -> None:
    """What was fetched beyond it is thrown away each time, so they are taken some at a time."""
    delay = Delay(10.0)
    delay.due(records(-9.99), NOW, 100.0)

    assert 100.0 + SHORTEST_REST == delay.until


def test_a_partition_does_not_rest_for_long_though_nothing_is_due() -> None:
    """How much waits there is seen only when it is asked."""
    delay = Delay(600.0)
    delay.due(records(0.0), NOW, 100.0)

    assert 100.0 + LONGEST_REST == delay.until


def test_no_record_waits_longer_than_its_wait_from_when_it_was_seen() -> None:
    """A writer whose clock is an hour ahead holds up nobody, however many records it writes."""
    delay, read = Delay(10.0), records(*[3600.0] * 100)

    assert [] == delay.due(read, NOW, 100.0)
    assert [] == delay.due(read, NOW + 9.0, 109.0)
    assert read == delay.due(read, NOW + 10.0, 110.0)


def test_a_time_of_day_that_is_set_back_holds_up_nobody() -> None:
    """What was nearly due is due when its wait is over by the clock that never steps."""
    delay, read = Delay(10.0), records(0.0)
    delay.due(read, NOW, 100.0)

    assert read == delay.due(read, NOW - 3600.0, 110.0)


@given(
    gaps=st.lists(st.floats(0, 30), min_size=1, max_size=30),
    wait=st.integers(10, 600),
    skew=st.floats(-3600, 3600),
    most=st.integers(1, 10),
)
def test_whatever_clocks_say_everything_is_due_in_time_and_by_our_clock_no_earlier(
    gaps: Sequence[float], wait: int, skew: float, most: int
) -> None:
    """Each record once, in order; the writer's clock is off by ``skew``, and some are fetched at a time."""
    delay, now, written, at = Delay(wait), NOW, list[float](), 0.0
    for gap in gaps:
        at += gap
        written.append(at)
    read, position, seen = records(*(at + skew for at in written)), 0, dict[int, float]()
    while position < len(read):
        there = [record for record, at in zip(read, written, strict=True) if NOW + at <= now]
        fetched = there[position : position + most]
        if fetched:
            due = delay.due(fetched, now, now - NOW)
            assert due == fetched[: len(due)]
            seen = dict.fromkeys((record.offset for record in fetched), now) | seen
            assert all(min(record.timestamp, seen[record.offset]) + wait <= now + 1e-3 for record in due)
            position += len(due)
        now += 0.5
        assert now - NOW <= written[-1] + (wait + SHORTEST_REST) * (2 + len(read) // most)


@pytest.mark.parametrize("wait", [0.0, 10.0])
def test_a_wait_that_is_cut_to_nothing_is_none(wait: float) -> None:
    """As a test does that waits for nobody: the record's own time does not matter then."""
    delay = Delay(min(wait, 0.0))

    assert 1 == len(delay.due(records(5.0), NOW, 100.0))


def failing(shop: Shop, waits: tuple[float, ...], failures: dict[int, int], **declared: Any) -> Service[None]:
    """A service without order that fails orders, by number, so many times."""

    @subscribe(Order, ordering=Ordering.NONE, retry=Retry(waits=waits))
    async def handle(order: Order) -> None:
        if shop.note(order) <= failures.get(order.number, 0):
            raise OSError

    return Service(GROUP, [handle], **declared)


async def test_who_waits_holds_up_no_other_partition_and_does_not_spin(shop: Shop) -> None:
    """For ten minutes: others are handled at once, the consumer is not taken for dead, polls are as many as ever."""
    process = await shop.start(failing(shop, (600.0,), {0: 1}), partitions=2)
    await shop.publish(Order(customer="a", number=0))
    await shop.until(worker(process).assignment.waiting)
    began, polls = shop.loop.time(), shop.network.asked.count(Operation.POLL)
    for number in range(1, 20):
        await shop.pass_time(25.0)
        await shop.publish(Order(customer=f"c{number}", number=number))
        await shop.pass_time(1.0)
        assert shop.tried(number)
    polled = shop.network.asked.count(Operation.POLL) - polls
    snapshot, passed = worker(process).snapshot(), shop.loop.time() - began
    await shop.until(lambda: shop.tried(0) == 2, timeout=600.0 + 2 - passed)

    assert (0, 1) == (snapshot.lag, snapshot.waiting)
    assert worker(process).idle
    assert polled <= 1.1 * passed / 0.2
    assert 0 == snapshot.counted.rebuilt


async def test_all_partitions_of_a_retry_topic_wait_by_themselves(shop: Shop) -> None:
    """Each record comes when its own wait is over, whatever waits beside it."""
    await shop.start(failing(shop, (60.0,), {0: 1, 1: 1}), partitions=8)
    await shop.publish(Order(customer="a", number=0))
    await shop.pass_time(40.0)
    await shop.publish(Order(customer="b", number=1))
    await shop.until(lambda: shop.tried(0) == 2, timeout=21.5)
    alone = shop.tried(1)
    await shop.until(lambda: shop.tried(1) == 2, timeout=41.5)

    assert 1 == alone


async def test_a_crash_before_the_commit_repeats_what_was_set_aside(shop: Shop) -> None:
    """The record and its copy are handled, each: twice rather than not at all."""
    service = failing(shop, (10.0,), {0: 1})
    shop.network.lost = {Operation.COMMIT}
    one = await shop.start(service)
    await shop.publish(*(Order(customer="a", number=number) for number in range(3)))
    await shop.until(worker(one).assignment.waiting)
    await one.kill()
    shop.network.lost.clear()
    await shop.start(service, "two")
    await shop.until(lambda: shop.tried(2) == 2)
    soon = shop.tried(0)
    await shop.until(lambda: shop.tried(0) == 3)
    await shop.pass_time(60.0)

    assert 2 == soon
    assert [0, 0, 0, 1, 1, 2, 2] == sorted(number for _, number in shop.tries)
    assert 3 == await shop.committed()


async def test_an_attempt_counts_also_if_the_process_stops_before_its_record_is_set_aside(shop: Shop) -> None:
    """The next process makes the next attempt, though the broker took no copy."""
    service = failing(shop, (10.0, 10.0), {0: 99})
    shop.network.lost = {Operation.SEND}
    one = await shop.start(service)
    await shop.publish(Order(customer="a", number=0))
    await shop.until(lambda: shop.tried(0))
    await shop.stop(one)
    shop.network.lost.clear()
    await shop.start(service, "two")
    await shop.until(lambda: shop.letters)

    assert ["one", "two", "two"] == [process for process, _ in shop.tries]
    assert [3] == [letter.attempt for letter in shop.letters]


async def test_processes_that_die_while_records_wait_do_not_accuse_them(shop: Shop) -> None:
    """A wait is longer than many a crash loop, and who has not been handled yet has killed nobody."""
    service = failing(shop, (600.0,), {0: 1})
    with capture_logs() as logs:
        for life in range(8):
            process = await shop.start(service, f"p{life}")
            await shop.publish(Order(customer="a", number=life))
            await shop.until(lambda life=life: shop.tried(life))  # type: ignore[misc] # its default has no type
            await shop.until(lambda process=process: worker(process).assignment.waiting())  # type: ignore[misc] # its default has no type
            await shop.pass_time(5.0)
            await process.kill()
        await shop.start(service, "last")
        await shop.until(lambda: shop.tried(0) == 2, timeout=600.0)

    assert "eventhub.partition_careful" not in [line["event"] for line in logs]


async def test_processes_that_die_of_a_record_that_was_due_are_counted(shop: Shop) -> None:
    """As for any other record: it is tried alone in the end, and given up when it was tried alone at a death."""

    @subscribe(Order, ordering=Ordering.NONE, retry=Retry(waits=(60.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1:
            raise OSError
        await shop.pass_time(1e6)

    await shop.publish(Order(customer="a", number=0))
    lives = 0
    while not shop.letters and lives < 10:
        lives += 1
        process, tried = await shop.start(Service(GROUP, [handle]), f"p{lives}"), lives + 1
        await shop.until(lambda tried=tried: shop.tried(0) == tried or shop.letters, timeout=120.0)  # type: ignore[misc] # its default has no type
        await process.kill()
    [letter] = shop.letters

    assert ("crash", 2, 0) == (letter.stage, letter.attempt, letter.origin.offset if letter.origin else None)
    assert 5 <= lives <= 7


async def test_what_an_earlier_version_set_aside_is_handled_by_the_next(shop: Shop) -> None:
    """Although no handler asks for that wait any more."""
    one = await shop.start(failing(shop, (10.0,), {0: 1}))
    await shop.publish(Order(customer="a", number=0))
    await shop.until(worker(one).assignment.waiting)
    await shop.stop(one)
    await shop.start(failing(shop, (0.5,), {0: 1}), "two")
    await shop.until(lambda: shop.tried(0) == 2, timeout=12.0)

    assert [("one", 0), ("two", 0)] == shop.tries


async def test_a_retry_topic_that_an_earlier_version_left_may_be_deleted(shop: Shop) -> None:
    """Whoever reads it goes on without; one that a handler asks for is waited for."""
    await shop.stop(await shop.start(failing(shop, (10.0, 60.0), {})))
    two = await shop.start(failing(shop, (60.0,), {}), "two")
    hub = two.hub
    assert hub is not None
    [supervisor] = hub.supervisors
    read = set(supervisor.topics)
    left, asked_for = retry_topic(ORDERS, GROUP, 10), retry_topic(ORDERS, GROUP, 60)
    shop.broker.delete_topic(left)
    await shop.publish(Order(customer="a", number=0))
    await shop.until(lambda: shop.tried(0))
    shop.broker.delete_topic(asked_for)
    await shop.pass_time(60.0)

    assert {left} == read - set(supervisor.topics)
    assert not supervisor.health().ready
    assert asked_for in str(supervisor.health().problems)


async def test_poison_of_two_records_is_no_outage_wherever_it_waits(shop: Shop) -> None:
    """A record counts once for the breaker, also when it fails in all of its topics."""
    with capture_logs() as logs:
        await shop.start(failing(shop, Retry().waits, {0: 99, 1: 99}))
        await shop.publish(Order(customer="a", number=0), Order(customer="b", number=1))
        await shop.until(lambda: len(shop.letters) == 2, timeout=700.0)

    assert {7} == {letter.attempt for letter in shop.letters}
    assert {0, 1} == {letter.origin.offset for letter in shop.letters if letter.origin}
    assert "eventhub.breaker_changed" not in [line["event"] for line in logs]


async def test_in_an_outage_nothing_is_set_aside(shop: Shop) -> None:
    """Once it is recognised, records wait where they are, and no attempt is counted."""
    down = True

    @subscribe(Order, ordering=Ordering.NONE, retry=Retry(waits=(30.0,)))
    async def handle(order: Order) -> None:
        shop.note(order)
        if down:
            raise OSError

    process = await shop.start(Service(GROUP, [handle], limits=Limits(concurrency=1)))
    await shop.publish(*(Order(customer="a", number=number) for number in range(40)))
    await shop.until(lambda: worker(process).gate.shut)
    counters = worker(process).counters
    aside = counters.set_aside
    await shop.pass_time(300.0)
    still = counters.set_aside
    down = False
    await shop.until(lambda: counters.handled == 40, timeout=120.0)

    assert 0 < aside == still < 10
    assert [] == shop.letters
