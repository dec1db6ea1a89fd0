"""The small HTTP server."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import h11
import pytest
from structlog.testing import capture_logs

from eventhub.serving import Server, serve

if TYPE_CHECKING:
    from eventhub.serving import Receive, Scope, Send

_DEADLINE = 10  # seconds; only a hang reaches it


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was asked, once all of it is there; ``/no`` does not want to know."""
    status, body = 200, f"{scope['method']} {scope['path']} ".encode()
    more = scope["method"] == "POST"
    if scope["path"] == "/no":
        status, more = 404, False
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that echoes."""
    async with serve(echo) as server:
        yield server


class Talk:
    """A connection on which bytes are sent and answers are read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use a connection."""
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
async def talk(server: Server) -> AsyncIterator[Talk]:
    """A connection to the server."""
    async with asyncio.timeout(_DEADLINE):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        yield Talk(reader, writer)
        writer.close()
        await writer.wait_closed()


_POST = b"POST /echo HTTP/1.1\r\nhost: h\r\n"
_GET = b"GET /echo HTTP/1.1\r\nhost: h\r\n\r\n"


async def test_one_connection_serves_many_requests(talk: Talk) -> None:
    """A connection stays open, whether bodies come with a length, in chunks, or not at all."""
    plain = await talk.ask(_POST + b"content-length: 3\r\n\r\ntea")
    chunked = await talk.ask(_POST + b"transfer-encoding: chunked\r\n\r\n3\r\ntea\r\n0\r\n\r\n")
    nothing = await talk.ask(_GET)

    assert (b"200", b"POST /echo tea") == plain
    assert plain == chunked
    assert (b"200", b"GET /echo ") == nothing


async def test_a_path_is_told_decoded(talk: Talk) -> None:
    """An application hears the characters that the percent signs stand for."""
    answer = await talk.ask(b"GET /t%C3%A9%20a?q=%20 HTTP/1.1\r\nhost: h\r\n\r\n")

    assert (b"200", "GET /té a ".encode()) == answer


async def test_client_that_asks_first_is_told_to_continue(talk: Talk) -> None:
    """A client that expects a word before it sends the body gets it."""
    talk.writer.write(_POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    first = await talk.reader.readuntil(b"\r\n\r\n")
    second = await talk.ask(b"tea")

    assert first.startswith(b"HTTP/1.1 100")
    assert (b"200", b"POST /echo tea") == second


async def test_client_that_asks_first_may_be_refused_at_once(talk: Talk) -> None:
    """A request that is refused for its path is not asked for its body."""
    request = _POST.replace(b"/echo", b"/no")
    status, _ = await talk.ask(request + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n")

    assert b"404" == status
    assert b"" == await talk.reader.read()


async def test_head_is_answered_without_a_body(talk: Talk) -> None:
    """HEAD tells the length of what the application says, and the connection goes on."""
    talk.writer.write(b"HEAD /echo HTTP/1.1\r\nhost: h\r\n\r\n")
    head = await talk.reader.readuntil(b"\r\n\r\n")

    assert b"content-length: 11\r\n" in head
    assert (b"200", b"GET /echo ") == await talk.ask(_GET)


async def test_an_answer_may_come_in_parts() -> None:
    """Parts without a length are sent in chunks as they come."""

    async def parts(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"te", "more_body": True})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body"})

    async with asyncio.timeout(_DEADLINE), serve(parts) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(_GET)
        answer = await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    assert answer.endswith(b"\r\n\r\n2\r\nte\r\n1\r\na\r\n0\r\n\r\n")


async def test_who_listens_after_the_end_hears_of_no_more() -> None:
    """An application that goes on asking for the body is not kept waiting."""
    heard: list[str] = []

    async def curious(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])
        await echo({**scope, "method": "GET"}, receive, send)

    async with asyncio.timeout(_DEADLINE), serve(curious) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        answer = await Talk(reader, writer).ask(_GET)
        writer.close()

    assert b"200" == answer[0]
    assert ["http.request", "http.disconnect"] == heard


async def test_an_answer_that_has_begun_is_not_answered_again() -> None:
    """A request that turns out to be no HTTP after the first word of the answer only ends the connection."""

    async def hasty(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await receive()

    async with asyncio.timeout(_DEADLINE), serve(hasty) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(_POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
        writer.write_eof()
        answer = await reader.read()
        writer.close()

    assert 1 == answer.count(b"HTTP/1.1")


_CARD = "4111-1111"


async def careless(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail as the path says, with a text that no log may hold."""
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    errors = {"/gone": ConnectionResetError, "/late": TimeoutError, "/odd": h11.LocalProtocolError}
    if scope["path"] != "/silent":
        raise errors.get(scope["path"], ValueError)(_CARD)
    del receive


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/bug", "ValueError"),
        ("/gone", "ConnectionResetError"),
        ("/late", "TimeoutError"),
        ("/odd", "LocalProtocolError"),
    ],
)
async def test_an_application_that_fails_is_answered_for(path: str, error: str) -> None:
    """The client hears of an error of the server, the log of its class and place, and nobody of its text."""
    async with asyncio.timeout(_DEADLINE), serve(careless) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        with capture_logs() as logs:
            writer.write(
                b"POST %b?card=%b HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n" % (path.encode(), _CARD.encode())
            )
            writer.write(_CARD.encode())
            answer = await reader.read()
        writer.close()
    [entry] = logs
    at = entry.pop("at")

    assert answer.startswith(b"HTTP/1.1 500")
    assert answer.endswith(b"\r\n\r\n500 Internal Server Error\n")
    assert {
        "event": "eventhub.request_failed",
        "log_level": "error",
        "method": "POST",
        "path": path,
        "error": error,
    } == entry
    assert at[-1].startswith(__file__)


async def test_an_application_that_says_nothing_is_answered_for() -> None:
    """A client is never left without an answer, and one that asked for its head alone gets that."""
    async with asyncio.timeout(_DEADLINE), serve(careless) as server:
        answers = []
        for method in (b"GET", b"HEAD"):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"%b /silent HTTP/1.1\r\nhost: h\r\n\r\n" % method)
            answers.append((await reader.read()).partition(b"\r\n\r\n"))
            writer.close()

    assert [b"HTTP/1.1 500", b"HTTP/1.1 500"] == [head[:12] for head, _, _ in answers]
    assert [b"500 Internal Server Error\n", b""] == [body for _, _, body in answers]


async def test_an_application_that_fails_in_the_middle_of_an_answer_breaks_off() -> None:
    """The client sees that something is missing, since the connection ends before the length that was said."""
    async with asyncio.timeout(_DEADLINE), serve(careless) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        with capture_logs() as logs:
            writer.write(b"GET /begun HTTP/1.1\r\nhost: h\r\n\r\n")
            answer = await reader.read()
        writer.close()

    assert answer.endswith(b"content-length: 9\r\n\r\nhalf")
    assert ["eventhub.request_failed"] == [entry["event"] for entry in logs]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n" % (b"x" * 70_000), b"431"),
        (_POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", b"400"),
        (_POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
async def test_what_is_no_http_is_answered_and_the_connection_ends(talk: Talk, request_: bytes, status: bytes) -> None:
    """What is no HTTP, or too much of it, gets an answer with its reason, and no second request is read."""
    got, body = await talk.ask(request_)

    assert status == got
    assert body.startswith(status + b" ")
    assert b"" == await talk.reader.read()


async def test_who_sends_more_than_is_read_still_gets_the_answer(talk: Talk) -> None:
    """An answer that comes before the end of the body is not lost, and no second request is read."""
    request = _POST.replace(b"/echo", b"/no") + b"content-length: 2000000\r\n\r\n" + b" " * 1_100_000
    status, _ = await talk.ask(request)

    assert b"404" == status
    assert b"" == await talk.reader.read()


@pytest.mark.parametrize("reset", [False, True])
async def test_client_that_leaves_in_the_middle_harms_nobody(*, reset: bool) -> None:
    """A connection that ends or breaks during a body is no error of the server's; others go on."""
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with asyncio.timeout(_DEADLINE), serve(echo) as server:
        _, leaving = await asyncio.open_connection(server.host, server.port)
        leaving.write(_POST + b"content-length: 100\r\n\r\n{")
        if reset:  # closing then sends RST instead of FIN
            linger = struct.pack("ii", 1, 0)
            leaving.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        leaving.transport.abort()
        reader, writer = await asyncio.open_connection(server.host, server.port)
        answer = await Talk(reader, writer).ask(_GET)
        writer.close()

    assert (b"200", b"GET /echo ") == answer
    assert [] == failures


async def test_stop_closes_idle_connections_at_once() -> None:
    """A client that keeps a connection does not keep the server."""
    async with asyncio.timeout(_DEADLINE):
        async with serve(echo) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(_GET)
            await reader.readuntil(b"GET /echo ")
        rest = await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(server.host, server.port)

    assert b"" == rest


async def test_stop_lets_a_running_request_finish() -> None:
    """A request that has begun is answered before the server ends, and the connection with it."""
    async with asyncio.timeout(_DEADLINE):
        started = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            started.set()
            await echo(scope, receive, send)

        async with serve(slow) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(_POST + b"content-length: 3\r\n\r\n")
            await started.wait()
            writer.write(b"tea")
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"POST /echo tea")


async def test_url_is_where_clients_find_it() -> None:
    """The port is the one that was bound, and an IPv6 address stands in brackets."""
    async with serve(echo, host="localhost") as server:
        assert f"http://{server.host}:{server.port}" == server.url
        assert server.port > 0
    assert "http://[::1]:8081" == Server("::1", 8081).url


async def test_taken_port_is_an_error() -> None:
    """Two servers cannot share a port, and the second says so."""
    async with serve(echo) as server:
        with pytest.raises(OSError, match="in use"):
            async with serve(echo, port=server.port):
                pass
