"""The frame around a body: exact bytes both ways, and frames that are none."""

from __future__ import annotations

from uuid import UUID

import pytest

from eventhub.codecs import wire
from eventhub.errors import DecodeError

GUID = UUID("89791762-2336-4186-9674-299b90a802e2")


def test_the_classic_frame_is_a_zero_and_four_bytes() -> None:
    """Ids are big-endian after the magic byte."""
    assert bytes.fromhex("00 00 01 e2 40") == wire.prefix(123456)


def test_the_id_of_a_classic_frame_is_read() -> None:
    """Whatever follows the frame does not matter, not even that nothing follows."""
    assert [1, 123456, 0x7FFFFFFF] == [
        wire.schema_id(bytes.fromhex(value)) for value in ("00 00000001 06", "00 0001e240", "00 7fffffff ff")
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "value is empty"),
        ("00", "ends within its frame: 00"),
        ("00 00 00 01", "ends within its frame: 00 00 00 01"),
        ("7b 22 61 22 3a 31 7d", "looks like plain JSON"),
        ("20 0a 5b 31 5d", "looks like plain JSON"),
        ("02 6f", "unknown magic byte 0x02: 02 6f; it was not written with a Schema Registry serializer"),
        ("01 8979176223364186", "GUID frame, which belongs in the header __value_schema_id"),
        ("00 00000000 00000007 06", "schema id is 0, which no registry gives.*Apicurio"),
        ("00 ffffffff 06", "schema id is negative"),
    ],
)
def test_a_value_without_a_classic_frame_is_explained(value: str, reason: str) -> None:
    """The error names the likely producer, since an unknown magic byte alone helps nobody."""
    with pytest.raises(DecodeError, match=reason):
        wire.schema_id(bytes.fromhex(value))


def test_an_error_shows_only_the_first_bytes() -> None:
    """A megabyte of garbage makes no megabyte of message."""
    with pytest.raises(DecodeError, match=r"ff ff ff \.\.\. \(1000000 bytes\)") as raised:
        wire.schema_id(b"\xff" * 1_000_000)

    assert len(str(raised.value)) < 300


def test_a_header_names_its_schema_by_guid_or_id() -> None:
    """Version 1 stands before a GUID, version 0 before an id; message indexes may follow."""
    headers = (b"\x01" + GUID.bytes, b"\x01" + GUID.bytes + bytes.fromhex("06020406"), b"\x00\x00\x00\x00\x07")

    assert [GUID, GUID, 7] == [wire.header_schema(header) for header in headers]


@pytest.mark.parametrize("header", [b"", b"\x01", b"\x01" + GUID.bytes[:15], b"\x00\x00\x00\x01", b"\x02" + GUID.bytes])
def test_a_header_that_names_no_schema_is_refused(header: bytes) -> None:
    """A header cut short, or of a version nobody knows, is an error and no guess."""
    with pytest.raises(DecodeError, match="header __value_schema_id names no schema"):
        wire.header_schema(header)


@pytest.mark.parametrize(
    ("indexes", "written"),
    [
        ((0,), "00"),
        ((1,), "02 02"),
        ((0, 0), "04 00 00"),
        ((2, 1), "04 04 02"),
        ((64,), "02 80 01"),
        ((1, 0, 3), "06 02 00 06"),
    ],
)
def test_message_indexes_are_what_other_clients_write(indexes: tuple[int, ...], written: str) -> None:
    """The bytes are those of confluent-kafka-python 2.16."""
    assert bytes.fromhex(written) == wire.write_indexes(indexes)
    assert (indexes, len(bytes.fromhex(written))) == wire.read_indexes(bytes.fromhex(written), 0)


def test_the_long_form_of_the_first_index_is_read() -> None:
    """Some writers do not shorten the path to the first message."""
    assert ((0,), 2) == wire.read_indexes(b"\x02\x00", 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "ends early"),
        ("02", "ends early"),
        ("02 80", "ends early"),
        ("ff ff ff ff ff ff 01", "longer than 5 bytes"),
        ("03", "has -2 message indexes"),
        ("82 01", "has 65 message indexes, allowed are up to 64"),
        ("fe ff ff ff 0f", "has 2147483647 message indexes"),
        ("02 01", "message index is negative: -1"),
    ],
)
def test_hostile_message_indexes_are_refused(value: str, reason: str) -> None:
    """Counts and numbers are bounded before anything is done with them."""
    with pytest.raises(DecodeError, match=reason):
        wire.read_indexes(bytes.fromhex(value), 0)
