"""What a type checker says of handlers and services; read by tests/test_typing.py, never executed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventhub import Context, Event, Service, subscribe


class OrderCreated(Event, topic="orders", key="order_id"):
    """A customer has placed an order."""

    order_id: str


class StockReserved(Event, topic="stock", key="order_id"):
    """Stock has been set aside for an order."""

    order_id: str


class Shop:
    """What the lifespan below yields."""


class Warehouse:
    """What it does not yield."""


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """Open the shop."""
    yield Shop()


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated) -> StockReserved:
    """Take an event and return the one that follows."""
    return StockReserved(order_id=order.order_id)


@subscribe(OrderCreated)
async def count_order(order: OrderCreated, context: Context[Shop]) -> None:
    """Take the context too."""


@subscribe(OrderCreated)
async def count_pallets(order: OrderCreated, context: Context[Warehouse]) -> None:
    """Ask for another state."""


async def test_the_logic() -> None:
    """A handler is still the function that it was."""
    reserved = await reserve_stock(OrderCreated(order_id="o-1"))
    reserved.order_id.upper()
    reserved.sku  # E: attr-defined / reportAttributeAccessIssue
    await reserve_stock(StockReserved(order_id="o-1"))  # E: arg-type / reportArgumentType


@subscribe(OrderCreated)  # E: arg-type / reportArgumentType
async def takes_the_wrong_event(stock: StockReserved) -> None:
    """Take what was not subscribed to."""


@subscribe(OrderCreated)  # E: arg-type / reportArgumentType
def is_not_async(order: OrderCreated) -> None:
    """Block the loop."""


@subscribe(OrderCreated)  # E: type-var / reportArgumentType
async def returns_no_event(order: OrderCreated) -> int:
    """Return a number."""
    return 1


async def plain(order: OrderCreated) -> None:
    """Lack the decorator."""


Service("inventory", [reserve_stock, count_order], lifespan=shop)
Service("inventory", [count_pallets], lifespan=shop)  # E: arg-type / reportArgumentType
Service("inventory", [plain])  # E: list-item / reportArgumentType
