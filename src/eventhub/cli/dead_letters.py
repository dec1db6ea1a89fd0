"""``eventhub dead-letters``: look at what a service gave up, replay it or drop it."""

from __future__ import annotations

import asyncio
import math
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import structlog
import typer
from rich.console import Console

from eventhub.brokers.kafka import KafkaBroker
from eventhub.cli.letters import as_json, as_sentences, as_table, as_text
from eventhub.clock import SystemClock
from eventhub.dead_letters import DeadLetterTopic, Destination, ReplayOptions, Selection
from eventhub.errors import DeclarationError, EventHubError
from eventhub.settings import Settings, read_settings

dead_letters = typer.Typer(
    name="dead-letters", help="Look at what a service gave up, replay it or drop it.", no_args_is_help=True
)

_AGE = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _time(text: str) -> float:
    """A time of day, or an age before now, in seconds since the epoch."""
    if age := _AGE.fullmatch(text):
        return SystemClock.now() - int(age[1]) * _SECONDS[age[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is neither a time such as 2026-03-01T12:00Z nor an age such as 90s, 15m, 2h, 3d or 1w"
        raise typer.BadParameter(msg) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _place(text: str | None) -> tuple[int, int] | None:
    """A partition and an offset; typer would take a tuple for two arguments, so this is no parser of its."""
    if text is None:
        return None
    partition, slash, offset = text.partition("/")
    if not (slash and partition.isdecimal() and offset.isdecimal()):
        msg = f"{text!r} is no place; write PARTITION/OFFSET as `list` shows it, for instance 0/17"
        raise typer.BadParameter(msg, param_hint="--at")
    return int(partition), int(offset)


def _key(text: str) -> bytes:
    """A key as ``show --payload`` prints it."""
    try:
        return bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text.encode()
    except ValueError:
        msg = f"{text!r} is no key: behind hex: stand pairs of hexadecimal digits"
        raise typer.BadParameter(msg) from None


def _rate(text: str) -> float:
    """Letters a second; the options' own rule, told before anything is connected."""
    try:
        return ReplayOptions(rate=float(text)).rate
    except (ValueError, DeclarationError):
        msg = f"{text!r} is no number of letters a second above 0"
        raise typer.BadParameter(msg) from None


Topic = Annotated[str, typer.Argument(help="The topic that the records were read from.")]
Group = Annotated[str, typer.Argument(help="The service that gave them up.")]
Since = Annotated[
    float | None, typer.Option(parser=_time, metavar="TIME", help="Failed at this time or later; or an age, as 2h.")
]
Until = Annotated[float | None, typer.Option(parser=_time, metavar="TIME", help="Failed before this time; or an age.")]
Handler = Annotated[str | None, typer.Option(help="Given up by this handler.")]
ErrorType = Annotated[str | None, typer.Option(help="Failed with this class of errors, by its qualified name.")]
Key = Annotated[bytes | None, typer.Option(parser=_key, metavar="KEY", help="With this key; bytes as hex:00ff.")]
At = Annotated[
    str | None, typer.Option(metavar="PARTITION/OFFSET", help="The one at this place of the dead-letter topic.")
]
To = Annotated[Destination, typer.Option(help="The group that gave them up, or every group.")]
Rate = Annotated[
    float, typer.Option(parser=_rate, metavar="NUMBER", help="Letters a second at most.", show_default="no limit")
]
MaxReplays = Annotated[int, typer.Option(min=1, help="Leave alone what was replayed this often.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; otherwise it is only said what would be done.")]


@dead_letters.command("list")
def list_(
    topic: Topic,
    group: Group,
    since: Since = None,
    until: Until = None,
    handler: Handler = None,
    error_type: ErrorType = None,
    key: Key = None,
    at: At = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List letters that are neither replayed nor dropped, without anything of their payloads."""
    selection = Selection(since, until, handler, error_type, key, _place(at))
    _run(topic, group, lambda letters: list_letters(letters, selection, json=json))


async def list_letters(letters: DeadLetterTopic, selection: Selection, *, json: bool = False) -> None:
    """Print where letters are and why."""
    async with aclosing(letters.pending(selection)) as pending:
        if json:
            async for letter in pending:
                typer.echo(as_json(letter))
            return
        found = [letter async for letter in pending]
    Console().print(as_table(found))


@dead_letters.command()
def show(
    topic: Topic,
    group: Group,
    since: Since = None,
    until: Until = None,
    handler: Handler = None,
    error_type: ErrorType = None,
    key: Key = None,
    at: At = None,
    payload: Annotated[bool, typer.Option("--payload", help="Key and value too, as text or else as hex.")] = False,
) -> None:
    """Show letters with all their headers, which say why they failed."""
    selection = Selection(since, until, handler, error_type, key, _place(at))
    _run(topic, group, lambda letters: show_letters(letters, selection, payload=payload))


async def show_letters(letters: DeadLetterTopic, selection: Selection, *, payload: bool = False) -> None:
    """Print letters in full."""
    async with aclosing(letters.pending(selection)) as pending:
        async for letter in pending:
            typer.echo(as_text(letter, payload=payload))


@dead_letters.command()
def replay(
    topic: Topic,
    group: Group,
    since: Since = None,
    until: Until = None,
    handler: Handler = None,
    error_type: ErrorType = None,
    key: Key = None,
    at: At = None,
    to: To = Destination.GROUP,
    rate: Rate = math.inf,
    max_replays: MaxReplays = 3,
    yes: Yes = False,
) -> None:
    """Have letters handled once more, with their original bytes; repeating this sends nothing twice."""
    selection = Selection(since, until, handler, error_type, key, _place(at))
    options = ReplayOptions(to, rate, max_replays)
    _run(topic, group, lambda letters: replay_letters(letters, selection, options, yes=yes))


async def replay_letters(
    letters: DeadLetterTopic, selection: Selection, options: ReplayOptions, *, yes: bool = False
) -> None:
    """Replay letters, or say how many there are."""
    settled = await letters.replay(selection, options, dry_run=not yes)
    typer.echo(as_sentences(settled, what=f"replayed to the {options.destination.value}", dry_run=not yes))
    if not settled.complete:
        raise typer.Exit(1)


@dead_letters.command()
def drop(
    topic: Topic,
    group: Group,
    since: Since = None,
    until: Until = None,
    handler: Handler = None,
    error_type: ErrorType = None,
    key: Key = None,
    at: At = None,
    yes: Yes = False,
) -> None:
    """Never look at letters again; the topic's retention deletes them some day."""
    selection = Selection(since, until, handler, error_type, key, _place(at))
    _run(topic, group, lambda letters: drop_letters(letters, selection, yes=yes))


async def drop_letters(letters: DeadLetterTopic, selection: Selection, *, yes: bool = False) -> None:
    """Drop letters, or say how many there are."""
    settled = await letters.drop(selection, dry_run=not yes)
    typer.echo(as_sentences(settled, what="dropped", dry_run=not yes))
    if not settled.complete:
        raise typer.Exit(1)


def _run(topic: str, group: str, work: Callable[[DeadLetterTopic], Awaitable[None]]) -> None:
    """Connect and work; an error is one message."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for what was asked
    try:
        asyncio.run(_connected(read_settings(), topic, group, work))
    except EventHubError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None


async def _connected(
    settings: Settings, topic: str, group: str, work: Callable[[DeadLetterTopic], Awaitable[None]]
) -> None:
    """Work on the letters of a broker that others share; it takes no registry."""
    if not settings.broker.startswith("kafka://"):
        shown = settings.broker.rpartition("@")[2]  # without a password
        msg = f"EVENTHUB_BROKER is {shown}, which no two processes share; set it to kafka://host:port"
        raise DeclarationError(msg)
    broker = KafkaBroker(settings.broker, security=settings.security)
    try:
        await broker.start()
        await work(DeadLetterTopic(broker, topic, group))
    finally:
        await broker.stop()
