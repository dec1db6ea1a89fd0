"""The events that the inventory service knows: one it reads, two it writes."""

from eventhub import Event


class OrderCreated(Event, topic="shop.orders", key="order_id"):
    """A customer has placed an order. It also says at what price; stock does not care."""

    order_id: str
    customer: str
    sku: str
    quantity: int


class StockReserved(Event, topic="shop.reservations", key="order_id"):
    """The goods of an order are set aside."""

    order_id: str
    customer: str
    sku: str
    quantity: int


class StockShort(Event, topic="shop.shortages", key="order_id"):
    """There is too little of what was ordered; nothing is set aside."""

    order_id: str
    customer: str
    sku: str
    quantity: int
