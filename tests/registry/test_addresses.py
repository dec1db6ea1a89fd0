"""Addresses of a registry, and the order in which they are tried."""

from __future__ import annotations

import pytest

from eventhub.clock import ManualClock
from eventhub.errors import DeclarationError
from eventhub.registry.addresses import Address, Rotation, back_off, parse_addresses, shares


@pytest.mark.parametrize(
    ("urls", "addresses"),
    [
        ("http://host:8081", (Address("http://host:8081"),)),
        ("https://host/registry/", (Address("https://host/registry"),)),
        ("http://[::1]:8081", (Address("http://[::1]:8081"),)),
        ("http://a, http://b:1", (Address("http://a"), Address("http://b:1"))),
        (["http://a", "http://b"], (Address("http://a"), Address("http://b"))),
        ("http://ada%40x:p%2F%3Aw@host", (Address("http://host", "ada@x", "p/:w"),)),
        ("http://ada@host", (Address("http://host", "ada", ""),)),
    ],
)
def test_address_is_read_from_its_url(urls: str | list[str], addresses: tuple[Address, ...]) -> None:
    """One URL or several; user and password are decoded and stand apart."""
    assert addresses == parse_addresses(urls)


@pytest.mark.parametrize(
    "url", ["", "host:8081", "ftp://host", "http://", "http://h:port", "http://h?a=b", "http://h#f", "http://[::1"]
)
def test_address_that_is_none_is_refused(url: str) -> None:
    """The message shows the right form."""
    with pytest.raises(DeclarationError, match='is no address of a Schema Registry; give one as "http://host:8081"'):
        parse_addresses(url)


def test_no_address_is_refused() -> None:
    """A registry has at least one."""
    with pytest.raises(DeclarationError, match="no registry address"):
        parse_addresses([])


def test_password_never_shows() -> None:
    """Neither the value nor the error about it shows the password."""
    [address] = parse_addresses("http://ada:secret@host")
    refusals = []
    for url in ("ftp://ada:secret@host", "http://ada:secret,more@host"):
        with pytest.raises(DeclarationError) as refused:
            parse_addresses(url)
        refusals.append(str(refused.value))

    assert "secret" not in repr(address)
    assert "secret" not in "".join(refusals)
    assert "a comma in a password as %2C" in refusals[1]


def test_address_that_failed_is_last_for_half_a_minute() -> None:
    """The others go first, the one that failed longest ago before those that failed since; then all are equal again."""
    clock = ManualClock()
    a, b, c = parse_addresses("http://a,http://b,http://c")
    rotation = Rotation([a, b, c], clock)
    rotation.failed(a)
    clock.advance(10)
    rotation.failed(b)

    assert [c, a, b] == rotation.order()
    clock.advance(20)
    assert [a, c, b] == rotation.order()
    clock.advance(10)
    assert [a, b, c] == rotation.order()


def test_last_address_has_all_the_time() -> None:
    """While others are left an address has a second, or its part of less."""
    a, b = parse_addresses("http://a,http://b")

    assert [(a, 5.0)] == shares([a], 5.0)
    assert [(a, 1.0), (b, 5.0)] == shares([a, b], 5.0)
    assert [(a, 0.1), (b, 0.2)] == shares([a, b], 0.2)


def test_waits_grow_and_spread() -> None:
    """Each wait is twice the one before, up to two seconds, and spread over its upper half."""
    assert [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0] == [back_off(attempt, 0.0) for attempt in range(7)]
    assert [0.1, 2.0] == [back_off(attempt, 1.0) for attempt in (0, 10_000)]
