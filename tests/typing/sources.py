"""What a type checker says of sources; read by tests/test_typing.py, never executed."""

from collections.abc import AsyncIterator

from eventhub import Occurrence, SourceContext, produces
from tests.typing.shop import OrderCancelled, OrderCreated, Shop, StockReserved


@produces(OrderCreated)
async def incoming_orders() -> AsyncIterator[OrderCreated]:
    """Yield an event."""
    yield OrderCreated(order_id="o-1")


@produces(OrderCreated, OrderCancelled)
async def incoming_changes(context: SourceContext[Shop]) -> AsyncIterator[OrderCreated | OrderCancelled]:
    """Yield either of two, and know the state's type."""
    yield OrderCreated(order_id=context.state.name)
    context.state.address  # E: attr-defined / reportAttributeAccessIssue


@produces(OrderCreated, occurrence=lambda order: Occurrence(order.order_id, 0.0))
async def change_feed() -> AsyncIterator[OrderCreated]:
    """Say which order it is."""
    yield OrderCreated(order_id="o-1")


def which(reserved: StockReserved) -> Occurrence:
    """Say which reservation it is."""
    return Occurrence(reserved.order_id, 0.0)


async def test_the_logic() -> None:
    """A source is still the generator that it was."""
    async for order in incoming_orders():
        order.order_id.upper()
        order.sku  # E: attr-defined / reportAttributeAccessIssue
    incoming_orders(1)  # E: call-arg / reportCallIssue


@produces(OrderCreated)  # E: arg-type / reportArgumentType
async def yields_another_event() -> AsyncIterator[StockReserved]:
    """Yield what was not declared."""
    yield StockReserved(order_id="o-1")


@produces(OrderCreated)  # E: arg-type / reportArgumentType
async def returns_one() -> OrderCreated:
    """Return where one yields."""
    return OrderCreated(order_id="o-1")


@produces(OrderCreated, occurrence=which)  # E: arg-type / reportArgumentType
async def tells_of_another_event() -> AsyncIterator[OrderCreated]:
    """Say which one it is of what is never yielded."""
    yield OrderCreated(order_id="o-1")
