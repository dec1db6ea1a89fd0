"""What a type checker says of handlers; read by tests/test_typing.py, never executed."""

from collections.abc import Sequence

from eventhub import BatchContext, Context, Tombstone, subscribe, subscribe_batch
from tests.typing.shop import OrderCancelled, OrderCreated, Shop, StockReserved


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated) -> StockReserved:
    """Take an event and return the one that follows."""
    return StockReserved(order_id=order.order_id)


@subscribe(OrderCreated)
async def reserve_some(order: OrderCreated) -> list[StockReserved] | None:
    """Return several events, or none."""
    return [StockReserved(order_id=order.order_id)] if order.order_id else None


@subscribe(OrderCreated, OrderCancelled)
async def follow_order(order: OrderCreated | OrderCancelled) -> Sequence[StockReserved | OrderCancelled]:
    """Take either of two events."""
    return [order] if isinstance(order, OrderCancelled) else [StockReserved(order_id=order.order_id)]


@subscribe(OrderCreated, Tombstone[OrderCreated])
async def forget_order(order: OrderCreated | Tombstone[OrderCreated]) -> None:
    """Take the end of a key too."""


@subscribe(OrderCreated)
async def count_order(order: OrderCreated, context: Context[Shop]) -> None:
    """Know the state's type."""
    context.state.name.upper()
    context.state.address  # E: attr-defined / reportAttributeAccessIssue


@subscribe_batch(OrderCreated)
async def store_orders(orders: Sequence[OrderCreated]) -> None:
    """Take many events."""


@subscribe_batch(OrderCreated)
async def count_orders(orders: Sequence[OrderCreated], context: BatchContext[Shop]) -> None:
    """Know the state's type."""
    context.state.name.upper()
    context.contexts[0].state.name.upper()
    context.state.address  # E: attr-defined / reportAttributeAccessIssue


@subscribe_batch(OrderCreated)  # E: arg-type / reportArgumentType
async def takes_one_order(order: OrderCreated) -> None:
    """Take one event."""


async def test_the_logic(context: Context[Shop]) -> None:
    """A handler is still the function that it was."""
    reserved = await reserve_stock(OrderCreated(order_id="o-1"))
    reserved.order_id.upper()
    reserved.sku  # E: attr-defined / reportAttributeAccessIssue
    await follow_order(OrderCancelled(order_id="o-1", reason="too late"))
    await count_order(OrderCreated(order_id="o-1"), context)
    await reserve_stock(StockReserved(order_id="o-1"))  # E: arg-type / reportArgumentType
    await reserve_stock(OrderCreated(order_id="o-1"), context)  # E: call-arg / reportCallIssue
    await count_order(OrderCreated(order_id="o-1"))  # E: call-arg / reportCallIssue
    await follow_order(StockReserved(order_id="o-1"))  # E: arg-type / reportArgumentType


@subscribe(OrderCreated)  # E: arg-type / reportArgumentType
async def takes_the_wrong_event(stock: StockReserved) -> None:
    """Take what was not subscribed to."""


@subscribe(OrderCreated, OrderCancelled)  # E: arg-type / reportArgumentType
async def takes_one_of_two(order: OrderCreated) -> None:
    """Take only the first of the events that were subscribed to."""


@subscribe(OrderCreated)  # E: arg-type / reportArgumentType
def is_not_async(order: OrderCreated) -> None:
    """Block the loop."""


@subscribe(OrderCreated)  # E: type-var / reportArgumentType
async def returns_no_event(order: OrderCreated) -> int:
    """Return a number."""
    return 1


@subscribe(OrderCreated)  # E: type-var / reportArgumentType
async def returns_no_events(order: OrderCreated) -> list[str]:
    """Return what nobody can publish."""
    return [order.order_id]


@subscribe(OrderCreated)  # E: arg-type / reportArgumentType
async def asks_for_more(order: OrderCreated, context: Context[Shop], stock: StockReserved) -> None:
    """Ask for what nobody gives."""


@subscribe(str)  # E: type-var / reportArgumentType
async def takes_no_event(order: str) -> None:
    """Take what is no event."""
