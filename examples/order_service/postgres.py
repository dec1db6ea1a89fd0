"""The order service in PostgreSQL: an order and its event are one transaction, and so are an answer and the outcome."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Service, run
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.middleware.transactional import transactional
from eventhub.outbox.writing import Outbox
from examples.order_service.events import OrderCreated
from examples.order_service.service import confirm_order, reject_order

CONNECTIONS = 19  # one for each of 16 handlers at once, and three for the relay, of which it holds two

# The lock, since the service and the checkout may start at the same time; elsewhere a migration does this.
_TABLES = f"""
    SELECT pg_advisory_xact_lock(1);
    {postgres_ddl()}
    CREATE TABLE IF NOT EXISTS orders (
        order_id    text PRIMARY KEY,
        customer    text NOT NULL,
        sku         text NOT NULL,
        quantity    int NOT NULL,
        price_cents int NOT NULL
    );
"""


class Settings(BaseSettings):
    """Where the orders are kept, read from ``SHOP_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="SHOP_", frozen=True)

    database: str = "postgresql://postgres@localhost/shop"


@dataclass(frozen=True, slots=True)
class Orders:
    """The service's state."""

    store: PostgresStore


@asynccontextmanager
async def orders() -> AsyncIterator[Orders]:
    """The database, open while the service runs."""
    async with asyncpg.create_pool(Settings().database, min_size=2, max_size=CONNECTIONS) as pool:
        await pool.execute(_TABLES)
        yield Orders(PostgresStore(pool))


async def place(order: OrderCreated, outbox: Outbox[Any]) -> bool:
    """Take an order and say whether it is new: who asks again, since no answer came, has ordered once."""
    async with outbox.transaction() as transaction:
        placed: str = await transaction.connection.execute(
            "INSERT INTO orders VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            *(order.order_id, order.customer, order.sku, order.quantity, order.price_cents),
        )
        if placed == "INSERT 0 1":
            await transaction.publish(order)
    return placed == "INSERT 0 1"


service = Service("order", [confirm_order, reject_order], lifespan=orders, middleware=[transactional])

if __name__ == "__main__":
    run(service)
