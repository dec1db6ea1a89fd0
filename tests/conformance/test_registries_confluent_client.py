"""Confluent's own Python client takes the embedded registry for one of Confluent's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Metadata,
    MetadataProperties,
    RegisteredSchema,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from eventhub.registry.base import Schema as SchemaOfOurs
from eventhub.registry.base import SchemaType
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import serve
from eventhub.serving import Server

pytestmark = pytest.mark.anyio

_CREDENTIALS = Credentials(username="ada", password="p/w")  # noqa: S106 - no secret
_ORDER = '{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}%s]}'
_PLAIN = Schema(_ORDER % "", "AVRO")
_WIDER = Schema(_ORDER % ',{"name":"note","type":"string","default":""}', "AVRO")
_BROKEN = Schema(_ORDER % ',{"name":"note","type":"string"}', "AVRO")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A registry that asks for a user."""
    async with serve(EmbeddedRegistry(credentials=_CREDENTIALS)) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[SchemaRegistryClient]:
    """Confluent's client of it."""
    conf = {"url": server.url, "basic.auth.user.info": "ada:p/w", "max.retries": 0}
    client = SchemaRegistryClient.new_client(conf)
    yield client
    client.close()


async def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call the client, which waits, beside the server, which serves."""
    return await asyncio.to_thread(function, *arguments, **keywords)


async def refused(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[int, int]:
    """The status and the code with which the registry refuses a call."""
    with pytest.raises(SchemaRegistryError) as error:
        await call(function, *arguments, **keywords)
    return error.value.http_status_code, error.value.error_code


async def test_schemas_are_registered_and_found(client: SchemaRegistryClient) -> None:
    """Registering, looking up, and reading by id, guid, version and subject give one answer."""
    schema_id = await call(client.register_schema, "orders", _PLAIN)
    full = await call(client.register_schema_full_response, "orders", _WIDER, normalize_schemas=True)
    found = await call(client.lookup_schema, "orders", _PLAIN)
    latest = await call(client.get_latest_version, "orders")

    assert _PLAIN.schema_str == (await call(client.get_schema, schema_id)).schema_str
    assert _WIDER.schema_str == (await call(client.get_schema_by_guid, full.guid)).schema_str
    assert (schema_id, 1) == (found.schema_id, found.version)
    assert (full.schema_id, 2) == (latest.schema_id, latest.version)
    assert [1, 2] == await call(client.get_versions, "orders")
    assert ["orders"] == await call(client.get_subjects)
    assert ["orders"] == await call(client.get_subjects_by_schema_id, schema_id)
    assert [("orders", 1)] == [
        (each.subject, each.version) for each in await call(client.get_schema_versions, schema_id)
    ]
    assert {"AVRO", "JSON", "PROTOBUF"} == set(await call(client.get_schema_types))
    assert ["."] == await call(client.get_contexts)


async def test_what_is_not_there_has_confluents_codes(client: SchemaRegistryClient) -> None:
    """The client tells subjects, versions and schemas apart that are not there."""
    await call(client.register_schema, "orders", _PLAIN)

    assert (404, 40401) == await refused(client.get_latest_version, "none")
    assert (404, 40402) == await refused(client.get_version, "orders", 9)
    assert (404, 40403) == await refused(client.get_schema, 9)
    assert (404, 40403) == await refused(client.get_schema_by_guid, str(UUID(int=0)))
    assert (404, 40403) == await refused(client.lookup_schema, "orders", _WIDER)


async def test_incompatible_and_invalid_schemas_are_refused(client: SchemaRegistryClient) -> None:
    """An incompatible schema is a conflict, an invalid one cannot be processed, and a check says so before."""
    await call(client.register_schema, "orders", _PLAIN)

    assert (409, 409) == await refused(client.register_schema, "orders", _BROKEN)
    assert (422, 42201) == await refused(client.register_schema, "orders", Schema('{"type":"nope"}', "AVRO"))
    assert not await call(client.test_compatibility, "orders", _BROKEN)
    assert await call(client.test_compatibility, "orders", _WIDER, verbose=True)
    assert not await call(client.test_compatibility_all_versions, "orders", _BROKEN)


async def test_settings_are_changed_and_taken_back(client: SchemaRegistryClient) -> None:
    """Levels and modes, of the registry and of a subject."""
    await call(client.register_schema, "orders", _PLAIN)
    await call(client.set_config, "orders", ServerConfig(ConfigCompatibilityLevel.FULL, compatibility_group="major"))

    assert "BACKWARD" == await call(client.get_compatibility)
    assert (404, 40408) == await refused(client.get_compatibility, "other")
    assert ConfigCompatibilityLevel.FULL is (await call(client.get_config, "orders")).compatibility_level
    assert "major" == (await call(client.get_config, "orders")).compatibility_group
    await call(client.delete_config, "orders")
    assert (404, 40408) == await refused(client.get_config, "orders")
    await call(client.set_compatibility, level="NONE")
    assert "NONE" == await call(client.get_compatibility)
    assert "READONLY" == await call(client.update_mode, "orders", "READONLY")
    assert (422, 42205) == await refused(client.register_schema, "orders", _WIDER)
    assert "READONLY" == await call(client.delete_mode, "orders")
    assert "READWRITE" == await call(client.get_global_mode)


async def test_deleting_takes_two_steps(client: SchemaRegistryClient) -> None:
    """Softly, then for good."""
    await call(client.register_schema, "orders", _PLAIN)
    await call(client.register_schema, "orders", _WIDER)

    assert 2 == await call(client.delete_version, "orders", 2)
    assert (404, 40407) == await refused(client.delete_version, "orders", 1, permanent=True)
    assert [1] == await call(client.delete_subject, "orders")
    assert [1, 2] == await call(client.get_versions, "orders", deleted=True)
    assert ["orders"] == await call(client.get_subjects, deleted=True)
    assert [1, 2] == await call(client.delete_subject, "orders", permanent=True)
    assert [] == await call(client.get_subjects, deleted=True)


async def test_references_and_metadata_are_kept(client: SchemaRegistryClient) -> None:
    """A schema keeps what it refers to and what is known about it, and is found by that."""
    await call(client.register_schema, "orders", _PLAIN)
    metadata = Metadata(tags=None, properties=MetadataProperties(properties={"owner": "shop"}), sensitive=None)
    text = '{"type":"array","items":"Order"}'
    reference = SchemaReference("Order", "orders", 1)
    registered: RegisteredSchema = await call(
        client.register_schema_full_response, "many", Schema(text, "AVRO", [reference], metadata)
    )
    found = await call(client.get_latest_with_metadata, "many", {"owner": "shop"})

    assert [registered.schema_id] == await call(client.get_referenced_by, "orders", 1)
    assert [reference] == found.schema.references
    assert {"owner": "shop"} == found.schema.metadata.properties.properties
    assert registered.schema_id == found.schema_id


# --- serializers ------------------------------------------------------------------------------------------------------


_CONTEXT = SerializationContext("orders", MessageField.VALUE, [])


async def test_json_goes_there_and_back(client: SchemaRegistryClient) -> None:
    """Confluent's JSON Schema serializer registers and reads, and a broken change is refused."""
    schema = {
        "title": "Order",
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "additionalProperties": False,
    }
    written = await call(JSONSerializer(json.dumps(schema), client), {"id": "o-1"}, _CONTEXT)
    read = await call(JSONDeserializer(json.dumps(schema), schema_registry_client=client), written, _CONTEXT)
    narrower = {**schema, "properties": {"id": {"type": "string", "maxLength": 2}}}

    assert {"id": "o-1"} == read
    assert (409, 409) == await refused(client.register_schema, "orders-value", Schema(json.dumps(narrower), "JSON"))


def _messages() -> Sequence[type[Message]]:
    """Two messages in one file, as ``protoc`` would make them, the second with a date of another file."""
    file = FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, type_ in (("Order", ".shop.Line"), ("Line", ".google.protobuf.Timestamp")):
        message = file.message_type.add(name=name)
        message.field.add(name="id", number=1, label=1, type=9)
        message.field.add(name="part", number=2, label=1, type=11, type_name=type_)
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return [GetMessageClass(pool.FindMessageTypeByName(f"shop.{name}")) for name in ("Order", "Line")]


@pytest.mark.parametrize("which", [0, 1])
async def test_protobuf_goes_there_and_back(client: SchemaRegistryClient, which: int) -> None:
    """Confluent's Protobuf serializer registers descriptors and what they import, and reads them again."""
    kind = _messages()[which]
    message = kind(id="o-1")
    written = await call(ProtobufSerializer(kind, client), message, _CONTEXT)
    read = await call(ProtobufDeserializer(kind, schema_registry_client=client), written, _CONTEXT)

    assert message.SerializeToString() == read.SerializeToString()


async def test_protobuf_that_was_registered_as_text_is_read(client: SchemaRegistryClient, server: Server) -> None:
    """The client asks for descriptors, also of a file that somebody else registered as text."""
    [_, kind] = _messages()
    text = (
        'syntax = "proto3"; package shop; message Other {} message Line { string id = 1; map<string, Line> more = 2; }'
    )
    registry = HttpSchemaRegistry(server.url.replace("//", "//ada:p%2Fw@"))
    registered = await registry.register("orders-value", SchemaOfOurs(text, SchemaType.PROTOBUF))
    await registry.stop()
    frame = b"\0" + registered.id.to_bytes(4, "big") + b"\x02\x02"  # the second message of the file
    message = kind(id="o-1")
    deserializer = ProtobufDeserializer(kind, schema_registry_client=client)

    assert message == await call(deserializer, frame + message.SerializeToString(), _CONTEXT)
