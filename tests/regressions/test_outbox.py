"""Events in the outbox, and what becomes of the record that they followed from."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eventhub import Context, Event, Handler, Retry, Service, subscribe
from eventhub.middleware.transactional import transactional
from eventhub.outbox.memory import MemoryStore
from tests.regressions.shop import GROUP, Order, Receipt, Shop


@dataclass(frozen=True)
class Cashier:
    """A state that offers a store."""

    store: MemoryStore


async def test_what_was_committed_is_published_although_its_record_is_given_up(shop: Shop) -> None:
    """The transaction was committed before something outside of it failed; a row is owed to nobody's success."""
    store = MemoryStore()

    @asynccontextmanager
    async def cashier() -> AsyncIterator[Cashier]:
        yield Cashier(store)

    @subscribe(Order, retry=Retry(waits=(5.0, 5.0)))
    async def handle(order: Order, context: Context[Cashier]) -> Receipt:
        del context
        shop.note(order)
        return Receipt(customer=order.customer, number=order.number)

    def failing_afterwards(handle: Handler) -> Handler:
        async def handled(context: Context[Any]) -> Sequence[Event]:
            await handle(context)
            raise OSError

        return handled

    middleware = [failing_afterwards, transactional]
    await shop.start(Service(GROUP, [handle], lifespan=cashier, middleware=middleware))
    await shop.publish(Order(customer="a", number=0))
    await shop.until(lambda: shop.letters)
    await shop.pass_time(10.0)

    assert [3] == [letter.attempt for letter in shop.letters]
    assert [("one", 0)] == shop.tries  # the second and third attempt found the claim
    assert 1 == len(shop.broker.records("receipts"))
    assert 0 == (await store.status()).depth
