"""The notification service in PostgreSQL: an outcome, its mail and what is said about it are one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventhub import Context, Retry, Service, run, subscribe
from eventhub.integrations.postgres import PostgresStore, postgres_ddl
from eventhub.middleware.transactional import transactional
from examples.notification_service.events import CustomerNotified, OrderConfirmed, OrderRejected
from examples.notification_service.mail import GatewayDown, MailGateway
from examples.notification_service.service import write_mail

CONNECTIONS = 19  # one for each of 16 handlers at once, and three for the relay, of which it holds two
PATIENCE = Retry(on=GatewayDown, waits=(0.02, 0.05, *[0.1] * 10))
"""Longer than while nothing is killed: the gateway lives in this process, and one that was killed takes along how
often it refused a mail, but not how often that was tried; attempts are counted across restarts."""

# No key: a mail that is written twice would stand there twice.
_MAILS = """
    CREATE TABLE IF NOT EXISTS mails (
        order_id  text NOT NULL,
        recipient text NOT NULL,
        subject   text NOT NULL
    );
"""


class Settings(BaseSettings):
    """Where mails are kept and how the gateway behaves, read from ``MAIL_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="MAIL_", frozen=True)

    database: str = "postgresql://postgres@localhost/shop"
    seed: int = 1


@dataclass(frozen=True, slots=True)
class MailRoom:
    """The service's state."""

    gateway: MailGateway
    store: PostgresStore


@asynccontextmanager
async def mail_room() -> AsyncIterator[MailRoom]:
    """The gateway, and the database, open while the service runs."""
    settings = Settings()
    async with asyncpg.create_pool(settings.database, min_size=2, max_size=CONNECTIONS) as pool:
        await pool.execute(postgres_ddl() + _MAILS)  # elsewhere a migration does this
        yield MailRoom(MailGateway(settings.seed), PostgresStore(pool))


@subscribe(OrderConfirmed, OrderRejected, retry=PATIENCE)
async def notify_customer(outcome: OrderConfirmed | OrderRejected, context: Context[MailRoom]) -> CustomerNotified:
    """Mail the outcome to the customer, and keep the mail.

    A process that dies before the commit has mailed and not kept it, and the next one mails again, under the
    same key: beyond the database, once is the gateway's to promise.
    """
    mail = write_mail(outcome)
    await context.state.gateway.send(mail, key=outcome.order_id)
    await context.transaction.connection.execute(
        "INSERT INTO mails VALUES ($1, $2, $3)", outcome.order_id, mail.to, mail.subject
    )
    return CustomerNotified(order_id=outcome.order_id, customer=mail.to, subject=mail.subject)


service = Service("notification", [notify_customer], lifespan=mail_room, middleware=[transactional])

if __name__ == "__main__":
    run(service)
