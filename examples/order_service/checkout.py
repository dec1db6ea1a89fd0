"""The checkout: takes orders as a web server would, apart from any handler.

It writes to the database only; the relay of the order service carries the events to Kafka. Run it by
``python -m examples.order_service.checkout``.
"""

import asyncio

from eventhub import Hub
from eventhub.settings import read_settings
from examples.order_service.events import OrderCreated
from examples.order_service.orders import generate_orders
from examples.order_service.postgres import orders, place
from examples.order_service.service import Shop


async def checkout(shop: Shop) -> None:
    """Take every order that comes in; a checkout that was killed is asked again by every customer."""
    settings = read_settings()
    async with (
        Hub(settings.broker, registry=settings.registry, source="order", auto_register=settings.auto_register) as hub,
        orders() as state,
        hub.outbox(state.store, OrderCreated) as outbox,
    ):
        for order in generate_orders(shop.seed, shop.orders):
            if await place(order, outbox):
                await asyncio.sleep(shop.pause)


if __name__ == "__main__":
    asyncio.run(checkout(Shop()))
