"""What a type checker says of services and hubs; read by tests/test_typing.py, never executed."""

from collections.abc import AsyncIterator

from eventhub import Context, Hub, Service, SourceContext, produces, run, subscribe
from eventhub.testing import running
from tests.typing.shop import OrderCancelled, OrderCreated, Shop, StockReserved, Warehouse, shop


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated) -> StockReserved:
    """Need no state."""
    return StockReserved(order_id=order.order_id)


@subscribe(OrderCancelled)
async def count_order(order: OrderCancelled, context: Context[Shop]) -> None:
    """Need the state that the lifespan yields."""


@subscribe(OrderCancelled)
async def count_pallets(order: OrderCancelled, context: Context[Warehouse]) -> None:
    """Need another."""


@produces(OrderCreated)
async def pallets(context: SourceContext[Warehouse]) -> AsyncIterator[OrderCreated]:
    """Need another, as a source."""
    yield OrderCreated(order_id="o-1")


async def plain(order: OrderCreated) -> None:
    """Lack the decorator."""


inventory = Service("inventory", [reserve_stock, count_order], lifespan=shop)
stateless = Service("inventory", [reserve_stock])
Service("inventory", [count_pallets], lifespan=shop)  # E: arg-type / reportArgumentType
Service("inventory", [reserve_stock, pallets], lifespan=shop)  # E: list-item / reportArgumentType
Service("inventory", [count_order])  # E: list-item / reportArgumentType
Service("inventory", [plain])  # E: list-item / reportArgumentType
Service("inventory", reserve_stock)  # E: call-overload / reportArgumentType


async def test_the_wiring(hub: Hub) -> None:
    """What is published is an event, and comes back as what it is."""
    await hub.publish(OrderCreated(order_id="o-1"))
    await hub.publish("o-1")  # E: arg-type / reportArgumentType
    async with running(inventory, stateless) as test:
        for reserved in await test.published(StockReserved):
            reserved.sku  # E: attr-defined / reportAttributeAccessIssue
    run(reserve_stock)  # E: arg-type / reportArgumentType
