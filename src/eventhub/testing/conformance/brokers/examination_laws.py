"""Laws of an examination: what keeps a group from reading is told by name, and asking changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from eventhub.brokers.base import Broker
from eventhub.errors import BrokerError
from eventhub.testing.conformance.brokers.reader import DEADLINE, partitions_of, reading, unique


class ExaminationLaws:
    """Laws of what is asked when nothing moves any longer."""

    async def test_nothing_is_found_where_nothing_is_wrong(self, broker: Broker, topic: str, group: str) -> None:
        """A group that can read its topic has nothing to hear, whether it has a member or not."""
        async with asyncio.timeout(DEADLINE):
            without = await broker.examine(group, [topic])
            async with reading(broker, group, topic):
                within = await broker.examine(group, [topic])

        assert ([], []) == (list(without), list(within))

    async def test_an_examination_changes_nothing(self, broker: Broker, topic: str, group: str) -> None:
        """A member keeps its partitions, and hears of no rebalance, while its group is examined."""
        async with asyncio.timeout(DEADLINE), reading(broker, group, topic) as reader:
            await broker.examine(group, [topic])
            await reader.poll_until(lambda: bool(reader.owned))

        assert [("assigned", partitions_of(topic))] == reader.heard

    async def test_missing_topic_is_found_by_name(self, broker: Broker, topic: str, group: str) -> None:
        """A topic that does not exist is told, and not created by asking."""
        missing = unique("missing")
        async with asyncio.timeout(DEADLINE):
            [found] = await broker.examine(group, [topic, missing])

        assert missing in found
        assert topic not in found
        assert missing not in await broker.admin.topics()

    async def test_partitions_without_a_reader_are_told(self, broker: Broker, topic: str, group: str) -> None:
        """Before anybody joins a group reads nothing, with a member everything."""
        async with asyncio.timeout(DEADLINE):
            before = await broker.admin.unread(group, [topic])
            async with reading(broker, group, topic):
                meanwhile = await broker.admin.unread(group, [topic])

        assert partitions_of(topic) == set(before)
        assert not meanwhile

    async def test_unread_partitions_of_a_missing_topic_are_an_error(
        self, broker: Broker, topic: str, group: str
    ) -> None:
        """A topic that does not exist has no partitions, which is no reason to call everything read."""
        missing = unique("missing")
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(BrokerError, match=missing):
                await broker.admin.unread(group, [topic, missing])
