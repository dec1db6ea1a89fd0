"""Each address is tried by itself, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from eventhub.brokers.kafka.preflight import answering, preflight
from eventhub.errors import BrokerError
from eventhub.testing.conformance.brokers.reader import DEADLINE
from tests.brokers.kafka.helpers import listener

pytestmark = pytest.mark.anyio

PLAIN = {"security_protocol": "PLAINTEXT", "client_id": "test", "request_timeout_ms": 1000}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else takes meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def test_every_address_is_named_with_its_own_cause(closed_port: int) -> None:
    """One error lists all addresses, each with what is wrong and what to try."""
    async with listener(hangs_up=True) as rude:
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
    async with listener(hangs_up=False) as silent:
        with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{silent}: no answer in time; a firewall"):
            await preflight([("127.0.0.1", silent)], PLAIN, timeout=0.1)


async def test_name_that_no_resolver_takes_is_no_crash() -> None:
    """A malformed name is reported like any other."""
    with pytest.raises(BrokerError, match=r"a\.\.b:9092"):
        await preflight([("a..b", 9092)], PLAIN)


@pytest.mark.kafka
async def test_one_good_address_is_enough(kafka_bootstrap: str, closed_port: int) -> None:
    """The failures of the others are told, not raised, also of those that fail a little later than it answers."""
    closed = ("127.0.0.1", closed_port)
    async with listener(hangs_up=True) as rude:
        failures = await preflight([_first(kafka_bootstrap), closed, ("127.0.0.1", rude)], PLAIN, grace=DEADLINE)

    assert {closed, ("127.0.0.1", rude)} == failures.keys()
    assert "Connection refused" == failures[closed]


@pytest.mark.kafka
async def test_silent_address_beside_a_good_one_is_not_waited_for(kafka_bootstrap: str) -> None:
    """Once one has answered the others have the grace only, whatever time each may take."""
    async with listener(hangs_up=False) as silent, asyncio.timeout(DEADLINE):
        failures = await preflight(
            [("127.0.0.1", silent), _first(kafka_bootstrap)], PLAIN, timeout=100 * DEADLINE, grace=0.1
        )

    assert {("127.0.0.1", silent): "no answer in time"} == failures


@pytest.mark.kafka
async def test_clients_are_given_the_address_that_answers(kafka_bootstrap: str, closed_port: int) -> None:
    """Neither a silent address nor one where nobody listens is left in a client's list."""
    good = kafka_bootstrap.split(",", maxsplit=1)[0]
    async with listener(hangs_up=False) as silent:
        servers = [f"127.0.0.1:{silent}", good, f"127.0.0.1:{closed_port}"]
        given = await answering({**PLAIN, "bootstrap_servers": servers})

    assert {**PLAIN, "bootstrap_servers": [good]} == given


async def test_clients_are_given_all_addresses_while_none_answers(closed_port: int) -> None:
    """What fails now may be back when the client asks."""
    async with listener(hangs_up=True) as rude:
        connection = {**PLAIN, "bootstrap_servers": [f"127.0.0.1:{closed_port}", f"127.0.0.1:{rude}"]}
        given = await answering(connection)

    assert connection == given


async def test_ipv6_addresses_are_read_and_told_in_brackets() -> None:
    """Whoever copies an address out of an error can paste it into a URL."""
    servers = ["[::1]:1", "[::1]:2"]
    given = await answering({**PLAIN, "bootstrap_servers": servers})
    with pytest.raises(BrokerError, match=r"- \[::1\]:1: "):
        await preflight([("::1", 1)], PLAIN)

    assert servers == given["bootstrap_servers"]


async def test_an_only_address_is_not_tried_in_advance() -> None:
    """There is nothing to choose, and the client itself asks at once."""
    connection = {**PLAIN, "bootstrap_servers": ["no.such.host.invalid:9092"]}

    assert connection is await answering(connection)


def _first(bootstrap: str) -> tuple[str, int]:
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    return host, int(port)
