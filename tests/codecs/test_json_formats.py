"""Which texts a class takes for what, as the table says and as pydantic does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pydantic
import pytest
from pydantic import BeforeValidator, ConfigDict, PlainSerializer, create_model

from eventhub.codecs.json_formats import PARSED
from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.errors import SchemaMismatch
from eventhub.event import Event

CODEC = JsonSchemaCodec()
_FAR = timezone(timedelta(hours=-11, minutes=-30))
_MOMENTS = [datetime(1, 1, 1), datetime(2020, 2, 29, 23, 59, 59, 999999), datetime(9999, 12, 31)]  # noqa: DTZ001 - zones come later
_AWARE = [_MOMENTS[1].replace(tzinfo=zone) for zone in (UTC, _FAR)]
_V4, _V6 = IPv4Address("1.2.3.4"), IPv6Address("::ffff:1.2.3.4")
_NET4, _NET6 = IPv4Network("1.2.3.0/24"), IPv6Network("fe80::/10")
_IF4, _IF6 = IPv4Interface("1.2.3.4/24"), IPv6Interface("fe80::1/64")


def _uuid(version: int) -> UUID:
    return (
        UUID(int=0x0190_0000_0000_7000_8000_0000_0000_0001, version=version)
        if version < 6
        else UUID(f"01900000-0000-{version}000-8000-000000000001")
    )


@dataclass(frozen=True)
class Kind:
    """A type whose values are written as texts, and some of them."""

    annotation: Any
    values: list[Any]


KINDS = {
    "text": Kind(str, ["", "(", "tea"]),
    "datetime": Kind(datetime, [*_MOMENTS, *_AWARE]),
    "aware": Kind(pydantic.AwareDatetime, _AWARE),
    "date": Kind(date, [date.min, date.max]),
    "time": Kind(time, [time.min, time.max, time(1, 2, 3, tzinfo=_FAR)]),
    "timedelta": Kind(timedelta, [timedelta(0), timedelta(-1, 1, 1), timedelta(days=999_999_999)]),
    "uuid": Kind(UUID, [UUID(int=0), *map(_uuid, (1, 3, 4, 5, 6, 7, 8))]),
    **{
        f"uuid{version}": Kind(getattr(pydantic, f"UUID{version}"), [_uuid(version)])
        for version in (1, 3, 4, 5, 6, 7, 8)
    },
    "url": Kind(pydantic.AnyUrl, [pydantic.AnyUrl("mailto:a@b.example"), pydantic.AnyUrl("https://b.example/c")]),
    "dsn": Kind(pydantic.PostgresDsn, [pydantic.PostgresDsn("postgres://a@b:1,c:2/d")]),
    "path": Kind(Path, [Path("tea"), Path("/")]),
    "file": Kind(pydantic.FilePath, [Path(__file__)]),
    "directory": Kind(pydantic.DirectoryPath, [Path(__file__).parent]),
    "ipv4": Kind(IPv4Address, [_V4]),
    "ipv6": Kind(IPv6Address, [_V6]),
    "ip": Kind(pydantic.IPvAnyAddress, [_V4, _V6]),
    "network4": Kind(IPv4Network, [_NET4]),
    "network6": Kind(IPv6Network, [_NET6]),
    "network": Kind(pydantic.IPvAnyNetwork, [_NET4, _NET6]),
    "interface4": Kind(IPv4Interface, [_IF4]),
    "interface6": Kind(IPv6Interface, [_IF6]),
    "interface": Kind(pydantic.IPvAnyInterface, [_IF4, _IF6]),
    "pattern": Kind(re.Pattern, [re.compile("a[b]")]),
    "base64": Kind(pydantic.Base64Bytes, [b"", b"//79"]),
    "bytes": Kind(bytes, [b"", b"\xff\xfe\xfd"]),
}
_NOT_HERE = {"email", "name-email", "color"}  # need a package that is not installed, or a type that is going away

_ZONES = {("aware", "datetime"), ("aware", "date")}  # which no format tells


def event(annotation: Any) -> type[Event]:
    """An event with one field."""

    class Bytes(Event):
        """What bytes ask for."""

        model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    made: Any = create_model("Noted", __base__=Bytes, __cls_kwargs__={"topic": "notes"}, at=(annotation, ...))
    return made  # type: ignore[no-any-return] # what create_model makes of a base has no type


EVENTS = {name: event(kind.annotation) for name, kind in KINDS.items()}


def is_read(reader: type[Event], value: Event) -> bool:
    """Whether a class takes an event of another version of itself."""
    schema = CODEC.schema(type(value))
    try:
        CODEC.decoder(reader, schema)(CODEC.encoder(type(value), schema, b"")(value), 0)
    except SchemaMismatch:
        return False
    return True


@pytest.mark.parametrize("writer", KINDS)
@pytest.mark.parametrize("reader", KINDS)
def test_what_has_no_problem_is_read(reader: str, writer: str) -> None:
    """Where a class is said to read what another wrote, it takes every value of it."""
    found = CODEC.problems(EVENTS[reader], CODEC.schema(EVENTS[writer]))
    values = [EVENTS[writer].model_validate({"at": value}) for value in KINDS[writer].values]

    assert found or (reader, writer) in _ZONES or all(is_read(EVENTS[reader], value) for value in values)


def test_every_format_of_the_table_is_written_by_a_type() -> None:
    """Nothing is in it that pydantic does not say."""
    texts = [CODEC.schema(each).text for each in EVENTS.values()]

    assert {each for each in PARSED if any(f'"format":"{each}"' in text for text in texts)} == PARSED.keys() - _NOT_HERE


@pytest.mark.parametrize(
    ("reader", "writer", "kinds"),
    [
        ("date", "datetime", ["FORMAT_NARROWED"]),
        ("datetime", "time", ["FORMAT_NARROWED"]),
        ("datetime", "text", ["FORMAT_NARROWED"]),
        ("uuid7", "uuid", ["FORMAT_NARROWED"]),
        ("uuid", "uuid7", []),
        ("datetime", "date", []),
        ("aware", "datetime", []),
        ("text", "date", []),
        ("path", "text", []),
    ],
)
def test_a_text_that_is_parsed_otherwise_is_a_problem(reader: str, writer: str, kinds: list[str]) -> None:
    """A wider type may take over from a narrower one, and nothing but the format is between the two."""
    found = CODEC.problems(EVENTS[reader], CODEC.schema(EVENTS[writer]))

    assert kinds == [problem.kind for problem in found]
    assert all("/properties/at/format" == problem.path for problem in found)


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (Annotated[date, BeforeValidator(lambda text: text[:10])], []),
        (Annotated[date, PlainSerializer(str, when_used="json")], ["FORMAT_NARROWED"]),
        (pydantic.AnyUrl, ["FORMAT_NARROWED", "MIN_LENGTH_NARROWED"]),
    ],
)
def test_code_of_the_class_may_take_any_text(annotation: Any, kinds: list[str]) -> None:
    """Only a validator, and no serializer, and none of pydantic's own."""
    found = CODEC.problems(event(annotation), CODEC.schema(EVENTS["datetime"]))

    assert kinds == sorted(problem.kind for problem in found)


def test_a_schema_by_hand_parses_nothing() -> None:
    """What the class makes of a text is not known from it."""

    class Noted(Event, topic="notes"):
        """With a format that its class does not parse."""

        __schema__ = """{"title": "Noted", "type": "object",
            "properties": {"at": {"type": "string", "format": "date"}}, "required": ["at"]}"""

        at: str

    assert () == tuple(CODEC.problems(Noted, CODEC.schema(EVENTS["text"])))
