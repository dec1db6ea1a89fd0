"""What a producer has to know of the topics it writes to."""

from __future__ import annotations

import asyncio

from eventhub.brokers.base import TopicInfo
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.errors import BrokerError, PublishRefused

MAX_AGE = 30.0
"""Seconds after which what is known of a topic is to be read again."""
FAILURE_AGE = 0.5
"""Seconds for which a failure to read a topic stands: whoever waited behind it would wait as long once more."""


class TopicCache:
    """Topics as they were last read. Times are the event loop's."""

    def __init__(self, admin: KafkaAdmin) -> None:
        """Start without any topic."""
        self._admin = admin
        self._topics: dict[str, TopicInfo] = {}
        self._read_at: dict[str, float] = {}
        self._failures: dict[str, tuple[float, BrokerError]] = {}

    def known(self, name: str) -> TopicInfo | None:
        """A topic as it was last read, however long ago."""
        return self._topics.get(name)

    def older(self, name: str, time: float) -> bool:
        """Whether a topic was last read before a time."""
        return self._read_at.get(name, time) < time

    def claim_stale(self, name: str, now: float) -> bool:
        """Whether the caller is to read a topic again; says so to one caller only."""
        if not self.older(name, now - MAX_AGE):
            return False
        self._read_at[name] = now
        return True

    async def read(self, name: str) -> TopicInfo | BrokerError:
        """Ask the broker for a topic; returns the error if there is none, or no answer.

        Without an answer what was known stays known.
        """
        loop = asyncio.get_running_loop()
        until, failure = self._failures.get(name, (0.0, None))
        if failure is not None and loop.time() < until:
            return failure
        try:
            info = (await self._admin.describe({name})).get(name)
        except BrokerError as error:
            failure = error
        else:
            if info is not None:
                self._topics[name] = info
                self._read_at[name] = loop.time()
                return info
            self._topics.pop(name, None)
            failure = PublishRefused(f"there is no topic {name}; create it first")
        self._failures[name] = loop.time() + FAILURE_AGE, failure
        return failure
