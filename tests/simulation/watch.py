"""A broker that tells the laws what a process asks of it, and changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from eventhub.brokers.base import OffsetAndMetadata, OffsetRange, Outcome, RebalanceListener
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory.broker import MemoryAdmin
from eventhub.brokers.memory.consumer import MemoryConsumer
from eventhub.brokers.memory.producer import MemoryProducer
from eventhub.headers import CAUSATION
from eventhub.record import ProducerRecord, Record, RecordMetadata, TopicPartition
from eventhub.runtime.dead_letter import read_dead_letter
from tests.simulation.in_hand import in_hand
from tests.simulation.laws import Laws
from tests.simulation.ledger import Place
from tests.simulation.processes import Process


class WatchedBroker:
    """A ``Broker``: one process's view of the shared one."""

    def __init__(self, broker: MemoryBroker, process: Process, laws: Laws) -> None:
        """Watch what this process does."""
        self._broker = broker
        self._process = process
        self._laws = laws

    @property
    def url(self) -> str:
        """The broker's address."""
        return self._broker.url

    @property
    def admin(self) -> MemoryAdmin:
        """The broker's administration."""
        return self._broker.admin

    @property
    def rebalance_timeout(self) -> float:
        """Seconds that a rebalance waits."""
        return self._broker.rebalance_timeout

    async def start(self) -> None:
        """Connect."""
        await self._broker.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._broker.stop()

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:
        """What keeps a group from reading."""
        return await self._broker.examine(group, topics)

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> "WatchedConsumer":
        """A watched member of a group."""
        watched = _WatchedListener(listener, self._process, self._laws)
        consumer = self._broker.consumer(group, topics, watched)
        self._process.member = consumer.name
        return WatchedConsumer(consumer, self._process, self._laws)

    def producer(self) -> "WatchedProducer":
        """A watched producer."""
        return WatchedProducer(self._broker.producer(), self._process, self._laws)


class _WatchedListener:
    """A ``RebalanceListener``: the laws hear of partitions before the process does, and of their end after it."""

    def __init__(self, listener: RebalanceListener, process: Process, laws: Laws) -> None:
        self._listener = listener
        self._process = process
        self._laws = laws

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Partitions go."""
        await self._listener.on_revoked(partitions)
        self._laws.gives_up(self._process)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Partitions come."""
        self._laws.takes_over(self._process, partitions)
        await self._listener.on_assigned(partitions)


class WatchedConsumer:
    """A ``Consumer``."""

    def __init__(self, consumer: MemoryConsumer, process: Process, laws: Laws) -> None:
        """Watch this one."""
        self._consumer = consumer
        self._process = process
        self._laws = laws
        self._committed: Mapping[TopicPartition, OffsetAndMetadata | None] = {}

    async def start(self) -> None:
        """Join the group."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Leave the group."""
        self._laws.gives_up(self._process)
        await self._consumer.stop()

    async def poll(
        self, partitions: Collection[TopicPartition], *, max_records: int, timeout: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """The next records."""
        polled = await self._consumer.poll(partitions, max_records=max_records, timeout=timeout)
        for partition, records in polled.items():
            self._laws.polled(self._process, partition, records)
        return polled

    async def read_apart(
        self, partition: TopicPartition, offset: int, *, max_records: int
    ) -> tuple[Sequence[Record], int]:
        """Records that cannot be polled; there are none."""
        return await self._consumer.read_apart(partition, offset, max_records=max_records)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Store positions."""
        self._laws.commits(self._process, offsets)
        stored = False
        try:
            await self._consumer.commit(offsets)
            stored = True
        finally:
            self._laws.commit_ended(self._process, stored=stored)

    async def committed(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        """The group's positions."""
        self._committed = await self._consumer.committed(partitions)
        return self._committed

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        return await self._consumer.offsets(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read from an offset on."""
        self._laws.begins_at(self._process, partition, offset, self._committed.get(partition))
        self._consumer.seek(partition, offset)

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end."""
        return self._consumer.end_offset(partition)

    def withheld(self, partition: TopicPartition) -> int:
        """How many offsets may not be read yet."""
        return self._consumer.withheld(partition)

    def silence(self, partition: TopicPartition) -> float | None:
        """Seconds without an answer."""
        return self._consumer.silence(partition)

    def failure(self) -> BaseException | None:
        """Why the client is broken."""
        return self._consumer.failure()


class WatchedProducer:
    """A ``Producer``."""

    def __init__(self, producer: MemoryProducer, process: Process, laws: Laws) -> None:
        """Watch this one."""
        self._producer = producer
        self._process = process
        self._laws = laws

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Write records."""
        outcomes = await self._producer.send(records)
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, RecordMetadata):
                self._acknowledged(record)
        return outcomes

    def _acknowledged(self, record: ProducerRecord) -> None:
        if (number := cause(record)) is not None:
            self._laws.receipt_acknowledged(self._process, number, in_hand(self._process))
        elif (place := origin(record)) is not None:
            self._laws.copy_acknowledged(self._process, in_hand(self._process) or place, record.topic)


def cause(record: ProducerRecord | Record) -> int | None:
    """The number of the order that led to a receipt, or None for what is no receipt; ids are numbers here."""
    found = dict(record.headers).get(CAUSATION)
    return None if found is None else int(found)


def origin(record: ProducerRecord) -> Place | None:
    """The first place of the order that was sent in its record's place, or None for what is no such thing."""
    letter = read_dead_letter(Record(record.topic, 0, 0, 0.0, record.key, record.value, record.headers))
    return None if letter.origin is None else Place(TopicPartition(*letter.origin[:2]), letter.origin[2])
