"""Ask a registry over HTTP, whatever it does, within bounds of time and memory; the only module that knows httpx."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
from collections.abc import Mapping, Sequence

import httpx

from eventhub.clock import Clock
from eventhub.errors import DeclarationError, RegistryError
from eventhub.registry.addresses import Address, Rotation, back_off, parse_addresses, shares
from eventhub.registry.answers import Answer, unreachable
from eventhub.registry.auth import Basic, Bearer, Proof, fits_header
from eventhub.registry.requests import Request
from eventhub.serving import App

_BODY_BYTES = 4 << 20  # four times the largest schema: room for what a server says around it
_LEAST_SECRET = 8  # characters of a header's value; shorter ones are words
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

Transport = httpx.AsyncBaseTransport
"""How requests travel."""


def in_process(app: App) -> Transport:
    """The way to an application in this process, without a network."""
    return httpx.ASGITransport(app)


class Asker:
    """Gets answers from one registry, which may have several addresses."""

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        auth: Basic | Bearer | None,
        tls: ssl.SSLContext | None,
        headers: Mapping[str, str],
        transport: Transport | None,
        clock: Clock,
    ) -> None:
        """Describe the registry, as for ``HttpSchemaRegistry``; nothing is sent yet.

        Raises:
            DeclarationError: If an address is none, or a header cannot be sent.
        """
        for name, value in headers.items():
            if not fits_header(value):
                msg = f"the header {name!r} for the schema registry holds letters that none can; see how it is read"
                raise DeclarationError(msg)
        self._header_values = [value for value in headers.values() if len(value) >= _LEAST_SECRET]
        self._addresses = parse_addresses(urls)
        self._proof = Proof(auth)
        self._clock = clock
        self._rotation = Rotation(self._addresses, clock)
        self._http = httpx.AsyncClient(
            headers={"accept": _CONTENT_TYPE, "accept-encoding": "identity", **headers},
            limits=httpx.Limits(max_connections=10),
            timeout=None,  # noqa: S113 - each attempt has a deadline of ours, which a dripping server cannot stretch
            transport=transport,
            trust_env=False,
            verify=tls or True,
        )

    @property
    def url(self) -> str:
        """The addresses, without credentials."""
        return ",".join(address.url for address in self._addresses)

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, request: Request, limit: float) -> Answer:
        """Ask the addresses, one after the other and over again, until one gives a proper answer.

        Args:
            request: What is asked.
            limit: The seconds that all attempts together may take.

        Raises:
            RegistryError: If none did in time, with what happened at each.
        """
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(limit):
                for attempt in itertools.count():
                    wait = back_off(attempt, random.random())  # noqa: S311 - spreads load, keeps no secret
                    for address, seconds in shares(self._rotation.order(), limit):
                        answer = await self._try(address, request, seconds, failures)
                        if answer is not None and not answer.retriable:
                            return answer
                        self._rotation.failed(address)
                        wait = max(wait, (answer and answer.retry_after) or 0.0)
                    await self._clock.sleep(wait)
        except TimeoutError:
            raise unreachable(self.url, limit, failures) from None
        raise AssertionError  # pragma: no cover - the count never ends

    async def _try(self, address: Address, request: Request, seconds: float, failures: dict[str, str]) -> Answer | None:
        """One attempt at one address; None if it did not answer."""
        failures.setdefault(address.url, "no whole answer")  # should the time end meanwhile
        try:
            async with asyncio.timeout(seconds):
                answer = await self._send_proved(address, request)
        except TimeoutError:
            failures[address.url] = f"no answer within {seconds:.1f} s"
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:  # the last two of hosts that are none
            failures[address.url] = _reason(error)
        else:
            if answer.retriable:
                failures[address.url] = f"answered {answer.status} {answer.message}".rstrip()
            return answer
        return None

    async def _send_proved(self, address: Address, request: Request) -> Answer:
        """Send one request, and once more with a fresh token if the one we have is no longer taken."""
        answer = await self._send(address, request)
        if answer.status == 401 and await self._proof.refresh(address):  # noqa: PLR2004 - HTTP's own number
            return await self._send(address, request)
        return answer

    async def _send(self, address: Address, request: Request) -> Answer:
        """Send one request and read its answer, within bounds."""
        headers = {"content-type": _CONTENT_TYPE} if request.body is not None else {}
        authorization = await self._proof.header(address)
        if authorization is not None:
            headers["authorization"] = authorization
        url = address.url + request.path
        async with self._http.stream(
            request.method, url, params=request.query, content=request.body, headers=headers, follow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _BODY_BYTES:
                    msg = f"schema registry at {address.url} answers with more than {_BODY_BYTES} bytes"
                    raise RegistryError(msg, retriable=False, status=response.status_code, url=url)
        self._http.cookies.clear()  # no registry needs any, and a hostile one could hand out more and more
        wait = response.headers.get("retry-after", "")
        retry_after = float(wait) if wait.isdecimal() else None
        secrets = (*self._proof.secrets(address, authorization), *self._header_values)
        return Answer(url, request.method, response.status_code, bytes(body), retry_after, secrets)


def _reason(error: Exception) -> str:
    """Why a request got no answer, in a few words and without the request."""
    cause = error.__cause__ or error
    return f"{type(error).__name__}: {cause}"
