"""Laws of a group: who owns what, who is told when, and whose commits count."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from eventhub.brokers.base import METADATA_LIMIT, Broker, OffsetAndMetadata, Producer
from eventhub.errors import BrokerError, CommitFailed, TopicMissing
from eventhub.record import ProducerRecord, Record, TopicPartition
from eventhub.testing.conformance.brokers.features import Features
from eventhub.testing.conformance.brokers.reader import (
    DEADLINE,
    PARTITIONS,
    Reader,
    linger,
    partitions_of,
    reading,
    send,
    share,
    unique,
)


class MemberLaws:
    """Laws of members and their partitions."""

    features: ClassVar[Features]

    async def test_only_member_owns_every_partition(self, broker: Broker, topic: str, group: str) -> None:
        """A member that is alone hears of all partitions of its topic in one assignment."""
        async with reading(broker, group, topic) as reader:
            assert [("assigned", partitions_of(topic))] == reader.heard

    async def test_consumer_of_an_unknown_topic_does_not_start(self, broker: Broker, topic: str, group: str) -> None:
        """A consumer of a topic that does not exist fails to start with the topic's name, and creates nothing."""
        missing = unique("missing")
        consumer = broker.consumer(group, [topic, missing], Reader(broker, group, topic))
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(TopicMissing, match=missing) as caught:
                await consumer.start()
            await consumer.stop()

        assert (missing,) == caught.value.topics
        assert missing not in await broker.admin.topics()

    async def test_partition_has_one_owner(self, broker: Broker, topic: str, group: str) -> None:
        """Two members share the partitions without overlap."""
        async with reading(broker, group, topic) as first, reading(broker, group, topic, first) as second:
            assert not first.owned & second.owned
            assert partitions_of(topic) == first.owned | second.owned

    async def test_rebalance_takes_everything_before_it_gives(self, broker: Broker, topic: str, group: str) -> None:
        """When somebody joins, a member hears that all it had is revoked, and then what it gets."""
        async with reading(broker, group, topic) as first, reading(broker, group, topic, first):
            assert ("revoked", partitions_of(topic)) == first.heard[1]
            assert ("assigned", first.owned) == first.heard[-1]
            assert {"assigned"} == {call for call, _ in first.heard[::2]}
            assert {"revoked"} == {call for call, _ in first.heard[1::2]}

    async def test_nobody_is_given_what_another_still_has(self, broker: Broker, topic: str, group: str) -> None:
        """As long as a member is giving up its partitions, nobody else is assigned any."""
        second = Reader(broker, group, topic)
        given: list[object] = []

        async def watch_the_other() -> None:
            await linger(broker)
            given.extend(second.heard)

        async with reading(broker, group, topic) as first:
            first.while_revoked = watch_the_other
            await share([first, second], joining=second)
            first.while_revoked = None
            await second.consumer.stop()

        assert [] == given

    async def test_nothing_is_polled_during_a_rebalance(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """From the call of ``on_revoked`` to the end of ``on_assigned`` no poll returns a record."""
        tempting = [ProducerRecord(topic, None, b"", partition=number % PARTITIONS) for number in range(20)]
        polled: list[Record] = []

        async def tempt() -> None:
            first.while_revoked = None
            await send(producer, *tempting)
            await linger(broker)
            polled.extend(first.records)
            first.while_assigned = hesitate

        async def hesitate() -> None:
            first.while_assigned = None
            await linger(broker)
            polled.extend(first.records)

        async with reading(broker, group, topic) as first:
            first.while_revoked = tempt
            async with reading(broker, group, topic, first):
                assert [] == polled
            await first.read(1)

    async def test_others_take_over_from_a_member_that_leaves(self, broker: Broker, topic: str, group: str) -> None:
        """When a member stops, its partitions go to the others, and its own listener is not called."""
        async with reading(broker, group, topic) as first:
            async with reading(broker, group, topic, first) as second:
                heard = list(second.heard)
            await share([first])

            assert partitions_of(topic) == first.owned
            assert heard == second.heard

    async def test_groups_do_not_share(self, broker: Broker, topic: str, group: str, producer: Producer) -> None:
        """Each group reads every record and keeps positions of its own."""
        [written] = await send(producer, ProducerRecord(topic, b"key", b"value"))
        partition = TopicPartition(topic, written.partition)
        async with reading(broker, group, topic) as one, reading(broker, unique("group"), topic) as other:
            await one.read(1)
            await one.commit(partition, 1)
            await other.read(1)

            assert one.records == other.records
            assert await other.committed(partition) is None


class CommitLaws:
    """Laws of commits."""

    features: ClassVar[Features]

    async def test_position_is_none_before_the_first_commit(self, broker: Broker, topic: str, group: str) -> None:
        """A group without commits has no positions."""
        async with reading(broker, group, topic) as reader:
            assert await reader.committed(TopicPartition(topic, 0)) is None
            assert {} == await broker.admin.committed(group)

    async def test_next_member_resumes_at_the_commit(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """Who takes over a partition finds the position that was committed for it."""
        await send(producer, *[ProducerRecord(topic, None, b"%d" % number, partition=0) for number in range(5)])
        async with reading(broker, group, topic) as reader:
            await reader.commit(TopicPartition(topic, 0), 3)
        async with reading(broker, group, topic) as reader:
            records = await reader.read(2)

        assert [b"3", b"4"] == [record.value for record in records]

    async def test_later_commit_replaces_the_earlier(self, broker: Broker, topic: str, group: str) -> None:
        """The last commit counts, also when it goes back; the admin sees what the group sees."""
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            await reader.commit(partition, 5, "far")
            await reader.commit(partition, 2, "back")

            assert OffsetAndMetadata(2, "back") == await reader.committed(partition)
            assert {partition: OffsetAndMetadata(2, "back")} == await broker.admin.committed(group)

    @pytest.mark.parametrize(
        "metadata", ["", "note", "größe €", "a" * METADATA_LIMIT, "€" * METADATA_LIMIT, "🙂" * (METADATA_LIMIT // 2)]
    )
    async def test_commit_metadata_is_kept(self, broker: Broker, topic: str, group: str, metadata: str) -> None:
        """Metadata up to the limit, counted in UTF-16 units, comes back as it was."""
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            await reader.commit(partition, 1, metadata)

            assert OffsetAndMetadata(1, metadata) == await reader.committed(partition)

    @pytest.mark.parametrize("metadata", ["a" * (METADATA_LIMIT + 1), "🙂" * (METADATA_LIMIT // 2 + 1)])
    async def test_longer_commit_metadata_is_refused(
        self, broker: Broker, topic: str, group: str, metadata: str
    ) -> None:
        """A commit with longer metadata raises, stores nothing, and does not harm the next one."""
        partition = TopicPartition(topic, 0)
        async with reading(broker, group, topic) as reader:
            with pytest.raises(BrokerError):
                await reader.commit(partition, 9, metadata)
            refused = await reader.committed(partition)
            await reader.commit(partition, 1)

            assert refused is None
            assert OffsetAndMetadata(1) == await reader.committed(partition)

    async def test_member_may_commit_what_is_being_revoked(
        self, broker: Broker, topic: str, group: str, producer: Producer
    ) -> None:
        """A commit from ``on_revoked`` counts: the generation is not over before the callback returns."""
        partition = TopicPartition(topic, 0)
        await send(producer, *[ProducerRecord(topic, None, b"", partition=0)] * 3)

        async def commit() -> None:
            first.while_revoked = None
            await first.commit(partition, 2)

        async with reading(broker, group, topic) as first:
            first.while_revoked = commit
            async with reading(broker, group, topic, first) as second:
                assert OffsetAndMetadata(2) == await second.committed(partition)

    async def test_commit_of_a_member_that_was_thrown_out_fails(self, broker: Broker, topic: str, group: str) -> None:
        """A member that keeps a rebalance waiting too long loses its place, and its commits change nothing."""
        if self.features.rebalance_timeout is None:
            pytest.skip("a rebalance waits too long for a test")
        partition = TopicPartition(topic, 0)
        release = asyncio.Event()

        async def keep_waiting() -> None:
            await release.wait()

        async with reading(broker, group, topic) as slow:
            slow.while_revoked = keep_waiting
            async with reading(broker, group, topic) as quick:
                with pytest.raises(CommitFailed):
                    await slow.commit(partition, 7)
                release.set()

                assert await quick.committed(partition) is None
