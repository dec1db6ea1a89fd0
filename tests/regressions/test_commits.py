"""What is committed: never more than is finished, never more than there is, gaps or not."""

from eventhub import Limits, Retry, Service, subscribe
from eventhub.record import TopicPartition
from tests.regressions.shop import GROUP, ORDERS, Order, Shop, worker


def letters(customers: str) -> list[Order]:
    """An order a letter, whose customer is that letter."""
    return [Order(customer=letter, number=number) for number, letter in enumerate(customers)]


def keeping_the_first_waiting(shop: Shop) -> Service[None]:
    """A service whose first attempt at the first order fails, and whose second comes ten minutes later."""

    @subscribe(Order, retry=Retry(waits=(600.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            raise OSError

    return Service(GROUP, [handle])


async def test_what_was_only_fetched_is_not_committed(shop: Shop) -> None:
    """Two records were read and never begun when the process stopped; the next one handles them."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)
        await shop.pass_time(5.0)

    service = Service(GROUP, [handle], limits=Limits(concurrency=1))
    one = await shop.start(service)
    await shop.publish(*letters("abc"))
    await shop.until(lambda: shop.tried(0))
    await shop.stop(one)
    committed = await shop.committed()
    await shop.start(service, "two")
    await shop.until(lambda: shop.tried(2))

    assert 1 == committed
    assert [("one", 0), ("two", 1), ("two", 2)] == shop.tries


async def test_a_commit_never_passes_the_end_of_the_log(shop: Shop) -> None:
    """The last gap behind what others finished is filled; the commit stands at the end, and nothing starts anew."""
    service = keeping_the_first_waiting(shop)
    one = await shop.start(service)
    await shop.publish(*letters("abc"))
    await shop.until(lambda: shop.tried(2))
    await shop.stop(one)
    before = await shop.committed()
    two = await shop.start(service, "two")
    await shop.until(lambda: shop.tried(0) == 2)
    await shop.stop(two)
    after = await shop.committed()
    await shop.start(service, "three")
    await shop.publish(Order(customer="d", number=3))
    await shop.until(lambda: shop.tried(3))
    await shop.pass_time(10.0)

    assert (0, 3) == (before, after)
    assert [0, 0, 1, 2, 3] == sorted(number for _, number in shop.tries)


async def test_offsets_that_transactions_took_hold_nothing_up(shop: Shop) -> None:
    """Markers stand between, behind and at the head of records, while one of those is unfinished; no harm is done."""

    @subscribe(Order, retry=Retry(waits=(5.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            raise OSError

    service, partition = Service(GROUP, [handle]), TopicPartition(ORDERS, 0)
    one = await shop.start(service)
    for order in letters("abc"):
        await shop.publish(order)
        shop.broker.skip_offsets(partition, 1)
    await shop.until(lambda: worker(one).counters.handled == 3)
    await shop.stop(one)
    two = await shop.start(service, "two")
    await shop.pass_time(10.0)

    assert 5 == await shop.committed()
    assert (None, None) == (one.failure, two.failure)
    assert [0, 1, 2, 0] == [number for _, number in shop.tries]


async def test_a_record_that_waits_is_not_covered_by_one_that_came_after_it(shop: Shop) -> None:
    """When the process dies the record comes again, and what was finished beyond it does not."""
    service = keeping_the_first_waiting(shop)
    one = await shop.start(service)
    await shop.publish(*letters("abb"))
    await shop.until(lambda: shop.tried(2))
    await shop.pass_time(5.0)  # a few commits
    committed = await shop.committed()
    await one.kill()
    await shop.start(service, "two")
    await shop.until(lambda: len(shop.tries) == 4)
    await shop.pass_time(10.0)

    assert 0 == committed
    assert [("one", 0), ("one", 1), ("one", 2), ("two", 0)] == shop.tries
