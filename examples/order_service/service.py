"""The order service: a source of orders, and a handler for each answer of the inventory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Service, SourceContext, produces, subscribe
from examples.order_service.events import OrderConfirmed, OrderCreated, OrderRejected, StockReserved, StockShort
from examples.order_service.orders import generate_orders


class Shop(BaseSettings):
    """How much is ordered, read from ``SHOP_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="SHOP_", frozen=True)

    orders: int = 1000
    seed: int = 1
    pause: float = 0.0
    """Seconds between two orders, where they are taken one by one."""


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """The service's state: opened before its first record, closed after its last."""
    yield Shop()


@produces(OrderCreated)
async def incoming_orders(context: SourceContext[Shop]) -> AsyncIterator[OrderCreated]:
    """Publish every order that comes in."""
    for order in generate_orders(context.state.seed, context.state.orders):
        yield order


@subscribe(StockReserved)
async def confirm_order(reserved: StockReserved) -> OrderConfirmed:
    """Confirm an order whose goods are set aside."""
    return OrderConfirmed(order_id=reserved.order_id, customer=reserved.customer)


@subscribe(StockShort)
async def reject_order(short: StockShort) -> OrderRejected:
    """Reject an order whose goods are not there."""
    return OrderRejected(order_id=short.order_id, customer=short.customer, reason=f"not enough {short.sku} in stock")


service = Service("order", [incoming_orders, confirm_order, reject_order], lifespan=shop)
