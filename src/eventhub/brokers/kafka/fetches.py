"""What the fetches of one consumer have told, besides records: ends, transactions, silence, and quotas.

The client drops ``throttle_time_ms``: a broker that mutes a connection since its quota is used up looks
as dead as one that died, for a minute and more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

log = structlog.get_logger()

LONGEST = 600.0
"""Seconds for which a broker is believed that it will be silent."""
NOTICED = 1.0
"""Seconds of silence that are worth a warning."""


class Fetches:
    """What one client has heard; it is listened to from now on."""

    def __init__(self, client: AIOKafkaConsumer) -> None:
        """Listen to a client that has not been started yet."""
        self._client = client
        self._answered: dict[
            TopicPartition, tuple[int, float]
        ] = {}  # the last answer's mark, and when it was first seen
        self._muted_until = 0.0
        connections: Any = client._client  # noqa: SLF001 - the only place where an answer is seen whole
        self._send, connections.send = connections.send, self._noting

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end, transactions that are open included, or None before the first fetch."""
        try:
            end: int | None = self._client.highwater(partition)
        except AssertionError:  # the client has lost it already
            return None
        return end

    def withheld(self, partition: TopicPartition) -> int:
        """How many offsets lie behind the beginning of an open transaction."""
        try:
            end, stable = self._client.highwater(partition), self._client.last_stable_offset(partition)
        except AssertionError:  # the client has lost it already
            return 0
        return 0 if end is None or stable is None or stable < 0 else max(end - stable, 0)

    def silence(self, partition: TopicPartition) -> float | None:
        """Seconds since an answer of the broker was last seen here or was due, or None before the first.

        It grows also while records that were read ahead wait to be polled. The client marks answers with the
        time of day, which may step; so a mark says that there was another answer, and not when.
        """
        try:
            answered = self._client.last_poll_timestamp(partition)
        except AssertionError:  # the client has lost it already
            return None
        if answered is None:
            return None
        now = time.monotonic()
        if self._answered.get(partition, (None,))[0] != answered:
            self._answered[partition] = answered, now
        return max(0.0, now - max(self._answered[partition][1], self._muted_until))

    async def _noting(self, node: object, request: object, **options: Any) -> Any:  # noqa: ANN401 - answers have no types
        """Send, and note for how long the broker will not answer."""
        answer = await self._send(node, request, **options)
        seconds = min(getattr(answer, "throttle_time_ms", 0) / 1000, LONGEST)
        if seconds > 0:
            self._muted_until = max(self._muted_until, time.monotonic() + seconds)
        if seconds >= NOTICED:
            log.warning("eventhub.throttled", seconds=round(seconds, 1))
        return answer
