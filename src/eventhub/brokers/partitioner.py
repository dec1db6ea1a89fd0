"""Kafka's default partitioner, so that a key lands where any Java producer puts it.

Source: ``org.apache.kafka.common.utils.Utils.murmur2`` and ``toPositive``, Apache Kafka 4.3.
"""

from __future__ import annotations

from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_WORD = Struct("<I")


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key among so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash of some bytes, unsigned."""
    length = len(data)
    whole = length & ~3
    h = _SEED ^ length
    for (word,) in _WORD.iter_unpack(data[:whole]):
        k = word * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ k >> 24) * _M & _MASK)
    if length & 3:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
