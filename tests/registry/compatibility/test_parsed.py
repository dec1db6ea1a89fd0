"""Schemas of any type, with what they refer to."""

from __future__ import annotations

import pytest

from eventhub.errors import InvalidSchema
from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.compatibility import INVALID_SCHEMA, problems
from eventhub.registry.compatibility.avro_model import AvroSchema
from eventhub.registry.compatibility.bounds import REFERENCES
from eventhub.registry.compatibility.parsed import Parsed, parse_schema, problems_between

_LINE = Schema('{"type":"record","name":"Line","fields":[]}')


def _leaning(on: Reference, name: str = "Order") -> Schema:
    text = f'{{"type":"record","name":"{name}","fields":[{{"name":"line","type":"{on.name}"}}]}}'
    return Schema(text, references=(on,))


def test_references_are_resolved_through_each_other() -> None:
    """What a referenced schema refers to is known as well."""
    line, order = Reference("Line", "line", 1), Reference("Order", "order", 1)
    known = {line: _LINE, order: _leaning(line)}
    parsed = parse_schema(_leaning(order, "Basket"), known.__getitem__)

    assert isinstance(parsed.model, AvroSchema)
    assert {"Line", "Order", "Basket"} == set(parsed.model.names)


def test_references_in_a_circle_are_refused() -> None:
    """Two schemas that lean on each other are no schemas."""
    one, other = Reference("One", "one", 1), Reference("Other", "other", 1)
    known = {one: _leaning(other, "One"), other: _leaning(one, "Other")}

    with pytest.raises(InvalidSchema, match="circle"):
        parse_schema(_leaning(one), known.__getitem__)


def test_too_many_references_are_refused() -> None:
    """A schema may lean on 256 others, not on more, and the bound holds before they are read."""
    references = tuple(Reference(f"R{number}", f"s{number}", 1) for number in range(REFERENCES + 1))
    known = {each: Schema(f'{{"type":"record","name":"{each.name}","fields":[]}}') for each in references}

    with pytest.raises(InvalidSchema, match="at most 256"):
        parse_schema(Schema('"int"', references=references), known.__getitem__)
    assert parse_schema(Schema('"int"', references=references[1:]), known.__getitem__).text == '"int"'


def test_references_too_large_together_are_refused() -> None:
    """Five of a megabyte are refused before any of them is read: they are no JSON at all."""
    references = tuple(Reference(f"R{number}", f"s{number}", 1) for number in range(5))
    with pytest.raises(InvalidSchema, match="more than 4000000 letters together"):
        parse_schema(Schema('"int"', references=references), lambda _: Schema("#" * 1_000_000))


def test_long_chain_of_references_is_refused() -> None:
    """A chain counts as a crowd does."""

    def resolve(reference: Reference) -> Schema:
        return Schema('"int"', references=(Reference("next", "next", reference.version + 1),))

    with pytest.raises(InvalidSchema, match="at most 256"):
        parse_schema(Schema('"int"', references=(Reference("first", "first", 1),)), resolve)


def test_reference_without_anybody_to_ask_is_refused() -> None:
    """A schema with references cannot be read on its own."""
    with pytest.raises(InvalidSchema, match="line version 1 cannot be resolved here"):
        parse_schema(_leaning(Reference("Line", "line", 1)))


def test_schema_that_is_leaned_on_twice_is_one() -> None:
    """Two ways to the same schema define it once."""
    line, order = Reference("Line", "line", 1), Reference("Order", "order", 1)
    text = '{"type":"record","name":"Both","fields":[{"name":"a","type":"Order"},{"name":"b","type":"Line"}]}'
    known = {line: _LINE, order: _leaning(line)}

    assert text == parse_schema(Schema(text, references=(order, line)), known.__getitem__).text


_LONG = ".".join(["a"] * 501)  # 1,001 letters


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (SchemaType.AVRO, f'{{"type":"record","name":"R","namespace":"{_LONG}","fields":[]}}'),
        (SchemaType.AVRO, f'{{"type":"enum","name":"E","symbols":["{"A" * 1_001}"]}}'),
        (SchemaType.JSON, f'{{"properties":{{"{_LONG}":true}}}}'),
        (SchemaType.PROTOBUF, f"package {_LONG}; message A {{ B b = 1; }}"),
    ],
)
def test_name_beyond_the_bound_is_refused(type_: SchemaType, text: str) -> None:
    """A namespace stands in the name of each type again, so that a small text could take minutes and gigabytes."""
    with pytest.raises(InvalidSchema, match="letters, allowed are 1000"):
        parse_schema(Schema(text, type_))
    assert parse_schema(Schema(text.replace(_LONG, _LONG[4:]).replace("AA", "A"), type_)).text


@pytest.mark.parametrize(
    ("type_", "field"),
    [
        (SchemaType.AVRO, '{{"name":"f{}","type":"{}"}}'),
        (SchemaType.JSON, '"f{}":{{"type":"{}"}}'),
        (SchemaType.PROTOBUF, "{2} f{0} = {0};"),
    ],
)
def test_list_of_problems_is_bounded(type_: SchemaType, field: str) -> None:
    """A hundred problems tell enough of two schemas that have nothing to do with each other."""
    frame = {
        SchemaType.AVRO: ('{"type":"record","name":"R","fields":[', ",", "]}"),
        SchemaType.JSON: ('{"properties":{', ",", "}}"),
        SchemaType.PROTOBUF: ("message R {", " ", "}"),
    }[type_]

    def made(*kinds: str) -> Parsed:
        fields = frame[1].join(field.format(number, *kinds) for number in range(1, 300))
        return parse_schema(Schema(f"{frame[0]}{fields}{frame[2]}", type_))

    problems = problems_between(made("boolean", "bool"), made("string", "string"))

    assert 100 == len(problems)


def test_problems_are_sentences() -> None:
    """The checker is of use without a registry."""
    [problem] = problems(Schema('"int"'), Schema('"string"'))

    assert "/: TYPE_MISMATCH: 'int' cannot be read from 'string'" == str(problem)


@pytest.mark.parametrize("writer", [Schema("{"), Schema('"int"', references=(Reference("r", "s", 1),))])
def test_what_cannot_be_compared_is_one_problem(writer: Schema) -> None:
    """Whoever asks for problems wants no exception beside them."""
    assert [INVALID_SCHEMA] == [problem.kind for problem in problems(Schema('"int"'), writer)]


def test_types_do_not_read_each_other() -> None:
    """Avro cannot be read as JSON Schema."""
    [problem] = problems_between(parse_schema(Schema('"int"')), parse_schema(Schema("{}", SchemaType.JSON)))

    assert "/: TYPE_MISMATCH: AVRO cannot be read from JSON" == str(problem)


def _chain(length: int, last: str) -> Schema:
    """Records that are chained by name, each used before it is defined."""
    fields = ",".join(
        f'{{"name":"f{at}","type":{{"type":"record","name":"R{at}","fields":[{{"name":"n","type":"R{at + 1}"}}]}}}}'
        for at in range(length)
    )
    return Schema(f'{{"type":"record","name":"R","fields":[{fields},{{"name":"l","type":{last}}}]}}')


@pytest.mark.parametrize("length", [3, 5_000])
def test_types_chained_by_name_are_followed_or_refused(length: int) -> None:
    """A chain is no nesting: a short one is followed to its end, a long one refused before the stack is."""
    last = f'{{"type":"record","name":"R{length}","fields":[%s]}}'
    try:
        plain = parse_schema(_chain(length, last % ""))
        more = parse_schema(_chain(length, last % '{"name":"x","type":"int"}'))
        found = {problem.kind for problem in problems_between(more, plain)}
    except InvalidSchema as error:
        found = {str(error)}

    assert found == (
        {"READER_FIELD_MISSING_DEFAULT_VALUE"} if length == 3 else {"types are chained deeper than can be followed"}
    )
