"""A member of a consumer group: reads in batches, fairly, and never in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import OffsetAndMetadata as ClientOffset
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import IllegalStateError

from eventhub.brokers.base import OffsetAndMetadata, OffsetRange, RebalanceListener
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.brokers.kafka.assignors import assignors
from eventhub.brokers.kafka.batches import read_batches
from eventhub.brokers.kafka.closing import close_connections, end_tasks, tasks_of, within
from eventhub.brokers.kafka.decompression import TooLarge, bound_decompression
from eventhub.brokers.kafka.errors import FOREIGN, Place, place_of, translate, translated
from eventhub.brokers.kafka.fetches import Fetches
from eventhub.brokers.kafka.nodes import spare_others
from eventhub.brokers.kafka.preflight import answering
from eventhub.errors import BrokerError, CommitFailed, RecordUnreadable, TopicMissing
from eventhub.record import Record, TopicPartition

log = structlog.get_logger()

START_TIMEOUT = 15.0
"""Seconds to connect and to join; a join that has not come to an end then goes on in the background."""
STOP_TIMEOUT = 1.0
"""Seconds that the client has to leave the group; what then remains is dropped within one more."""
COMMIT_TIMEOUT = 5.0
"""Seconds until a commit is given up; the client itself would try for ever."""

Batch = Mapping[TopicPartition, Sequence[Record]]

_BACKGROUND = (("_client", "_sync_task"), ("_coordinator", "_coordination_task"), ("_fetcher", "_fetch_task"))
"""The tasks that keep the client going. It never looks whether they still run, so ``failure`` does."""


class KafkaConsumer:
    """A member of a consumer group."""

    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        options: Mapping[str, Any],
        admin: KafkaAdmin,
    ) -> None:
        """Remember what to join; nothing is connected yet."""
        self._group = group
        self._topics = tuple(topics)
        self._listener = listener
        self._options = options
        self._admin = admin
        self._client: AIOKafkaConsumer | None = None
        self._fetches: Fetches | None = None
        # Changed by the rebalance callbacks alone; the client's own assignment lies after a loss.
        self._owned: Mapping[TopicPartition, ClientPartition] = {}
        self._epoch = 0
        self._settled = asyncio.Event()
        self._broken: BaseException | None = None
        self._commits: set[asyncio.Timeout] = set()
        # Changed by poll alone.
        self._waiting: asyncio.Task[Mapping[ClientPartition, list[Any]]] | None = None
        self._waiting_epoch = 0
        self._error: BaseException | None = None
        self._turn = 0
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Join the group; a join that takes longer than 15 s goes on in the background.

        Raises:
            TopicMissing: If a topic does not exist.
            BrokerError: If the broker cannot be reached, or a right is missing.
        """
        try:
            with translated(f"joining group {self._group}"):
                await self._join(asyncio.get_running_loop().time() + START_TIMEOUT)
        except BaseException:
            await self.stop()
            raise

    async def _join(self, deadline: float) -> None:
        """Connect, subscribe, and wait for the first assignment.

        The subscription comes after the start, which would otherwise wait for the join without limit.
        A join is never given up, since that would leave a ghost in the group.
        """
        async with asyncio.timeout_at(deadline):
            await self._require_topics()
            bound_decompression()
            client = AIOKafkaConsumer(
                **await answering(self._options),
                group_id=self._group,
                partition_assignment_strategy=assignors(self._group, self._topics),
            )
            spare_others(client._client)  # noqa: SLF001 - it has no public name, as a producer's has
            self._client, self._fetches = client, Fetches(client)
            await client.start()
        client.subscribe(self._topics, listener=_Rebalances(self))
        self._ask(client.getmany(max_records=1))  # ends with the join, or with the error that prevents it
        await self._await_answer(deadline - asyncio.get_running_loop().time())
        await _wait(self._settled, deadline - asyncio.get_running_loop().time())
        if not self._settled.is_set():
            log.warning("eventhub.join_slow", group=self._group, seconds=START_TIMEOUT)

    async def _require_topics(self) -> None:
        missing = sorted(set(self._topics) - (await self._admin.describe(self._topics)).keys())
        if missing:
            msg = f"topics missing for group {self._group}: {', '.join(missing)}; create them first"
            raise TopicMissing(msg, missing)

    async def stop(self) -> None:
        """Leave the group without committing and without calling the listener; ends a pending poll."""
        client, self._client = self._client, None
        if client is None:
            return
        self._stopped.set()
        self._settled.set()  # nobody waits for a rebalance any longer
        self._owned = {}
        await within(STOP_TIMEOUT, client.stop())
        parts = (client._coordinator, client._fetcher)  # noqa: SLF001 - stop may have ended before it came to them
        await end_tasks([self._waiting, *(task for part in parts if part for task in tasks_of(part))])
        await close_connections(client._client, 0.2)  # noqa: SLF001 - nor to this

    async def poll(self, partitions: Collection[TopicPartition], *, max_records: int, timeout: float) -> Batch:
        """The next records of these partitions, at most ``max_records`` in all.

        Each partition gives its share of what was read ahead. What they leave is filled up from
        those that have more, and only when none has any is there a wait.

        Raises:
            OffsetOutOfRange: If positions are not in the log.
            AuthorizationFailed: If a right is missing.
            RecordUnreadable: If a record has a header whose name is no UTF-8, or a batch is too large to decompress.
            BrokerError: If the client cannot go on.
        """
        client = self._connected()
        # The client's tasks run between polls only, and a poll that finds records would never let them.
        await asyncio.sleep(0)
        if not self._settled.is_set():
            await _wait(self._settled, timeout)
            return {}
        asked = [self._owned[partition] for partition in partitions if partition in self._owned]
        if not asked:
            await _wait(self._stopped, timeout)
            return {}
        with translated(f"reading as group {self._group}"):
            self._raise_kept_error()
            try:
                # What a poll took that outlived its call is older than what was read ahead since.
                taken = self._answer(self._waiting) if self._waiting is not None and self._waiting.done() else {}
                if not taken:
                    taken = await self._take(client, asked, max_records)
                if not taken:
                    share = -(-max_records // len(asked))
                    taken = await self._wait_for_data(client, asked, max_records=share, timeout=timeout)
            except UnicodeDecodeError as error:  # Kafka takes any bytes as a header's name, the client only UTF-8
                msg = f"group {self._group}: a record has a header whose name is no UTF-8"
                raise RecordUnreadable(msg) from error
            except TooLarge as error:
                msg = f"group {self._group}: {error}"
                raise RecordUnreadable(msg) from error
        return {TopicPartition(*partition): _records(records) for partition, records in taken.items()}

    async def read_apart(
        self, partition: TopicPartition, offset: int, *, max_records: int
    ) -> tuple[Sequence[Record], int]:
        """Records of one partition from an offset on, past the client, and the offset to go on at.

        Raises:
            RecordUnreadable: If a batch is damaged, or in a format or codec that is not known.
            BrokerError: If the broker does not answer.
        """
        return read_batches(await self._admin.fetch(partition, offset), partition, offset, max_records)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Store positions of the group.

        Raises:
            CommitFailed: If the group has moved on without this member.
            BrokerError: If the coordinator does not answer within 5 s.
        """
        client = self._connected()
        stored = {ClientPartition(*partition): ClientOffset(*offset) for partition, offset in offsets.items()}
        limit = asyncio.timeout(COMMIT_TIMEOUT)
        try:
            async with limit:
                self._commits.add(limit)
                await client.commit(stored)
        except (*FOREIGN, asyncio.CancelledError) as error:
            # The last attempt goes on behind a shield; nobody is to hear of its end.
            await end_tasks(tasks_of(client._coordinator, "_do_commit_offsets"))  # noqa: SLF001 - the client keeps them nowhere else
            if isinstance(error, asyncio.CancelledError):  # whoever waits has a shorter deadline, for instance
                raise
            if limit not in self._commits:
                msg = f"committing offsets of group {self._group}: the partitions were revoked meanwhile"
                raise CommitFailed(msg) from error
            raise translate(error, f"committing offsets of group {self._group}") from error
        finally:
            self._commits.discard(limit)

    async def committed(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        """The group's stored positions; None where there is none."""
        stored = await self._admin.committed(self._group, partitions) if partitions else {}
        return {partition: stored.get(partition) for partition in partitions}

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        return await self._admin.offsets(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on; does nothing for a partition that is gone."""
        if self._client is None or partition not in self._owned:
            return
        with suppress(IllegalStateError):  # the client has lost it already, and the callback is on its way
            self._client.seek(self._owned[partition], offset)

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end as of the last fetch, or None before the first."""
        owned = self._owned.get(partition)
        return self._fetches.end_offset(owned) if self._fetches is not None and owned is not None else None

    def withheld(self, partition: TopicPartition) -> int:
        """How many offsets may not be read yet, since a transaction in front of them is open, as of the last fetch."""
        owned = self._owned.get(partition)
        return self._fetches.withheld(owned) if self._fetches is not None and owned is not None else 0

    def silence(self, partition: TopicPartition) -> float | None:
        """Seconds since the broker last answered a fetch for the partition, or was to; None before the first."""
        owned = self._owned.get(partition)
        return self._fetches.silence(owned) if self._fetches is not None and owned is not None else None

    def failure(self) -> BaseException | None:
        """Why the client can no longer deliver although it does not say so, or None while it is sound."""
        if self._client is None or self._broken is not None:
            return self._broken
        for owner, name in _BACKGROUND:
            task = _part(self._client, owner, name)
            if task is not None and task.done():
                cause = None if task.cancelled() else task.exception()
                return cause or BrokerError(f"the client's task {owner}.{name} has ended")
        return None

    def _connected(self) -> AIOKafkaConsumer:
        if self._client is None:
            msg = f"the consumer of group {self._group} is not running"
            raise BrokerError(msg)
        return self._client

    def _raise_kept_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _take(
        self, client: AIOKafkaConsumer, asked: Sequence[ClientPartition], max_records: int
    ) -> dict[ClientPartition, list[Any]]:
        """What was read ahead, each partition's share first. Never suspends, so no rebalance comes between."""
        self._turn = (self._turn + 1) % len(asked)
        turn = [*asked[self._turn :], *asked[: self._turn]]
        taken: dict[ClientPartition, list[Any]] = {}
        left = max_records
        share = max(1, max_records // len(turn))
        try:
            for limit in (share, max_records):
                for partition in turn:
                    if left <= 0:
                        return taken
                    for found in (await client.getmany(partition, max_records=min(limit, left))).values():
                        taken.setdefault(partition, []).extend(found)
                        left -= len(found)
                turn = [partition for partition in turn if len(taken.get(partition, ())) == share]
        except FOREIGN as error:
            if not taken:
                raise
            self._error = error  # the records first, or they would be lost; the error with the next poll
        return taken

    async def _wait_for_data(
        self, client: AIOKafkaConsumer, asked: Sequence[ClientPartition], *, max_records: int, timeout: float
    ) -> Mapping[ClientPartition, list[Any]]:
        """Wait for records, but not over a rebalance.

        The client ignores its timeout while a rebalance goes on, and a poll must not be cancelled: it
        would switch off the client's bookkeeping for ever. So the poll is a task that may outlive
        this call, and the next call goes on waiting for it.
        """
        if self._waiting is None:
            self._ask(client.getmany(*asked, timeout_ms=int(timeout * 1000), max_records=max_records))
        return await self._await_answer(timeout)

    def _ask(self, poll: Coroutine[Any, Any, Mapping[ClientPartition, list[Any]]]) -> None:
        self._waiting = asyncio.get_running_loop().create_task(poll)
        self._waiting_epoch = self._epoch

    async def _await_answer(self, timeout: float) -> Mapping[ClientPartition, list[Any]]:
        waiting = self._waiting
        if waiting is None or not (await asyncio.wait({waiting}, timeout=timeout))[0] or self._stopped.is_set():
            return {}
        return self._answer(waiting)

    def _answer(
        self, waiting: asyncio.Task[Mapping[ClientPartition, list[Any]]]
    ) -> Mapping[ClientPartition, list[Any]]:
        """What a poll that has ended took, unless a rebalance came between."""
        self._waiting = None
        if self._waiting_epoch != self._epoch:
            return self._give_back(waiting)
        return waiting.result()

    def _give_back(
        self, waiting: asyncio.Task[Mapping[ClientPartition, list[Any]]]
    ) -> dict[ClientPartition, list[Any]]:
        """Read again what was taken over a rebalance; it may belong to an assignment that has just begun.

        A missing position is of that assignment, too: the client looked before the listener's ``seek``.
        """
        error = waiting.exception()
        if error is None:
            for partition, records in waiting.result().items():
                self.seek(TopicPartition(*partition), records[0].offset)
        elif place_of(error) is not Place.OFFSET:
            raise error
        return {}

    async def _revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        if self._stopped.is_set():
            return
        self._epoch += 1
        self._settled.clear()
        try:
            if partitions:
                await self._listener.on_revoked(partitions)
        except Exception as error:  # noqa: BLE001 - the client would only log it and go on
            self._broken = error
        self._owned = {}
        self._end_commits()

    def _end_commits(self) -> None:
        """End the commits under way: the client would try them again as the next generation, which counts."""
        for limit in self._commits:
            if not limit.expired():
                limit.reschedule(0)
        self._commits.clear()

    async def _assigned(self, partitions: AbstractSet[ClientPartition]) -> None:
        if self._stopped.is_set():
            return
        self._owned = {TopicPartition(*partition): partition for partition in partitions}
        try:
            await self._listener.on_assigned(self._owned.keys())
        except Exception as error:  # noqa: BLE001 - the client would only log it and go on
            self._broken = error
        self._settled.set()


@ConsumerRebalanceListener.register
class _Rebalances:
    """What the client calls, and awaits, in the middle of a rebalance."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: AbstractSet[ClientPartition]) -> None:
        await self._consumer._revoked({TopicPartition(*partition) for partition in revoked})  # noqa: SLF001 - it listens for its consumer

    async def on_partitions_assigned(self, assigned: AbstractSet[ClientPartition]) -> None:
        await self._consumer._assigned(assigned)  # noqa: SLF001 - likewise


def _records(records: Sequence[Any]) -> list[Record]:
    """Records of one partition; built without the constructor's call, which takes longer than all the rest."""
    topic, partition = records[0].topic, records[0].partition
    new = tuple.__new__
    return [new(Record, (topic, partition, r.offset, r.timestamp / 1000, r.key, r.value, r.headers)) for r in records]


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _part(client: AIOKafkaConsumer, owner: str, name: str) -> asyncio.Task[Any] | None:
    """A background task of the client, or None if this version keeps it elsewhere."""
    return getattr(getattr(client, owner, None), name, None)
