"""The order service's logic."""

from eventhub import SourceContext
from examples.order_service.events import OrderConfirmed, OrderRejected, StockReserved, StockShort
from examples.order_service.orders import generate_orders
from examples.order_service.service import Shop, confirm_order, incoming_orders, reject_order


async def test_every_order_of_the_generator_is_published() -> None:
    """The source yields the seed's orders, as many as the shop is set to."""
    context = SourceContext(Shop(orders=20, seed=3), "order")

    assert list(generate_orders(seed=3, count=20)) == [order async for order in incoming_orders(context)]


async def test_reserved_stock_confirms_the_order() -> None:
    """An order is confirmed to its customer once its goods are set aside."""
    outcome = await confirm_order(StockReserved(order_id="o-1", customer="ada@example.com"))

    assert OrderConfirmed(order_id="o-1", customer="ada@example.com") == outcome


async def test_short_stock_rejects_the_order() -> None:
    """An order is rejected with the name of what is missing."""
    outcome = await reject_order(StockShort(order_id="o-1", customer="ada@example.com", sku="oolong"))

    assert OrderRejected(order_id="o-1", customer="ada@example.com", reason="not enough oolong in stock") == outcome
