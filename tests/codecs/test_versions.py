"""What an event class makes of the versions of its subject."""

from __future__ import annotations

from eventhub import Event, upcast
from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.upcast import by_version
from eventhub.codecs.versions import reading, whole
from eventhub.event import Format
from eventhub.registry.base import Reference, RegisteredSchema, Schema, SchemaType
from eventhub.registry.client import embedded_registry

CODECS = {Format.AVRO: AvroCodec()}


class Moved(Event, topic="moves"):
    """A customer has a new address."""

    customer: str
    city: str


class MovedV1(Event):
    """Its first shape."""

    customer: str
    address: str


class MovedV0(Event):
    """What nobody ever wrote."""

    nothing: int


@upcast(Moved, from_version=1)
def split(old: MovedV1) -> Moved:
    """Cut at the comma."""
    return Moved(customer=old.customer, city=old.address.partition(", ")[2])


@upcast(Moved, from_version=1)
def invented(old: MovedV0) -> Moved:
    """Make something up."""
    return Moved(customer=str(old.nothing), city="")


def version(*fields: str, type_: SchemaType = SchemaType.AVRO) -> RegisteredSchema:
    """The first version of the subject, with fields of text."""
    listed = ",".join(f'{{"name":"{field}","type":"string"}}' for field in fields)
    return RegisteredSchema(
        Schema(f'{{"type":"record","name":"Moved","fields":[{listed}]}}', type_), 1, "moves-value", 1
    )


def test_a_version_is_read_by_the_class_or_by_its_upcast() -> None:
    """The upcast applies to the old shape, not to the new one."""
    new = reading(Moved, version("customer", "city"), CODECS, by_version([split]))
    old = reading(Moved, version("customer", "address"), CODECS, by_version([split]))

    assert (None, ()) == (new.upcast, new.problems)
    assert (split, ()) == (old.upcast, old.problems)


def test_an_upcast_that_does_not_fit_is_no_way_out() -> None:
    """The problems of the class and those of the old shape are told."""
    found = reading(Moved, version("customer", "address"), CODECS, by_version([invented]))
    own, old = found.problems

    assert own.reason.startswith("field 'city' has no default")
    assert old.reason.startswith("nor can MovedV0: field 'nothing' has no default")


def test_a_format_that_nobody_reads_is_a_problem() -> None:
    """Its records would be given up."""
    [problem] = reading(Moved, version("customer", type_=SchemaType.PROTOBUF), CODECS, {}).problems

    assert ("FORMAT_NOT_READ", "avro", "PROTOBUF") == (problem.kind, problem.reader, problem.writer)


async def test_a_version_is_made_whole() -> None:
    """What it leans on is defined in it."""
    registry = embedded_registry()
    await registry.register("city", Schema('{"type":"enum","name":"City","symbols":["LEEDS"]}'))
    leaning = Schema(
        '{"type":"record","name":"Moved","fields":[{"name":"city","type":"City"}]}',
        references=(Reference("City", "city", 1),),
    )

    made = await whole(registry, await registry.register("moves-value", leaning))

    assert (2, ()) == (made.id, made.schema.references)
    assert '"symbols":["LEEDS"]' in made.schema.text
