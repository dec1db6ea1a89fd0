"""Each address is tried by itself, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from eventhub.brokers.kafka.preflight import preflight
from eventhub.errors import BrokerError

pytestmark = pytest.mark.anyio

PLAIN = {"security_protocol": "PLAINTEXT", "client_id": "test", "request_timeout_ms": 1000}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else takes meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@asynccontextmanager
async def _listener(*, hangs_up: bool) -> AsyncIterator[int]:
    """A port where somebody takes the connection, and then hangs up or never says a word."""

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not hangs_up:
            await done.wait()
        writer.close()

    done = asyncio.Event()
    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        done.set()


async def test_every_address_is_named_with_its_own_cause(closed_port: int) -> None:
    """One error lists all addresses, each with what is wrong and what to try."""
    async with _listener(hangs_up=True) as rude:
        with pytest.raises(BrokerError) as caught:
            await preflight([("127.0.0.1", closed_port), ("127.0.0.1", rude), ("no.such.host.invalid", 9092)], PLAIN)
    first, *lines = str(caught.value).splitlines()

    assert "cannot connect to Kafka (PLAINTEXT):" == first
    assert [f"127.0.0.1:{closed_port}", f"127.0.0.1:{rude}", "no.such.host.invalid:9092"] == [
        line.split()[1].rstrip(":") for line in lines
    ]
    assert "is the broker up" in lines[0]
    assert "does this listener speak PLAINTEXT?" in lines[1]
    assert "does not resolve" in lines[2]


async def test_silent_address_is_given_up() -> None:
    """Somebody who takes the connection and never answers is given up after a time."""
    async with _listener(hangs_up=False) as silent:
        with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{silent}: no answer in time; a firewall"):
            await preflight([("127.0.0.1", silent)], PLAIN, timeout=0.1)


async def test_name_that_no_resolver_takes_is_no_crash() -> None:
    """A malformed name is reported like any other."""
    with pytest.raises(BrokerError, match=r"a\.\.b:9092"):
        await preflight([("a..b", 9092)], PLAIN)


@pytest.mark.kafka
async def test_one_good_address_is_enough(kafka_bootstrap: str, closed_port: int) -> None:
    """The failures of the others are told, not raised."""
    host, port = kafka_bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
    failures = await preflight([(host, int(port)), ("127.0.0.1", closed_port)], PLAIN)

    assert {("127.0.0.1", closed_port): "Connection refused"} == failures
