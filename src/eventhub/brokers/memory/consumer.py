"""A consumer of the memory broker: a member of a group, and its reading positions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from eventhub.brokers.base import OffsetAndMetadata, OffsetRange, RebalanceListener
from eventhub.brokers.memory.cluster import Cluster
from eventhub.brokers.memory.faults import Operation
from eventhub.brokers.memory.log import Waiting, wake
from eventhub.errors import BrokerError, OffsetOutOfRange
from eventhub.record import Record, TopicPartition

_STOP_TIMEOUT = 1.0  # seconds, for each of two steps; the port allows 2
_HEARTBEATS = 5  # in each session timeout, so that a few may be lost


class MemoryConsumer:
    """A member of a consumer group of a memory broker."""

    def __init__(self, cluster: Cluster, group: str, topics: Sequence[str], listener: RebalanceListener) -> None:
        """Begin outside the group."""
        self.name = cluster.name_client(group)
        self._cluster = cluster
        self._group = cluster.group(group)
        self._topics = topics
        self._listener = listener
        # Its place in the group, changed by the membership task only. While it is not settled, from
        # before ``on_revoked`` until after ``on_assigned``, nothing is polled.
        self._membership: asyncio.Task[None] | None = None
        self._generation = 0
        self._settled = False
        # Where it reads, the partition that waits longest first; None until sought. The membership
        # task puts partitions in and out, ``seek`` and ``poll`` move within them.
        self._positions: dict[TopicPartition, int | None] = {}
        # What ``poll`` saw last: the ends, and when the broker answered (monotonic seconds).
        self._ends: dict[TopicPartition, int] = {}
        self._answered: dict[TopicPartition, float] = {}
        self._fetching: Collection[TopicPartition] = ()
        # Who waits for a change of all this: ``start``, ``poll``.
        self._waiting: Waiting = []
        self._stopped = False

    async def start(self) -> None:
        """Join the group and return once the listener has taken over what was assigned."""
        # The one task outside a task group: the port starts and stops a member in two calls.
        self._membership = asyncio.create_task(self._stay_in_group(), name=f"member {self.name}")
        # A callback, since a poll that waits would otherwise not hear that the member has failed.
        self._membership.add_done_callback(lambda _: wake(self._waiting))
        try:
            while not self._settled and not self._membership.done():
                await self._wait_for_change(())
        except asyncio.CancelledError:
            self._membership.cancel()
            raise
        self._raise_failure()

    async def stop(self) -> None:
        """Leave the group; the listener does not hear of it."""
        self._stopped = True
        wake(self._waiting)
        if self._membership is None:
            return
        self._membership.cancel()
        await asyncio.wait([self._membership], timeout=_STOP_TIMEOUT)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._cluster.request(Operation.LEAVE, self.name)
        except (BrokerError, TimeoutError):
            return  # the broker does not hear of it and throws the member out when its session expires
        self._group.leave(self.name)

    async def poll(
        self, partitions: Collection[TopicPartition], *, max_records: int, timeout: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """The next records of these partitions, fairly shared out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        wanted = frozenset(partitions)
        await self._cluster.request(Operation.POLL, self.name)
        while not self._stopped:
            self._raise_failure()
            asked = [partition for partition in self._positions if partition in wanted] if self._settled else []
            if records := self._take(asked, max_records):
                return records
            remaining = deadline - loop.time()
            if remaining <= 0:
                break
            await self._wait_for_change(asked, remaining)
        return {}

    async def read_apart(
        self, partition: TopicPartition, offset: int, *, max_records: int
    ) -> tuple[Sequence[Record], int]:
        """Records of one partition from an offset on, and the offset to go on at."""
        await self._cluster.request(Operation.POLL, self.name)
        records = self._cluster.log(partition).read(offset, max_records)
        return records, records[-1].offset + 1 if records else offset

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Store positions of the group."""
        generation = self._generation
        await self._cluster.request(Operation.COMMIT, self.name)
        self._cluster.require(partition.topic for partition in offsets)
        self._group.commit(self.name, generation, offsets)
        await self._cluster.answer(Operation.COMMIT, self.name)

    async def committed(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | None]:
        """The group's stored positions."""
        await self._cluster.request(Operation.COMMITTED, self.name)
        return {partition: self._group.committed.get(partition) for partition in partitions}

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        await self._cluster.request(Operation.OFFSETS, self.name)
        return self._cluster.offsets(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on."""
        if partition in self._positions:
            self._positions[partition] = offset
            wake(self._waiting)

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end as of the last poll."""
        return self._ends.get(partition)

    def withheld(self, partition: TopicPartition) -> int:  # noqa: ARG002 - the port's shape
        """Nothing is: there are no transactions here."""
        return 0

    def silence(self, partition: TopicPartition) -> float | None:
        """Seconds since a poll last asked for the partition; 0 while one waits for its records."""
        if partition in self._fetching:
            return 0.0
        answered = self._answered.get(partition)
        return None if answered is None else self._cluster.clock.monotonic() - answered

    def failure(self) -> BaseException | None:
        """What ended the membership: an error of a join, or of the listener."""
        if self._membership is None or not self._membership.done() or self._membership.cancelled():
            return None
        error = self._membership.exception()
        return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error

    async def _stay_in_group(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            while True:
                await self._live_through_generation()

    async def _live_through_generation(self) -> None:
        """Join, take over, wait until the generation is over, give up."""
        await self._cluster.request(Operation.JOIN, self.name)
        place = await self._group.join(self.name, self._cluster.partitions(self._topics))
        self._generation = place.generation
        self._positions = dict.fromkeys(place.partitions)
        owned = dict.fromkeys(place.partitions).keys()  # a set with an order, so that every run is the same
        await self._listener.on_assigned(owned)
        self._settled = True
        wake(self._waiting)
        await place.over.wait()
        while not await self._heard():
            await self._pause_between_heartbeats()
        self._settled = False
        await self._listener.on_revoked(owned)
        self._positions.clear()

    async def _beat(self) -> None:
        """Keep the session alive, also while the listener works."""
        while True:
            await self._pause_between_heartbeats()
            if await self._heard():
                self._group.heartbeat(self.name)

    async def _heard(self) -> bool:
        """Exchange a heartbeat; by its answer, and only so, a member learns that its generation is over."""
        try:
            await self._cluster.request(Operation.HEARTBEAT, self.name)
        except BrokerError:
            return False
        return True

    async def _pause_between_heartbeats(self) -> None:
        await asyncio.sleep(self._cluster.session_timeout / _HEARTBEATS)

    def _take(
        self, partitions: Sequence[TopicPartition], max_records: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """What is there to read now, with an equal share for each partition that has records."""
        ready = self._look(partitions)
        taken: dict[TopicPartition, Sequence[Record]] = {}
        for served, (partition, position) in enumerate(ready):
            share = -(-max_records // (len(ready) - served))  # rounded up
            records = self._cluster.log(partition).read(position, share)
            if not records:
                break
            max_records -= len(records)
            taken[partition] = records
            del self._positions[partition]  # and to the end of the line
            self._positions[partition] = records[-1].offset + 1
        return taken

    def _look(self, partitions: Sequence[TopicPartition]) -> Sequence[tuple[TopicPartition, int]]:
        """The partitions with records at their positions."""
        now = self._cluster.clock.monotonic()
        ready: list[tuple[TopicPartition, int]] = []
        outside: dict[TopicPartition, int | None] = {}
        for partition in partitions:
            log = self._cluster.log(partition)
            position = self._positions[partition]
            self._answered[partition] = now
            self._ends[partition] = log.end
            if position is None or not log.beginning <= position <= log.end:
                outside[partition] = position
            elif log.has(position):
                ready.append((partition, position))
        if outside:
            raise OffsetOutOfRange(outside)
        return ready

    async def _wait_for_change(self, partitions: Sequence[TopicPartition], timeout: float | None = None) -> None:
        """Return when a record arrives there, when anything changes here, or after so many seconds."""
        change = asyncio.get_running_loop().create_future()
        places = [self._waiting, *(self._cluster.log(partition).waiting for partition in partitions)]
        for place in places:
            place.append(change)
        self._fetching = partitions
        try:
            await asyncio.wait([change], timeout=timeout)
        finally:
            self._fetching = ()
            for place in places:
                if change in place:
                    place.remove(change)

    def _raise_failure(self) -> None:
        error = self.failure()
        if isinstance(error, BrokerError):
            raise error
        if error is not None:
            msg = f"member {self.name} of group {self._group.name} has failed: {error}"
            raise BrokerError(msg) from error
