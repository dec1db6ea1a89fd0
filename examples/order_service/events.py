"""The events that the order service knows: three it writes, two it reads."""

from eventhub import Event, SubjectName


class OrderCreated(Event, topic="shop.orders", key="order_id"):
    """A customer has placed an order."""

    order_id: str
    customer: str
    sku: str
    quantity: int
    price_cents: int


class OrderConfirmed(Event, topic="shop.outcomes", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """The order will be delivered."""

    order_id: str
    customer: str


class OrderRejected(Event, topic="shop.outcomes", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """The order will not be delivered."""

    order_id: str
    customer: str
    reason: str


class StockReserved(Event, topic="shop.reservations", key="order_id"):
    """The inventory has set the goods aside. It also says which and how many; nobody asks for that here."""

    order_id: str
    customer: str


class StockShort(Event, topic="shop.shortages", key="order_id"):
    """The inventory has too little of something."""

    order_id: str
    customer: str
    sku: str
