"""A service whose rights are taken away while it works, and given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub import Event, Hub, Options, Retry, Service, subscribe
from eventhub.brokers.base import NewTopic
from eventhub.registry.client import embedded_registry
from eventhub.testing.kafka import ADMIN, Acl, KafkaCluster, KafkaOptions, Operation, Resource, Security, User, kafka
from eventhub.testing.waiting import until
from tests.brokers.kafka.helpers import as_user, running

CLERK = User("clerk", "clerks-password")
PATIENCE = 60.0  # seconds; the client looks again after some of its own


class Order(Event, topic="orders", key="customer"):
    """An order."""

    customer: str


class Receipt(Event, topic="receipts", key="customer"):
    """The receipt for it."""

    customer: str


def right(operation: Operation, resource: Resource, name: str) -> Acl:
    """A right of the clerk."""
    return Acl(CLERK.name, operation, resource, name, prefixed=True)


READ_ORDERS = right(Operation.READ, Resource.TOPIC, "orders")
READ_GROUP = right(Operation.READ, Resource.GROUP, "cashier")
WRITE_RECEIPTS = right(Operation.WRITE, Resource.TOPIC, "receipts")


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[KafkaCluster, Hub]]:
    """A cluster with all that the service needs and every right on it, and a hub of somebody who may do anything."""
    options = KafkaOptions(security=Security.SCRAM, users=(CLERK,))
    async with kafka(options) as cluster, running(as_user(cluster, ADMIN)) as admin:
        names = ("orders", "receipts", "orders.cashier.dlt", "orders.cashier.retry.replay")
        await admin.admin.create_topics([NewTopic(name) for name in names])
        await cluster.allow(READ_ORDERS, READ_GROUP, WRITE_RECEIPTS, right(Operation.WRITE, Resource.TOPIC, "orders"))
        registry = embedded_registry()
        async with Hub(as_user(cluster, ADMIN), registry=registry, auto_register=True) as hub:
            yield cluster, hub


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize(
    ("lost", "alarm"),
    [
        (READ_ORDERS, "eventhub.authorization_lost"),
        (READ_GROUP, "eventhub.worker_rebuilt"),
        (WRITE_RECEIPTS, "eventhub.publish_failed"),
    ],
    ids=["read", "group", "write"],
)
async def test_a_right_that_is_lost_and_given_back_costs_no_record(lost: Acl, alarm: str) -> None:
    """The service waits and says so; with the right it goes on by itself, gives nothing up and publishes all of it."""
    seen: list[str] = []

    @subscribe(Order, retry=Retry(attempts=1))
    async def bill(order: Order) -> Receipt:
        seen.append(order.customer)
        return Receipt(customer=order.customer)

    service = Service("cashier", [bill])
    options = Options(commit_interval=0.1)
    async with shop() as (cluster, admin), asyncio.timeout(4 * PATIENCE):
        registry: Any = admin.registry
        async with (
            Hub(as_user(cluster, CLERK), registry=registry, auto_register=True, options=options) as hub,
            asyncio.TaskGroup() as tasks,
        ):
            serving = tasks.create_task(hub.serve(service))
            await admin.publish(Order(customer="before"))
            await until(lambda: "before" in seen or serving.done(), timeout=PATIENCE)
            with capture_logs() as logs:
                await cluster.revoke(lost)
                await admin.publish(Order(customer="meanwhile"))
                await until(lambda: alarm in {entry["event"] for entry in logs}, timeout=PATIENCE)
                await cluster.allow(lost)
                await admin.publish(Order(customer="after"))
                await until(lambda: hub.supervisors[0].counters.published >= 3, timeout=PATIENCE)
            [found] = hub.health().values()
            hub.stop()

    assert {"before", "meanwhile", "after"} == set(seen)
    assert 0 == found.detail.counted.dead_lettered
