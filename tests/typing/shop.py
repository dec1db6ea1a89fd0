"""What the programs beside this one share; read by tests/test_typing.py, never executed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventhub import Event


class OrderCreated(Event, topic="orders", key="order_id"):
    """A customer has placed an order."""

    order_id: str


class OrderCancelled(Event, topic="cancellations", key="order_id"):
    """A customer has thought again."""

    order_id: str
    reason: str


class StockReserved(Event, topic="stock", key="order_id"):
    """Stock has been set aside for an order."""

    order_id: str


class Shop:
    """What the lifespan below yields."""

    name: str


class Warehouse:
    """What it does not yield."""


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """Open the shop."""
    yield Shop()
