"""Partitions that are not asked for the time being, and what a rebalance makes of that."""

from eventhub import Limits, Retry, Service, subscribe
from tests.regressions.shop import GROUP, Order, Shop, customer, owns, worker


async def test_what_is_full_stays_full_after_a_rebalance(shop: Shop) -> None:
    """No more handlers run after it than before, and each record that was cut off is handed out once more."""
    running, most, closed = 0, 0, True

    @subscribe(Order)
    async def handle(order: Order) -> None:
        nonlocal running, most
        shop.note(order)
        running += 1
        most = max(most, running)
        try:
            while closed:
                await shop.pass_time(1.0)
        finally:
            running -= 1

    service = Service(GROUP, [handle], limits=Limits(max_in_flight=4))
    await shop.start(service)
    await shop.publish(*(Order(customer=letter, number=number) for number, letter in enumerate("abcdefghij")))
    await shop.until(lambda: running == 4)
    await shop.start(service, "two")
    await shop.until(lambda: len(shop.tries) >= 8)
    await shop.pass_time(5.0)
    closed = False
    await shop.until(lambda: shop.tried(9))

    assert 4 == most
    assert sorted([0, 1, 2, 3, *range(10)]) == sorted(number for _, number in shop.tries)


async def test_what_was_taken_away_no_longer_counts_as_unfinished(shop: Shop) -> None:
    """Records that queued as their partition went leave their room to others, rebalance after rebalance."""
    closed = True

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)
        while closed:
            await shop.pass_time(1.0)

    service = Service(GROUP, [handle], limits=Limits(max_in_flight=8))
    one = await shop.start(service)
    await shop.publish(*(Order(customer="a", number=number) for number in range(10)))
    await shop.until(lambda: worker(one).lanes.in_flight == 8)
    two = await shop.start(service, "two")
    await shop.until(lambda: shop.tried(0) == 2)
    await shop.stop(two)
    await shop.until(lambda: shop.tried(0) == 3)
    closed = False
    await shop.until(lambda: shop.tried(9))

    assert [0, 0, *range(10)] == [number for _, number in shop.tries]


async def test_a_partition_that_comes_back_before_its_key_was_due_is_read_on(shop: Shop) -> None:
    """It was held up by that key alone, left for another process, and is not held up any more."""

    @subscribe(Order, retry=Retry(waits=(600.0, 600.0)))
    async def handle(order: Order) -> None:
        if shop.note(order) < 3 and order.number == 0:
            raise OSError

    name = customer(1, 2)
    one = await shop.start(Service(GROUP, [handle]), partitions=2, max_parked_keys=1)
    await shop.publish(Order(customer=name, number=0))
    await shop.until(lambda: worker(one).lanes.parked_keys)
    two = await shop.start(Service(GROUP, [handle]), "two", partitions=2, max_parked_keys=1)
    await shop.until(lambda: shop.tried(0) == 2)
    await shop.stop(two)
    await shop.until(lambda: owns(one, 1))
    await shop.publish(Order(customer=name, number=1))
    await shop.until(lambda: shop.tried(1))

    assert [("one", 0), ("two", 0), ("one", 0), ("one", 1)] == shop.tries


async def test_a_partition_that_comes_back_after_its_key_was_due_is_read_on(shop: Shop) -> None:
    """The wait ended while another process had the partition, and is over here too."""

    @subscribe(Order, retry=Retry(waits=(10.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            raise OSError

    name = customer(1, 2)
    one = await shop.start(Service(GROUP, [handle]), partitions=2, max_parked_keys=1)
    await shop.publish(Order(customer=name, number=0))
    await shop.until(lambda: worker(one).lanes.parked_keys)
    two = await shop.start(Service(GROUP, [handle]), "two", partitions=2, max_parked_keys=1)
    await shop.pass_time(30.0)
    await shop.stop(two)
    await shop.until(lambda: owns(one, 1))
    await shop.publish(Order(customer=name, number=1))
    await shop.until(lambda: shop.tried(1))

    assert [("one", 0), ("two", 0), ("one", 1)] == shop.tries
