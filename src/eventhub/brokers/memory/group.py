"""The coordinator of a consumer group: members, generations, committed offsets.

A generation begins when every member has joined it. It is over as soon as somebody comes or goes; the members then
give up what they have and join again. Whoever does not join within the rebalance timeout is thrown out, and whoever
is not heard of for a session timeout too. The timers are callbacks, not tasks: they stand for the broker, which goes
on when a client's tasks are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from eventhub.brokers.base import METADATA_LIMIT, OffsetAndMetadata
from eventhub.brokers.beside import beside
from eventhub.errors import BrokerError, CommitFailed
from eventhub.record import TopicPartition


class Joined(NamedTuple):
    """A member's place in a generation."""

    generation: int
    partitions: Collection[TopicPartition]
    """What it is given, in order."""
    over: asyncio.Event
    """Set once the members have to join again."""


@dataclass(slots=True)
class _Member:
    """What the coordinator knows of a member."""

    wanted: Collection[TopicPartition]
    """All partitions of the topics that it reads."""
    place: asyncio.Future[Joined]
    """Its place in the generation; pending while it waits for the next one."""
    session: asyncio.TimerHandle | None = None
    """What throws it out when it is not heard of."""

    @property
    def joining(self) -> bool:
        """Whether it waits for the next generation."""
        return not self.place.done()


class Group:
    """One consumer group."""

    def __init__(self, name: str, session_timeout: float, rebalance_timeout: float) -> None:
        """Begin without members and offsets."""
        self.name = name
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._session_timeout = session_timeout
        self._rebalance_timeout = rebalance_timeout
        self._generation = 0
        self._over = asyncio.Event()
        self._members: dict[str, _Member] = {}
        self._deadline: asyncio.TimerHandle | None = None

    async def join(self, name: str, wanted: Collection[TopicPartition]) -> Joined:
        """Wait for the next generation, at most a rebalance timeout, and take a place in it."""
        if known := self._members.get(name):
            _cancel(known.session)  # a member that waits for the others is not thrown out
        member = self._members[name] = _Member(frozenset(wanted), asyncio.get_running_loop().create_future())
        self._end_generation()
        self._begin_if_all_join()
        return await member.place

    def leave(self, name: str) -> None:
        """Give up a member's place; the others share its partitions."""
        member = self._members.pop(name, None)
        if member is not None:
            _cancel(member.session)
            self._end_generation()
            self._begin_if_all_join()

    def heartbeat(self, name: str) -> None:
        """Keep a member's session alive for another session timeout."""
        member = self._members.get(name)
        if member is not None and not member.joining:
            _cancel(member.session)
            loop = asyncio.get_running_loop()
            member.session = loop.call_later(self._session_timeout, self.leave, name)

    def commit(self, name: str, generation: int, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Store positions for a member of the current generation.

        Raises:
            CommitFailed: If the member has no place in the group, or its generation is gone.
            BrokerError: If metadata is too long; nothing is stored then.
        """
        if name not in self._members or generation != self._generation:
            msg = (
                f"group {self.name} is at generation {self._generation} without {name}; its records are delivered again"
            )
            raise CommitFailed(msg)
        for partition, position in offsets.items():
            if (length := _utf16_units(position.metadata)) > METADATA_LIMIT:
                place = f"{partition.topic}[{partition.partition}]"
                msg = f"commit metadata of {place} has {length} characters, {METADATA_LIMIT} are allowed"
                raise BrokerError(msg, retriable=False)
        self.committed.update((partition, OffsetAndMetadata(*position)) for partition, position in offsets.items())

    def forget(self, topic: str) -> None:
        """Drop the positions in a topic that is gone."""
        self.committed = {tp: position for tp, position in self.committed.items() if tp.topic != topic}

    def owned(self) -> AbstractSet[TopicPartition] | None:
        """What the members own, or None while they have to join again."""
        if self._over.is_set():
            return None
        return {partition for member in self._members.values() for partition in member.place.result().partitions}

    def _end_generation(self) -> None:
        """Tell the members to join again, and begin without those that take too long."""
        if not self._over.is_set():
            self._over.set()
            self._deadline = asyncio.get_running_loop().call_later(self._rebalance_timeout, self._begin)

    def _begin_if_all_join(self) -> None:
        if all(member.joining for member in self._members.values()):
            self._begin()

    def _begin(self) -> None:
        """Begin a generation with the members that wait for it."""
        _cancel(self._deadline)
        for late in [name for name, member in self._members.items() if not member.joining]:
            _cancel(self._members.pop(late).session)
        self._generation += 1
        self._over = asyncio.Event()
        shares = assign(self.name, {name: member.wanted for name, member in self._members.items()})
        for name, member in self._members.items():
            member.place.set_result(Joined(self._generation, shares[name], self._over))
            self.heartbeat(name)


def assign(group: str, wanted: Mapping[str, Collection[TopicPartition]]) -> Mapping[str, Collection[TopicPartition]]:
    """Give every partition to one of the members that want it, the one with the fewest so far.

    One that the group keeps beside another goes to whoever has that one.
    """
    partitions = {partition for wants in wanted.values() for partition in wants}
    kept = beside(group, {partition.topic for partition in partitions})
    owners: dict[TopicPartition, str] = {}
    for partition in sorted(partitions, key=lambda partition: (partition.topic in kept, partition)):
        takers = [name for name, wants in wanted.items() if partition in wants]
        leader = owners.get(TopicPartition(kept.get(partition.topic, ""), partition.partition))
        owners[partition] = leader if leader in takers else min(takers, key=list(owners.values()).count)
    return {name: sorted(partition for partition, owner in owners.items() if owner == name) for name in wanted}


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _utf16_units(text: str) -> int:
    """The length as Kafka counts it: Java's characters, two for each one beyond the basic plane."""
    return len(text) + sum(character > "\uffff" for character in text)
