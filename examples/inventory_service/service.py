"""The inventory service: one handler, whose stock, inbox and outbox stand in one database."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Context, Service, subscribe
from eventhub.middleware.transactional import transactional
from examples.inventory_service.events import OrderCreated, StockLeft, StockReserved, StockShort
from examples.inventory_service.sqlite import sqlite_stock
from examples.inventory_service.stock import Stock


class Settings(BaseSettings):
    """Where the stock is kept, read from ``INVENTORY_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True)

    database: str = "inventory.sqlite3"


def open_stock(database: str) -> AbstractAsyncContextManager[Stock]:
    """The stock in PostgreSQL, if that is a URL of one, and in a SQLite file otherwise."""
    if database.startswith("postgresql://"):
        from examples.inventory_service.postgres import postgres_stock  # noqa: PLC0415 - an extra

        return postgres_stock(database)
    return sqlite_stock(database)


@asynccontextmanager
async def inventory() -> AsyncIterator[Stock]:
    """The service's state: the stock, open while the service runs."""
    async with open_stock(Settings().database) as stock:
        yield stock


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated, context: Context[Stock]) -> tuple[StockReserved, StockLeft] | StockShort:
    """Set the ordered quantity aside and say what is left, or say that there is too little."""
    left = await context.state.take(context.transaction.connection, order.sku, order.quantity)
    if left is None:
        return StockShort(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity)
    return (
        StockReserved(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity),
        StockLeft(sku=order.sku, available=left),
    )


service = Service("inventory", [reserve_stock], lifespan=inventory, middleware=[transactional])
