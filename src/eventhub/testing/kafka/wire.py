"""As much of Kafka's protocol as a test cluster needs: one request, one answer, plain types."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

_CLIENT_ID = b"eventhub-testing"

_LARGEST_ANSWER_BYTES = 1 << 20
"""Another process on the port may answer anything; what it calls a length is not believed."""


async def ask(host: str, port: int, api: tuple[int, int], body: bytes, *, flexible: bool = False) -> Answer:
    """Send one request without security and read its answer.

    Args:
        host: Where the broker listens.
        port: Where the broker listens.
        api: The API's key and its version.
        body: The request, encoded.
        flexible: Whether the version is a flexible one (KIP-482), whose headers end with tags.

    Raises:
        OSError: If nobody listens there or the connection breaks.
        EOFError: If the connection ends too soon.
        ValueError: If what answers does not speak Kafka.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request(api, b"\0" + body if flexible else body))
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 <= length <= _LARGEST_ANSWER_BYTES:
            message = f"{host}:{port} does not speak Kafka: {length} is no length of an answer"
            raise ValueError(message)
        return Answer(await reader.readexactly(length), position=5 if flexible else 4)  # after the correlation id
    finally:
        writer.close()


def request(api: tuple[int, int], body: bytes) -> bytes:
    """A request with its header, and its length in front."""
    frame = struct.pack(">hhih", *api, 1, len(_CLIENT_ID)) + _CLIENT_ID + body
    return struct.pack(">i", len(frame)) + frame


def string(text: str | None) -> bytes:
    """A nullable string."""
    if text is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(text.encode())) + text.encode()


@dataclass(slots=True)
class Answer:
    """The fields of an answer, read one after the other.

    Every method raises ValueError when the bytes end too soon.
    """

    data: bytes
    position: int

    def int8(self) -> int:
        """The next signed byte."""
        return int.from_bytes(self.take(1), signed=True)

    def int16(self) -> int:
        """The next two bytes, signed."""
        return int.from_bytes(self.take(2), signed=True)

    def int32(self) -> int:
        """The next four bytes, signed."""
        return int.from_bytes(self.take(4), signed=True)

    def string(self) -> str | None:
        """The next nullable string."""
        length = self.int16()
        return None if length < 0 else self.take(length).decode()

    def take(self, length: int) -> bytes:
        """The next so many bytes."""
        taken = self.data[self.position : self.position + length]
        if len(taken) < length:
            message = f"the answer ends at byte {len(self.data)}, {length} more were expected"
            raise ValueError(message)
        self.position += length
        return taken
