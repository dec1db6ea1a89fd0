"""The inventory service: one handler, whose stock, inbox and outbox stand in one file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Context, Service, subscribe
from eventhub.middleware.transactional import transactional
from eventhub.outbox.sqlite import SqliteStore
from examples.inventory_service.events import OrderCreated, StockReserved, StockShort
from examples.inventory_service.stock import fill_shelves, take


class Settings(BaseSettings):
    """Where the stock is kept, read from ``INVENTORY_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True)

    database: Path = Path("inventory.sqlite3")


@dataclass(frozen=True, slots=True)
class Inventory:
    """The service's state."""

    store: SqliteStore


@asynccontextmanager
async def inventory() -> AsyncIterator[Inventory]:
    """The file, open while the service runs, with goods on its shelves."""
    async with SqliteStore(Settings().database) as store:
        async with store.transaction() as transaction:
            await fill_shelves(transaction.connection)
        yield Inventory(store)


@subscribe(OrderCreated)
async def reserve_stock(order: OrderCreated, context: Context[Inventory]) -> StockReserved | StockShort:
    """Set the ordered quantity aside, or say that there is too little."""
    if await take(context.transaction.connection, order.sku, order.quantity):
        return StockReserved(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity)
    return StockShort(order_id=order.order_id, customer=order.customer, sku=order.sku, quantity=order.quantity)


service = Service("inventory", [reserve_stock], lifespan=inventory, middleware=[transactional])
