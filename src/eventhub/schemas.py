"""Schemas from the outside: what event classes and a Schema Registry make of each other.

A service that starts asks the same, but only for itself and with the registry at hand. Here it is asked
beforehand, for any class or service: by ``eventhub schemas``, by a test, by a program of your own::

    async with opened("http://localhost:8081") as registry:
        for checked in await check(registry, declarations(service)):
            assert checked.compatible, checked.problems
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eventhub.codecs.formats import codecs_for
from eventhub.codecs.upcast import Upcast, by_version
from eventhub.codecs.versions import Reading, reading, whole
from eventhub.errors import DeclarationError, IncompatibleSchema, InvalidSchema, RegistryError, SchemaNotFound
from eventhub.event import Event, event_info, is_tombstone
from eventhub.registry.auth import Basic, Bearer
from eventhub.registry.base import Compatibility, RegisteredSchema, Schema, SchemaRegistry, SchemaType
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.compatibility import Conflict
from eventhub.registry.explain import FetchVersion, explain
from eventhub.service import Service

SUFFIXES = {SchemaType.AVRO: ".avsc", SchemaType.JSON: ".json", SchemaType.PROTOBUF: ".proto"}
"""How files with schemas are named."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """An event class, and what is done with it where."""

    event: type[Event]
    schema: Schema
    """Its own schema."""
    service: str | None = None
    """The service that declares it, or None for a class by itself."""
    reads: bool = True
    writes: bool = True
    upcasts: tuple[Upcast[Any, Any], ...] = ()

    @property
    def subject(self) -> str:
        """The registry's subject of the event."""
        return event_info(self.event).subject_name


@dataclass(frozen=True, slots=True)
class Registration:
    """What becomes of a class's own schema under its subject."""

    level: Compatibility | None
    """The level in force, or None where it may not be asked for."""
    version: RegisteredSchema | None = None
    """The version that it is already, or None."""
    conflicts: tuple[Conflict, ...] = ()
    """Why it is refused, as far as our own checker can tell."""
    refusals: tuple[str, ...] = ()
    """Why it is refused, in the registry's words; empty if it would be taken."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a class and the registry make of each other."""

    declaration: Declaration
    readings: tuple[Reading, ...] | None
    """One for each version that is registered, oldest first; None if nobody wants to read."""
    registration: Registration

    @property
    def problems(self) -> tuple[str, ...]:
        """Whatever keeps the class from what it is declared for, one sentence each; empty if nothing does."""
        name = self.declaration.event.__name__
        found = [
            f"{name} cannot read version {reading.version.version}: {problem}"
            for reading in self.readings or ()
            for problem in reading.problems
        ]
        if self.declaration.writes:
            registration = self.registration
            found += [f"its schema is refused: {reason}" for reason in registration.conflicts or registration.refusals]
        return tuple(found)

    @property
    def compatible(self) -> bool:
        """Whether the class can do what it is declared for."""
        return not self.problems


@asynccontextmanager
async def opened(url: str, auth: Basic | Bearer | None = None) -> AsyncIterator[HttpSchemaRegistry]:
    """A client of the registry at an address, or at several of the same registry.

    Args:
        url: The address, or several with commas.
        auth: How to prove who we are, where no user stands in the address; None for not at all.

    Raises:
        DeclarationError: If it is no address of a registry that others can reach.
        RegistryError: If it does not answer.
    """
    if url == "embedded":
        msg = (
            "the embedded registry lives inside one process and is empty here; "
            "give the address of one that is served: EVENTHUB_REGISTRY=http://localhost:8081"
        )
        raise DeclarationError(msg)
    registry = HttpSchemaRegistry(url, auth=auth)
    try:
        await registry.start()
        yield registry
    finally:
        await registry.stop()


def declarations(*declared: Service[Any] | type[Event]) -> tuple[Declaration, ...]:
    """The event classes of services, each once a service, and classes by themselves; tombstones have no schema.

    Raises:
        DeclarationError: If a class has no schema, naming all such classes.
    """
    found: list[Declaration] = []
    wrong: list[str] = []
    for each in declared:
        events = dict.fromkeys((*each.reads, *each.writes)) if isinstance(each, Service) else (each,)
        for event in events:
            if not is_tombstone(event):
                try:
                    found.append(_declaration(event, each if isinstance(each, Service) else None))
                except DeclarationError as error:
                    wrong.append(str(error))
    if wrong:
        raise DeclarationError("\n".join(dict.fromkeys(wrong)))
    return tuple(found)


def _declaration(event: type[Event], service: Service[Any] | None) -> Declaration:
    schema = codecs_for([event])[event_info(event).format].schema(event)
    if service is None:
        return Declaration(event, schema)
    upcasts = tuple(upcast for upcast in service.upcasts if upcast.event is event)
    return Declaration(event, schema, service.name, event in service.reads, event in service.writes, upcasts)


async def check(registry: HttpSchemaRegistry, declared: Sequence[Declaration]) -> tuple[Checked, ...]:
    """Check classes against every version of their subjects, and their own schemas against the levels in force.

    Raises:
        RegistryError: If the registry does not answer.
    """
    found = []
    for declaration in declared:
        readings = await read_versions(registry, declaration, declared) if declaration.reads else None
        found.append(Checked(declaration, readings, await registration(registry, declaration)))
    return tuple(found)


async def read_versions(
    registry: SchemaRegistry, declaration: Declaration, together: Iterable[Declaration] = ()
) -> tuple[Reading, ...]:
    """What a class makes of every version that is registered for its subject, oldest first.

    Args:
        registry: The registry.
        declaration: The class.
        together: What is declared in the same process, whose formats can be read there.

    Raises:
        RegistryError: If the registry does not answer.
    """
    codecs = codecs_for([each.event for each in (declaration, *together)])
    upcasts = by_version(declaration.upcasts)
    return tuple(
        [
            reading(declaration.event, await whole(registry, version), codecs, upcasts)
            for version in await registry.versions(declaration.subject)
        ]
    )


async def registration(registry: HttpSchemaRegistry, declaration: Declaration) -> Registration:
    """What would become of a class's own schema if it were registered now; nothing is.

    Raises:
        RegistryError: If the registry does not answer.
    """
    subject, schema = declaration.subject, declaration.schema
    level = await level_of(registry, subject)
    try:
        return Registration(level, await registry.lookup(subject, schema))
    except SchemaNotFound:
        pass
    try:
        refusals = tuple(await registry.check(subject, schema))
    except InvalidSchema as error:
        return Registration(level, refusals=(str(error),))
    if refusals:
        return Registration(level, conflicts=await _conflicts(registry, level, declaration), refusals=refusals)
    mode = await registry.mode(subject)
    if mode not in {None, "READWRITE"}:
        return Registration(level, refusals=(f"the subject takes no versions, since its mode is {mode}",))
    return Registration(level)


async def level_of(registry: HttpSchemaRegistry, subject: str) -> Compatibility | None:
    """The level in force for a subject, or None where the user may not ask for it.

    Raises:
        RegistryError: If the registry does not answer.
    """
    try:
        return await registry.level(subject)
    except RegistryError as error:
        if error.status == 403:  # noqa: PLR2004 - HTTP's own number
            return None
        raise


async def _conflicts(
    registry: HttpSchemaRegistry, level: Compatibility | None, declaration: Declaration
) -> tuple[Conflict, ...]:
    """Our own checker's reasons for a refusal, which have a path and both sides."""
    versions = await registry.versions(declaration.subject)
    return tuple(await explain(level or Compatibility.BACKWARD, declaration.schema, versions, fetching(registry)))


def fetching(registry: HttpSchemaRegistry) -> FetchVersion:
    """What gets a version that a schema refers to, None if it is not there."""

    async def fetch(subject: str, number: int) -> RegisteredSchema | None:
        try:
            return await registry.version(subject, number)
        except SchemaNotFound:
            return None

    return fetch


def by_subject(declared: Iterable[Declaration]) -> tuple[Declaration, ...]:
    """Classes with each subject once, whoever declares it.

    Raises:
        DeclarationError: If two classes declare different schemas for one subject.
    """
    found: dict[str, Declaration] = {}
    for declaration in declared:
        first = found.setdefault(declaration.subject, declaration)
        if first.schema != declaration.schema:
            msg = (
                f"{_place(first.event)} and {_place(declaration.event)} declare different schemas for subject "
                f"{declaration.subject!r}; take them one at a time"
            )
            raise DeclarationError(msg)
    return tuple(found.values())


def _place(event: type[Event]) -> str:
    return f"{event.__module__}.{event.__qualname__}"


async def plan(registry: HttpSchemaRegistry, declared: Iterable[Declaration]) -> tuple[Checked, ...]:
    """What would become of the schemas of those classes that are written, each subject once; nothing is registered.

    Raises:
        DeclarationError: If two classes declare different schemas for one subject.
        RegistryError: If the registry does not answer.
    """
    written = by_subject(declaration for declaration in declared if declaration.writes)
    return tuple([Checked(each, None, await registration(registry, each)) for each in written])


async def register(registry: HttpSchemaRegistry, planned: Iterable[Checked]) -> AsyncIterator[RegisteredSchema]:
    """Register what is not registered yet, one after the other.

    Raises:
        IncompatibleSchema: Before anything is registered, if one of them was planned and refused; later, if the
            registry has changed its mind since.
        RegistryError: If the registry does not answer; what was yielded before is registered.
    """
    planned = tuple(planned)
    for checked in planned:
        if not checked.compatible:
            raise IncompatibleSchema(checked.declaration.subject, checked.problems)
    for checked in planned:
        if checked.registration.version is None:
            yield await registry.register(checked.declaration.subject, checked.declaration.schema)


def files(declared: Iterable[Declaration]) -> Mapping[str, str]:
    """The schemas of classes as texts of files, by the name of each: its subject and a suffix for its type.

    Raises:
        DeclarationError: If two classes declare different schemas for one subject.
    """
    return {f"{each.subject}{SUFFIXES[each.schema.type]}": pretty(each.schema) for each in by_subject(declared)}


def pretty(schema: Schema) -> str:
    """A schema as text for people, with a line's end behind it; as it is if it is no JSON."""
    try:
        text = json.dumps(json.loads(schema.text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = schema.text
    return text.rstrip("\n") + "\n"
