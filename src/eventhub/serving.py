"""Serve an ASGI application over HTTP/1.1: h11 on asyncio streams, no framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any
from urllib.parse import unquote

import h11
import structlog

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
"""What ASGI tells about a request, or about the server's life."""
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""What an application hears next."""
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""What an application says."""
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An application, as any ASGI server takes it."""
Refusal = Callable[[int, str], tuple[str, bytes]]
"""The content type and the body of an answer of the server's own, from its status and the reason."""

_HEAD_BYTES = 16 << 10  # request line and headers; what most servers allow
_READ_BYTES = 64 << 10
_REQUEST_SECONDS = 10.0  # for a whole request to arrive: nobody may hold a connection by dripping
_IDLE_SECONDS = 75.0  # between requests; longer than clients keep a connection
_LINGER_SECONDS = 1.0  # for a client that was refused to notice
_GRACE_SECONDS = 5.0  # for running requests, when the server stops
_FRAMES = 5  # of the stack of what an application raised, innermost last: enough to find it


def plain_refusal(status: int, reason: str) -> tuple[str, bytes]:
    """A refusal as a line of text."""
    return "text/plain; charset=utf-8", f"{status} {reason}\n".encode()


async def live(receive: Receive, send: Send) -> None:
    """Take part in the start and the stop of an ASGI server, for an application that has nothing to do at either."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    host: str
    """The address it listens on."""
    port: int
    """The port it listens on; the one it was given if 0 was asked for."""

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(
    app: App, host: str = "127.0.0.1", port: int = 0, *, refusal: Refusal = plain_refusal
) -> AsyncIterator[Server]:
    """Serve an application until the block ends.

    Made for the small ones that come with eventhub: a request has 10 s, the lifespan is not called.

    Args:
        app: What answers; called once a request.
        host: The address to listen on.
        port: The port; 0 for any that is free.
        refusal: What is answered to bytes that are no HTTP, and where the application fails.

    Raises:
        OSError: If the address is taken.
    """
    connections: set[_Connection] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(app, refusal, reader, writer)
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)

    server = await asyncio.start_server(talk, host, port, limit=_READ_BYTES)
    try:
        bound = server.sockets[0].getsockname()
        yield Server(bound[0], bound[1])
    finally:
        server.close()
        async with asyncio.TaskGroup() as stopping:
            for connection in connections:
                stopping.create_task(connection.stop())


class _GoneError(Exception):
    """The client is gone; no error of the application's, through which it passes, and told from those."""


class _Connection:
    """One connection: requests and answers in turn, until either side has enough."""

    def __init__(self, app: App, refusal: Refusal, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._app = app
        self._refusal = refusal
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._bodyless = False  # whether the request asks for the head of an answer alone
        self._stopping = False
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Answer requests until the connection ends; what the other side does wrong ends only this one."""
        try:
            while await self._exchange():
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            with suppress(_GoneError):
                await self._refuse(error.error_status_hint, str(error))
        except (_GoneError, TimeoutError):
            pass  # the client is gone, or as good as
        finally:
            with suppress(OSError, TimeoutError):
                await self._linger()
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
            self._ended.set()

    async def _linger(self) -> None:
        """Let a client that still sends read its answer first: closing at once would take it out of its hands."""
        if self._http.their_state in {h11.SEND_BODY, h11.ERROR} and not self._stopping:
            self._writer.write_eof()
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(_READ_BYTES):
                    pass

    async def stop(self) -> None:
        """Let a running request finish, for a while, and close."""
        self._stopping = True
        if self._http.our_state is h11.IDLE:
            self._writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._ended.wait()
        self._writer.transport.abort()

    async def _exchange(self) -> bool:
        """Answer one request; False if there will be no other."""
        async with asyncio.timeout(_IDLE_SECONDS):
            event = await self._next()
        if not isinstance(event, h11.Request):
            return False
        async with asyncio.timeout(_REQUEST_SECONDS):
            await self._answer(event)
        if self._http.their_state is h11.SEND_BODY and not self._http.they_are_waiting_for_100_continue:
            self._http.next_event()  # the end of a request without a body; any other end is not waited for
        keeps = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        return keeps and not self._stopping

    async def _answer(self, request: h11.Request) -> None:
        """Let the application answer; what it does wrong is logged, and ends at most this connection."""
        scope = _scope(request)
        self._bodyless = request.method == b"HEAD"
        try:
            await self._app(scope, self._receive, self._send)
        except (_GoneError, h11.RemoteProtocolError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer, and we the log
            facts = {"method": scope["method"], "path": scope["path"], "error": type(error).__name__}
            at = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(error.__traceback__)][-_FRAMES:]
            log.error("eventhub.request_failed", **facts, at=at)  # noqa: TRY400 - its text may hold what was asked
        if self._http.our_state is h11.SEND_RESPONSE:
            await self._refuse(500, "Internal Server Error")

    async def _next(self) -> h11.Event:
        """What the client sends next."""
        while not isinstance(event := self._http.next_event(), h11.Event):
            if self._http.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            try:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            except OSError as error:
                raise _GoneError from error
        return event

    async def _receive(self) -> MutableMapping[str, Any]:
        """The next part of the body, as ASGI tells it."""
        if self._http.their_state is not h11.SEND_BODY:
            return {"type": "http.disconnect"}
        event = await self._next()  # a part or the end: a client that leaves in between breaks h11's rules
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer that ASGI tells."""
        if message["type"] == "http.response.start":
            await self._write(h11.Response(status_code=message["status"], headers=list(message.get("headers", ()))))
            return
        await self._write_body(message.get("body", b""))
        if not message.get("more_body", False):
            await self._write(h11.EndOfMessage())

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer a request that is no HTTP, or that the application has no answer to, if nothing was answered yet."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        content_type, body = self._refusal(status, reason)
        headers = [("content-type", content_type), ("content-length", str(len(body))), ("connection", "close")]
        await self._write(h11.Response(status_code=status, headers=headers))
        await self._write_body(body)
        await self._write(h11.EndOfMessage())

    async def _write_body(self, part: bytes) -> None:
        """Send a part of a body, which whoever asked for the head alone does not get; an application may not know."""
        if part and not self._bodyless:
            await self._write(h11.Data(data=part))

    async def _write(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        try:
            await self._writer.drain()
        except OSError as error:
            raise _GoneError from error


def _scope(request: h11.Request) -> dict[str, Any]:
    """A request as ASGI tells it."""
    target: bytes = request.target
    raw_path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode(),
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
    }
