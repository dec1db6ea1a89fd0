"""A bound on what a batch may become when it is decompressed; the client has none.

A few hundred kilobytes on the wire can be gigabytes in memory, and the broker takes them. One such batch
would end every process that meets it, one after the other, before anything could be noted about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.record._crecords import default_records, legacy_records

LIMIT_BYTES = 64 * 1024 * 1024
"""The largest batch, decompressed: as much as a service has in flight at most."""

_FIRST_BYTES = 64 * 1024
_RATIO = 8  # seldom more, so that mostly the first buffer suffices
_TOO_SMALL = "failed to write whole buffer"
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16

Payload = bytes | memoryview
Decode = Callable[[Payload], bytes]


class TooLarge(ValueError):
    """A batch would be larger than ``LIMIT_BYTES`` once it is decompressed."""


def _bounded(decompress_into: Callable[[Payload, bytearray], int]) -> Decode:
    """A function that decompresses into buffers that grow up to the limit."""

    def decode(payload: Payload) -> bytes:
        size = min(len(payload) * _RATIO + _FIRST_BYTES, LIMIT_BYTES)
        while True:
            buffer = bytearray(size)
            try:
                written = decompress_into(payload, buffer)
            except cramjam.DecompressionError as error:
                if str(error) != _TOO_SMALL:
                    raise
                if size == LIMIT_BYTES:
                    raise _too_large() from error
                size = min(size * _RATIO, LIMIT_BYTES)
            else:
                return bytes(memoryview(buffer)[:written])

    return decode


def snappy_decode(payload: Payload) -> bytes:
    """Decompress Snappy, raw or in the blocks of xerial's library; both tell their size in front."""
    data = memoryview(payload)
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        return _snappy_block(data, LIMIT_BYTES)
    blocks: list[bytes] = []
    left, at = LIMIT_BYTES, _XERIAL_HEADER_BYTES
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4])
        blocks.append(_snappy_block(data[at + 4 : end], left))
        left, at = left - len(blocks[-1]), end
    return b"".join(blocks)


def _snappy_block(block: memoryview, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > limit:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(block))


def _too_large() -> TooLarge:
    return TooLarge(f"a batch is larger than {LIMIT_BYTES // 1024 // 1024} MiB once it is decompressed")


gzip_decode = _bounded(cramjam.gzip.decompress_into)
lz4_decode = _bounded(cramjam.lz4.decompress_into)
zstd_decode = _bounded(cramjam.zstd.decompress_into)


def bound_decompression() -> None:
    """Let the client decompress no more than ``LIMIT_BYTES`` at once, for the whole process.

    The client offers no place to say so: its extension looks the functions up by name whenever it needs one.
    """
    extensions: tuple[Any, ...] = (default_records, legacy_records)
    for module in extensions:
        module.gzip_decode, module.snappy_decode = gzip_decode, snappy_decode
        module.lz4_decode, module.zstd_decode = lz4_decode, zstd_decode
