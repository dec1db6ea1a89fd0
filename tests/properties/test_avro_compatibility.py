"""Properties of Avro's compatibility, with Apache Avro's own Python library as judge."""

from __future__ import annotations

import json
from random import Random

import avro.compatibility
import avro.errors
import avro.schema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.avro import avro_problems
from eventhub.registry.compatibility.avro_model import AvroSchema, Record
from eventhub.registry.compatibility.avro_parser import parse
from eventhub.registry.compatibility.canonical import canonical_avro
from tests.registry.compatibility.schema_maker import SchemaMaker, change

_COMPATIBLE = avro.compatibility.SchemaCompatibilityType.compatible


@st.composite
def families(draw: st.DrawFn, size: int = 2) -> list[str]:
    """Texts of a random schema and of random changes of it, valid or not."""
    random: Random = draw(st.randoms(use_true_random=False))
    schema = SchemaMaker(random).schema()
    return [json.dumps(each) for each in [schema, *(change(random, schema) for _ in range(size - 1))]]


@pytest.mark.filterwarnings("ignore::avro.errors.IgnoredLogicalType")
@given(families())
def test_verdict_is_that_of_apache_avro(family: list[str]) -> None:
    """Two valid schemas are compatible here if and only if they are so for Apache Avro."""
    reader, writer = map(_parsed, family)
    problems = avro_problems(reader, writer)
    assume(all(problem.kind != "READER_FIELD_AMBIGUOUS" for problem in problems))  # the judge takes the first field
    theirs, thats = map(_theirs, family)
    judge = avro.compatibility.ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    compatible = judge.get_compatibility(theirs, thats).compatibility is _COMPATIBLE

    assert compatible == (not problems)


def _parsed(text: str) -> AvroSchema:
    try:
        schema = parse(text)
    except InvalidSchema:
        assume(condition=False)
        raise
    assume(not any(each.aliases and each.name.space for each in schema.names.values()))  # compared bare by the judge
    return schema


def _theirs(text: str) -> avro.schema.Schema:
    try:
        return avro.schema.parse(text)
    except avro.errors.AvroException:
        assume(condition=False)
        raise


@given(families(size=1))
def test_every_schema_reads_itself(family: list[str]) -> None:
    """A schema can read what it wrote, unless an alias makes two fields of one."""
    schema = _parsed(family[0])
    records = [each for each in schema.names.values() if isinstance(each, Record)]
    assume(not any(field.aliases for record in records for field in record.fields))

    assert () == avro_problems(schema, schema)


@given(families(size=1))
def test_canonical_text_is_stable_and_valid(family: list[str]) -> None:
    """The canonical text says the same as the text, and is its own canonical text."""
    text = canonical_avro(_parsed(family[0]))

    assert text == canonical_avro(parse(text))


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_is_a_surprise(text: str) -> None:
    """Whatever the text is, it is a schema or it is refused."""
    try:
        schema = parse(text)
    except InvalidSchema:
        return

    assert canonical_avro(schema)
