"""Serve the embedded registry over HTTP."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventhub.errors import DeclarationError
from eventhub.registry.embedded.app import CONTENT_TYPE, EmbeddedRegistry, error_body
from eventhub.serving import Server
from eventhub.serving import serve as serve_app


@asynccontextmanager
async def serve(app: EmbeddedRegistry | None = None, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    """Serve a registry until the block ends; None serves an empty one.

    Raises:
        DeclarationError: If another address than loopback is asked for and everybody would be let in.
        OSError: If the address is taken.
    """
    app = app or EmbeddedRegistry()
    if not app.guarded and not _is_loopback(host):
        msg = f"serving on {host} lets everybody in: give a token or a user, or listen on 127.0.0.1"
        raise DeclarationError(msg)
    async with serve_app(app, host, port, refusal=_refusal) as server:
        yield server


def _refusal(status: int, reason: str) -> tuple[str, bytes]:
    """A refusal in Confluent's shape."""
    return CONTENT_TYPE, error_body(status, f"HTTP {status} {reason}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
