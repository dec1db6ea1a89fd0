"""The notification service in PostgreSQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from eventhub.record import ProducerRecord
from eventhub.retry import Fate
from eventhub.testing.running import RunningHub, running
from examples.chaos import Chaos
from examples.notification_service.events import CustomerNotified, OrderConfirmed
from examples.notification_service.mail import UNREACHABLE, GatewayDown
from examples.notification_service.postgres import PATIENCE, service
from tests.postgres import schema_of_its_own

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
async def dsn(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A database of the test's own, which ``MAIL_DATABASE`` names."""
    async with schema_of_its_own(postgres_url) as schema:
        dsn = f"{postgres_url}?search_path={schema}"
        monkeypatch.setenv("MAIL_DATABASE", dsn)
        yield dsn


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[RunningHub]:
    """The service, running on that database."""
    assert dsn
    async with running(service) as hub:
        yield hub


async def mailed(dsn: str) -> list[str]:
    """The order ids of the mails that are kept."""
    connection = await asyncpg.connect(dsn)
    try:
        return [order_id for (order_id,) in await connection.fetch("SELECT order_id FROM mails")]
    finally:
        await connection.close()


async def test_a_second_delivery_keeps_no_second_mail(hub: RunningHub, dsn: str) -> None:
    """The inbox has seen it: neither the mail nor the event is there twice."""
    await hub.publish(OrderConfirmed(order_id="o-1", customer="ada@example.com"))
    await hub.published(CustomerNotified)
    [record] = hub.broker.records("shop.outcomes")
    await hub.hub.producer.send([ProducerRecord(record.topic, record.key, record.value, record.headers)] * 2)
    notified = await hub.published(CustomerNotified)

    assert ["o-1"] == [event.order_id for event in notified]
    assert ["o-1"] == await mailed(dsn)


def test_patience_outlasts_a_gateway_that_is_killed_along_with_the_service() -> None:
    """Twice refused by each of five gateways, a mail is tried an eleventh time."""
    fates = {PATIENCE.fate(GatewayDown(), attempt) for attempt in range(1, 2 * (Chaos().kills + 1) + 1)}

    assert {Fate.RETRY} == fates


async def test_a_mail_that_nobody_takes_is_not_kept(hub: RunningHub, dsn: str) -> None:
    """The transaction of a handler that fails leaves nothing behind."""
    await hub.publish(OrderConfirmed(order_id="o-1", customer=UNREACHABLE))

    assert [] == await hub.published(CustomerNotified)
    assert [] == await mailed(dsn)
