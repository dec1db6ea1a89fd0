"""The notification service's logic."""

import pytest

from eventhub import Context
from eventhub.record import Record
from eventhub.retry import Fate
from examples.notification_service.events import CustomerNotified, OrderConfirmed, OrderRejected
from examples.notification_service.mail import UNREACHABLE, GatewayDown, Mail, MailboxClosed, MailGateway
from examples.notification_service.service import PATIENCE, notify_customer, write_mail

CONFIRMED = OrderConfirmed(order_id="o-1", customer="ada@example.com")
REJECTED = OrderRejected(order_id="o-2", customer="ken@example.com", reason="not enough oolong in stock")


def reliable_gateway() -> MailGateway:
    """A gateway that takes every mail at once, save those to the unreachable customer."""
    return MailGateway(seed=1, latency=0, failures=(100, 0, 0))


def context(outcome: OrderConfirmed | OrderRejected, gateway: MailGateway) -> Context[MailGateway]:
    """An outcome as the runtime would hand it over."""
    record = Record("shop.outcomes", 0, 0, 0.0, outcome.order_id.encode(), b"")
    return Context(event=outcome, record=record, state=gateway, group="notification", handler="notify_customer")


async def test_a_customer_is_told_of_a_confirmed_order() -> None:
    """The mail is sent, and the event says what it was about."""
    gateway = reliable_gateway()

    notified = await notify_customer(CONFIRMED, context(CONFIRMED, gateway))

    assert CustomerNotified(order_id="o-1", customer="ada@example.com", subject="Order o-1 is confirmed") == notified
    assert [write_mail(CONFIRMED)] == list(gateway.sent.values())


def test_a_rejection_says_why() -> None:
    """The mail about a rejected order gives the reason."""
    expected = Mail("ken@example.com", "Order o-2 is rejected", "Sorry: not enough oolong in stock.")

    assert expected == write_mail(REJECTED)


async def test_a_second_delivery_sends_no_second_mail() -> None:
    """The same outcome handled twice leads to one mail and the same event."""
    gateway = reliable_gateway()

    first = await notify_customer(CONFIRMED, context(CONFIRMED, gateway))
    second = await notify_customer(CONFIRMED, context(CONFIRMED, gateway))

    assert first == second
    assert 1 == len(gateway.sent)


async def test_a_refused_mail_is_no_event() -> None:
    """Where no mail was sent, the handler fails and says nothing."""
    outcome = OrderConfirmed(order_id="o-1", customer=UNREACHABLE)

    with pytest.raises(MailboxClosed):
        await notify_customer(outcome, context(outcome, reliable_gateway()))


def test_a_gateway_that_is_down_is_tried_four_times() -> None:
    """Patience outlasts the two failures of a mail that can be sent, then it ends in a dead letter."""
    fates = [PATIENCE.fate(GatewayDown(), attempt) for attempt in (1, 2, 3, 4)]

    assert [Fate.RETRY, Fate.RETRY, Fate.RETRY, Fate.EXHAUSTED] == fates
