"""The course of a run, the same on every broker."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from eventhub import Hub, Service
from eventhub.brokers.base import Admin, Broker, NewTopic
from eventhub.codecs.serde import SchemaUnresolved
from eventhub.record import Record, TopicPartition
from examples.evidence import Evidence, Fact
from examples.hostile import send_hostile
from examples.inventory_service.events import StockLeft
from examples.inventory_service.service import open_stock
from examples.inventory_service.service import service as inventory_service
from examples.notification_service.mail import UNREACHABLE
from examples.notification_service.service import service as notification_service
from examples.order_service.events import OrderCreated
from examples.order_service.orders import generate_orders
from examples.order_service.service import service as order_service
from examples.table import Screen
from examples.watch import Watch

SERVICES: Sequence[Service[Any]] = (order_service, inventory_service, notification_service)
TOPICS = sorted(
    {event.__event__.topic for service in SERVICES for event in (*service.reads, *service.writes)}
    | {topic for service in SERVICES for topic in service.own_topics}
)
PARTITIONS = 4
SCHEMA_GRACE = 1.0  # second in which an unknown schema may still turn up; a demo has no time for the default of 60
POLL = 0.1  # seconds; how stale the table may be
STALLED = 30.0  # seconds without any new record, after which the verdict says what is missing


class LeftOver(Exception):
    """The topics hold records of an earlier run that the services have not read."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run is about."""

    orders: int
    """How many orders come in."""
    seed: int
    """What decides everything that is drawn: the orders, and which mails fail at first."""
    folder: Path
    """Where the logs are kept, and the stock as well unless it is in PostgreSQL."""
    postgres: str | None = None
    """The URL of a PostgreSQL that has no stock yet, or None for a file."""

    @property
    def database(self) -> str:
        """Where the inventory keeps its stock."""
        return self.postgres or str(self.folder / "inventory.sqlite3")

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the three services read."""
        return {
            "SHOP_ORDERS": str(self.orders),
            "SHOP_SEED": str(self.seed),
            "INVENTORY_DATABASE": self.database,
            "MAIL_SEED": str(self.seed),
        }


async def prepare(broker: Broker) -> None:
    """Make the topics, and refuse those on which the services would meet an earlier run.

    Raises:
        LeftOver: If there are records that the services have not read.
    """
    await broker.admin.create_topics([NewTopic(topic, PARTITIONS) for topic in TOPICS])
    if unread := await count_unread(broker.admin):
        msg = (
            f"{unread} records of an earlier run on {broker.url} were never read and would spoil the count; "
            "delete the topics that begin with 'shop.', then try again"
        )
        raise LeftOver(msg)


async def follow(
    broker: Broker, watch: Watch, screen: Screen, orders: int, *, patience: float = STALLED
) -> Mapping[bytes, str]:
    """Watch until every order has come to its end, and put the hostile records among the orders meanwhile.

    Returns what was put there. Gives up when nothing has moved for ``patience`` seconds: the verdict then says what
    is missing.
    """
    hostile: Mapping[bytes, str] = {}
    moved = monotonic()
    while not hostile or not ended(watch, orders + len(hostile)):
        if await watch.poll(POLL):
            moved = monotonic()
        elif monotonic() - moved > patience:
            break
        if not hostile and (genuine := _first_order(watch)):
            hostile = await send_hostile(broker, OrderCreated.__event__.topic, genuine)
        screen.show(watch.facts, watch.dead_letters)
    screen.show(watch.facts, watch.dead_letters, now=True)
    return hostile


def ended(watch: Watch, expected: int) -> bool:
    """Whether as many orders and hostile records as expected led to a mail or to a dead letter."""
    mailed = {fact.order_id for fact in watch.facts if fact.type == "CustomerNotified"}
    given_up = {(letter.topic, letter.value) for letter in watch.dead_letters}
    return len(mailed) + len(given_up) >= expected


async def gather(
    setup: Setup, hub: Hub, watch: Watch, hostile: Mapping[bytes, str], exit_codes: Mapping[str, int]
) -> Evidence:
    """Everything there is to know about a run whose services have stopped."""
    await watch.catch_up()
    async with open_stock(setup.database) as stock:
        shelves = await stock.shelves()
    return Evidence(
        orders=tuple(generate_orders(setup.seed, setup.orders)),
        facts=tuple(watch.facts),
        dead_letters=tuple(watch.dead_letters),
        hostile=hostile,
        unreachable=UNREACHABLE,
        shelves=shelves,
        levels=await read_levels(hub, watch.facts),
        unread=await count_unread(hub.broker.admin),
        exit_codes=exit_codes,
    )


async def read_levels(hub: Hub, facts: Sequence[Fact]) -> Mapping[str, Sequence[int]]:
    """What was said to be left, by sku, in the order of the topic and without repetitions."""
    reader = hub.reader([StockLeft])
    levels: defaultdict[str, list[int]] = defaultdict(list)
    for fact in {fact.id: fact for fact in facts if fact.type == StockLeft.__event__.name}.values():
        record = Record(StockLeft.__event__.topic, 0, 0, 0.0, None, fact.value)
        try:
            event = reader.decode(record)
        except SchemaUnresolved:
            await reader.resolve(record)
            event = reader.decode(record)
        if isinstance(event, StockLeft):
            levels[event.sku].append(event.available)
    return levels


async def count_unread(admin: Admin) -> int:
    """How many records the services have not committed, over all that they read."""
    known = await admin.topics()
    unread = 0
    for service in SERVICES:
        committed = await admin.committed(service.name)
        partitions = [
            TopicPartition(topic, number) for topic in service.topics for number in range(known[topic].partitions)
        ]
        for partition, (beginning, end) in (await admin.offsets(partitions)).items():
            unread += end - (committed[partition].offset if partition in committed else beginning)
    return unread


def _first_order(watch: Watch) -> bytes | None:
    return next((fact.value for fact in watch.facts if fact.type == "OrderCreated"), None)
