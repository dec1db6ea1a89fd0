"""Offset maps: which offsets beyond the committed one are done, as text in the commit's metadata.

Without them everything past a slow record would be handled again after a restart. The text is
``eh1:`` and the base64 of::

    version   1 byte
    kind      1 byte: runs or bitmap, deflated or not; the smallest of the four
    base      varint: the committed offset, absolute, so that a map never fits another one
    end       varint: one past the last delivered offset
    restarts  varint: twice their number, plus one while the record at the base is tried alone
    body      attempts: count, places among the unfinished (as gaps), numbers of attempts
              runs: lengths of unfinished and finished stretches in turn, from the base on; or
              bitmap: one bit an offset from the base on, lowest bit first, set where unfinished
    crc32     4 bytes, over all the bytes before it

Varints are little-endian groups of seven bits (Protocol Buffers). A map that is not understood
in full is ignored: its records are then handled again, which is always allowed, whereas an
offset wrongly called done would be lost.
"""

from __future__ import annotations

import zlib
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from eventhub.brokers.base import METADATA_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PREFIX = "eh1:"
_VERSION = 1
_RUNS, _BITMAP, _DEFLATED = 0, 1, 2
_KINDS = (_RUNS, _BITMAP, _RUNS | _DEFLATED, _BITMAP | _DEFLATED)
_CRC_BYTES = 4
_MAX_OFFSET = 2**63 - 1  # Kafka: offsets are signed 64-bit integers
_MAX_BODY_BYTES = 64 * 1024  # what deflated bytes may grow to; 3 KiB of them could reach 3 MiB
_MAX_UNFINISHED = 64 * 1024  # a few bytes of runs could claim 2**63 of them


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """What is done and what is not between a committed offset and the end of what was delivered."""

    base: int
    """The committed offset that the map belongs to."""
    end: int
    """One past the last delivered offset."""
    unfinished: frozenset[int] = frozenset()
    """Delivered offsets that are not done; all others between base and end are."""
    attempts: Mapping[int, int] = field(default_factory=dict)
    """How many attempts were already made at some of the unfinished offsets."""
    restarts: int = 0
    """How often in a row the partition was taken over, without progress and without being given up in order."""
    trying: bool = False
    """Whether the record at the base is being tried alone, under suspicion of ending the process."""

    def __post_init__(self) -> None:
        """Refuse what no partition can look like.

        Raises:
            ValueError: If offsets lie outside of base and end, or a count is negative.
        """
        if not 0 <= self.base <= self.end <= _MAX_OFFSET:
            msg = f"base and end of an offset map must be offsets in order, not {self.base} and {self.end}"
            raise ValueError(msg)
        if self.unfinished and not (self.base <= min(self.unfinished) and max(self.unfinished) < self.end):
            msg = f"unfinished offsets must lie in [{self.base}, {self.end})"
            raise ValueError(msg)
        if not self.attempts.keys() <= self.unfinished:
            msg = "only unfinished offsets have attempts"
            raise ValueError(msg)
        if self.restarts < 0 or any(attempts < 1 for attempts in self.attempts.values()):
            msg = "restarts must not be negative, and attempts at least 1"
            raise ValueError(msg)

    def done(self, offset: int) -> bool:
        """Whether a record was finished before, so that it must not be handled again."""
        return self.base <= offset < self.end and offset not in self.unfinished


def encode_map(offset_map: OffsetMap, *, limit: int = METADATA_LIMIT) -> str | None:
    """The map as ASCII text, or None if it takes more than ``limit`` characters."""
    if len(offset_map.unfinished) > _MAX_UNFINISHED:
        return None
    bodies = {kind: body for kind, body in _bodies(offset_map) if len(body) <= _MAX_BODY_BYTES}
    bodies |= {kind | _DEFLATED: _deflate(body) for kind, body in bodies.items()}
    if not bodies:
        return None
    kind, body = min(bodies.items(), key=lambda candidate: len(candidate[1]))
    numbers = _varints((offset_map.base, offset_map.end, offset_map.restarts << 1 | offset_map.trying))
    content = bytes((_VERSION, kind)) + numbers + body
    checked = content + zlib.crc32(content).to_bytes(_CRC_BYTES, "big")
    text = _PREFIX + b2a_base64(checked, newline=False).decode("ascii")
    return text if len(text) <= min(limit, METADATA_LIMIT) else None


def decode_map(text: str, committed: int) -> OffsetMap | None:
    """The map in the metadata of a commit, or None if there is none that can be trusted.

    Anything is taken: foreign text, another version, damage, the map of another offset, or a
    text that was made to exhaust memory. The work is bounded whatever it says.
    """
    if not text.startswith(_PREFIX) or len(text) > METADATA_LIMIT:
        return None
    try:
        checked = a2b_base64(text[len(_PREFIX) :], strict_mode=True)
        content, crc = checked[:-_CRC_BYTES], checked[-_CRC_BYTES:]
        if zlib.crc32(content).to_bytes(_CRC_BYTES, "big") != crc:
            return None
        offset_map = _read(content)
    except (ValueError, IndexError, zlib.error):
        return None
    return offset_map if offset_map.base == committed else None


def _bodies(offset_map: OffsetMap) -> Iterator[tuple[int, bytes]]:
    """The body in each kind that is not absurdly large, not deflated yet."""
    unfinished = sorted(offset_map.unfinished)
    places = [place for place, offset in enumerate(unfinished) if offset in offset_map.attempts]
    attempts = _varints(
        (
            len(places),
            *(place - before for before, place in pairwise((0, *places))),
            *(offset_map.attempts[unfinished[place]] for place in places),
        )
    )
    yield _RUNS, attempts + _varints(_runs(offset_map, unfinished))
    if (offset_map.end - offset_map.base) // 8 <= _MAX_BODY_BYTES:
        yield _BITMAP, attempts + _bitmap(offset_map)


def _runs(offset_map: OffsetMap, unfinished: list[int]) -> Iterator[int]:
    """The lengths of stretches that are unfinished, finished, unfinished ... and end at the end."""
    start = position = offset_map.base  # the unfinished stretch under way, and one past it
    for offset in unfinished:
        if offset != position:
            yield position - start
            yield offset - position
            start = offset
        position = offset + 1
    yield position - start
    yield offset_map.end - position


def _bitmap(offset_map: OffsetMap) -> bytes:
    bits = bytearray((offset_map.end - offset_map.base + 7) // 8)
    for offset in offset_map.unfinished:
        index = offset - offset_map.base
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)


def _deflate(body: bytes) -> bytes:
    """The body without the frame of zlib, whose checksum would be a second one."""
    compressor = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def _inflate(deflated: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    body = decompressor.decompress(deflated, _MAX_BODY_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        msg = "deflated body is cut off, too large, or followed by something"
        raise ValueError(msg)
    return body


def _read(content: bytes) -> OffsetMap:
    """The map in bytes whose checksum is right.

    Raises:
        ValueError: If they are no map of this version.
        IndexError: If they end too early.
    """
    version, kind = content[0], content[1]
    if version != _VERSION or kind not in _KINDS:
        msg = f"unknown version {version} or kind {kind}"
        raise ValueError(msg)
    (base, end, restarts), position = _read_varints(content, 2, 3)
    body = content[position:]
    if kind & _DEFLATED:
        body = _inflate(body)
    (parked,), position = _read_varints(body, 0, 1)
    numbers, position = _read_varints(body, position, 2 * parked)
    read = _read_bitmap if kind & _BITMAP else _read_runs
    unfinished = read(body[position:], base, end)
    places = accumulate(numbers[:parked])
    attempts = {unfinished[place]: made for place, made in zip(places, numbers[parked:], strict=True)}
    return OffsetMap(base, end, frozenset(unfinished), attempts, restarts >> 1, bool(restarts & 1))


def _read_runs(payload: bytes, base: int, end: int) -> list[int]:
    """The unfinished offsets, in order."""
    unfinished: list[int] = []
    position = 0
    offset = base
    while position < len(payload):
        (pending, finished), position = _read_varints(payload, position, 2)
        if len(unfinished) + pending > _MAX_UNFINISHED:
            msg = f"more than {_MAX_UNFINISHED} unfinished offsets"
            raise ValueError(msg)
        unfinished.extend(range(offset, offset + pending))
        offset += pending + finished
    if offset != end:
        msg = f"runs lead to {offset}, not to the end {end}"
        raise ValueError(msg)
    return unfinished


def _read_bitmap(payload: bytes, base: int, end: int) -> list[int]:
    """The unfinished offsets, in order."""
    bits = int.from_bytes(payload, "little")
    if len(payload) != (end - base + 7) // 8 or bits.bit_count() > _MAX_UNFINISHED:
        msg = "bitmap is longer or shorter than its range, or full of unfinished offsets"
        raise ValueError(msg)
    return [base + 8 * place + bit for place, byte in enumerate(payload) if byte for bit in range(8) if byte >> bit & 1]


def _varints(numbers: Iterable[int]) -> bytes:
    written = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:  # noqa: PLR2004 - seven bits a byte
            written.append(rest & 0x7F | 0x80)
            rest >>= 7
        written.append(rest)
    return bytes(written)


def _read_varints(content: bytes, position: int, count: int) -> tuple[list[int], int]:
    """So many numbers from a position on, and the position after them.

    Raises:
        ValueError: If a number is larger than an offset can be.
        IndexError: If the bytes end before all are read.
    """
    numbers: list[int] = []
    for _ in range(count):
        number = shift = 0
        while content[position] > 0x7F:  # noqa: PLR2004 - seven bits a byte
            number |= (content[position] & 0x7F) << shift
            shift += 7
            position += 1
            if shift > _MAX_OFFSET.bit_length():
                msg = "a number is larger than any offset"
                raise ValueError(msg)
        numbers.append(number | content[position] << shift)
        position += 1
    return numbers, position
