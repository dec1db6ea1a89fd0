"""The ports of a broker, and the laws that every adapter keeps.

``eventhub.testing.conformance.brokers`` tests them one by one.

Laws of the log:
    * Records of one partition are read in the order of their offsets. Offsets rise; they may have gaps.
    * Equal keys go to equal partitions: Kafka's murmur2, the same as from any Java producer.
    * A record whose send was acknowledged is never lost and never changes.

Laws of a group:
    * A partition belongs to at most one member of a group at a time, as far as the broker knows.
    * Rebalances are eager: every member hears ``on_revoked`` with all it had, then ``on_assigned`` with all it gets.
      Nothing is polled in between, and positions are lost: ``on_assigned`` has to ``seek`` every partition.
    * A commit is accepted from a member of the current generation; it is the reader's duty to commit only what it owns.

Laws of failure:
    * Everything an adapter raises is a ``BrokerError``. Nothing waits without limit.
    * ``poll`` is never cancelled; ``stop`` ends it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from eventhub.errors import BrokerError
from eventhub.record import ProducerRecord, Record, RecordMetadata, TopicPartition

METADATA_LIMIT = 4096
"""UTF-16 units of commit metadata that every broker takes (Kafka: ``offset.metadata.max.bytes``)."""

RECORD_BYTES = 1024 * 1024
"""The largest record that a topic takes unless it says otherwise (Kafka: ``max.message.bytes``, a little more)."""

Outcome = RecordMetadata | BrokerError
"""What became of one record that was sent."""


class OffsetAndMetadata(NamedTuple):
    """A committed position: the next offset to read, and a note of the reader's own."""

    offset: int
    metadata: str = ""


class OffsetRange(NamedTuple):
    """The offsets that a partition holds: from ``beginning`` up to, not including, ``end``."""

    beginning: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What the broker says of a topic."""

    name: str
    partitions: int
    max_record_bytes: int = RECORD_BYTES
    """The largest batch that the broker takes for it (``max.message.bytes``)."""
    compacted: bool = False
    """Whether ``cleanup.policy`` has ``compact``: every record then needs a key."""
    retention: float = math.inf
    """Seconds after which a record may be deleted (``retention.ms``); infinite for never."""


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be made."""

    name: str
    partitions: int = 1
    compacted: bool = False


class RebalanceListener(Protocol):
    """Who is told when partitions come and go."""

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Give up these partitions; they may belong to somebody else as soon as this returns."""
        ...

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Take over these partitions and ``seek`` each of them."""
        ...


class Consumer(Protocol):
    """A member of a consumer group."""

    async def start(self) -> None:
        """Join the group; returns at the latest after the broker's timeout.

        Raises:
            TopicMissing: If a topic does not exist.
            BrokerError: If the broker cannot be reached, or denies the group or a topic.
        """
        ...

    async def stop(self) -> None:
        """Leave the group at once, within 2 s: nothing is committed, no listener called, a pending poll ends."""
        ...

    async def poll(
        self, partitions: Collection[TopicPartition], *, max_records: int, timeout: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """The next records of these partitions, at most ``max_records`` in all.

        Fair: as long as several of them have records ready, each gets its share. Partitions that
        are not asked keep their position and what was read ahead for them. Without any record the
        answer is empty after ``timeout`` seconds; with no partitions at all it only waits.

        Raises:
            OffsetOutOfRange: If positions are not in the log; the caller seeks and polls again.
            AuthorizationFailed: If a right is missing; the caller backs off.
            RecordUnreadable: If the client cannot take a record apart; positions are lost, so the caller
                seeks, polls partition by partition to find it, and reads that one apart.
            BrokerError: If the client cannot go on.
        """
        ...

    async def read_apart(
        self, partition: TopicPartition, offset: int, *, max_records: int
    ) -> tuple[Sequence[Record], int]:
        """Records of one partition from an offset on, where ``poll`` cannot, and the offset to go on at.

        Positions stay as they are. Takes a round trip of its own, and is not meant for what can be polled.

        Raises:
            RecordUnreadable: If nobody can take the record at this offset apart.
            BrokerError: If there is no answer.
        """
        ...

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Store positions of the group.

        Raises:
            CommitFailed: If the group has moved on without this member.
            BrokerError: If the coordinator does not answer in time.
        """
        ...

    async def committed(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        """The group's stored positions; None where there is none. May be called from the listener."""
        ...

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition. May be called from the listener."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on; does nothing for a partition that is gone."""
        ...

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end as of the last fetch, or None before the first."""
        ...

    def withheld(self, partition: TopicPartition) -> int:
        """How many offsets may not be read yet, since a transaction in front of them is open, as of the last fetch."""
        ...

    def silence(self, partition: TopicPartition) -> float | None:
        """Seconds since the broker last answered a fetch for the partition, or None before the first.

        A broker that said how long it will not answer, since a quota is used up, is not silent for so long.
        """
        ...

    def failure(self) -> BaseException | None:
        """Why the client can no longer deliver although it does not say so, or None while it is sound."""
        ...


class Producer(Protocol):
    """A connection that writes."""

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerError: If the broker cannot be reached.
        """
        ...

    async def stop(self) -> None:
        """Disconnect; what is unconfirmed by then is uncertain. Takes at most 2 s."""
        ...

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Write records and say what became of each, in the order given.

        An outcome is a ``RecordMetadata`` once all in-sync replicas have the record, a
        ``PublishRefused`` if it can never be taken, a ``PublishUncertain`` if the deadline
        passed. Records of one partition keep the order in which ``send`` was given them, also
        over concurrent calls; a refused record does not harm the others. When the caller is
        cancelled the records may be written all the same.
        """
        ...


class Admin(Protocol):
    """What is asked of, or changed at, the broker as a whole."""

    async def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, found without creating any."""
        ...

    async def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics and wait until they can be used; those that exist already are left as they are.

        Raises:
            BrokerError: Naming each topic that could not be made, and why.
        """
        ...

    async def committed(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """All positions that a group has stored."""
        ...

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        ...

    async def unread(self, group: str, topics: Collection[str]) -> Collection[TopicPartition]:
        """The partitions of these topics that no member of a group owns; none while the group rebalances.

        Raises:
            BrokerError: If topics do not exist; it names them.
        """
        ...


class Broker(Protocol):
    """A cluster, or what stands in for one."""

    @property
    def url(self) -> str:
        """The address, without credentials."""
        ...

    @property
    def admin(self) -> Admin:
        """The broker's administration."""
        ...

    @property
    def rebalance_timeout(self) -> float:
        """Seconds that a rebalance waits for a member to give up its partitions before others get them."""
        ...

    async def start(self) -> None:
        """Connect to every address by itself and fail with the true cause.

        Raises:
            BrokerError: Within 15 s, naming each address, what is wrong with it and what to try.
        """
        ...

    async def stop(self) -> None:
        """Close the administration's connection."""
        ...

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:
        """What keeps a group from reading these topics, one sentence each; empty if nothing is found.

        Asked when nothing moves any longer, so over connections of its own: every address by itself, the topics, the
        rights. Takes at most 15 s. What cannot be found out is told, not raised; nothing is created or changed.
        """
        ...

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> Consumer:
        """A new member of a group; it joins when started."""
        ...

    def producer(self) -> Producer:
        """A new producer; it connects when started."""
        ...
