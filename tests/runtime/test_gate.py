"""The breaker at work: an outage is waited for, poison is not."""

import asyncio
from typing import Any

from eventhub import Options, Retry, Service, subscribe
from eventhub.runtime.breaker import BreakerOptions
from eventhub.testing.waiting import until
from tests.runtime.conftest import Shop

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
