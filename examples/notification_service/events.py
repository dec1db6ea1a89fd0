"""The events that the notification service knows: two it reads, from one topic, and one it writes."""

from eventhub import Event, SubjectName


class OrderConfirmed(Event, topic="shop.outcomes", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """The order will be delivered."""

    order_id: str
    customer: str


class OrderRejected(Event, topic="shop.outcomes", key="order_id", subject=SubjectName.TOPIC_RECORD):
    """The order will not be delivered."""

    order_id: str
    customer: str
    reason: str


class CustomerNotified(Event, topic="shop.notifications", key="order_id"):
    """The mail gateway has taken a mail about an order."""

    order_id: str
    customer: str
    subject: str
