"""Rebalances that meet a commit, a stop, a publication or a handler that does not end."""

import asyncio

from eventhub import Service, subscribe
from eventhub.brokers.memory import Operation
from tests.regressions.shop import GROUP, Order, Receipt, Shop, customer, owns, worker
from tests.simulation.processes import PROCESS


async def test_a_commit_that_is_refused_costs_nobody_the_consumer(shop: Shop) -> None:
    """A process that stood still is refused its commit; the same client joins again, and reads what it is given."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)

    names = [customer(partition, 2) for partition in range(2)]
    one = await shop.start(Service(GROUP, [handle]), partitions=2)
    await shop.publish(Order(customer=names[0], number=0))
    await shop.until(lambda: shop.tried(0))
    one.pause()
    two = await shop.start(Service(GROUP, [handle]), "two", partitions=2)
    await shop.until(lambda: owns(two, 0) and shop.tried(0) == 2)
    epoch = worker(one).assignment.epoch
    one.resume()
    await shop.until(lambda: worker(one).assignment.epoch > epoch and owns(one, 1) and owns(two, 0))
    await shop.publish(*(Order(customer=name, number=number) for number, name in enumerate(names, start=1)))
    await shop.until(lambda: shop.tried(1) and shop.tried(2))

    assert [("one", 0), ("two", 0), ("one", 2), ("two", 1)] == [*shop.tries[:2], *sorted(shop.tries[2:])]
    assert 0 == worker(one).counters.rebuilt


async def test_a_process_that_drains_lets_a_rebalance_go_on(shop: Shop) -> None:
    """While it waits for its last handler another process gets its share, and reads it."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            await shop.pass_time(25.0)

    names = [customer(partition, 2) for partition in range(2)]
    one = await shop.start(Service(GROUP, [handle]), partitions=2)
    await shop.publish(Order(customer=names[0], number=0))
    await shop.until(lambda: shop.tried(0))
    one.stop()
    since = shop.clock.monotonic()
    await shop.start(Service(GROUP, [handle]), "two", partitions=2)
    await shop.publish(Order(customer=names[1], number=1))
    await shop.until(lambda: shop.tried(1))
    waited = shop.clock.monotonic() - since
    await shop.until(one.ended.is_set)
    await shop.until(lambda: shop.tried(0) == 2)

    assert waited < 15
    assert [("one", 0), ("two", 0), ("two", 1)] == sorted(shop.tries)


async def test_a_commit_that_nobody_answers_does_not_hold_a_rebalance_up(shop: Shop) -> None:
    """The regular commit and the one of the revocation wait for each other, but not for ever."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        shop.note(order)

    names = [customer(partition, 2) for partition in range(2)]
    one = await shop.start(Service(GROUP, [handle]), partitions=2)
    shop.network.held[Operation.COMMIT] = "one"
    commits = shop.network.asked.count(Operation.COMMIT)
    await shop.publish(*(Order(customer=name, number=number) for number, name in enumerate(names)))
    await shop.until(lambda: shop.network.asked.count(Operation.COMMIT) > commits)
    since = shop.clock.monotonic()
    await shop.start(Service(GROUP, [handle]), "two", partitions=2)
    waited = shop.clock.monotonic() - since
    shop.network.held.clear()
    await shop.until(lambda: len(shop.tries) == 4)
    await shop.pass_time(10.0)

    assert waited < 15
    assert [("one", 0), ("one", 0), ("one", 1), ("two", 1)] == sorted(shop.tries)
    assert 0 == worker(one).counters.rebuilt


async def test_a_handler_may_publish_while_its_partition_is_being_given_up(shop: Shop) -> None:
    """What it returns is written at once, its record is finished, and the rebalance waits no longer than for that."""

    @subscribe(Order)
    async def handle(order: Order) -> Receipt:
        shop.note(order)
        await shop.pass_time(3.0)
        return Receipt(customer=order.customer, number=order.number)

    await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0))
    await shop.until(lambda: shop.tried(0))
    since = shop.clock.monotonic()
    await shop.start(Service(GROUP, [handle]), "two")
    waited = shop.clock.monotonic() - since
    await shop.pass_time(15.0)

    assert waited < 6
    assert [("one", 0)] == shop.tries
    assert 1 == len(shop.broker.records("receipts"))


async def outlive(shop: Shop, seconds: float) -> None:
    """Wait so long, whoever cancels that, unless the process dies."""
    process, until = PROCESS.get(), shop.clock.monotonic() + seconds
    while process is not None and not process.dead and shop.clock.monotonic() < until:
        try:
            await shop.pass_time(1.0)
        except asyncio.CancelledError:
            continue


async def test_a_record_that_comes_again_is_handled_although_its_first_handler_still_runs(shop: Shop) -> None:
    """What that handler finishes does not count any more, so the record is handed out once more, and committed then."""

    @subscribe(Order)
    async def handle(order: Order) -> None:
        if shop.note(order) == 1 and order.number == 0:
            await outlive(shop, 60.0)

    one = await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0), Order(customer="a", number=1))
    await shop.until(lambda: shop.tried(0))
    await shop.start(Service(GROUP, [handle]), "two")
    await shop.until(lambda: shop.tried(1) and worker(one).lanes.stale, timeout=120.0)
    await shop.pass_time(5.0)

    assert [("one", 0), ("one", 0), ("one", 1)] == shop.tries
    assert 1 == worker(one).lanes.stale
    assert 2 == await shop.committed()


async def test_a_key_that_comes_back_waits_for_its_handler_that_still_runs(shop: Shop) -> None:
    """However long that takes, the process never handles two records of the key at once."""
    running, most = 0, 0

    @subscribe(Order)
    async def handle(order: Order) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if shop.note(order) == 1 and order.number == 0:
            await outlive(shop, 60.0)
        else:
            await shop.pass_time(1.0)
        running -= 1

    await shop.start(Service(GROUP, [handle]))
    await shop.publish(Order(customer="a", number=0), Order(customer="a", number=1))
    await shop.until(lambda: shop.tried(0))
    await shop.start(Service(GROUP, [handle]), "two")
    await shop.until(lambda: shop.tried(1), timeout=120.0)

    assert 1 == most
