"""Records that wait for another attempt, while others fail too and while partitions move."""

from eventhub import Retry, Service, subscribe
from eventhub.brokers.memory import Operation
from tests.regressions.shop import GROUP, Order, Shop, worker


async def test_two_records_that_fail_at_once_are_both_tried_to_the_end(shop: Shop) -> None:
    """Each has all its attempts and not one more, each becomes a letter, and only then the commit goes past it."""

    @subscribe(Order, retry=Retry(waits=(1.0, 2.0)))
    async def fail(order: Order) -> None:
        shop.note(order)
        await shop.pass_time(0.5)
        raise OSError

    await shop.start(Service(GROUP, [fail]))
    await shop.publish(Order(customer="a", number=0), Order(customer="b", number=1))
    await shop.until(lambda: len(shop.letters) == 2)
    await shop.pass_time(10.0)

    assert [0, 0, 0, 1, 1, 1] == sorted(number for _, number in shop.tries)
    assert [(0, 3), (1, 3)] == sorted(
        (letter.origin.offset, letter.attempt) for letter in shop.letters if letter.origin
    )
    assert 2 == await shop.committed()


async def test_what_a_poll_brings_after_a_rebalance_is_read_again(shop: Shop) -> None:
    """It was asked for before, while a key waited; it is thrown away, and every record of it comes again."""

    @subscribe(Order, retry=Retry(waits=(60.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            raise OSError

    one = await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0))
    await shop.until(lambda: worker(one).lanes.parked_keys)
    shop.network.held[Operation.POLL] = "one"
    await shop.pass_time(1.0)  # from here on its poll is under way
    await shop.publish(Order(customer="b", number=1), Order(customer="c", number=2))
    await shop.start(Service(GROUP, [handle]), "two")
    shop.network.held.clear()
    await shop.until(lambda: len(shop.tries) == 4)
    await shop.pass_time(10.0)

    assert [0, 0, 1, 2] == sorted(number for _, number in shop.tries)


async def test_a_rebalance_while_records_are_kept_behind_a_key_ends_nothing(shop: Shop) -> None:
    """What was kept is let go of and read again: nothing twice, in order, by the same client."""

    @subscribe(Order, retry=Retry(waits=(60.0,)))
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            raise OSError

    one = await shop.start(Service(GROUP, [handle]), max_parked_keys=1)
    await shop.publish(*(Order(customer="a", number=number) for number in range(3)))
    await shop.until(lambda: worker(one).lanes.parked_records == 3)
    await shop.start(Service(GROUP, [handle]), "two")
    await shop.until(lambda: shop.tried(2))
    await shop.pass_time(10.0)

    assert [0, 0, 1, 2] == [number for _, number in shop.tries]
    assert (None, 0) == (one.failure, worker(one).counters.rebuilt)
