"""The Schema Registry client of KafkaJS takes the embedded registry for one of Confluent's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventhub.codecs.serde import Serde
from eventhub.event import Event
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


class OrderPlaced(Event, topic="orders", key="id"):
    """An order, as eventhub declares it."""

    id: str
    quantity: int


async def test_eventhub_and_kafkajs_read_each_other(client: Client, server: Server) -> None:
    """What one writes the other reads, both ways, through the one registry."""
    registry = HttpSchemaRegistry(server.url.replace("//", "//ada:p%2Fw@"))
    serde = Serde(registry, auto_register=True)
    event = OrderPlaced(id="o-1", quantity=2)
    await serde.prepare(writes=[OrderPlaced])
    read = await client("decode", {"base64": base64.b64encode(serde.encode(event)).decode()})
    written = await client("encode", await client("getLatestSchemaId", "orders-value"), {"id": "o-1", "quantity": 2})
    record = Record("orders", 0, 0, 0.0, None, base64.b64decode(written["base64"]))
    reader = serde.reader([OrderPlaced])
    await reader.resolve(record)
    decoded = reader.decode(record)
    await registry.stop()

    assert {"id": "o-1", "quantity": 2} == read
    assert event == decoded
