"""Schemas by id and guid, as clients see them."""

from __future__ import annotations

import pytest

from eventhub.registry.compatibility.proto_parser import parse_protobuf
from eventhub.registry.embedded.app import EmbeddedRegistry
from tests.registry.embedded.asking import ask, error, record, register

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app() -> EmbeddedRegistry:
    """A registry where subject a has two versions, b the second of them, and a context its own first."""
    app = EmbeddedRegistry()
    await register(app, "a", record())
    await register(app, "a", record(f=("int", 0)))
    await register(app, "b", record(f=("int", 0)))
    await register(app, "%3A.ctx%3Ac", record(f=("int", 0)))
    return app


async def test_schema_is_found_by_id(app: EmbeddedRegistry) -> None:
    """The answer leaves out what an Avro schema has not, and tells the highest id if asked."""
    status, answer = await ask(app, "GET", "/schemas/ids/1?fetchMaxId=true")

    assert 200 == status
    assert {"schema": record(), "guid": answer["guid"], "maxId": 2} == answer
    assert (200, {"type": "record", "name": "R", "fields": []}) == await ask(app, "GET", "/schemas/ids/1/schema")


@pytest.mark.parametrize("schema_id", ["9", "0", "-1", "x", "99999999999"])
@pytest.mark.parametrize("part", ["", "/schema", "/subjects", "/versions"])
async def test_unknown_id_is_not_found(app: EmbeddedRegistry, schema_id: str, part: str) -> None:
    """An id that no schema has is 40403, in every form of the question."""
    assert error(40403, f"Schema {schema_id} not found") == await ask(app, "GET", f"/schemas/ids/{schema_id}{part}")


async def test_subjects_and_versions_of_an_id(app: EmbeddedRegistry) -> None:
    """Every place of a schema is told, hidden ones if asked for."""
    await ask(app, "DELETE", "/subjects/b")

    assert (200, ["a"]) == await ask(app, "GET", "/schemas/ids/2/subjects")
    assert (200, ["a", "b"]) == await ask(app, "GET", "/schemas/ids/2/subjects?deleted=true")
    assert (200, [{"subject": "a", "version": 2}]) == await ask(app, "GET", "/schemas/ids/2/versions")
    assert (200, [{"subject": "b", "version": 1}]) == await ask(
        app, "GET", "/schemas/ids/2/versions?deleted=true&offset=1"
    )


async def test_each_context_has_ids_of_its_own(app: EmbeddedRegistry) -> None:
    """The same number stands for different schemas in different contexts; a guid for one everywhere."""
    _, default = await ask(app, "GET", "/schemas/ids/1")
    _, other = await ask(app, "GET", "/schemas/ids/1?subject=:.ctx:")
    _, same = await ask(app, "GET", "/schemas/ids/2")

    assert default["schema"] != other["schema"]
    assert other["guid"] == same["guid"]
    assert (200, [{"context": ".", "id": 2}, {"context": ".ctx", "id": 1}]) == await ask(
        app, "GET", f"/schemas/guids/{other['guid']}/ids"
    )


async def test_schema_is_found_by_guid(app: EmbeddedRegistry) -> None:
    """A guid finds its schema, in capitals too; an unknown one nothing."""
    guid = (await ask(app, "GET", "/schemas/ids/1"))[1]["guid"]

    assert (200, {"schema": record(), "guid": guid}) == await ask(app, "GET", f"/schemas/guids/{guid.upper()}")
    for path in ("/schemas/guids/nope", "/schemas/guids/nope/ids"):
        assert error(40403, "Schema nope not found") == await ask(app, "GET", path)


async def test_all_schemas_are_listed(app: EmbeddedRegistry) -> None:
    """By prefix, the latest only, the deleted too, and by page."""
    await ask(app, "DELETE", "/subjects/b")

    async def places(query: str) -> list[tuple[str, int]]:
        return [(each["subject"], each["version"]) for each in (await ask(app, "GET", f"/schemas{query}"))[1]]

    assert [("a", 1), ("a", 2), (":.ctx:c", 1)] == await places("")
    assert [("a", 2)] == await places("?subjectPrefix=a&latestOnly=true")
    assert [("a", 1), ("a", 2), ("b", 1), (":.ctx:c", 1)] == await places("?deleted=true")
    assert [("b", 1)] == await places("?deleted=true&offset=2&limit=1")


async def test_protobuf_is_written_as_asked(app: EmbeddedRegistry) -> None:
    """A file stays as it was registered, and is written as a descriptor for who asks for that."""
    text = 'syntax = "proto3"; package shop; message Order { string id = 1; }'
    schema_id = await register(app, "p", text, schemaType="PROTOBUF")
    _, plain = await ask(app, "GET", f"/schemas/ids/{schema_id}")
    _, serialized = await ask(app, "GET", f"/schemas/ids/{schema_id}?format=serialized")
    again = await register(app, "q", serialized["schema"], schemaType="PROTOBUF")
    _, kept = await ask(app, "GET", f"/schemas/ids/{again}?format=serialized")

    assert ("PROTOBUF", text) == (plain["schemaType"], plain["schema"])
    assert parse_protobuf(text, {}) == parse_protobuf(serialized["schema"], {})
    assert serialized["schema"] == kept["schema"]


async def test_types_are_told(app: EmbeddedRegistry) -> None:
    """The three languages of schemas."""
    assert (200, ["JSON", "PROTOBUF", "AVRO"]) == await ask(app, "GET", "/schemas/types")
