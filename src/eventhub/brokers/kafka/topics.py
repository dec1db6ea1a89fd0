"""What a producer has to know of the topics it writes to."""

from __future__ import annotations

from contextlib import suppress

from eventhub.brokers.base import TopicInfo
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.errors import BrokerError, PublishRefused

MAX_AGE = 30.0
"""Seconds after which what is known of a topic is to be read again."""


class TopicCache:
    """Topics as they were last read. Times are the event loop's."""

    def __init__(self, admin: KafkaAdmin) -> None:
        """Start without any topic."""
        self._admin = admin
        self._topics: dict[str, TopicInfo] = {}
        self._read_at: dict[str, float] = {}

    def known(self, name: str) -> TopicInfo | None:
        """A topic as it was last read, however long ago."""
        return self._topics.get(name)

    def claim_stale(self, name: str, now: float) -> bool:
        """Whether the caller is to read a topic again; says so to one caller only."""
        if now - self._read_at.get(name, now) <= MAX_AGE:
            return False
        self._read_at[name] = now
        return True

    async def read(self, name: str, now: float) -> TopicInfo:
        """Ask the broker for a topic.

        Raises:
            PublishRefused: If there is no such topic.
            BrokerError: If the broker does not answer.
        """
        info = (await self._admin.describe({name})).get(name)
        if info is None:
            self._topics.pop(name, None)
            msg = f"there is no topic {name}, or it is hidden from this user; create it first"
            raise PublishRefused(msg)
        self._topics[name] = info
        self._read_at[name] = now
        return info

    async def refresh(self, name: str, now: float) -> None:
        """Read a topic again; what was known stays known if the broker does not answer."""
        with suppress(BrokerError):
            await self.read(name, now)
