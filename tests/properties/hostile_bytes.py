"""Feed damaged records of one format to a reader, with little memory and time.

``python -m tests.properties.hostile_bytes avro 1`` is a process of its own, since what it looks for would end it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel, Field

from eventhub.codecs.avro.binary import varint
from eventhub.codecs.number import Number
from eventhub.codecs.serde import Reader, SchemaUnresolved, Serde
from eventhub.codecs.wire import prefix
from eventhub.errors import DecodeError, SchemaMismatch
from eventhub.event import Event, Format
from eventhub.record import Record
from eventhub.registry.client import embedded_registry
from eventhub.testing.conformance.codecs import FULL, Ordered
from tests.properties.damage import mutated

MEGABYTE = 1 << 20
MEMORY = 1024 * MEGABYTE
"""Of the process, libraries included; a record has at most a megabyte."""
SECONDS = 120
"""Of the processor, for all records together."""
MUTATIONS = 5_000
_MESSAGE = 10_000  # characters; an error ends up in a header and a log


class Tree(BaseModel):
    """A model that contains itself."""

    name: Annotated[str, Number(1)] = ""
    trees: Annotated[list[Tree], Number(2)] = Field(default_factory=list)


class Everything(Ordered):
    """An event with something that contains itself."""

    tree: Annotated[Tree, Number(30)] = Tree()
    trees: Annotated[list[Tree], Number(31)] = Field(default_factory=list)


CLASSES: dict[str, type[Event]] = {
    form: type(f"Hostile{form.title()}", (Everything,), {"__module__": __name__}, topic=form, format=Format(name))
    for form, name in (("avro", "avro"), ("json", "json_schema"), ("protobuf", "protobuf"))
}


def length(number: int) -> bytes:
    """A length as Protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def nested(levels: int) -> bytes:
    """A Protobuf tree of so many levels, for the field 30."""
    parts, size = [], 0
    for number in (*(2,) * levels, 30):
        head = length(number << 3 | 2) + length(size)
        parts.append(head)
        size += len(head)
    return b"".join(reversed(parts))


def made_to_harm(form: str, good: bytes) -> Iterator[bytes]:
    """Bodies that cost more than they are worth to whoever believes them."""
    most = MEGABYTE - 5
    if form == "avro":
        yield from (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" * 10, b"\xff" * most, b"\x00" * most, b"\x02" * most)
        yield good[:-2] + b"\x00\x02" * 2_500  # a tree within a tree
        yield good[:-2] + b"\x00\x02" * (most // 2 - len(good))
        yield good[:-1] + varint(499_000 << 1) + b"\x00\x00" * 499_000 + b"\x00"  # as many trees as there is room for
    elif form == "json":
        start = good[: good.index(b'"tree"')]
        yield from (b"[" * most, b'{"tree":' * (most // 8), start + b'"tree":' + b'{"trees":[' * 50_000)
        yield start + b'"tree":' + b'{"trees":[' * 50_000 + b"]}" * 50_000 + b"}"
        yield start + b'"trees":[' + b"{}," * 340_000 + b"{}]}"
        yield start + b'"trees":[' + b"null," * 200_000 + b"null]}"
        yield b'{"count":' + b"9" * 1_000_000 + b"}"
        yield b'{"weight":' + b"9" * 1_000_000 + b"}"
        yield b'{"lines":[' + b'{"sku":"","price":"1e1000000000"},' * 20_000 + b'{"sku":"","price":"1e-1000000000"}]}'
        yield b'{"id":"' + b"\\u0000" * 170_000 + b'"}'
        yield b"{" + b'"id":"",' * 100_000 + b'"id":""}'
    else:
        yield from (b"\x00" + b"\xff" * most, b"\x82\x80\x80\x80\x80\x80\x00", b"\xfe\xff\xff\xff\x0f" * 1000)
        yield from (good + nested(2_500), good + nested(50_000), good + nested(150_000))
        yield good + b"\xfa\x01\x00" * 340_000  # as many trees as there is room for
        yield good + b"\x1a\x00" * 500_000
        yield good + b"\x0b" * 500_000  # groups that are never closed


async def reader(event: type[Event]) -> tuple[Reader, bytes]:
    """What reads a class, and a good record's value."""
    serde = Serde(embedded_registry(), auto_register=True)
    await serde.prepare(writes=[event])
    return serde.reader([event]), serde.encode(event.model_validate(FULL.model_dump()))


def outcome(reader: Reader, topic: str, value: bytes) -> str:
    """What a reader says of a value: an event, or one of the errors that it may raise."""
    try:
        found: Any = reader.decode(Record(topic, 0, 0, 0.0, None, value))
    except SchemaUnresolved:
        return "unresolved"
    except (DecodeError, SchemaMismatch) as error:
        return type(error).__name__ if len(str(error)) < _MESSAGE else "message without end"
    assert isinstance(found, Event)
    return "event"


def main(form: str, seed: int) -> None:
    """Print how often each outcome came."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    random = Random(seed)
    read, good = asyncio.run(reader(CLASSES[form]))
    outcomes = Counter(outcome(read, form, mutated(random, good)) for _ in range(MUTATIONS))
    outcomes += Counter(outcome(read, form, good[:end]) for end in range(len(good)))
    outcomes += Counter(outcome(read, form, prefix(1) + random.randbytes(random.randrange(200))) for _ in range(1_000))
    outcomes += Counter(outcome(read, form, prefix(1) + body) for body in made_to_harm(form, good[5:]))
    sys.stdout.write("".join(f"{count} {name}\n" for name, count in sorted(outcomes.items())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
