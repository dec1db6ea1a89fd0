"""A hub: a connection that publishes events and serves services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from eventhub.brokers.base import Broker, NewTopic, Producer, TopicInfo
from eventhub.brokers.kafka import KafkaBroker
from eventhub.brokers.memory import MemoryBroker
from eventhub.clock import Clock
from eventhub.codecs.serde import Reader, Serde
from eventhub.codecs.upcast import Upcast
from eventhub.errors import BrokerError, DeclarationError
from eventhub.event import Event, event_info, is_tombstone
from eventhub.middleware.transactional import Transactional, store_of
from eventhub.outbox.base import HasStore, Store
from eventhub.outbox.relay import Relay
from eventhub.outbox.window import check_window
from eventhub.outbox.writing import Outbox
from eventhub.registry.client import HttpSchemaRegistry, embedded_registry
from eventhub.runtime.channels import unfit_topics
from eventhub.runtime.grace import check_grace
from eventhub.runtime.health import Health
from eventhub.runtime.options import Options
from eventhub.runtime.publisher import Publisher
from eventhub.runtime.sources import fresh_stamp
from eventhub.runtime.supervisor import Supervisor
from eventhub.runtime.wiring import Wiring
from eventhub.service import Service, check_subjects
from eventhub.settings import Security

if TYPE_CHECKING:
    from eventhub.record import ProducerRecord, RecordMetadata
    from eventhub.registry.base import SchemaRegistry
    from eventhub.runtime.companion import Companion

C = TypeVar("C")

PUBLISH_BATCH = 500  # events of publish_many that are encoded before they are sent: bounds memory, keeps the loop free


class Hub:
    """The assembly of a broker, a Schema Registry and what runs on them.

    Use it as an async context manager::

        async with Hub("kafka://localhost:9092", registry="http://localhost:8081") as hub:
            await hub.publish(OrderCreated(order_id="o-1", sku="tea", quantity=2))
    """

    def __init__(
        self,
        broker: str | Broker = "memory://",
        *,
        registry: str | SchemaRegistry | None = None,
        source: str = "hub",
        security: Security = Security(),  # noqa: B008 - a frozen value
        client: Mapping[str, Any] | None = None,
        auto_register: bool | None = None,
        provision: bool | None = None,
        options: Options = Options(),  # noqa: B008 - a frozen value
    ) -> None:
        """Declare a hub; nothing is opened before it is entered.

        Args:
            broker: ``memory://``, ``kafka://host:port[,host:port...]``, or a broker of your own.
            registry: ``embedded``, the registry's URL (several with commas), or a registry of your own.
                ``memory://`` has the embedded one unless told otherwise; a Kafka needs one that is served.
            source: Who publishes: the CloudEvents ``source`` of events published through ``publish``.
            security: Credentials and certificates for ``kafka://``.
            client: Tuning for the Kafka client; options that would break a promise are refused.
            auto_register: Whether schemas of written events are registered at start, or only looked up;
                None for: registered in the embedded registry, looked up in any other.
            provision: Whether missing topics are created at start; None for: only on ``memory://``.
            options: Times and bounds of the runtime.

        Raises:
            DeclarationError: If the addresses do not fit together, or ``options`` do not fit the client's tuning.
        """
        local = isinstance(broker, str) and broker.startswith("memory://")
        embedded = registry == "embedded" or (registry is None and local)
        if registry is None and not local:
            msg = 'a hub needs a Schema Registry: registry="http://localhost:8081"; "eventhub registry" serves one'
            raise DeclarationError(msg)
        if embedded and not local and isinstance(broker, (str, KafkaBroker)):
            msg = (
                'registry="embedded" lives in one process, but processes on Kafka need one that they share, or one id '
                'would mean two schemas; serve it with "eventhub registry" and pass its URL'
            )
            raise DeclarationError(msg)
        self.broker: Broker = _broker(broker, security, client, options.clock) if isinstance(broker, str) else broker
        """The broker; its ports are public."""
        check_grace(options.drain_grace, options.commit_timeout, self.broker.rebalance_timeout)
        self.registry: SchemaRegistry = _registry("embedded" if registry is None else registry)
        """The Schema Registry."""
        self._source = source
        self._provision = provision if provision is not None else local
        self._options = options
        self._serde = Serde(self.registry, auto_register=auto_register if auto_register is not None else embedded)
        self._publisher = Publisher(self.broker.producer(), self._serde)
        self._record_bytes: dict[str, int] = {}  # by topic
        self._prepared: set[type[Event]] = set()  # the classes that may be published
        self._open = False
        self._connections: AsyncExitStack | None = None  # what is to be closed; None before the hub is entered
        self._stops = 0  # how often serving was told to stop
        self.supervisors: list[Supervisor] = []
        """The services that are being served."""

    async def __aenter__(self) -> Self:
        """Connect to the registry and the broker.

        Raises:
            RegistryError: If the registry does not answer; within 15 s, naming the address and what to try.
            BrokerError: The same for the broker.
        """
        if self._connections is not None:
            msg = "a hub is entered once; make another one"
            raise DeclarationError(msg)
        async with AsyncExitStack() as connections:  # what was opened before a failure is closed
            for port in (self.registry, self.broker, self._publisher.producer):
                connections.push_async_callback(port.stop)
                await port.start()
            self._connections = connections.pop_all()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect; what was published is confirmed or was reported as uncertain."""
        self._open = False
        if self._connections is not None:
            await self._connections.aclose()

    def _require_open(self) -> None:
        if not self._open:
            msg = f"the hub on {self.broker.url} is not open; use it within `async with Hub(...) as hub:`"
            raise BrokerError(msg, retriable=False)

    # -- publishing -------------------------------------------------------------------------------

    async def publish(self, event: Event) -> RecordMetadata:
        """Publish an event; returns once all in-sync replicas have it.

        Raises:
            BrokerError: If it was not taken; ``PublishUncertain`` if it may have been.
            SchemaMismatch: If a value has no place in the schema.
            DeclarationError: If the event's topic does not exist, or two events share its subject.
        """
        return (await self.publish_many((event,)))[0]

    async def publish_many(self, events: Iterable[Event]) -> Sequence[RecordMetadata]:
        """Publish events, those of one key in order; returns once all are acknowledged.

        Raises:
            BrokerError: As for ``publish``; events before and after the failed one may have been taken.
        """
        metadata: list[RecordMetadata] = []
        batch: list[Event] = []
        for event in events:
            batch.append(event)
            if len(batch) == PUBLISH_BATCH:
                metadata += await self._publish(batch)
                batch = []
        return metadata + await self._publish(batch) if batch else metadata

    async def _publish(self, events: Sequence[Event]) -> list[RecordMetadata]:
        self._require_open()
        new = [kind for kind in dict.fromkeys(type(event) for event in events) if kind not in self._prepared]
        if new:
            await self._prepare(writes=new)
        return list(await self._publisher.send(self._records(events)))

    def _records(self, events: Sequence[Event]) -> list[ProducerRecord]:
        """Records of events that nothing caused, of classes that are prepared."""
        now = self._options.clock.now()
        return [self._publisher.record(event, fresh_stamp(event, self._source, now)) for event in events]

    @asynccontextmanager
    async def outbox(self, store: Store[C], *events: type[Event]) -> AsyncIterator[Outbox[C]]:
        """Publish events of these classes in transactions of a store, without the broker's help.

        A relay carries them on: that of a service whose state offers the store, or one that runs alone.

        Raises:
            DeclarationError, IncompatibleSchema: As for ``publish``, but here, before the first transaction.
            RegistryError, BrokerError: If topics or schemas cannot be asked for.
        """
        await self._prepare(writes=events)
        async with store.announcing():
            yield Outbox(store, self._records)

    # -- serving ----------------------------------------------------------------------------------

    async def serve(self, *services: Service[Any]) -> None:
        """Run services until they are stopped; cancelling this stops them at once, and commits what is finished.

        Raises:
            DeclarationError: If topics are missing or unfit, or services contradict each other.
            IncompatibleSchema: If a schema would break the readers of its subject.
            BrokerError, RegistryError: If the broker or the registry cannot be reached.
        """
        stops = self._stops
        _check_names([*(supervisor.service for supervisor in self.supervisors), *services])
        check_subjects([event for service in services for event in (*service.reads, *service.writes)], "the services")
        await self._prepare(
            writes=[event for service in services for event in service.writes],
            reads=[event for service in services for event in service.reads],
            upcasts=[upcast for service in services for upcast in service.upcasts],
            services=services,
        )
        if self._stops > stops:  # SIGTERM came while the registry was asked
            return
        supervisors = [Supervisor(service, self._wiring(service)) for service in services]
        self.supervisors += supervisors
        try:
            async with asyncio.TaskGroup() as tasks:
                for supervisor in supervisors:
                    tasks.create_task(supervisor.run())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            for supervisor in supervisors:
                self.supervisors.remove(supervisor)

    def health(self) -> Mapping[str, Health]:
        """How each service that is being served is doing, by name."""
        return {supervisor.service.name: supervisor.health() for supervisor in self.supervisors}

    def stop(self) -> None:
        """Stop serving: nothing new, finish what runs, commit, leave; ``serve`` returns then."""
        self._stops += 1
        for supervisor in self.supervisors:
            supervisor.stop()

    def hurry(self) -> None:
        """Cancel the handlers that still run; ``serve`` returns soon."""
        for supervisor in self.supervisors:
            supervisor.hurry()

    @property
    def producer(self) -> Producer:
        """The producer that everything is published through, for records that are no events."""
        return self._publisher.producer

    def reader(self, events: Sequence[type[Event]]) -> Reader:
        """What decodes records of these event classes, for a look at a topic apart from any service."""
        return self._serde.reader(events)

    def _wiring(self, service: Service[Any]) -> Wiring:
        return Wiring(
            broker=self.broker,
            publisher=self._publisher,
            reader=self._serde.reader([event for event in service.reads if not is_tombstone(event)], service.upcasts),
            record_bytes=self._record_bytes,
            options=self._options,
            companions=self._companions,
        )

    def _companions(self, service: Service[Any], state: object) -> Sequence[Companion]:
        """A relay, if the service's state offers a store, as that of a transactional one has to."""
        if any(isinstance(wrap, Transactional) for wrap in service.middleware):
            store_of(state, service.name)
        if not isinstance(state, HasStore):
            return ()
        check_window(state.store.window_days, service)
        return (Relay(state.store, self.producer),)

    # -- what has to be there before the first record ---------------------------------------------

    async def _prepare(
        self,
        *,
        writes: Sequence[type[Event]],
        reads: Sequence[type[Event]] = (),
        upcasts: Sequence[Upcast[Any, Any]] = (),
        services: Sequence[Service[Any]] = (),
    ) -> None:
        """Make sure of the topics first and of the schemas then, so that nothing half-done is published."""
        self._require_open()
        topics = {event_info(event).topic for event in (*writes, *reads)}
        await self._require_topics(topics, services)
        written, read = ([event for event in events if not is_tombstone(event)] for events in (writes, reads))
        await self._serde.prepare(writes=written, reads=read, upcasts=upcasts)
        self._prepared.update(writes)

    async def _require_topics(self, topics: set[str], services: Sequence[Service[Any]]) -> None:
        """Create or demand the topics of events, and those that groups keep beside them, with as many partitions."""
        there = await self._look_at_topics()
        own = {own: topic for service in services for own, topic in service.own_topics.items()}
        wanted = [NewTopic(topic, self._options.partitions) for topic in sorted(topics - there.keys())]
        partitions = {info.name: info.partitions for info in there.values()} | {t.name: t.partitions for t in wanted}
        wanted += [NewTopic(name, partitions[topic]) for name, topic in own.items() if name not in there]
        if wanted and not self._provision:
            listed = "".join(f"\n  - {topic.name} ({topic.partitions} partitions)" for topic in wanted)
            way_out = "create them, or say provision=True (EVENTHUB_PROVISION=true)"
            msg = f"topics are missing on {self.broker.url}; {way_out}:{listed}"
            raise DeclarationError(msg)
        if wanted:
            await self.broker.admin.create_topics(wanted)
            there = await self._look_at_topics()
        if unfit := [found for service in services for found in unfit_topics(service, there)]:
            listed = "".join(f"\n  - {found}" for found in unfit)
            msg = f"topics on {self.broker.url} would lose what is put into them:{listed}"
            raise DeclarationError(msg)

    async def _look_at_topics(self) -> Mapping[str, TopicInfo]:
        """All topics, of which the publisher and the workers need to know what they take."""
        there = await self.broker.admin.topics()
        self._record_bytes.update({info.name: info.max_record_bytes for info in there.values()})
        return there


def _check_names(services: Sequence[Service[Any]]) -> None:
    """Refuse two services of one name: as members of one group they would take records from each other."""
    names = [service.name for service in services]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        shown = ", ".join(map(repr, twice))
        msg = f"two services are named {shown}; the name is the consumer group, so give each its own"
        raise DeclarationError(msg)


def _broker(url: str, security: Security, client: Mapping[str, Any] | None, clock: Clock) -> Broker:
    """The adapter that a URL's scheme names."""
    if url.startswith("memory://"):
        return MemoryBroker(clock)
    if url.startswith("kafka://"):
        return KafkaBroker(url, security=security, client=client)
    msg = f"{_without_credentials(url)!r} is no broker URL; it begins with memory:// or kafka://"
    raise DeclarationError(msg)


def _registry(registry: str | SchemaRegistry) -> SchemaRegistry:
    if not isinstance(registry, str):
        return registry
    if registry == "embedded":
        return embedded_registry()
    if registry.startswith(("http://", "https://")):
        return HttpSchemaRegistry(registry)
    shown = _without_credentials(registry)
    msg = f'{shown!r} is no registry; use "embedded" or a URL that begins with http:// or https://'
    raise DeclarationError(msg)


def _without_credentials(url: str) -> str:
    """What may be printed of an address, also of one that is none."""
    return url.rpartition("@")[2]
