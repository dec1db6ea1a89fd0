"""The registry behind its server."""

from __future__ import annotations

import asyncio
import json

import pytest

from eventhub.errors import DeclarationError
from eventhub.registry.embedded.app import CONTENT_TYPE, Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import serve
from eventhub.registry.embedded.store import Store
from eventhub.serving import Server

_DEADLINE = 10  # seconds; only a hang reaches it
_POST = b"POST /subjects/s/versions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\nconnection: close\r\n"


async def answer_to(server: Server, request: bytes) -> tuple[bytes, bytes]:
    """The head and the body of an answer, after which the connection ends."""
    async with asyncio.timeout(_DEADLINE):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    return head, body


async def test_an_empty_registry_is_served_to_whoever_names_none() -> None:
    """A schema can be registered in it."""
    body = b'{"schema":"\\"int\\""}'
    async with serve() as server:
        head, answer = await answer_to(server, _POST + b"content-length: %d\r\n\r\n%b" % (len(body), body))

    assert head.startswith(b"HTTP/1.1 200")
    assert 1 == json.loads(answer)["id"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n" % (b"x" * 70_000), 431),
        (_POST + b"content-length: 2000000\r\n\r\n" + b" " * 1_100_000, 413),
    ],
)
async def test_bad_requests_are_answered_as_confluent_does(request_: bytes, status: int) -> None:
    """What is no HTTP, or too much of it, gets an error of the registry's shape."""
    async with serve() as server:
        head, answer = await answer_to(server, request_)

    assert f"content-type: {CONTENT_TYPE}".encode() in head
    assert status == json.loads(answer)["error_code"]


async def test_what_nobody_foresaw_is_answered_as_confluent_does() -> None:
    """A bug gets an error of the registry's shape, by which clients try again."""

    def broken(_: object) -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    async with serve(EmbeddedRegistry(Store(broken))) as server:
        head, answer = await answer_to(server, _POST + b'content-length: 20\r\n\r\n{"schema":"\\"int\\""}')

    assert head.startswith(b"HTTP/1.1 500")
    assert f"content-type: {CONTENT_TYPE}".encode() in head
    assert {"error_code": 500, "message": "HTTP 500 Internal Server Error"} == json.loads(answer)


async def test_only_guarded_registries_leave_the_loopback() -> None:
    """Another address than loopback needs a token or a user."""
    with pytest.raises(DeclarationError, match=r"lets everybody in: give a token or a user, or listen on 127\.0\.0\.1"):
        async with serve(host="0.0.0.0"):  # noqa: S104 - refused
            pass
    with pytest.raises(DeclarationError):
        async with serve(host="registry.example"):
            pass
    guarded = EmbeddedRegistry(credentials=Credentials(token="token"))  # noqa: S106 - no secret
    async with serve(guarded, "0.0.0.0") as server:  # noqa: S104 - guarded
        assert server.port
