"""The course of a run, without the services."""

from pathlib import Path

import pytest
from rich.console import Console

from eventhub.brokers.memory import MemoryBroker
from eventhub.record import ProducerRecord
from examples.scenario import TOPICS, LeftOver, Setup, count_unread, ended, follow, prepare
from examples.table import screen
from examples.watch import watching


async def write(broker: MemoryBroker, *records: ProducerRecord) -> None:
    """Write records."""
    producer = broker.producer()
    await producer.start()
    await producer.send(records)
    await producer.stop()


def notified(order_id: str) -> ProducerRecord:
    """The last event of an order that came through."""
    headers = (("ce_type", b"CustomerNotified"), ("ce_id", order_id.encode()))
    return ProducerRecord("shop.notifications", order_id.encode(), b"value", headers)


def given_up(value: bytes) -> ProducerRecord:
    """The last record of one that did not."""
    return ProducerRecord("shop.outcomes.notification.dlt", b"o-3", value)


def test_every_topic_of_the_services_is_known() -> None:
    """Those that are written or read, and where each service puts what it gives up and gets it back from."""
    assert [
        "shop.notifications",
        "shop.orders",
        "shop.orders.inventory.dlt",
        "shop.orders.inventory.retry.replay",
        "shop.outcomes",
        "shop.outcomes.notification.dlt",
        "shop.outcomes.notification.retry.replay",
        "shop.reservations",
        "shop.reservations.order.dlt",
        "shop.reservations.order.retry.replay",
        "shop.shortages",
        "shop.shortages.order.dlt",
        "shop.shortages.order.retry.replay",
        "shop.stock",
    ] == TOPICS


async def test_topics_are_made() -> None:
    """A broker that knows nothing is made ready."""
    broker = MemoryBroker()
    await prepare(broker)

    assert set(TOPICS) == set(await broker.admin.topics())
    assert 0 == await count_unread(broker.admin)


async def test_a_broker_may_be_used_again() -> None:
    """Topics that are there already are taken as they are."""
    broker = MemoryBroker()
    await prepare(broker)
    await prepare(broker)

    assert set(TOPICS) == set(await broker.admin.topics())


async def test_a_run_that_was_cut_short_is_in_the_way() -> None:
    """Records that the services would meet first are refused, with the way out."""
    broker = MemoryBroker()
    await prepare(broker)
    await write(broker, ProducerRecord("shop.orders", b"o-1", b"value"))

    with pytest.raises(LeftOver, match="1 records of an earlier run on memory://"):
        await prepare(broker)


@pytest.mark.parametrize(
    ("records", "over"),
    [
        ([], False),
        ([notified("o-1"), notified("o-2")], False),
        ([notified("o-1"), notified("o-2"), notified("o-2")], False),
        ([notified("o-1"), given_up(b"a"), given_up(b"a")], False),
        ([notified("o-1"), notified("o-2"), given_up(b"a")], True),
        ([given_up(b"a"), given_up(b"b"), given_up(b"c")], True),
    ],
)
async def test_a_run_ends_with_its_last_order(records: list[ProducerRecord], over: bool) -> None:
    """Each of three orders has to come to an end; a repeat ends none."""
    broker = MemoryBroker()
    await prepare(broker)
    async with watching(broker, TOPICS) as watch:
        await write(broker, *records)
        await watch.catch_up()

    assert over is ended(watch, 3)


def test_the_services_are_told_what_to_do() -> None:
    """The setup reach the services as the variables that they read."""
    setup = Setup(orders=5, seed=2, folder=Path("folder"))

    assert {
        "SHOP_ORDERS": "5",
        "SHOP_SEED": "2",
        "INVENTORY_DATABASE": str(Path("folder") / "inventory.sqlite3"),
        "MAIL_SEED": "2",
    } == setup.environment


async def test_a_run_in_which_nothing_moves_is_given_up() -> None:
    """The verdict then says what is missing; nobody waits for ever."""
    broker = MemoryBroker()
    await prepare(broker)
    with screen(Console(quiet=True)) as shown:
        async with watching(broker, TOPICS) as watch:
            hostile = await follow(broker, watch, shown, orders=1, patience=0.0)

    assert {} == hostile
