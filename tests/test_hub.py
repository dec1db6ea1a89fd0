"""The hub: what is declared is served, what is missing is named."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint

from eventhub import (
    BrokerError,
    Context,
    DeclarationError,
    Event,
    Frame,
    Handler,
    Hub,
    IncompatibleSchema,
    Middleware,
    Options,
    RegistryError,
    Retry,
    Service,
    produces,
    subscribe,
)
from eventhub.brokers.base import NewTopic
from eventhub.brokers.memory import MemoryBroker, Operation
from eventhub.registry.client import embedded_registry
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.testing import running, until
from tests.events import OrderConfirmed, OrderCreated, OrderRejected, StockReserved
from tests.runtime.storm import Hurried, Network


@subscribe(OrderCreated)
async def reserve(order: OrderCreated) -> StockReserved:
    """Reserve what was ordered."""
    return StockReserved(order_id=order.order_id)


async def test_what_a_handler_returns_is_published() -> None:
    """An order leads to a reservation."""
    async with running(Service("inventory", [reserve])) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))

        assert [StockReserved(order_id="o-1")] == await hub.published(StockReserved)


async def test_a_thousand_events_are_handled_in_order_of_their_keys() -> None:
    """Nothing is lost between publishing and handling."""
    async with running(Service("inventory", [reserve])) as hub:
        await hub.publish_many(OrderCreated(order_id=f"o-{number}") for number in range(1000))
        reserved = await hub.published(StockReserved)

    assert {f"o-{number}" for number in range(1000)} == {event.order_id for event in reserved}
    assert 1000 == len(reserved)


class Archived(Event, topic="archive", key="order_id", frame=Frame.HEADER):
    """An event that names its schema in a header."""

    order_id: str


@subscribe(Archived, retry=Retry(attempts=1))
async def refuse(archived: Archived) -> None:
    """Give it up."""
    raise LookupError(archived.order_id)


async def test_an_event_may_name_its_schema_in_a_header() -> None:
    """What is given up keeps the header, without which nobody could read it."""
    service = Service("archive", [refuse])
    async with running(service) as hub:
        await hub.publish(Archived(order_id="o-1"))
        [letter] = await hub.dead_letters(Archived, service)
        [record] = hub.broker.records("archive")

    assert "o-1" == letter.error_message
    assert b"\x06o-1" == record.value == letter.record.value
    assert 17 == len(dict(record.headers)["__value_schema_id"] or b"")
    assert dict(record.headers).items() <= dict(letter.record.headers).items()


async def test_what_keeps_failing_is_given_up_with_its_reason() -> None:
    """The dead letter tells who failed at what, and how often."""
    tried = []

    @subscribe(OrderCreated, retry=Retry(waits=(0.0, 0.0)))
    async def fail(order: OrderCreated) -> None:
        tried.append(order.order_id)
        msg = "no stock"
        raise LookupError(msg)

    service = Service("inventory", [fail])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        letters = await hub.dead_letters(OrderCreated, service)

    assert 3 == len(tried)
    assert [("fail", "handle", "LookupError", "no stock", 3)] == [
        (letter.handler, letter.stage, letter.error_type, letter.error_message, letter.attempt) for letter in letters
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"broker": "kafka://k:9092"}, "a hub needs a Schema Registry"),
        ({"broker": "kafka://k:9092", "registry": "embedded"}, 'serve it with "eventhub registry"'),
        ({"broker": "amqp://k", "registry": "http://r"}, "is no broker URL; it begins with memory:// or kafka://"),
        ({"broker": "memory://", "registry": "r:8081"}, "is no registry"),
        ({"broker": "kafka://k:9092", "registry": "http://r", "client": {"enable_auto_commit": True}}, "auto_commit"),
    ],
)
def test_addresses_that_do_not_fit_together_are_refused_where_they_are_written(
    arguments: dict[str, Any], message: str
) -> None:
    """Each message says what to write instead."""
    with pytest.raises(DeclarationError, match=message):
        Hub(**arguments)


async def test_missing_topics_are_listed_with_their_partitions() -> None:
    """All of them at once, dead-letter topics included, and nothing is created."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders", 5)])
    async with Hub(broker, registry="embedded", provision=False) as hub:
        with pytest.raises(DeclarationError) as caught:
            await hub.serve(Service("inventory", [reserve]))

    assert "stock (3 partitions)" in str(caught.value)
    assert "orders.inventory.dlt (5 partitions)" in str(caught.value)
    assert ["orders"] == list(await broker.admin.topics())


async def test_topics_that_would_lose_what_is_set_aside_are_refused() -> None:
    """A dead letter would be gone with the next one of its key."""
    broker = MemoryBroker()
    await broker.admin.create_topics([NewTopic("orders.inventory.dlt", 3, compacted=True)])
    async with Hub(broker, registry="embedded", provision=True) as hub:
        with pytest.raises(DeclarationError, match=r"would lose .*\n  - orders\.inventory\.dlt is compacted"):
            await hub.serve(Service("inventory", [reserve]))


async def test_publishing_to_a_topic_that_does_not_exist_is_refused() -> None:
    """The error names the topic and how to have it created."""
    async with Hub(MemoryBroker(), registry="embedded", provision=False) as hub:
        with pytest.raises(DeclarationError, match=r"orders \(3 partitions\)"):
            await hub.publish(OrderCreated(order_id="o-1"))


async def test_a_schema_that_would_break_readers_is_refused_before_anything_is_published() -> None:
    """The error names the path and the reason; the topic keeps what it had."""
    registry, broker = EmbeddedRegistry(), MemoryBroker()

    class Before(Event, topic="orders", name="OrderCreated"):
        order_id: str

    class After(Event, topic="orders", name="OrderCreated"):
        order_id: str
        sku: str

    @subscribe(StockReserved)
    async def amend(reserved: StockReserved) -> After:
        return After(order_id=reserved.order_id, sku="tea")

    async with Hub(broker, registry=embedded_registry(registry), auto_register=True, provision=True) as hub:
        await hub.publish(Before(order_id="o-1"))
        with pytest.raises(IncompatibleSchema) as published:
            await hub.publish(After(order_id="o-2", sku="tea"))
        with pytest.raises(IncompatibleSchema) as served:
            await hub.serve(Service("inventory", [amend]))

    for caught in (published, served):
        assert "orders-value" == caught.value.subject
        assert "sku" in str(caught.value)
        assert "default" in str(caught.value)
    assert 1 == len(broker.records("orders"))


@pytest.mark.parametrize("auto_register", [None, False, True])
async def test_schemas_are_registered_unasked_only_in_the_embedded_registry(auto_register: bool | None) -> None:
    """Elsewhere a schema that is not there yet is an error, unless the hub is told to register."""
    event = OrderCreated(order_id="o-1")
    own = Hub(MemoryBroker(), registry=embedded_registry(), auto_register=auto_register, provision=True)
    embedded = Hub(MemoryBroker(), registry="embedded", auto_register=auto_register, provision=True)
    published = []
    for hub in (own, embedded):
        async with hub:
            try:
                await hub.publish(event)
            except DeclarationError as error:
                published.append("eventhub schemas register" in str(error) and "refused")
            else:
                published.append("published")

    assert {
        None: ["refused", "published"],
        False: ["refused", "refused"],
        True: ["published", "published"],
    }[auto_register] == published


async def test_a_reader_that_could_not_read_what_was_written_is_refused_at_start() -> None:
    """A class that a service only reads is checked against every version, and never registered."""
    registry = EmbeddedRegistry()

    class Written(Event, topic="orders", name="OrderCreated"):
        order_id: str

    class Read(Event, topic="orders", name="OrderCreated"):
        order_id: int

    @subscribe(Read)
    async def read(_: Read) -> None: ...

    client = embedded_registry(registry)
    async with Hub(MemoryBroker(), registry=client, auto_register=True, provision=True) as hub:
        await hub.publish(Written(order_id="o-1"))
        with pytest.raises(IncompatibleSchema, match=r"/fields/0/type: TYPE_MISMATCH: 'long' cannot be read"):
            await hub.serve(Service("reader", [read]))
        versions = await client.versions("orders-value")

    assert [1] == [version.version for version in versions]


async def test_a_reader_may_know_fewer_fields_than_the_writer_and_is_not_registered() -> None:
    """It declares only what it needs."""

    class Slim(Event, topic="orders", name="OrderCreated"):
        order_id: str

    seen = []

    @subscribe(Slim)
    async def read(order: Slim) -> None:
        seen.append(order.order_id)

    async with running(Service("reader", [read])) as hub:
        before = await hub.hub.registry.versions("orders-value")
        await hub.publish(OrderCreated(order_id="o-1"))
        await hub.caught_up()

    assert [] == list(before)
    assert ["o-1"] == seen


async def test_services_that_contradict_each_other_are_refused() -> None:
    """Two events on one topic under one subject, wherever they are declared."""

    class Other(Event, topic="orders"):
        pass

    @subscribe(Other)
    async def read(_: Other) -> None: ...

    async with Hub() as hub:
        with pytest.raises(DeclarationError, match="share topic 'orders'"):
            await hub.serve(Service("inventory", [reserve]), Service("other", [read]))


@pytest.mark.parametrize(
    ("arguments", "error", "address"),
    [
        ({"broker": "kafka://127.0.0.1:9", "registry": "http://127.0.0.1:9"}, RegistryError, "127.0.0.1:9"),
        ({"broker": "kafka://127.0.0.1:9"}, BrokerError, "127.0.0.1:9"),
    ],
)
async def test_what_cannot_be_reached_is_named_within_fifteen_seconds(
    arguments: dict[str, Any], error: type[Exception], address: str
) -> None:
    """The error names the address."""
    arguments.setdefault("registry", embedded_registry())
    with pytest.raises(error, match=re.escape(address)):
        async with asyncio.timeout(15), Hub(**arguments):
            pass


async def test_a_service_of_another_events_type_leaves_the_record_alone() -> None:
    """An event type of a shared topic that nobody asked for is passed over, and counted."""
    seen = []

    @subscribe(OrderConfirmed)
    async def confirmed(event: OrderConfirmed) -> None:
        seen.append(event.order_id)

    service = Service("notification", [confirmed])
    async with running(service) as hub:
        await hub.publish(OrderRejected(order_id="o-1"))
        await hub.publish(OrderConfirmed(order_id="o-2"))
        letters = await hub.dead_letters(OrderConfirmed, service)
        counted = hub.hub.health()["notification"].detail.counted

    assert ["o-2"] == seen
    assert [] == letters
    assert (1, 1) == (counted.handled, counted.unknown)


async def test_a_source_is_published_in_order_and_the_service_ends_with_it() -> None:
    """A service of sources alone returns when they have ended."""

    @produces(OrderCreated, window=10)
    async def orders() -> AsyncIterator[OrderCreated]:
        for number in range(500):
            yield OrderCreated(order_id="o-1", quantity=number)

    broker = MemoryBroker()
    async with Hub(broker, registry="embedded", provision=True) as hub:
        await hub.serve(Service("order", [orders]))
        reader = hub.reader([OrderCreated])
        records = list(broker.records("orders"))
        await reader.resolve(records[0])
        numbers = [cast("OrderCreated", reader.decode(record)).quantity for record in records]

    assert list(range(500)) == numbers


async def test_a_source_is_not_resumed_beyond_its_window_while_nothing_is_confirmed() -> None:
    """In an outage it waits with so many events; then it goes on, and all of them are published in order."""
    network, yielded = Network(), 0

    @produces(OrderCreated, window=10)
    async def orders() -> AsyncIterator[OrderCreated]:
        nonlocal yielded
        while yielded < 50:
            yielded += 1
            yield OrderCreated(order_id="o-1", quantity=yielded)

    network.lost = {Operation.SEND}
    broker, options = MemoryBroker(faults=network), Options(clock=Hurried())
    async with (
        Hub(broker, registry="embedded", provision=True, options=options) as hub,
        asyncio.TaskGroup() as tasks,
    ):
        serving = tasks.create_task(hub.serve(Service("order", [orders])))
        await until(lambda: network.losses > 20)
        waiting = yielded
        network.lost = set()
        await serving
        reader = hub.reader([OrderCreated])
        await reader.resolve(broker.records("orders")[0])
        numbers = [cast("OrderCreated", reader.decode(record)).quantity for record in broker.records("orders")]

    assert 10 == waiting
    assert list(range(1, 51)) == numbers


async def test_what_a_source_raises_ends_the_service_after_what_it_yielded_was_published() -> None:
    """A generator cannot be resumed, so whoever runs the service has to know."""

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        yield OrderCreated(order_id="o-1")
        msg = "the basket is on fire"
        raise LookupError(msg)

    broker = MemoryBroker()
    async with Hub(broker, registry="embedded", provision=True) as hub:
        with pytest.raises(LookupError, match="on fire"):
            await hub.serve(Service("order", [orders]))

    assert 1 == len(broker.records("orders"))


async def test_a_stop_lets_a_source_yield_no_more_and_publishes_what_it_yielded() -> None:
    """An endless source ends; nothing yielded is missing on the topic."""
    yielded = 0

    @produces(OrderCreated)
    async def orders() -> AsyncIterator[OrderCreated]:
        nonlocal yielded
        while True:
            yielded += 1
            yield OrderCreated(order_id=f"o-{yielded}")
            await checkpoint()

    broker = MemoryBroker()
    async with Hub(broker, registry="embedded", provision=True) as hub, asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("order", [orders])))
        await until(lambda: yielded > 50)
        hub.stop()

    assert yielded == len(broker.records("orders"))


async def test_the_state_of_a_service_is_opened_before_and_closed_after_its_records() -> None:
    """Handlers see it in their context."""
    log = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        log.append("opened")
        yield "shelf"
        log.append("closed")

    @subscribe(OrderCreated)
    async def handle(order: OrderCreated, context: Context[str]) -> None:
        log.append(f"{order.order_id} from {context.state}, attempt {context.attempt}, by {context.stamp.source}")

    async with running(Service("inventory", [handle], lifespan=lifespan)) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        await hub.caught_up()

    assert ["opened", "o-1 from shelf, attempt 1, by hub", "closed"] == log


async def test_middleware_is_put_around_every_handler_the_first_outermost() -> None:
    """A function from a handler to a handler."""
    log = []

    def noting(name: str) -> Middleware:
        def wrap(handle: Handler) -> Handler:
            async def wrapped(context: Context[Any]) -> Sequence[Event]:
                log.append(f"{name} in")
                returned = await handle(context)
                log.append(f"{name} out")
                return returned

            return wrapped

        return wrap

    async with running(Service("inventory", [reserve], middleware=[noting("outer"), noting("inner")])) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))

        assert [StockReserved(order_id="o-1")] == await hub.published(StockReserved)
    assert ["outer in", "inner in", "inner out", "outer out"] == log


async def test_an_event_that_the_annotation_does_not_name_is_a_fault_of_the_handler() -> None:
    """Its schema was never registered; the record is dead-lettered, not retried."""

    @subscribe(OrderCreated)
    async def handle(order: OrderCreated) -> StockReserved:
        return OrderConfirmed(order_id=order.order_id)  # type: ignore[return-value]

    service = Service("inventory", [handle])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        [letter] = await hub.dead_letters(OrderCreated, service)

    assert ("eventhub.errors.HandlerFault", 1) == (letter.error_type, letter.attempt)
    assert "which its return annotation does not name" in (letter.error_message or "")


@pytest.mark.parametrize("returned", ["reserved", 0, {}, iter(()), [None], [OrderCreated(order_id="o-1"), "x"]])
async def test_what_is_no_event_is_a_fault_of_the_handler(returned: Any) -> None:
    """Nothing of it is published; the record is dead-lettered at once, and the next one is handled."""
    answers = [returned, None]

    @subscribe(OrderCreated)
    async def handle(order: OrderCreated) -> list[StockReserved]:
        del order
        return answers.pop(0)  # type: ignore[no-any-return]

    service = Service("inventory", [handle])
    async with running(service) as hub:
        await hub.publish(OrderCreated(order_id="o-1"))
        await hub.publish(OrderCreated(order_id="o-1"))
        [letter] = await hub.dead_letters(OrderCreated, service)
        published = await hub.published(StockReserved)

    assert ("handle", "eventhub.errors.HandlerFault", 1) == (letter.stage, letter.error_type, letter.attempt)
    assert ([], []) == (answers, published)


async def test_an_event_that_is_too_large_is_refused_and_the_producer_goes_on() -> None:
    """The refusal names topic and size; the next event is published."""
    async with Hub() as hub:
        with pytest.raises(BrokerError, match="orders"):
            await hub.publish(OrderCreated(order_id="o-1", sku="x" * 2_000_000))

        assert "orders" == (await hub.publish(OrderCreated(order_id="o-1"))).topic


async def test_a_stop_while_a_hub_gets_ready_to_serve_is_not_lost() -> None:
    """A signal may come before the registry has answered for all schemas: no handler is started then."""
    async with Hub() as hub, asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.serve(Service("inventory", [reserve])))
        await checkpoint()
        hub.stop()

    assert [] == hub.supervisors


async def test_two_services_of_one_name_are_refused() -> None:
    """As members of one group they would take each other's records."""
    async with Hub() as hub:
        with pytest.raises(DeclarationError, match="two services are named 'inventory'"):
            await hub.serve(Service("inventory", [reserve]), Service("inventory", [reserve]))


async def test_a_hub_that_is_not_open_says_so() -> None:
    """Before it is entered and after it was left, whatever the broker would do with the event."""
    hub = Hub()
    with pytest.raises(BrokerError, match="is not open; use it within"):
        await hub.publish(OrderCreated(order_id="o-1"))
    async with hub:
        await hub.publish(OrderCreated(order_id="o-1"))
    with pytest.raises(BrokerError, match="is not open; use it within"):
        await hub.publish(OrderCreated(order_id="o-1"))
    with pytest.raises(DeclarationError, match="a hub is entered once"):
        async with hub:
            pass


@pytest.mark.parametrize(
    ("client", "options", "advice"),
    [
        ({}, Options(drain_grace=25.0), "use at most 14, or raise the rebalance timeout"),
        ({"rebalance_timeout_ms": 20_000}, Options(), "use at most 4, or raise"),
        ({"rebalance_timeout_ms": 5_000}, Options(drain_grace=0.0), "lower commit_timeout, or raise"),
    ],
)
def test_a_grace_that_outlasts_a_rebalance_is_refused(client: dict[str, Any], options: Options, advice: str) -> None:
    """Somebody else would own the partitions while handlers still run; what fits is said."""
    with pytest.raises(DeclarationError, match=advice):
        Hub("kafka://localhost:9092", registry="http://localhost:8081", client=client, options=options)


def test_what_a_broker_waits_for_bounds_the_grace() -> None:
    """Also a broker of one's own says how long its rebalances wait."""
    with pytest.raises(DeclarationError, match="use at most 1, or raise"):
        Hub(MemoryBroker(rebalance_timeout=17.0), registry="embedded")

    assert not Hub(MemoryBroker(rebalance_timeout=17.0), registry="embedded", options=Options(drain_grace=1.0)).health()


class Unreachable(MemoryBroker):
    """A broker that cannot be reached."""

    async def start(self) -> None:
        """Fail."""
        msg = "nobody there"
        raise BrokerError(msg)


async def test_a_hub_that_cannot_be_entered_closes_what_it_has_opened() -> None:
    """The registry was reached before the broker was not; its connections do not stay."""
    registry = embedded_registry()
    with pytest.raises(BrokerError, match="nobody there"):
        async with Hub(Unreachable(), registry=registry):
            pass
    with pytest.raises(RuntimeError, match="closed"):
        await registry.start()


@pytest.mark.parametrize(
    ("broker", "registry"),
    [("kafak://me:pa55@host:9092", "http://localhost:8081"), ("memory://", "htp://me:pa55@host")],
)
def test_an_address_that_is_none_is_shown_without_its_credentials(broker: str, registry: str) -> None:
    """Errors are printed and logged."""
    with pytest.raises(DeclarationError, match="host") as refused:
        Hub(broker, registry=registry)

    assert "pa55" not in str(refused.value)
