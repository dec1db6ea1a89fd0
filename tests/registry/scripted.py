"""Servers that answer by a script, for what no honest registry does."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Answers one request."""


@dataclass
class Script:
    """What a scripted server was asked."""

    url: str
    requests: list[str] = field(default_factory=list)
    """The head of each request, as text."""

    @property
    def paths(self) -> list[str]:
        """Method and path of each request."""
        return [" ".join(request.split()[:2]) for request in self.requests]


@asynccontextmanager
async def scripted(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Script]:
    """A server on loopback that answers the first request by the first step and so on; the last step repeats."""
    script = Script("")
    open_: set[asyncio.StreamWriter] = set()
    talks: set[asyncio.Future[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Know of a connection from its first moment, since it may be its last: a client can give up at once."""
        open_.add(writer)
        talks.add(asyncio.ensure_future(talk(reader, writer)))
        if not server.is_serving():
            writer.transport.abort()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = [
                    line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")
                ]
                await reader.readexactly(int(length[0]) if length else 0)
                script.requests.append(head)
                await steps[min(len(script.requests), len(steps)) - 1](writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    script.url = f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{port}"
    try:
        yield script
    finally:
        server.close()
        for writer in open_:
            writer.transport.abort()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks)


def answer(status: int = 200, body: Any = None, *headers: str) -> Step:
    """An answer; a body that is bytes is sent as it is, None is empty, everything else is JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    async def step(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} status", f"content-length: {len(content)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()

    return step


async def hang(_: asyncio.StreamWriter) -> None:
    """Say nothing, for ever."""
    await asyncio.Event().wait()


async def drop(writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""
    writer.transport.abort()


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send one byte of a long answer at a time, so that no time-out between bytes is ever met."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.01)


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send more than any registry has to say, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 65536)
        await writer.drain()


def canned(status: int, body: Any) -> Callable[..., Awaitable[None]]:
    """An ASGI application that always gives the same answer."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    async def app(_: MutableMapping[str, Any], __: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})

    return app
