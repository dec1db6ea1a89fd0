"""The breaker at work: an outage is waited for, poison is not."""

import asyncio
from typing import Any

from eventhub import Event, Exhausted, Options, Ordering, Retry, Service, subscribe
from eventhub.runtime.breaker import BreakerOptions
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop
from tests.runtime.storm import StormyShop

SOON = BreakerOptions(failures=4, keys=3, probe_wait=0.05, probe_wait_limit=0.1)


async def test_in_an_outage_nothing_is_given_up_and_everything_is_handled_after_it(shop: Shop) -> None:
    """Every key fails at first; once the service behind is back, every order is handled and none dead-lettered."""
    down, seen, tried = True, [], 0

    @subscribe(shop.order, retry=Retry(waits=(0.01,)))
    async def handle(order: Any) -> None:
        nonlocal tried
        tried += 1
        if down:
            raise ConnectionError
        seen.append(order.number)

    service = Service(shop.name("outage"), [handle])
    async with shop.serving(service, options=Options(breaker=SOON)) as hub:
        await hub.publish_many(shop.orders("abcdefghijklmnopqrstuvwxyz"))
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.gate.shut)
        await until(lambda: tried > 10)
        down = False
        await until(lambda: len(seen) == 26)

    assert set(range(26)) == set(seen)
    assert [] == await shop.letters(shop.order, service)


async def test_poison_of_one_key_is_given_up_while_the_others_are_handled(shop: Shop) -> None:
    """One customer's orders fail for ever; they end as dead letters and the breaker stays closed."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(waits=(0.0,)))
    async def handle(order: Any) -> None:
        if order.customer == "a":
            raise ConnectionError
        seen.append(order.number)

    service = Service(shop.name("poison"), [handle])
    async with shop.serving(service, options=Options(breaker=SOON)) as hub:
        await hub.publish_many(shop.orders("ab" * 20))
        await until(lambda: len(seen) == 20 and hub.supervisors[0].counters.dead_lettered == 20)

    assert 20 == len(await shop.letters(shop.order, service))


async def test_a_handler_past_its_deadline_is_cancelled_and_tried_again(shop: Shop) -> None:
    """The second attempt succeeds; the first counts as failed."""
    attempts: list[int] = []

    @subscribe(shop.order, timeout=0.05, retry=Retry(waits=(0.0,)))
    async def handle(order: Any) -> None:
        attempts.append(order.number)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    service = Service(shop.name("slow"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: hub.supervisors[0].counters.handled == 1)

    assert [0, 0] == attempts
    assert [] == await shop.letters(shop.order, service)


async def test_a_handler_that_swallows_its_deadline_fails_all_the_same(shop: Shop) -> None:
    """Its dead letter says that it was the deadline."""

    @subscribe(shop.order, timeout=0.05, retry=Retry(attempts=1))
    async def handle(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    service = Service(shop.name("deaf"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("a"))
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 1)

    [letter] = await shop.letters(shop.order, service)

    assert ("deadline", "eventhub.errors.HandlerTimeout") == (letter.stage, letter.error_type)


async def test_poison_of_several_keys_does_not_hold_up_what_can_be_handled(shop: Shop) -> None:
    """The breaker opens on it, the first fresh record closes it, and the poison is given up in the end."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(waits=(0.01,) * 6))
    async def handle(order: Any) -> None:
        if order.customer in "abc":
            raise ConnectionError
        seen.append(order.number)

    service = Service(shop.name("poison"), [handle])
    async with shop.serving(service, options=Options(breaker=SOON)) as hub:
        await hub.publish_many(shop.orders("abc"))
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.gate.shut)
        await hub.publish_many(shop.orders("defghijklm"))
        await until(lambda: len(seen) == 10)
        await hub.publish_many(shop.orders("n" * 40))
        await until(lambda: len(seen) == 50)

    assert 50 == len(seen)


async def test_a_probe_may_be_a_record_whose_schema_was_never_met(shop: Shop) -> None:
    """Its schema is fetched first; then it is handled and closes the breaker."""
    seen: list[int] = []

    class NewerOrder(Event, topic=shop.order.__event__.topic, key="customer", name="Order"):
        customer: str
        number: int = 0
        note: str = ""

    @subscribe(shop.order, retry=Retry(waits=(0.01,) * 6))
    async def handle(order: Any) -> None:
        if order.customer in "abc":
            raise ConnectionError
        seen.append(order.number)

    service = Service(shop.name("probed"), [handle])
    async with shop.serving(service, options=Options(breaker=SOON)) as hub, shop.hub() as newer:
        await hub.publish_many(shop.orders("abc"))
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.gate.shut)
        await newer.publish(NewerOrder(customer="d", number=3))
        await until(lambda: seen)

    assert [3] == seen


async def test_errors_that_are_fatal_by_declaration_say_nothing_of_an_outage(shop: Shop) -> None:
    """Each is given up at once, however many keys they hit in a row."""
    seen: list[int] = []

    @subscribe(shop.order, retry=Retry(fatal=ValueError))
    async def handle(order: Any) -> None:
        if order.customer != "z":
            raise ValueError
        seen.append(order.number)

    service = Service(shop.name("fatal"), [handle])
    async with shop.serving(service, options=Options(breaker=SOON)) as hub:
        await hub.publish_many(shop.orders("abcdefghijklz"))
        await until(lambda: seen and hub.supervisors[0].counters.dead_lettered == 12)

    assert 12 == len(await shop.letters(shop.order, service))


async def test_a_key_may_be_halted_instead_of_given_up(shop: Shop) -> None:
    """Its records stay where they are, other keys go on, and nothing is dead-lettered."""
    seen: list[tuple[str, int]] = []

    @subscribe(shop.order, retry=Retry(attempts=1, exhausted=Exhausted.HALT_KEY))
    async def handle(order: Any) -> None:
        if order.number == 0:
            raise OSError
        seen.append((order.customer, order.number))

    service = Service(shop.name("halting"), [handle])
    async with shop.serving(service) as hub:
        await hub.publish_many(shop.orders("aabb"))
        await until(lambda: len(seen) == 2)
        await until(lambda: hub.supervisors[0].worker and hub.supervisors[0].worker.lanes.parked_records == 2)

    assert [("b", 2), ("b", 3)] == seen
    assert [] == await shop.letters(shop.order, service)
    assert 2 == await shop.committed(shop.order, service)


async def test_poison_in_a_row_of_one_lane_is_no_outage() -> None:
    """What is handled in order of partitions fails one after the other, whatever the keys: each is given up."""
    shop = StormyShop()

    @subscribe(shop.order, retry=Retry(waits=(0.0,)), ordering=Ordering.PARTITION)
    async def handle(_: Any) -> None:
        raise OSError

    service = Service(shop.name("in-order"), [handle])
    options = Options(partitions=1, breaker=BreakerOptions(failures=4))
    async with shop.serving(service, options=options) as hub:
        await hub.publish_many(shop.orders("abcdef"))
        await until(lambda: hub.supervisors[0].counters.dead_lettered == 6)

    assert 6 == len(await shop.letters(shop.order, service))
