"""The small HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventhub.errors import DeclarationError
from eventhub.registry.embedded.app import Credentials, EmbeddedRegistry
from eventhub.registry.embedded.server import Server, serve

pytestmark = pytest.mark.anyio

_DEADLINE = 10  # seconds; only a hang reaches it


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server with an empty registry."""
    async with serve() as server:
        yield server


class _Talk:
    """A connection on which bytes are sent and answers are read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[bytes, bytes]:
        """The next answer: its status and its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().splitlines():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return head.split()[1], await self.reader.readexactly(length)

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request and read its answer."""
        self.writer.write(request)
        await self.writer.drain()
        return await self.answer()


@pytest.fixture
async def talk(server: Server) -> AsyncIterator[_Talk]:
    """A connection to the server."""
    async with asyncio.timeout(_DEADLINE):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        yield _Talk(reader, writer)
        writer.close()
        await writer.wait_closed()


_BODY = b'{"schema":"\\"int\\""}'
_POST = b"POST /subjects/s/versions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"


async def test_one_connection_serves_many_requests(talk: _Talk) -> None:
    """A connection stays open, whether bodies come with a length, in chunks, or not at all."""
    plain = await talk.ask(_POST + b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY))
    chunked = await talk.ask(_POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY))
    listed = await talk.ask(b"GET /subjects HTTP/1.1\r\nhost: h\r\n\r\n")

    assert plain == chunked
    assert b"200" == plain[0]
    assert (b"200", b'["s"]') == listed


async def test_client_that_asks_first_is_told_to_continue(talk: _Talk) -> None:
    """A client that expects a word before it sends the body gets it."""
    talk.writer.write(_POST + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(_BODY))
    first = await talk.reader.readuntil(b"\r\n\r\n")
    second = await talk.ask(_BODY)

    assert first.startswith(b"HTTP/1.1 100")
    assert b"200" == second[0]


async def test_client_that_asks_first_may_be_refused_at_once(talk: _Talk) -> None:
    """A request that is refused for its path is not asked for its body."""
    request = _POST.replace(b"/subjects/s/versions", b"/nope")
    status, _ = await talk.ask(request + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n")

    assert b"404" == status
    assert b"" == await talk.reader.read()


async def test_head_is_answered_without_a_body(talk: _Talk) -> None:
    """HEAD tells the length that GET would have, and the connection goes on."""
    talk.writer.write(b"HEAD /subjects HTTP/1.1\r\nhost: h\r\n\r\n")
    head = await talk.reader.readuntil(b"\r\n\r\n")

    assert b"content-length: 2\r\n" in head
    assert (b"200", b"[]") == await talk.ask(b"GET /subjects HTTP/1.1\r\nhost: h\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n" % (b"x" * 70_000), b"431"),
        (_POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", b"400"),
        (_POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (_POST + b"content-length: 2000000\r\n\r\n" + b" " * 1_100_000, b"413"),
    ],
)
async def test_bad_request_is_answered_and_the_connection_ends(talk: _Talk, request_: bytes, status: bytes) -> None:
    """What is no HTTP, or too much of it, gets an answer with its reason, and no second request is read."""
    got, body = await talk.ask(request_)

    assert status == got
    assert b'"error_code":%b' % status in body
    assert b"" == await talk.reader.read()


async def test_client_that_leaves_in_the_middle_harms_nobody(server: Server, talk: _Talk) -> None:
    """A connection that breaks off during a body ends; others go on."""
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(_POST + b"content-length: 100\r\n\r\n{")
    writer.transport.abort()

    assert (b"200", b"[]") == await talk.ask(b"GET /subjects HTTP/1.1\r\nhost: h\r\n\r\n")


async def test_stop_closes_idle_connections_at_once() -> None:
    """A client that keeps a connection does not keep the server."""
    async with asyncio.timeout(_DEADLINE):
        async with serve() as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET /subjects HTTP/1.1\r\nhost: h\r\n\r\n")
            await reader.readuntil(b"[]")
        rest = await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(server.host, server.port)

    assert b"" == rest


async def test_stop_lets_a_running_request_finish() -> None:
    """A request that has begun is answered before the server ends, and the connection with it."""
    async with asyncio.timeout(_DEADLINE):
        started = asyncio.Event()

        class Slow(EmbeddedRegistry):
            async def __call__(self, scope: object, receive: object, send: object) -> None:
                started.set()
                await super().__call__(scope, receive, send)  # type: ignore[arg-type]

        async with serve(Slow()) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(_POST + b"content-length: %d\r\n\r\n" % len(_BODY))
            await started.wait()
            writer.write(_BODY)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200")


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


async def test_url_is_where_clients_find_it() -> None:
    """The port is the one that was bound, and an IPv6 address stands in brackets."""
    async with serve(host="localhost") as server:
        assert f"http://{server.host}:{server.port}" == server.url
        assert server.port > 0
    assert "http://[::1]:8081" == Server("::1", 8081).url


async def test_taken_port_is_an_error() -> None:
    """Two servers cannot share a port, and the second says so."""
    async with serve() as server:
        with pytest.raises(OSError, match="in use"):
            async with serve(port=server.port):
                pass
