"""Events that tests of several rooms use."""

from eventhub.event import Event, SubjectName


class OrderCreated(Event, topic="orders", key="order_id"):
    """A customer has placed an order."""

    order_id: str
    sku: str = "tea"
    quantity: int = 1


class StockReserved(Event, topic="stock", key="order_id"):
    """Stock has been set aside for an order."""

    order_id: str


class OrderConfirmed(Event, topic="verdicts", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """An order will be delivered."""

    order_id: str


class OrderRejected(Event, topic="verdicts", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """An order will not be delivered."""

    order_id: str
    reason: str = ""
