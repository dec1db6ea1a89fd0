"""How a registry is asked: in front of servers that answer nonsense, or never end."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ssl
from typing import Any

import pytest
import trustme

from eventhub.clock import SystemClock
from eventhub.errors import DeclarationError, RegistryError
from eventhub.registry.answers import Answer, failure, unreadable
from eventhub.registry.asking import Asker
from eventhub.registry.auth import Basic, Bearer
from eventhub.registry.requests import Request
from tests.registry.scripted import Step, answer, drip, drop, hang, scripted

_DEADLINE = 20  # seconds; only a hang reaches it
_ASKED = Request("GET", "/config", {}, None)
_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"transfer-encoding: chunked\r\n\r\n"
_CUT_OFF = "no whole answer|no answer within|RemoteProtocolError"  # by the deadline, or by a bound if that comes first
_SECRET = "hush-hush"  # noqa: S105 - a secret of a test


def asker(*urls: str, headers: dict[str, str] | None = None, auth: Basic | Bearer | None = None) -> Asker:
    """One that asks these addresses."""
    return Asker(list(urls), auth=auth, tls=None, headers=headers or {}, transport=None, clock=SystemClock())


async def answered(limit: float, *urls: str, **options: Any) -> Answer:
    """What is answered within so many seconds."""
    asking = asker(*urls, **options)
    try:
        async with asyncio.timeout(_DEADLINE):
            return await asking.ask(_ASKED, limit)
    finally:
        await asking.stop()


def said(*parts: bytes) -> Step:
    """Say something and close."""

    async def step(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await writer.drain()
        writer.close()

    return step


def for_ever(begin: bytes, again: bytes) -> Step:
    """Say something over and over again, so much at a time that the client has its turns."""
    much = again * (65_536 // len(again) + 1)

    async def step(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not writer.is_closing():
            writer.write(much)
            await writer.drain()

    return step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (said(_HEAD + b'content-length: 100\r\n\r\n{"a":'), "closed connection without sending complete"),
        (said(b"\x16\x03\x01\x02\x00" * 10), "RemoteProtocolError"),
        (said(_HEAD + b"content-length: -5\r\n\r\n{}"), "RemoteProtocolError"),
        (said(_HEAD + b"transfer-encoding: rot13\r\n\r\n{}"), "RemoteProtocolError"),
        (said(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), "RemoteProtocolError"),
        (for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), _CUT_OFF),
        (for_ever(_HEAD, b"x-more: and more\r\n"), _CUT_OFF),
        (for_ever(_CHUNKED + b"1;", b"x" * 1024), _CUT_OFF),
        (for_ever(_CHUNKED + b"0\r\n", b"x-more: and more\r\n"), _CUT_OFF),
        (drip, _CUT_OFF),
        (hang, _CUT_OFF),
        (answer(503, None, "retry-after: " + "9" * 400), "answered 503"),
    ],
)
async def test_what_is_no_answer_is_given_up_in_time_with_its_reason(step: Step, reason: str) -> None:
    """However it is drawn out; the address and what came of it are told."""
    async with scripted(step) as script:
        with pytest.raises(RegistryError, match=rf"within 0\.5 s \({script.url}: .*({reason})") as raised:
            await answered(0.5, script.url)

    assert raised.value.retriable


async def test_chunks_without_end_are_cut_off() -> None:
    """As any other flood, whatever length was not said."""
    async with scripted(for_ever(_CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n")) as script:
        with pytest.raises(RegistryError, match="more than 4194304 bytes"):
            await answered(10.0, script.url)


async def test_what_is_packed_is_not_unpacked() -> None:
    """A small answer that would be a large one is not what was asked for."""
    bomb = gzip.compress(bytes(50_000_000))
    async with scripted(answer(200, bomb, "content-encoding: gzip")) as script:
        found = await answered(10.0, script.url)

    assert bomb == found.body
    assert found.json is None


@pytest.mark.parametrize("dead", [drop, hang, answer(503), said(b"no HTTP\r\n\r\n")])
async def test_one_good_address_among_three_is_enough(dead: Step) -> None:
    """Whatever the others do."""
    async with scripted(dead) as one, scripted(answer(200, {"a": 1})) as good, scripted(dead) as other:
        found = await answered(10.0, one.url, good.url, other.url)

    assert {"a": 1} == found.json
    assert [] == other.requests


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://{}", {"auth": Bearer(_SECRET)}),
        ("http://{}", {"auth": Basic("ada", _SECRET)}),
        ("http://ada:" + _SECRET + "@{}", {}),
        ("http://{}", {"headers": {"x-api-key": _SECRET}}),
    ],
)
@pytest.mark.parametrize("status", [200, 403])
async def test_a_secret_that_is_said_back_is_not_shown(url: str, options: Any, status: int) -> None:
    """A proxy that shows what it was asked shows it to whoever reads the log."""
    encoded = "YWRhOmh1c2gtaHVzaA=="  # ada:hush-hush
    async with scripted(answer(status, {"message": f"not {_SECRET}, Basic {encoded}"})) as script:
        found = await answered(10.0, url.format(script.url.removeprefix("http://")), **options)
    told = f"{failure(found)} {unreadable(found)} {found!r}".replace(str(found.body), "")

    assert "not ***, Basic" in told
    assert _SECRET not in told
    assert encoded not in told or "ada" not in str((url, options))


async def test_what_would_not_be_seen_is_not_passed_on() -> None:
    """A message of a server is no command to a terminal."""
    async with scripted(answer(403, {"message": "\x1b[2Jno\u202e\nright"})) as script:
        found = await answered(10.0, script.url)

    assert "\N{REPLACEMENT CHARACTER}[2Jno\N{REPLACEMENT CHARACTER} right" == found.message


def test_a_header_that_cannot_be_sent_is_refused_by_its_name() -> None:
    """Not by the library, which would show what is in it."""
    with pytest.raises(DeclarationError, match="the header 'x-api-key' for the schema registry holds") as refused:
        asker("http://127.0.0.1:1", headers={"x-api-key": f"{_SECRET}\n"})

    assert _SECRET not in str(refused.value)


async def test_cookies_are_not_kept() -> None:
    """A server could hand out more and more of them."""
    async with scripted(answer(200, {}, "set-cookie: a=b")) as script:
        asking = asker(script.url)
        for _ in range(2):
            await asking.ask(_ASKED, 10.0)
        await asking.stop()

    assert 2 == len(script.requests)
    assert "cookie:" not in script.requests[1].lower()


async def test_a_certificate_that_has_expired_is_told() -> None:
    """With the reason, not only that it failed."""
    authority = trustme.CA()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    authority.issue_cert("localhost", not_after=past).configure_cert(serving)
    authority.configure_trust(trusting)
    async with scripted(answer(200, {}), tls=serving) as script:
        asking = Asker(script.url, auth=None, tls=trusting, headers={}, transport=None, clock=SystemClock())
        with pytest.raises(RegistryError, match="certificate has expired"):
            await asking.ask(_ASKED, 0.5)
        await asking.stop()

    assert [] == script.requests
