"""Ask an embedded registry as a client would, without one."""

from __future__ import annotations

import json
from typing import Any

import httpx

from eventhub.registry.embedded.app import EmbeddedRegistry


async def ask(
    app: EmbeddedRegistry, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """The status and the JSON of an answer; a body that is bytes is sent as it is, an empty answer is None."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", **(headers or {})}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry") as client:
        response = await client.request(method, path, content=content, headers=sent)
    return response.status_code, response.json() if response.content else None


def record(name: str = "R", /, **fields: Any) -> str:
    """The text of an Avro record; a field's value is its type, or a pair of type and default."""
    listed = [
        {"name": field, "type": type_[0], "default": type_[1]}
        if isinstance(type_, tuple)
        else {"name": field, "type": type_}
        for field, type_ in fields.items()
    ]
    return json.dumps({"type": "record", "name": name, "fields": listed}, separators=(",", ":"))


async def register(app: EmbeddedRegistry, subject: str, text: str, **more: Any) -> int:
    """Register a schema that has to be taken; its id."""
    status, answer = await ask(app, "POST", f"/subjects/{subject}/versions", {"schema": text, **more})

    assert 200 == status, answer
    return int(answer["id"])


def error(code: int, message: str) -> tuple[int, dict[str, Any]]:
    """An answer in Confluent's shape."""
    return int(str(code)[:3]), {"error_code": code, "message": message}
