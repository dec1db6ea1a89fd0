"""The whole demo in one process: a good run passes, and a broken service is found out."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eventhub import Context, Retry, Service, subscribe
from eventhub.middleware.transactional import transactional
from examples.inventory_service.events import OrderCreated, StockLeft
from examples.inventory_service.events import StockReserved as Reserved
from examples.inventory_service.events import StockShort as Short
from examples.inventory_service.service import inventory
from examples.inventory_service.service import service as inventory_service
from examples.inventory_service.stock import Stock
from examples.local import run_here
from examples.notification_service.events import CustomerNotified, OrderConfirmed, OrderRejected
from examples.notification_service.mail import MailGateway
from examples.notification_service.service import mail_gateway, notify_customer
from examples.notification_service.service import service as notification_service
from examples.order_service import events as order_events
from examples.order_service.service import confirm_order, incoming_orders, shop
from examples.order_service.service import service as order_service
from examples.scenario import Setup
from examples.table import screen
from examples.verdict import CLAIMS, repeats, verdict

pytestmark = pytest.mark.slow

CREATED, ANSWERED, SETTLED, STOCK, LEVELS, NOTIFIED, LETTERS, REASONS, UNREAD, STOPPED = CLAIMS


@subscribe(OrderCreated)
async def take_one_too_many(order: OrderCreated, context: Context[Stock]) -> tuple[Reserved, StockLeft] | Short:
    """Take more than was ordered."""
    left = await context.state.take(context.transaction.connection, order.sku, order.quantity + 1)
    goods = order.model_dump(include={"order_id", "customer", "sku", "quantity"})
    return Short(**goods) if left is None else (Reserved(**goods), StockLeft(sku=order.sku, available=left))


@subscribe(order_events.StockShort)
async def confirm_all_the_same(short: order_events.StockShort) -> order_events.OrderConfirmed:
    """Promise what is not there."""
    return order_events.OrderConfirmed(order_id=short.order_id, customer=short.customer)


@subscribe(OrderConfirmed, OrderRejected, retry=Retry(waits=(0.01, 0.01, 0.01)))
async def notify_twice(
    outcome: OrderConfirmed | OrderRejected, context: Context[MailGateway]
) -> list[CustomerNotified]:
    """Tell the customer twice."""
    notified = await notify_customer(outcome, context)
    return [notified, notified]


@subscribe(OrderConfirmed, OrderRejected, retry=Retry(attempts=1))
async def notify_without_patience(
    outcome: OrderConfirmed | OrderRejected, context: Context[MailGateway]
) -> CustomerNotified:
    """Give up a mail that would be taken the next time."""
    return await notify_customer(outcome, context)


BROKEN: dict[str, tuple[list[Service[Any]], set[str]]] = {
    "an inventory that takes one too many": (
        [
            order_service,
            Service("inventory", [take_one_too_many], lifespan=inventory, middleware=[transactional]),
            notification_service,
        ],
        {STOCK},
    ),
    "an order service that promises what is not there": (
        [
            Service("order", [incoming_orders, confirm_order, confirm_all_the_same], lifespan=shop),
            inventory_service,
            notification_service,
        ],
        {SETTLED},
    ),
    "a notification service that tells everything twice": (
        [order_service, inventory_service, Service("notification", [notify_twice], lifespan=mail_gateway)],
        {NOTIFIED},
    ),
    "a notification service without patience": (
        [order_service, inventory_service, Service("notification", [notify_without_patience], lifespan=mail_gateway)],
        {NOTIFIED, LETTERS, REASONS},
    ),
}


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A short run, whose variables are forgotten after the test."""
    setup = Setup(orders=60, seed=3, folder=tmp_path)
    for name, value in setup.environment.items():
        monkeypatch.setenv(name, value)
    return setup


async def test_a_run_passes(setup: Setup) -> None:
    """Sixty orders come to their end, and nothing speaks against any claim."""
    with screen(Console(quiet=True)) as shown:
        evidence = await run_here(setup, shown)

    assert {} == {check.claim: check.problems for check in verdict(evidence) if not check.passed}
    assert 60 == len(evidence.orders_with("CustomerNotified")) + len(evidence.dead_letters) - 3
    assert 0 == repeats(evidence)


async def test_a_run_meets_everything_that_can_go_wrong(setup: Setup) -> None:
    """Some orders are short, some mails are retried, some are given up; else the run would show little."""
    with screen(Console(quiet=True)) as shown:
        evidence = await run_here(setup, shown)

    assert evidence.orders_with("OrderRejected")
    assert evidence.orders_with("OrderConfirmed")
    assert {"decode", "handle"} == {letter.stage for letter in evidence.dead_letters}


@pytest.mark.parametrize("story", BROKEN)
async def test_a_broken_service_is_found_out(story: str, setup: Setup) -> None:
    """What a service does wrong refutes the claims that it breaks, and no other."""
    services, refuted = BROKEN[story]
    with screen(Console(quiet=True)) as shown:
        evidence = await run_here(setup, shown, services)

    assert refuted == {check.claim for check in verdict(evidence) if not check.passed}
