"""A client for any Schema Registry that speaks Confluent's REST API."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from eventhub.clock import Clock, SystemClock
from eventhub.errors import IncompatibleSchema, SchemaNotFound
from eventhub.registry.answers import Answer, failure, is_number, registered_in, schema_in, unreadable
from eventhub.registry.asking import Asker, Transport, in_process
from eventhub.registry.auth import Basic, Bearer
from eventhub.registry.base import Compatibility, RegisteredSchema, Schema
from eventhub.registry.cache import Cache
from eventhub.registry.embedded.app import EmbeddedRegistry
from eventhub.registry.explain import explain
from eventhub.registry.requests import Request, canonical, part, schema_body

log = structlog.get_logger(__name__)

_START_CALLS = 2  # a start may take as long as two calls: whoever starts is patient, up to 15 s
_START_TIMEOUT = 14.0
_MOST_VERSIONS = 10_000  # of one subject; each costs a request


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
        transport: Transport | None = None,
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
            DeclarationError: If an address is none, or a header cannot be sent.
        """
        clock = clock or SystemClock()
        self._timeout = timeout
        self._asker = Asker(urls, auth=auth, tls=tls, headers=headers or {}, transport=transport, clock=clock)
        self._schemas: Cache[int, Schema] = Cache(clock)
        self._by_guid: Cache[str, Schema] = Cache(clock)
        self._registered: Cache[tuple[str, Schema], RegisteredSchema] = Cache(clock)
        self._found: Cache[tuple[str, Schema], RegisteredSchema] = Cache(clock)

    @property
    def url(self) -> str:
        """The addresses, without credentials."""
        return self._asker.url

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
        await self._asker.stop()

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
        if answer.status == 409:  # noqa: PLR2004 - HTTP's own number
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
                return sorted({subject for subject in subjects if subject.startswith(prefix)})  # not all servers filter
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
            case [*numbers] if len(numbers) <= _MOST_VERSIONS and all(map(is_number, numbers)):
                return sorted(set(numbers))
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
            if not answer.succeeded and answer.status != 404:  # noqa: PLR2004 - nothing is set there
                raise failure(answer)
            match answer.json:
                case {"compatibilityLevel": str(level)} if level in set(Compatibility):
                    return Compatibility(level)
                case {**config} if "compatibilityLevel" not in config:  # a config of other things, or an error
                    pass
                case _ if answer.succeeded:
                    raise unreadable(answer)
                case _:
                    pass
        return Compatibility.BACKWARD

    async def mode(self, subject: str) -> str | None:
        """What may be done to a subject, in the registry's words, such as ``READONLY``; None where it has no modes.

        Raises:
            RegistryError: If there is no proper answer in time.
        """
        answer = await self._ask("GET", f"/mode/{part(subject)}", query={"defaultToGlobal": "true"})
        if not answer.succeeded and answer.status not in {403, 404, 405}:
            raise failure(answer)
        match answer.json:
            case {"mode": str(mode)}:
                return mode
            case _ if answer.succeeded and not isinstance(answer.json, dict):
                raise unreadable(answer)
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
        request = Request(method, path, query or {}, None if body is None else json.dumps(body).encode())
        return await self._asker.ask(request, timeout or self._timeout)


def embedded_registry(app: EmbeddedRegistry | None = None, *, clock: Clock | None = None) -> HttpSchemaRegistry:
    """A registry inside this process, reached by the same client without a network; None makes an empty one."""
    return HttpSchemaRegistry("http://embedded", transport=in_process(app or EmbeddedRegistry()), clock=clock)


def _deleted(asked: bool) -> dict[str, str]:
    return {"deleted": "true"} if asked else {}
