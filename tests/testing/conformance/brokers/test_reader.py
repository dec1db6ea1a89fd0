"""The reader of the suite takes clients as they are."""

from __future__ import annotations

from eventhub.brokers.memory import MemoryBroker
from eventhub.testing.conformance.brokers.reader import Reader


async def test_revoking_nothing_before_the_first_assignment_is_no_news() -> None:
    """Kafka's client revokes an empty set when it joins; the reader does not take it for a rebalance."""
    reader = Reader(MemoryBroker(), "group", "topic")
    await reader.on_revoked(frozenset())

    assert [] == reader.heard
