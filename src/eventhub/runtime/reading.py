"""Reading a topic once, up to the ends that it has when the reading begins.

What is done with a record is remembered by the commits of a group of its own: the lowest offset
that is not settled, and a map of those beyond it that are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from eventhub.brokers.base import METADATA_LIMIT, OffsetAndMetadata
from eventhub.errors import BrokerError, CommitFailed, OffsetOutOfRange
from eventhub.record import Record, TopicPartition
from eventhub.runtime.offset_map import OffsetMap, decode_map, encode_map
from eventhub.runtime.offsets import Offsets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from eventhub.brokers.base import Broker, OffsetRange

_POLL_TIMEOUT = 0.5  # seconds; Kafka answers an idle fetch after as many
_QUIET_POLLS = 2  # in a row, answered and empty: the offsets up to the end hold no records (KIP-98)
_METADATA_BUDGET = METADATA_LIMIT * 3 // 4  # of which a batch takes the rest at most, however it ends


class Reading:
    """One run through a topic; also the listener of its consumer.

    Use it as an async context manager.
    """

    def __init__(
        self, broker: Broker, topic: str, *, memory: str | None = None, remembers: bool = False, patience: float = 30.0
    ) -> None:
        """Prepare to read.

        Args:
            broker: Where the topic is.
            topic: Its name.
            memory: The group whose commits tell what is settled already; None for reading everything.
            remembers: Whether this run joins that group and commits to it; otherwise it only looks.
            patience: Seconds without an answer after which the broker is given up.
        """
        self._broker = broker
        self._topic = topic
        self._memory = memory
        self._remembers = remembers
        self._patience = patience
        group = memory if remembers and memory is not None else f"{memory or topic}.look.{uuid4()}"
        self._consumer = broker.consumer(group, [topic], self)
        # What follows is changed by the listener when partitions come and go, and by a batch that is read.
        self._ends: Mapping[TopicPartition, OffsetRange] = {}
        self._books: dict[TopicPartition, Offsets] = {}
        self._ended: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._assigned = False
        self._epoch = self._batch_epoch = 0
        self._failure: BrokerError | None = None
        self._marks: dict[TopicPartition, int] = {}  # of runs that did not end

    async def __aenter__(self) -> Self:
        """Note the ends and join.

        Raises:
            BrokerError: If the topic does not exist, or the broker does not answer.
        """
        info = (await self._broker.admin.topics()).get(self._topic)
        if info is None:
            msg = f"there is no topic {self._topic} on {self._broker.url}"
            raise BrokerError(msg, retriable=False)
        self._ends = await self._broker.admin.offsets([TopicPartition(self._topic, n) for n in range(info.partitions)])
        try:
            await self._consumer.start()
            self._require_share()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave; what was not committed is forgotten."""
        await self._consumer.stop()

    async def batches(self, max_records: int) -> AsyncIterator[Sequence[Record]]:
        """What is not settled yet, in order within each partition, a few records at a time.

        Raises:
            BrokerError: If the broker stops answering.
        """
        self._batch_epoch = self._epoch
        silent = quiet = 0  # polls in a row without a record: nobody answered, or there is none
        while (unread := self._unread()) or not self._assigned:
            polled = await self._poll(unread, max_records)
            if batch := self._begin(polled):
                yield batch
            answered = self._assigned and all(self._answers(tp) for tp in unread)
            quiet = quiet + 1 if answered and not polled else 0
            silent = silent + 1 if not answered and not polled else 0
            if quiet >= _QUIET_POLLS:
                self._ended.update(unread)
            if silent * _POLL_TIMEOUT > self._patience:
                msg = f"topic {self._topic} is no longer answered for; see whether {self._broker.url} is well"
                raise BrokerError(msg)

    def settle(self, record: Record) -> None:
        """Note that a record of the last batch needs nothing more."""
        if self._epoch == self._batch_epoch:
            self._books[record.topic_partition].finish(record.offset)

    def mark(self, record: Record) -> int:
        """The mark that runs which did not end left on the record's partition, or 0."""
        return self._marks.get(record.topic_partition, 0)

    def has_room(self, records: Sequence[Record]) -> bool:
        """Whether it could be remembered that these are settled: too many gaps do not fit into a commit.

        Fewer gaps than before always fit; more of them only as long as some room is left, since
        not all that is tried may succeed.

        Raises:
            CommitFailed: If the group has moved on.
        """
        self._require_current()
        for tp in {record.topic_partition for record in records}:
            book = self._books[tp]
            now = book.map() or OffsetMap(book.committable, book.next, frozenset(range(book.committable, book.next)))
            rest = now.unfinished.difference(record.offset for record in records if record.topic_partition == tp)
            after = encode_map(OffsetMap(min(rest, default=now.end), now.end, rest))
            before = self._committed[tp].metadata
            if after is None or len(after) > max(_METADATA_BUDGET, len(before)):
                return False
        return True

    async def commit(self, mark: int | None) -> None:
        """Remember what is settled.

        Args:
            mark: Bits that are added to each partition's mark until the run ends; None at its end,
                which takes the marks away.

        Raises:
            CommitFailed: If the group has moved on; whoever has the partitions now sees the marks.
            BrokerError: If the broker does not answer.
        """
        self._require_current()
        due: dict[TopicPartition, OffsetAndMetadata] = {}
        for tp, book in self._books.items():
            settled = book.map() or OffsetMap(base=book.committable, end=book.committable)
            text = encode_map(replace(settled, restarts=0 if mark is None else self._marks[tp] | mark))
            position = None if text is None else OffsetAndMetadata(settled.base, text)
            if position is not None and position != self._committed[tp]:
                due[tp] = position  # what does not fit keeps its mark, so the next run finds what was sent
        if due:
            await self._consumer.commit(due)
            self._committed |= due

    # -- the listener -----------------------------------------------------------------------------

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Forget what belongs to somebody else now."""
        self._assigned = False
        self._epoch += 1
        for tp in partitions:
            self._books.pop(tp, None)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Go on where the memory says."""
        try:
            await self._take_over(partitions)
        except BrokerError as error:  # the client would swallow it; the next poll sees it
            self._failure = error
        self._assigned = True

    async def _take_over(self, partitions: AbstractSet[TopicPartition]) -> None:
        mine = [tp for tp in partitions if tp in self._ends]  # others were added after the reading began
        held = await self._consumer.offsets(mine)
        committed = await self._remembered(mine)
        for tp in mine:
            position = committed.get(tp) or OffsetAndMetadata(held[tp].beginning)
            if position.offset > held[tp].end:  # another topic of the same name
                position = OffsetAndMetadata(held[tp].beginning)
            known = decode_map(position.metadata, position.offset)
            self._books[tp] = Offsets(position.offset, known)
            self._committed[tp] = position
            self._marks[tp] = known.restarts if known is not None else 0  # nobody else needs the field here
            self._consumer.seek(tp, position.offset)

    async def _remembered(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        if self._memory is None:
            return {}
        if self._remembers:
            return await self._consumer.committed(partitions)
        return await self._broker.admin.committed(self._memory)

    # -- records ----------------------------------------------------------------------------------

    def _unread(self) -> list[TopicPartition]:
        """The partitions that are ours and have something left to read."""
        return [tp for tp, book in self._books.items() if tp not in self._ended and book.next < self._ends[tp].end]

    async def _poll(
        self, partitions: Sequence[TopicPartition], max_records: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Poll once; records of an assignment that is gone are left out."""
        epoch = self._epoch
        try:
            polled = await self._consumer.poll(partitions, max_records=max_records, timeout=_POLL_TIMEOUT)
        except OffsetOutOfRange as error:  # retention was faster
            await self._skip_deleted(error.positions)
            return {}
        self._raise_failure()
        if self._epoch == epoch:
            return polled
        for tp, book in self._books.items():
            self._consumer.seek(tp, book.next)
        return {}

    async def _skip_deleted(self, positions: Collection[TopicPartition]) -> None:
        """Go on at the first record that is left, or not at all if the end itself is gone."""
        held = await self._consumer.offsets(positions)
        for tp in positions:
            if self._books[tp].next < held[tp].beginning:
                self._consumer.seek(tp, held[tp].beginning)
            else:
                self._ended.add(tp)

    def _begin(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> Sequence[Record]:
        """The polled records below the ends that are not settled."""
        self._batch_epoch = self._epoch
        batch: list[Record] = []
        for tp, records in polled.items():
            book, end = self._books[tp], self._ends[tp].end
            for record in records:
                if record.offset >= end:
                    self._ended.add(tp)
                elif book.was_finished(record.offset):
                    book.passed(record.offset)
                else:
                    book.begin(record.offset)
                    batch.append(record)
        return batch

    def _answers(self, partition: TopicPartition) -> bool:
        silence = self._consumer.silence(partition)
        return silence is not None and silence <= 2 * _POLL_TIMEOUT

    def _require_share(self) -> None:
        """Refuse to read nothing, as when another run has all partitions."""
        self._raise_failure()
        if not self._books:
            msg = f"topic {self._topic} is being read by another run of {self._memory}; wait for its end"
            raise BrokerError(msg)

    def _require_current(self) -> None:
        if self._epoch != self._batch_epoch:
            msg = f"group {self._memory} has moved on while records were being settled; run it again"
            raise CommitFailed(msg)

    def _raise_failure(self) -> None:
        if (failure := self._failure or self._consumer.failure()) is not None:
            raise failure
