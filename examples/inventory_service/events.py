"""The events that the inventory service knows: one it reads, three it writes."""

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


class StockLeft(Event, topic="shop.stock", key="sku"):
    """How much of something is left, said whenever it becomes less: what is said of one thing comes in order."""

    sku: str
    available: int
