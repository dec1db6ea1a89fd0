"""``eventhub schemas``: look at what is registered, and check, compare, register and export the schemas of classes."""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from eventhub.cli.places import declared_at
from eventhub.cli.safe import safe, safe_lines
from eventhub.cli.schema_reports import (
    Compared,
    Subject,
    as_json,
    as_table,
    broken_off,
    checked_facts,
    checked_text,
    compared_text,
    summary,
    version_head,
)
from eventhub.errors import EventHubError, IncompatibleSchema, RegistryError, SchemaNotFound
from eventhub.registry.auth import Bearer
from eventhub.registry.base import RegisteredSchema, Schema
from eventhub.registry.client import HttpSchemaRegistry
from eventhub.registry.compatibility import problems_between
from eventhub.registry.differences import differences
from eventhub.registry.explain import parsed
from eventhub.schemas import (
    Declaration,
    check,
    declarations,
    fetching,
    files,
    level_of,
    opened,
    plan,
    pretty,
    register,
)
from eventhub.settings import read_settings

schemas = typer.Typer(
    name="schemas",
    help="Look at what is registered; check, register and export schemas.",
    no_args_is_help=True,
)

_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_AT_ONCE = 8  # subjects that are asked about at the same time

Places = Annotated[list[str], typer.Argument(help="Services or event classes, as module:name.", metavar="MODULE:NAME")]
Url = Annotated[
    str | None,
    typer.Option("--registry", metavar="URL", help="The registry's address; EVENTHUB_REGISTRY if it is left out."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Deleted = Annotated[bool, typer.Option("--deleted", help="Also what is soft-deleted.")]


@schemas.command("list")
def list_(
    prefix: Annotated[str, typer.Argument(help="What the subjects begin with.")] = "",
    deleted: Deleted = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """List subjects with their versions, their type and the level in force."""
    _run(url, lambda registry: list_subjects(registry, prefix, deleted=deleted, json=json))


async def list_subjects(
    registry: HttpSchemaRegistry, prefix: str = "", *, deleted: bool = False, json: bool = False
) -> None:
    """Print what there is."""
    names = await registry.subjects(prefix, deleted=deleted)
    seen: dict[str, Subject | None] = {}
    left = iter(names)

    async def look() -> None:
        for name in left:  # shared, so that there are as many tasks as requests and not as names
            seen[name] = await _subject(registry, name, deleted=deleted)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(look())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    found = [subject for subject in map(seen.get, names) if subject is not None]
    if not json:
        Console().print(as_table(found))
        return
    for subject in found:
        typer.echo(as_json(asdict(subject)))


async def _subject(registry: HttpSchemaRegistry, name: str, *, deleted: bool) -> Subject | None:
    """What there is under a subject; None if it is gone meanwhile."""
    alive = await registry.version_numbers(name)
    every = await registry.version_numbers(name, deleted=True) if deleted else alive
    if not every:
        return None
    try:
        latest = await registry.version(name, (alive or every)[-1], deleted=not alive)
    except SchemaNotFound:
        return None
    dead = [number for number in every if number not in alive]
    return Subject(name, alive, dead, latest.schema.type, await level_of(registry, name), latest.id)


@schemas.command()
def show(
    subject: Annotated[str, typer.Argument(help="As list shows it.")],
    version: Annotated[str, typer.Argument(help="A number, or latest.")] = "latest",
    raw: Annotated[bool, typer.Option("--raw", help="Nothing but the schema, letter by letter.")] = False,
    deleted: Deleted = False,
    url: Url = None,
) -> None:
    """Show one version of a subject."""
    number = _number(version)
    _run(url, lambda registry: show_version(registry, subject, number, raw=raw, deleted=deleted))


async def show_version(
    registry: HttpSchemaRegistry, subject: str, number: int | None, *, raw: bool = False, deleted: bool = False
) -> None:
    """Print one version, None for the latest."""
    found = await registry.version(subject, number, deleted=deleted)
    if raw and not sys.stdout.isatty():
        typer.echo(found.schema.text.encode(errors="replace"), nl=False)
    elif raw:
        typer.echo(safe_lines(found.schema.text))
    else:
        typer.echo(f"{version_head(found)}\n\n{safe_lines(pretty(found.schema))}", nl=False)


@schemas.command()
def diff(
    what: Annotated[str, typer.Argument(help="A subject, or a class.", metavar="SUBJECT|MODULE:NAME")],
    old: Annotated[str | None, typer.Argument(help="A version; of a subject the one before the latest.")] = None,
    new: Annotated[str, typer.Argument(help="Another version of a subject.")] = "latest",
    json: Json = False,
    url: Url = None,
) -> None:
    """Say what two versions of a subject, or a class and a version, say differently, and which reads which.

    The exit code is 0 if they say the same, 1 if not.
    """
    earlier, later = None if old is None else _number(old), _number(new)
    if not _CLASS.fullmatch(what):
        _run(url, lambda registry: diff_versions(registry, what, (earlier, later), json=json))
        return
    if new != "latest":
        msg = "a class is compared with one version"
        raise typer.BadParameter(msg, param_hint="NEW")
    declared = _declared([what])
    _run(url, lambda registry: diff_class(registry, declared, earlier, json=json))


async def diff_versions(
    registry: HttpSchemaRegistry, subject: str, numbers: tuple[int | None, int | None], *, json: bool = False
) -> None:
    """Compare two versions; None for the old one is the one before the new one, for the new one the latest."""
    new = await registry.version(subject, numbers[1])
    earlier = [number for number in await registry.version_numbers(subject) if number < new.version]
    if numbers[0] is None and not earlier:
        msg = f"subject {subject!r} has nothing before version {new.version}"
        raise SchemaNotFound(msg)
    old = await registry.version(subject, numbers[0] if numbers[0] is not None else earlier[-1])
    await _compare(registry, old, new.schema, f"version {new.version}", json=json)


async def diff_class(
    registry: HttpSchemaRegistry, declared: Sequence[Declaration], number: int | None = None, *, json: bool = False
) -> None:
    """Compare the classes' own schemas with a version of their subjects, None for the latest."""
    for declaration in declared:
        old = await registry.version(declaration.subject, number)
        await _compare(registry, old, declaration.schema, declaration.event.__name__, json=json)


async def _compare(registry: HttpSchemaRegistry, old: RegisteredSchema, new: Schema, name: str, *, json: bool) -> None:
    before, after = await parsed([old.schema, new], fetching(registry))
    compared = Compared(
        old.subject,
        f"version {old.version}",
        name,
        differences(before, after),
        new_reads_old=problems_between(after, before),
        old_reads_new=problems_between(before, after),
    )
    typer.echo(as_json(asdict(compared)) if json else compared_text(compared))
    if compared.differences:
        raise typer.Exit(1)


@schemas.command("check")
def check_(places: Places, json: Json = False, url: Url = None) -> None:
    """Check that classes read every version of their subjects, and that their own schemas would be taken.

    Of a service each class is checked for what the service does with it. The exit code is 0 if all is
    well, 1 if not, 2 if it could not be found out.
    """
    declared = _declared(places)
    _run(url, lambda registry: check_classes(registry, declared, json=json))


async def check_classes(registry: HttpSchemaRegistry, declared: Sequence[Declaration], *, json: bool = False) -> None:
    """Print what the classes and the registry make of each other."""
    found = await check(registry, declared)
    for checked in found:
        typer.echo(as_json(checked_facts(checked)) if json else checked_text(checked))
    if not json:
        typer.echo(summary(found))
    if not all(checked.compatible for checked in found):
        raise typer.Exit(1)


@schemas.command("register")
def register_(
    places: Places,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise it is only said what would be done.")] = False,
    url: Url = None,
) -> None:
    """Register the schemas of what services write, and of classes; all of them or, if one would be refused, none.

    Should the registry change its mind meanwhile, it is said what was registered; the same command does the rest.
    """
    declared = _declared(places)
    _run(url, lambda registry: register_classes(registry, declared, yes=yes))


async def register_classes(registry: HttpSchemaRegistry, declared: Sequence[Declaration], *, yes: bool = False) -> None:
    """Register schemas, or say what would become of them."""
    planned = await plan(registry, declared)
    for checked in planned:
        typer.echo(checked_text(checked))
    if not all(checked.compatible for checked in planned):
        typer.echo(f"{summary(planned)}; nothing was registered")
        raise typer.Exit(1)
    new = [checked.declaration.subject for checked in planned if checked.registration.version is None]
    if not yes:
        typer.echo(f"{len(new)} new; say --yes to register" if new else "nothing to register")
        return
    done: list[str] = []
    try:
        async for version in register(registry, planned):
            done.append(version.subject)
            typer.echo(safe(f"{version.subject} is now at version {version.version} (id {version.id})"))
    except EventHubError as error:
        typer.echo(safe(broken_off(done, new[len(done) :], refused=_is_refusal(error))))
        raise


def _is_refusal(error: EventHubError) -> bool:
    """Whether an error says that a schema was not registered; another may come after it was."""
    if isinstance(error, RegistryError):
        return error.status in range(400, 500) and not isinstance(error, SchemaNotFound)
    return True


@schemas.command()
def export(
    places: Places,
    to: Annotated[Path, typer.Option(help="The folder, which is made if need be.", metavar="DIR", file_okay=False)],
) -> None:
    """Write the schemas of services and classes as files, .avsc, .json or .proto; no registry is asked."""
    declared = _declared(places)
    with _told():
        for name, text in files(declared).items():
            to.mkdir(parents=True, exist_ok=True)
            (to / name).write_text(text, encoding="utf-8")
            typer.echo(to / name)


def _number(version: str) -> int | None:
    """A version as it is written; None for the latest."""
    if version == "latest":
        return None
    if not _NUMBER.fullmatch(version):
        msg = f"{version!r} is no version; write a number from 1 on, or latest"
        raise typer.BadParameter(msg)
    return int(version)


def _declared(places: Sequence[str]) -> Sequence[Declaration]:
    """What services and classes declare, found before anything is connected: their modules may run what they like."""
    with _told():
        return declarations(*(declared_at(place) for place in places))


def _run(url: str | None, work: Callable[[HttpSchemaRegistry], Awaitable[None]]) -> None:
    """Connect and work; an error is one message."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for what was asked

    async def connected() -> None:
        settings = read_settings()
        token = settings.registry_token.get_secret_value()
        auth = Bearer(token) if token else None
        async with opened(url if url is not None else settings.registry, auth) as registry:
            await work(registry)

    with _told():
        asyncio.run(connected())


@contextmanager
def _told() -> Iterator[None]:
    """Say an error in one message, any other with its traceback: 1 for a schema that is refused, else 2."""
    try:
        yield
    except (EventHubError, OSError) as error:
        typer.echo(safe_lines(f"{type(error).__name__}: {error}"), err=True)
        raise typer.Exit(1 if isinstance(error, IncompatibleSchema) else 2) from None
    except (typer.BadParameter, typer.Exit):
        raise
    except Exception:  # noqa: BLE001 - a module may raise anything when it is imported, and 1 would mean a refusal
        traceback.print_exc()
        raise typer.Exit(2) from None
