"""One idempotent producer of the client, thrown away as soon as its sequence is in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer

from eventhub.brokers.kafka.closing import close_connections, end_tasks, tasks_of
from eventhub.brokers.kafka.errors import translated
from eventhub.brokers.kafka.lanes import Entry
from eventhub.brokers.kafka.nodes import spare_others
from eventhub.brokers.kafka.preflight import answering
from eventhub.record import TopicPartition

OPEN_TIMEOUT = 10.0
"""Seconds to connect and to get a producer id."""


class Session:
    """A producer id and its sequences of batches."""

    def __init__(self, client: AIOKafkaProducer) -> None:
        """Take over a started producer."""
        self._client = client
        self._under_way: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.discarded = False

    @classmethod
    async def open(cls, options: Mapping[str, Any]) -> Session:
        """Connect.

        Raises:
            BrokerError: If no broker answers within 10 s, or a right is missing.
        """
        with translated("connecting a producer"):
            async with asyncio.timeout(OPEN_TIMEOUT):
                client = AIOKafkaProducer(**await answering(options))
                spare_others(client.client)
                session = cls(client)
                try:
                    await client.start()
                except BaseException:
                    await session.discard()
                    raise
        return session

    async def write(self, partition: TopicPartition, batch: Sequence[Entry]) -> int:
        """Write a batch; returns its first offset, or -1 if the broker did not say.

        Raises:
            TimeoutError: If the first record's outcome is due, or the session was discarded.
            KafkaError: If the broker refused the batch.
        """
        builder = self._client.create_batch()
        for entry in batch:
            record = entry.record
            timestamp = None if record.timestamp is None else int(record.timestamp * 1000)
            builder.append(timestamp=timestamp, key=record.key, value=record.value, headers=list(record.headers))
        builder.close()
        async with asyncio.timeout_at(batch[0].deadline) as timeout:
            self._begin(timeout)
            try:
                await self._know(partition)
                written = await self._client.send_batch(builder, partition.topic, partition=partition.partition)
                base_offset: int = (await written).offset
            finally:
                self._end(timeout)
        return base_offset

    async def _know(self, partition: TopicPartition) -> None:
        """Wait until the client has heard of a partition, since it refuses to write to a new one before."""
        while partition.partition not in await self._client.partitions_for(partition.topic):
            await self._client.client.force_metadata_update()

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is under way, but not longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def discard(self) -> None:
        """Throw the client away without waiting for deliveries; each write under way ends with ``TimeoutError``."""
        self.discarded = True
        for timeout in self._under_way:
            if not timeout.expired():
                timeout.reschedule(0)
        self._client._closed = True  # noqa: SLF001 - its stop would wait for deliveries; this keeps it from complaining
        await end_tasks(tasks_of(self._client._sender))  # noqa: SLF001 - the client keeps them nowhere else
        await close_connections(self._client.client, 0.3)

    def _begin(self, timeout: asyncio.Timeout) -> None:
        self._under_way.add(timeout)
        self._idle.clear()

    def _end(self, timeout: asyncio.Timeout) -> None:
        self._under_way.discard(timeout)
        if not self._under_way:
            self._idle.set()
