"""The notification service: one mail for each outcome, through a gateway that fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Context, Retry, Service, subscribe
from examples.notification_service.events import CustomerNotified, OrderConfirmed, OrderRejected
from examples.notification_service.mail import GatewayDown, Mail, MailGateway

PATIENCE = Retry(on=GatewayDown, waits=(0.02, 0.05, 0.1))
"""Four attempts within a fifth of a second while the gateway is down, since a demo is short; the default takes
twelve minutes. Any other error is no outage: its mail is given up at once."""


class Settings(BaseSettings):
    """How the gateway behaves, read from ``MAIL_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="MAIL_", frozen=True)

    seed: int = 1


@asynccontextmanager
async def mail_gateway() -> AsyncIterator[MailGateway]:
    """The service's state: the gateway."""
    yield MailGateway(Settings().seed)


@subscribe(OrderConfirmed, OrderRejected, retry=PATIENCE)
async def notify_customer(outcome: OrderConfirmed | OrderRejected, context: Context[MailGateway]) -> CustomerNotified:
    """Mail the outcome to the customer; the key keeps a second delivery from sending a second mail."""
    mail = write_mail(outcome)
    await context.state.send(mail, key=outcome.order_id)
    return CustomerNotified(order_id=outcome.order_id, customer=mail.to, subject=mail.subject)


def write_mail(outcome: OrderConfirmed | OrderRejected) -> Mail:
    """The mail about one outcome."""
    match outcome:
        case OrderConfirmed():
            return Mail(outcome.customer, f"Order {outcome.order_id} is confirmed", "Your tea is on its way.")
        case OrderRejected():
            return Mail(outcome.customer, f"Order {outcome.order_id} is rejected", f"Sorry: {outcome.reason}.")


service = Service("notification", [notify_customer], lifespan=mail_gateway)
