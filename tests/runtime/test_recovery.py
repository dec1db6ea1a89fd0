"""What happens to records that fail while something they need is away."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import httpx
import pytest
from pydantic import Field
from structlog.testing import capture_logs

from eventhub import Event, Hub, Options, RegistryError, Retry, Service, subscribe
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.registry.base import RegisteredSchema, Schema
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.runtime.dead_letter import read_dead_letter
from eventhub.testing import running
from eventhub.testing.waiting import until
from tests.events import OrderCreated
from tests.registry.scripted import canned
from tests.runtime.storm import Hurried, StormyShop


async def test_a_dead_letter_that_is_not_taken_holds_its_key_until_it_is() -> None:
    """Nothing is skipped because its dead letter failed, and nothing of its key overtakes it."""
    shop, seen = StormyShop(), list[int]()

    @subscribe(shop.order, retry=Retry(attempts=1))
    async def handle(order: Any) -> None:
        seen.append(order.number)
        if order.number == 0:
            raise ValueError

    service = Service(shop.name("picky"), [handle])
    async with shop.hub() as hub:
        await hub.publish_many(shop.orders("aab"))
    shop.network.lost = {Operation.SEND}
    async with shop.serving(service, options=Options(clock=Hurried(), commit_interval=0.01)):
        await until(lambda: shop.network.losses > 3 and 2 in seen)
        before = sorted(seen)
        shop.network.lost.clear()
        await until(lambda: 1 in seen)
    [letter] = await shop.letters(shop.order, service)

    assert [0, 2] == before
    assert b"a" == letter.record.key
    assert 3 == await shop.committed(shop.order, service)


class Away:
    """The embedded registry, which does not say what it knows while it is away."""

    def __init__(self, app: EmbeddedRegistry) -> None:
        """Begin there."""
        self.away = False
        self.asked = 0
        inner = embedded_registry(app)
        self._inner = inner
        self.url = inner.url
        self.start, self.stop, self.check, self.lookup = inner.start, inner.stop, inner.check, inner.lookup
        self.register, self.schema_by_guid = inner.register, inner.schema_by_guid

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """The versions that there are."""
        return await self._inner.versions(subject)

    async def schema(self, schema_id: int) -> Schema:
        """The schema, unless it is away."""
        self.asked += 1
        if self.away:
            msg = "the registry does not answer"
            raise RegistryError(msg)
        return await self._inner.schema(schema_id)


async def test_while_the_registry_is_away_records_wait_and_known_schemas_are_read() -> None:
    """No attempt is counted and nothing is given up, although a new schema cannot be looked up."""
    seen: list[str] = []

    class Order(Event, topic="orders", name="Order"):
        """As the service knows it."""

        number: str

    class LaterOrder(Event, topic="orders", name="Order"):
        """As another service begins to write it."""

        number: str
        note: str = ""

    @subscribe(Order, retry=Retry(attempts=1))
    async def handle(order: Order) -> None:
        seen.append(order.number)

    service = Service("listener", [handle])
    app, broker = EmbeddedRegistry(), MemoryBroker()
    registry = Away(app)
    options = Options(clock=Hurried(), schema_grace=0.0)
    async with Hub(broker, registry=embedded_registry(app), auto_register=True, provision=True) as writer:
        await writer.publish(Order(number="known"))
        registry.away = True
        async with Hub(broker, registry=registry, provision=True, options=options) as hub, asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.serve(service))
            await until(lambda: seen == ["known"])
            await writer.publish(LaterOrder(number="new"))
            await until(lambda: registry.asked > 10)  # more often than there are attempts
            await writer.publish(Order(number="known too"))
            await until(lambda: len(seen) == 2)
            registry.away = False
            await until(lambda: len(seen) == 3)
            hub.stop()

    assert ["known", "known too", "new"] == seen
    assert [] == [*broker.records("orders.listener.dlt")]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None),
        (503, None),
        (429, None),
        (401, None),
        (403, None),
        (302, None),
        (404, None),
        (404, b"default backend - 404"),
        (422, {"error_code": 42201, "message": "Invalid schema"}),
        (204, None),
        (200, b"<html>login</html>"),
        (200, {"schema": 7}),
    ],
)
async def test_no_answer_of_a_broken_registry_gives_a_record_up(status: int, body: Any) -> None:
    """Whatever it is, or stands in its place, says about a schema, but that it does not have it."""
    seen: list[str] = []

    @subscribe(OrderCreated, retry=Retry(attempts=1))
    async def handle(order: OrderCreated) -> None:
        seen.append(order.order_id)

    app, broker, asked = EmbeddedRegistry(), MemoryBroker(), 0

    async def front(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        broken = scope["path"].startswith("/schemas/ids/") and asked < 3
        asked += broken
        await (canned(status, body) if broken else app)(scope, receive, send)

    registry = HttpSchemaRegistry("http://front", timeout=0.05, transport=httpx.ASGITransport(front))
    options = Options(clock=Hurried(), schema_grace=0.0)
    async with Hub(broker, registry=registry, provision=True, options=options) as hub, asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("listener", [handle])))
        await until(lambda: hub.health()["listener"].ready if hub.health() else False)
        async with Hub(broker, registry=embedded_registry(app), auto_register=True, provision=True) as writer:
            await writer.publish(OrderCreated(order_id="o-1"))
        await until(lambda: seen)
        hub.stop()

    assert 3 == asked
    assert [] == [*broker.records("orders.listener.dlt")]


async def test_values_that_the_readers_class_refuses_are_given_up_at_once() -> None:
    """The schema takes them, the class does not; the letter says so without them, and the next record is handled."""
    seen: list[int] = []

    class Order(Event, topic="orders", name="Order"):
        """As a careless service writes it."""

        quantity: int

    class CarefulOrder(Event, topic="orders", name="Order"):
        """As the service reads it."""

        quantity: Annotated[int, Field(gt=0)]

    @subscribe(CarefulOrder)
    async def handle(order: CarefulOrder) -> None:
        seen.append(order.quantity)

    service = Service("listener", [handle])
    app, broker = EmbeddedRegistry(), MemoryBroker()
    async with (
        Hub(broker, registry=embedded_registry(app), auto_register=True, provision=True) as writer,
        Hub(broker, registry=embedded_registry(app), provision=True) as hub,
        asyncio.TaskGroup() as tasks,
    ):
        await writer.publish_many([Order(quantity=-4711), Order(quantity=1)])
        tasks.create_task(hub.serve(service))
        await until(lambda: seen and broker.records("orders.listener.dlt"))
        hub.stop()
    [letter] = [read_dead_letter(record) for record in broker.records("orders.listener.dlt")]

    assert [1] == seen
    assert ("validate", 1) == (letter.stage, letter.attempt)
    assert "4711" not in f"{letter.error_message} {letter.error_stack}"


class Evil(Exception):
    """An error that cannot be looked at."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Fail whoever asks."""
        raise RuntimeError


async def test_an_error_that_cannot_be_looked_at_is_given_up_like_any_other() -> None:
    """The service goes on with the next record."""
    seen = []

    @subscribe(OrderCreated, retry=Retry(attempts=1))
    async def handle(order: OrderCreated) -> None:
        if order.order_id == "o-1":
            raise Evil
        seen.append(order.order_id)

    service = Service("inventory", [handle])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        await hub.publish(OrderCreated(order_id="o-2"))
        letters = await hub.dead_letters(OrderCreated, service)

    assert ["o-2"] == seen
    assert 1 == len(letters)


async def test_a_log_line_names_the_handler_that_failed_and_where_but_not_the_text() -> None:
    """Whoever reads it finds the line of code, and nothing of a value."""

    def look_up(order: OrderCreated) -> None:
        raise LookupError(order.order_id)

    @subscribe(OrderCreated, retry=Retry(attempts=2))
    async def reserve(order: OrderCreated) -> None:
        look_up(order)

    service = Service("inventory", [reserve])
    with capture_logs() as logs:
        async with running(service) as hub:
            await hub.publish(OrderCreated(order_id="secret", quantity=1))
            await hub.dead_letters(OrderCreated, service)
    failed = [line for line in logs if line.get("error") == "LookupError"]
    places = [place.rpartition("/")[2].split(":") for line in failed for place in line["raised_at"]]

    assert ["eventhub.record_retried", "eventhub.record_dead_lettered"] == [line["event"] for line in failed]
    assert {reserve.name} == {line["handler"] for line in failed}
    assert ["test_recovery.py", "test_recovery.py"] * 2 == [file for file, _ in places]
    assert ["reserve", "look_up"] * 2 == [place.split(" ")[1] for _, place in places]
    assert "secret" not in repr(logs)
