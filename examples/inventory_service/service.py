"""The inventory service: one handler, and the stock it asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Context, Service, subscribe
from examples.inventory_service.events import OrderCreated, StockReserved, StockShort
from examples.inventory_service.stock import Stock


class Settings(BaseSettings):
    """Where the stock is kept, read from ``INVENTORY_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True)

    database: Path = Path("inventory.sqlite3")


@asynccontextmanager
async def inventory() -> AsyncIterator[Stock]:
    """The service's state: the stock, open while the service runs."""
    stock = Stock(Settings().database)
    try:
        yield stock
    finally:
        stock.close()


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated, context: Context[Stock]) -> StockReserved | StockShort:
    """Set the ordered quantity aside, or say that there is too little."""
    if await context.state.take(order.order_id, order.sku, order.quantity):
        return StockReserved(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity)
    return StockShort(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity)


service = Service("inventory", [reserve_stock], lifespan=inventory)
