"""Ask a broker who it is, in bytes: a client would bring its own ideas of retrying."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

_METADATA, _METADATA_VERSION = 3, 2
"""Version 2 is the first that tells the cluster id. Source: Kafka protocol, Metadata API."""

_LARGEST_ANSWER_BYTES = 1 << 20
"""Another process on the port may answer anything; what it calls a length is not believed."""


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


async def fetch_metadata(host: str, port: int, timeout: float = 1.0) -> ClusterMetadata | None:
    """Ask one plaintext listener for its cluster, within this many seconds.

    Returns:
        None when nothing answers there, or something that does not speak Kafka.
    """
    try:
        async with asyncio.timeout(timeout):
            return parse_metadata(await _ask(host, port))
    except (OSError, EOFError, TimeoutError, ValueError, struct.error):
        return None


async def accepts(host: str, port: int) -> bool:
    """Whether a process listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _ask(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(metadata_request())
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 <= length <= _LARGEST_ANSWER_BYTES:
            message = f"{length} is no length of a Metadata answer"
            raise ValueError(message)
        return await reader.readexactly(length)
    finally:
        writer.close()


def metadata_request() -> bytes:
    """A Metadata request for no topic, with its length in front."""
    client = b"eventhub-probe"
    header = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, len(client)) + client
    body = struct.pack(">i", 0)  # an empty list is no topic; null would be all of them
    return struct.pack(">i", len(header + body)) + header + body


def parse_metadata(answer: bytes) -> ClusterMetadata:
    """Read a Metadata answer, without its length.

    Raises:
        ValueError: If the bytes are none.
        struct.error: If they end too soon.
    """
    reader = _Reader(answer, position=4)  # after the correlation id
    broker_ids = set()
    for _ in range(reader.int32()):
        broker_ids.add(reader.int32())
        reader.string()  # host
        reader.int32()  # port
        reader.string()  # rack
    cluster_id = reader.string()
    controller_id = reader.int32()
    return ClusterMetadata(cluster_id, frozenset(broker_ids), controller_id if controller_id >= 0 else None)


@dataclass(slots=True)
class _Reader:
    """Kafka's fixed-width types, one after the other."""

    data: bytes
    position: int

    def int32(self) -> int:
        (value,) = struct.unpack_from(">i", self.data, self.position)
        self.position += 4
        return int(value)

    def string(self) -> str | None:
        (length,) = struct.unpack_from(">h", self.data, self.position)
        self.position += 2
        if length < 0:
            return None
        value = self.data[self.position : self.position + length].decode()
        self.position += length
        return value
