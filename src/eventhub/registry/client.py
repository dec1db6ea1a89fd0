"""A client for any Schema Registry that speaks Confluent's REST API; the only module that knows httpx."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import structlog

from eventhub.clock import Clock, SystemClock
from eventhub.errors import IncompatibleSchema, RegistryError, SchemaNotFound
from eventhub.registry.addresses import Address, Rotation, back_off, parse_addresses, shares
from eventhub.registry.answers import Answer, failure, registered_in, schema_in, unreachable, unreadable
from eventhub.registry.auth import Basic, Bearer, Proof
from eventhub.registry.base import Compatibility, RegisteredSchema, Schema
from eventhub.registry.cache import Cache
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.registry.explain import explain
from eventhub.registry.requests import Request, canonical, part, schema_body

log = structlog.get_logger(__name__)

_BODY_BYTES = 4 << 20  # four times the largest schema: room for what a server says around it
_START_CALLS = 2  # a start may take as long as two calls: whoever starts is patient, up to 15 s
_START_TIMEOUT = 14.0
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class HttpSchemaRegistry:
    """A ``SchemaRegistry`` behind HTTP.

    Every call has one deadline over all addresses and attempts. Schemas are kept by id, and what was registered
    or looked up is kept by subject and schema, so that a warm service asks nothing.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        auth: Basic | Bearer | None = None,
        timeout: float = 5.0,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Describe the registry; nothing is sent yet.

        Args:
            urls: One address or several of the same registry; user and password in them are used for their own.
            auth: How to prove who we are, at addresses without a user of their own; None for not at all.
            timeout: The seconds that a call may take, all attempts together.
            tls: Whom to trust and which certificate to show; None trusts the system's authorities.
            headers: Sent with every request, for instance ``target-sr-cluster``.
            transport: How requests travel; None for the network.
            clock: Where the time comes from; None for the machine's.

        Raises:
            DeclarationError: If an address is none.
        """
        self._addresses = parse_addresses(urls)
        self._proof = Proof(auth)
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._rotation = Rotation(self._addresses, self._clock)
        self._http = httpx.AsyncClient(
            headers={"accept": _CONTENT_TYPE, "accept-encoding": "identity", **(headers or {})},
            limits=httpx.Limits(max_connections=10),
            timeout=None,  # noqa: S113 - each attempt has a deadline of ours, which a dripping server cannot stretch
            transport=transport,
            trust_env=False,
            verify=tls or True,
        )
        self._schemas: Cache[int, Schema] = Cache(self._clock)
        self._by_guid: Cache[str, Schema] = Cache(self._clock)
        self._registered: Cache[tuple[str, Schema], RegisteredSchema] = Cache(self._clock)
        self._found: Cache[tuple[str, Schema], RegisteredSchema] = Cache(self._clock)

    @property
    def url(self) -> str:
        """The addresses, without credentials."""
        return ",".join(address.url for address in self._addresses)

    async def start(self) -> None:
        """Make sure that the registry answers; warn if it lets every schema pass.

        Raises:
            RegistryError: Within 15 s, naming the addresses and what to try.
        """
        answer = await self._ask("GET", "/config", timeout=min(_START_CALLS * self._timeout, _START_TIMEOUT))
        if answer.status == 403:  # noqa: PLR2004 - it answers; not everybody may read the config
            return
        if not answer.succeeded:
            raise failure(answer)
        match answer.json:
            case {"compatibilityLevel": Compatibility.NONE}:
                log.warning("eventhub.registry_checks_nothing", url=self.url, compatibility="NONE")
            case {"compatibilityLevel": str()}:
                pass
            case _:
                raise unreadable(answer)

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def register(self, subject: str, schema: Schema) -> RegisteredSchema:
        """Make the schema a version of the subject, unless it is one already.

        Raises:
            IncompatibleSchema: If the subject's compatibility level forbids it.
            InvalidSchema: If the text is no valid schema.
            RegistryError: If there is no proper answer in time.
        """
        return await self._registered.get((subject, schema), lambda: self._register(subject, schema))

    async def _register(self, subject: str, schema: Schema) -> RegisteredSchema:
        sent = canonical(schema)
        answer = await self._ask("POST", f"/subjects/{part(subject)}/versions", body=schema_body(sent))
        if answer.status == 409:  # noqa: PLR2004
            raise IncompatibleSchema(subject, await self.check(subject, schema) or (answer.message,))
        if not answer.succeeded:
            raise failure(answer)
        match answer.json:
            case {"id": int(), "version": int()}:
                registered = registered_in(answer, subject, sent)
            case _:  # servers of before 2025 answer with the id alone
                registered = await self._lookup(subject, schema)
        self._found[subject, schema] = registered  # whoever looked for it in vain a moment ago finds it now
        return self._kept(registered, sent)

    async def lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        """The version of the subject that this schema is.

        Raises:
            SchemaNotFound: If the subject or the schema is not registered.
            RegistryError: If there is no proper answer in time.
        """
        return await self._found.get((subject, schema), lambda: self._lookup(subject, schema))

    async def _lookup(self, subject: str, schema: Schema) -> RegisteredSchema:
        sent = canonical(schema)
        answer = await self._ask("POST", f"/subjects/{part(subject)}", body=schema_body(sent))
        if not answer.succeeded:
            raise failure(answer)
        return self._kept(registered_in(answer, subject, sent), sent)

    def _kept(self, registered: RegisteredSchema, sent: Schema) -> RegisteredSchema:
        """Remember a schema by its id, and warn if the registry took it for another one."""
        if registered.schema.text != sent.text and canonical(registered.schema).text != sent.text:
            log.warning(
                "eventhub.registry_schema_differs", url=self.url, subject=registered.subject, schema_id=registered.id
            )
        self._schemas[registered.id] = registered.schema
        return registered

    async def schema(self, schema_id: int) -> Schema:
        """The schema with this id.

        Raises:
            SchemaNotFound: If the registry does not know the id (yet).
            RegistryError: If there is no proper answer in time.
        """
        return await self._schemas.get(schema_id, lambda: self._schema(f"/schemas/ids/{schema_id}"))

    async def _schema(self, path: str, *, optional: bool = False) -> Schema:
        """The schema at a path, which not every registry has if it is optional."""
        answer = await self._ask("GET", path)
        if not answer.succeeded:
            raise failure(answer, optional=optional)
        return schema_in(answer)

    async def schema_by_guid(self, guid: str) -> Schema:
        """The schema with this guid, which is its id in every registry.

        Raises:
            SchemaNotFound: If the registry does not know the guid (yet), or has none.
            RegistryError: If there is no proper answer in time.
        """
        return await self._by_guid.get(guid, lambda: self._schema(f"/schemas/guids/{part(guid)}", optional=True))

    async def subjects(self, prefix: str = "", *, deleted: bool = False) -> Sequence[str]:
        """The subjects that begin so, in order; deleted ones only if asked for.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        query = {"subjectPrefix": prefix} if prefix else {}
        answer = await self._ask("GET", "/subjects", query=query | _deleted(deleted))
        if not answer.succeeded:
            raise failure(answer)
        match answer.json:
            case [*subjects] if all(isinstance(subject, str) for subject in subjects):
                return sorted(subject for subject in subjects if subject.startswith(prefix))  # not all servers filter
            case _:
                raise unreadable(answer)

    async def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """All versions of the subject that are not deleted, oldest first; empty for an unknown subject.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        found = [await self._version(subject, number) for number in await self.version_numbers(subject)]
        return tuple(version for version in found if version is not None)

    async def version_numbers(self, subject: str, *, deleted: bool = False) -> Sequence[int]:
        """The versions of the subject, oldest first, deleted ones only if asked for; empty for an unknown subject.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        answer = await self._ask("GET", f"/subjects/{part(subject)}/versions", query=_deleted(deleted))
        if answer.missing:
            return ()
        if not answer.succeeded:
            raise failure(answer)
        match answer.json:
            case [*numbers] if all(isinstance(number, int) for number in numbers):
                return sorted(numbers)
            case _:
                raise unreadable(answer)

    async def _version(self, subject: str, number: int) -> RegisteredSchema | None:
        """One version; None if it is gone meanwhile."""
        try:
            return await self.version(subject, number)
        except SchemaNotFound:
            return None

    async def version(self, subject: str, number: int | None = None, *, deleted: bool = False) -> RegisteredSchema:
        """One version of the subject, None for the latest; a deleted one only if asked for.

        Raises:
            SchemaNotFound: If there is none.
            RegistryError: If there is no proper answer in time.
        """
        path = f"/subjects/{part(subject)}/versions/{'latest' if number is None else number}"
        answer = await self._ask("GET", path, query=_deleted(deleted))
        if not answer.succeeded:
            raise failure(answer)
        return registered_in(answer, subject)

    async def check(self, subject: str, schema: Schema) -> Sequence[str]:
        """What would make ``register`` refuse the schema, one sentence each; empty when it would be taken.

        Where the registry gives no reasons, or checks nothing beforehand, the reasons are ours.

        Raises:
            InvalidSchema: If the text is no valid schema.
            RegistryError: If there is no proper answer in time.
        """
        path = f"/compatibility/subjects/{part(subject)}/versions"
        answer = await self._ask("POST", path, query={"verbose": "true"}, body=schema_body(canonical(schema)))
        if answer.status in {404, 405}:  # an unknown subject, or a server that cannot check against all versions
            return await self._explain(subject, schema)
        if not answer.succeeded:
            raise failure(answer)
        match answer.json:
            case {"is_compatible": True}:
                return ()
            case {"is_compatible": False, "messages": [_, *_] as messages}:
                return tuple(map(str, messages))
            case {"is_compatible": False}:
                silent = f"the registry at {answer.url} calls the schema incompatible and gives no reason"
                return await self._explain(subject, schema) or (silent,)
            case _:
                raise unreadable(answer)

    async def _explain(self, subject: str, schema: Schema) -> Sequence[str]:
        """What our own checker says about a schema after all versions of a subject."""
        versions = await self.versions(subject)
        level = await self.level(subject)
        return [str(conflict) for conflict in await explain(level, schema, versions, self._version)]

    async def level(self, subject: str) -> Compatibility:
        """The compatibility level of a subject, or of the registry where it has none.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        for path in (f"/config/{part(subject)}", "/config"):
            answer = await self._ask("GET", path, query={"defaultToGlobal": "true"})
            match answer.json:
                case {"compatibilityLevel": str(level)} if level in set(Compatibility):
                    return Compatibility(level)
                case _ if not answer.succeeded and answer.status != 404:  # noqa: PLR2004
                    raise failure(answer)
                case _:
                    pass
        return Compatibility.BACKWARD

    async def mode(self, subject: str) -> str | None:
        """What may be done to a subject, in the registry's words, such as ``READONLY``; None where it has no modes.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        answer = await self._ask("GET", f"/mode/{part(subject)}", query={"defaultToGlobal": "true"})
        match answer.json:
            case {"mode": str(mode)}:
                return mode
            case _ if not answer.succeeded and answer.status not in {403, 404, 405}:
                raise failure(answer)
            case _:
                return None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Ask the addresses, one after the other and over again, until one gives a proper answer.

        Raises:
            RegistryError: If none did in time, with what happened at each.
        """
        request = Request(method, path, query or {}, None if body is None else json.dumps(body).encode())
        limit = timeout or self._timeout
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
        try:
            async with asyncio.timeout(seconds):
                answer = await self._send_proved(address, request)
        except TimeoutError:
            failures[address.url] = f"no answer within {seconds:.1f} s"
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:  # the last two of hosts that are none
            failures[address.url] = _reason(error)
        else:
            failures[address.url] = f"answered {answer.status} {answer.message}".rstrip()
            return answer
        return None

    async def _send_proved(self, address: Address, request: Request) -> Answer:
        """Send one request, and once more with a fresh token if the one we have is no longer taken."""
        answer = await self._send(address, request)
        if answer.status == 401 and await self._proof.refresh(address):  # noqa: PLR2004
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
        wait = response.headers.get("retry-after", "")
        return Answer(url, request.method, response.status_code, bytes(body), float(wait) if wait.isdecimal() else None)


def embedded_registry(app: EmbeddedRegistry | None = None, *, clock: Clock | None = None) -> HttpSchemaRegistry:
    """A registry inside this process, reached by the same client without a network; None makes an empty one."""
    transport = httpx.ASGITransport(app or EmbeddedRegistry())
    return HttpSchemaRegistry("http://embedded", transport=transport, clock=clock)


def _deleted(asked: bool) -> dict[str, str]:
    return {"deleted": "true"} if asked else {}


def _reason(error: Exception) -> str:
    """Why a request got no answer, in a few words and without the request."""
    cause = error.__cause__ or error
    return f"{type(error).__name__}: {cause}"
