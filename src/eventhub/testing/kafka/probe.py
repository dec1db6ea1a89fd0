"""Ask a broker who it is, in bytes: a client would bring its own ideas of retrying."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from eventhub.testing.kafka.wire import Answer, ask

_METADATA = (3, 2)
"""Version 2 is the first that tells the cluster id. Source: Kafka protocol, Metadata API."""

_NO_TOPICS = struct.pack(">i", 0)
"""An empty list is no topic; null would be all of them."""


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """What one broker says of its cluster.

    Attributes:
        cluster_id: None while the broker does not know it.
        broker_ids: The brokers that are registered and alive.
        controller_id: None while there is none.
    """

    cluster_id: str | None
    broker_ids: frozenset[int]
    controller_id: int | None


async def fetch_metadata(host: str, port: int, within: float = 1.0) -> ClusterMetadata | None:
    """Ask one listener without security for its cluster, within this many seconds.

    Returns:
        None when nothing answers there, or something that does not speak Kafka.
    """
    try:
        async with asyncio.timeout(within):
            return read_metadata(await ask(host, port, _METADATA, _NO_TOPICS))
    except (OSError, EOFError, TimeoutError, ValueError):
        return None


async def accepts(host: str, port: int) -> bool:
    """Whether a process listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def read_metadata(answer: Answer) -> ClusterMetadata:
    """Read the answer to a Metadata request.

    Raises:
        ValueError: If the bytes are none.
    """
    broker_ids = set()
    for _ in range(answer.int32()):
        broker_ids.add(answer.int32())
        answer.string()  # host
        answer.int32()  # port
        answer.string()  # rack
    cluster_id = answer.string()
    controller_id = answer.int32()
    return ClusterMetadata(cluster_id, frozenset(broker_ids), controller_id if controller_id >= 0 else None)
