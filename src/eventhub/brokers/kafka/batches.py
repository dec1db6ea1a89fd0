r"""Batches as Kafka keeps them, read where the client gives up.

Kafka takes any bytes as the name of a header, and clients in other languages send them; aiokafka
0.14 decodes names as strict UTF-8, and one that is none costs it the whole fetch. This reader writes
such bytes as ``\xNN``. It is asked only for what the client could not take apart, so it may be slow.

Source: Kafka's documentation, "Record Batch" and "Control Batches"; KIP-98 (aborted transactions).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aiokafka.record.util import calc_crc32c
from aiokafka.record.util import decode_varint_py as decode_varint  # the compiled one reads past the end of its buffer

from eventhub.brokers.kafka.decompression import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from eventhub.errors import RecordUnreadable
from eventhub.record import Headers, Record, TopicPartition

_PREFIX = struct.Struct(">qi")  # base offset, and the length of what follows
_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21  # the checksum covers everything from the attributes on
_MAGIC = 2  # the only format that Kafka has written since 0.11
_ABORT = b"\x00\x00\x00\x00"  # version and type of the control record that ends an aborted transaction

_CODECS = (bytes, gzip_decode, snappy_decode, lz4_decode, zstd_decode)
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20  # bits of the attributes


class Fetched(NamedTuple):
    """One partition's share of an answer to a fetch."""

    data: bytes
    """Batches, the last one perhaps cut off."""
    aborted: Sequence[tuple[int, int]] = ()
    """The aborted transactions among them: the producer's id and the first offset."""


class _Batch(NamedTuple):
    """What a batch says of itself, and its records as they are stored."""

    base_offset: int
    next_offset: int
    attributes: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    size: int
    body: bytes


def read_batches(fetched: Fetched, place: TopicPartition, offset: int, max_records: int) -> tuple[list[Record], int]:
    """The committed records from an offset on, and the offset to go on at.

    Args:
        fetched: What the broker answered.
        place: Where it was fetched.
        offset: The first offset that is wanted; a batch may begin before it.
        max_records: How many records are wanted at most.

    Raises:
        RecordUnreadable: If a batch is damaged, or in a format or codec that is not known.
    """
    records: list[Record] = []
    following = offset
    try:
        for batch in _committed(_batches(fetched.data), fetched.aborted):
            for record in _records(batch, place):
                if record.offset >= offset:
                    if len(records) == max_records:
                        return records, record.offset
                    records.append(record)
            following = max(following, batch.next_offset)
    except Exception as error:  # every codec has errors of its own for bytes that are not its
        if records:  # they first, or they would be lost; the next call begins at the damage
            return records, records[-1].offset + 1
        msg = f"{place.topic}[{place.partition}]: the batch at offset {following} cannot be read: {error!r}"
        raise RecordUnreadable(msg) from error
    return records, following


def _batches(data: bytes) -> Iterator[_Batch]:
    start = 0
    while start + _HEADER.size <= len(data):
        base, length = _PREFIX.unpack_from(data, start)
        end = start + _PREFIX.size + length
        if end > len(data):
            return  # cut off: the answer was full
        _, _, _, magic, checksum, attributes, last, first_time, max_time, producer, _, _, count = _HEADER.unpack_from(
            data, start
        )
        if magic != _MAGIC:
            msg = f"its format is {magic}, not {_MAGIC}"
            raise ValueError(msg)
        if end < start + _HEADER.size or calc_crc32c(data[start + _CHECKED_FROM : end]) != checksum:
            msg = "its checksum is wrong"
            raise ValueError(msg)
        body = data[start + _HEADER.size : end]
        yield _Batch(base, base + last + 1, attributes, first_time, max_time, producer, count, body)
        start = end


def _committed(batches: Iterator[_Batch], aborted: Sequence[tuple[int, int]]) -> Iterator[_Batch]:
    """The batches in turn; those of control records and of aborted transactions without their records."""
    begun = sorted(aborted, key=lambda transaction: transaction[1], reverse=True)
    aborting: set[int] = set()
    for batch in batches:
        while begun and begun[-1][1] <= batch.base_offset:
            aborting.add(begun.pop()[0])
        if batch.attributes & _CONTROL:
            [marker] = _records(batch, TopicPartition("", 0))
            if marker.key == _ABORT:
                aborting.discard(batch.producer_id)
            yield batch._replace(size=0)
        elif batch.attributes & _TRANSACTIONAL and batch.producer_id in aborting:
            yield batch._replace(size=0)
        else:
            yield batch


def _records(batch: _Batch, place: TopicPartition) -> Iterator[Record]:
    body = bytearray(_CODECS[batch.attributes & _CODEC](batch.body) if batch.size else b"")
    at = 0
    for _ in range(batch.size):
        length, at = decode_varint(body, at)
        end = at + length
        time_delta, at = decode_varint(body, at + 1)  # past the attributes, of which none is in use
        offset_delta, at = decode_varint(body, at)
        key, at = _bytes(body, at)
        value, at = _bytes(body, at)
        headers, at = _headers(body, at)
        if at != end or end > len(body):
            msg = f"a record of {length} bytes ends elsewhere"
            raise ValueError(msg)
        time = batch.max_timestamp if batch.attributes & _APPEND_TIME else batch.first_timestamp + time_delta
        yield Record(*place, batch.base_offset + offset_delta, time / 1000, key, value, headers)


def _headers(body: bytearray, at: int) -> tuple[Headers, int]:
    count, at = decode_varint(body, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(body, at)
        value, at = _bytes(body, at)
        if name is None:
            msg = "a header has no name"
            raise ValueError(msg)
        headers.append((name.decode(errors="backslashreplace"), value))
    return tuple(headers), at


def _bytes(body: bytearray, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(body, at)
    return (None, at) if length < 0 else (bytes(body[at : at + length]), at + length)
