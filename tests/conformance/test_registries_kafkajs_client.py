"""The Schema Registry client of KafkaJS takes the embedded registry for one of Confluent's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from eventhub.codecs.number import Number
from eventhub.codecs.serde import Serde
from eventhub.errors import DecodeError
from eventhub.event import Event, Format
from eventhub.record import Record
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import serve
from eventhub.serving import Server

pytestmark = [pytest.mark.anyio, pytest.mark.node]

_HERE = Path(__file__).parent / "node"
_CREDENTIALS = Credentials(username="ada", password="p/w")  # noqa: S106 - no secret


@pytest.fixture(scope="session")
def judge() -> Path:
    """The program that calls the client, installed once for each version of it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs Node and npm, to run the registry client of KafkaJS")
    wanted = [(_HERE / name).read_bytes() for name in ("package.json", "package-lock.json")]
    version = hashlib.sha256(b"".join(wanted)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventhub" / f"node-{version}"
    if not (cache / "node_modules").is_dir():
        making = cache.with_name(f"{cache.name}.{os.getpid()}")
        shutil.copytree(_HERE, making)
        subprocess.run([npm, "ci", "--no-fund", "--no-audit", "--silent"], cwd=making, check=True)
        if not cache.is_dir():  # another run may have been faster
            making.rename(cache)
    shutil.copy(_HERE / "judge.js", cache)
    return cache / "judge.js"


class Client:
    """KafkaJS's client, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a method; its value, or the error as a dictionary."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *arguments]).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        return answer if "error" in answer else answer.get("value")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A registry that asks for a user."""
    async with serve(EmbeddedRegistry(credentials=_CREDENTIALS)) as server:
        yield server


@pytest.fixture
async def client(judge: Path, server: Server) -> AsyncIterator[Client]:
    """The client, connected."""
    process = await asyncio.create_subprocess_exec(
        "node", judge, server.url, "ada", "p/w", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    yield Client(process)
    process.stdin.close()
    await process.wait()


def _avro(**fields: Any) -> dict[str, str]:
    listed = [{"name": name, "type": type_} for name, type_ in fields.items()]
    return {"type": "AVRO", "schema": json.dumps({"type": "record", "name": "Order", "fields": listed})}


_JSON = {"type": "JSON", "schema": '{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}'}
_PROTOBUF = {"type": "PROTOBUF", "schema": 'syntax = "proto3";\npackage shop;\nmessage Order { string id = 1; }\n'}


@pytest.mark.parametrize("schema", [_avro(id="string"), _JSON, _PROTOBUF], ids=lambda schema: schema["type"])
async def test_schema_goes_there_and_back(client: Client, schema: dict[str, str]) -> None:
    """Each type of schema is registered, found again, and used to write and read."""
    registered = await client("register", schema, {"subject": "orders"})
    written = await client("encode", registered["id"], {"id": "o-1"})

    assert 1 == registered["id"]
    assert {"id": "o-1"} == await client("decode", written)
    assert 1 == await client("getLatestSchemaId", "orders")
    assert 1 == await client("getRegistryId", "orders", 1)
    assert 1 == await client("getRegistryIdBySchema", "orders", schema)


async def test_references_are_followed(client: Client) -> None:
    """A schema that refers to one of another subject is read with it."""
    await client("register", _avro(id="string"), {"subject": "order"})
    basket = {
        "type": "AVRO",
        "schema": '{"type":"record","name":"Basket","fields":[{"name":"order","type":"Order"}]}',
        "references": [{"name": "Order", "subject": "order", "version": 1}],
    }
    registered = await client("register", basket, {"subject": "basket"})
    written = await client("encode", registered["id"], {"order": {"id": "o-1"}})

    assert {"order": {"id": "o-1"}} == await client("decode", written)


async def test_incompatible_schema_is_a_conflict(client: Client) -> None:
    """The client tells an incompatible schema from other errors."""
    await client("register", _avro(id="string"), {"subject": "orders"})
    refused = await client("register", _avro(id="string", note="string"), {"subject": "orders"})

    assert 409 == refused["status"]
    assert "Schema being registered is incompatible with an earlier schema" in refused["message"]


async def test_what_is_not_there_is_told(client: Client) -> None:
    """An unknown subject and an unknown id have Confluent's words."""
    missing = await client("getLatestSchemaId", "none")

    assert (404, "Subject 'none' not found.") == (missing["status"], missing["message"].partition(" - ")[2])
    assert 404 == (await client("decode", {"base64": base64.b64encode(b"\0\0\0\0\x09x").decode()}))["status"]


class Line(BaseModel):
    """A line of an order."""

    sku: Annotated[str, Number(1)]


class Placed(BaseModel):
    """What an order holds, in any format."""

    id: Annotated[str, Number(1)]
    quantity: Annotated[int, Number(2)]
    weight: Annotated[float, Number(3)]
    urgent: Annotated[bool, Number(4)]
    lines: Annotated[list[Line], Number(5)]
    tags: Annotated[dict[str, str], Number(6)]
    note: Annotated[str | None, Number(7)] = None
    first: Annotated[Line | None, Number(8)] = None


class PlacedInAvro(Placed, Event, topic="avro"):
    """An order in Avro."""


class PlacedInJson(Placed, Event, topic="json", format=Format.JSON_SCHEMA):
    """An order in JSON."""


class PlacedInProtobuf(Placed, Event, topic="protobuf", name="shop.Placed", format=Format.PROTOBUF):
    """An order in Protobuf."""


_FULL: Mapping[str, Any] = {
    "id": "o-1",
    "quantity": 2,
    "weight": 0.1,
    "urgent": True,
    "lines": [{"sku": "tea"}, {"sku": ""}],
    "tags": {"a": "ä"},
    "note": "n",
    "first": {"sku": "x"},
}
_SMALL: Mapping[str, Any] = {
    "id": "",
    "quantity": 0,
    "weight": 0.0,
    "urgent": False,
    "lines": [],
    "tags": {},
    "note": None,
    "first": None,
}


both_values = pytest.mark.parametrize("values", [_FULL, _SMALL], ids=["full", "small"])


@pytest.fixture
async def registry(server: Server) -> AsyncIterator[HttpSchemaRegistry]:
    """Eventhub's client of the same registry."""
    registry = HttpSchemaRegistry(server.url.replace("//", "//ada:p%2Fw@"))
    yield registry
    await registry.stop()


async def decoded(client: Client, serde: Serde, event: Event) -> Any:
    """What the client makes of an event as eventhub writes it."""
    await serde.prepare(writes=[type(event)])
    return await client("decode", {"base64": base64.b64encode(serde.encode(event)).decode()})


async def encoded(client: Client, kind: type[Event], values: Mapping[str, Any]) -> Record:
    """A record as the client writes it, with the latest schema."""
    written = await client("encode", await client("getLatestSchemaId", kind.__event__.subject_name), values)
    return Record(kind.__event__.topic, 0, 0, 0.0, None, base64.b64decode(written["base64"]))


@both_values
@pytest.mark.parametrize("kind", [PlacedInAvro, PlacedInJson])
async def test_eventhub_and_kafkajs_read_each_other(
    client: Client, registry: HttpSchemaRegistry, kind: type[Event], values: Mapping[str, Any]
) -> None:
    """What one writes the other reads, both ways, through the one registry; the client checks JSON by its schema."""
    serde = Serde(registry, auto_register=True)
    read = await decoded(client, serde, kind.model_validate(values))
    record = await encoded(client, kind, values)
    reader = serde.reader([kind])
    await reader.resolve(record)

    assert values == read
    assert kind.model_validate(values) == reader.decode(record)


@both_values
async def test_kafkajs_reads_protobuf_of_eventhub(
    client: Client, registry: HttpSchemaRegistry, values: Mapping[str, Any]
) -> None:
    """It shows numbers of 64 bits as texts, and nothing of what is empty."""
    read = await decoded(client, Serde(registry, auto_register=True), PlacedInProtobuf.model_validate(values))

    assert PlacedInProtobuf.model_validate(values) == PlacedInProtobuf.model_validate({"lines": [], "tags": {}} | read)


async def test_protobuf_of_kafkajs_lacks_the_path_and_is_refused(client: Client, registry: HttpSchemaRegistry) -> None:
    """The client leaves out what stands before the body in Confluent's frame; that is an error and no wrong event."""
    serde = Serde(registry, auto_register=True)
    await serde.prepare(writes=[PlacedInProtobuf])
    record = await encoded(client, PlacedInProtobuf, _FULL)
    reader = serde.reader([PlacedInProtobuf])

    assert b"\x0a\x03o-1" == (record.value or b"")[5:10]
    with pytest.raises(DecodeError, match="message index"):
        reader.decode(record)
