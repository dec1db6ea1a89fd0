"""Dead letters in words: what an operator is shown of them, and nothing that a terminal would obey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from eventhub.runtime.dead_letter import date_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventhub.dead_letters import DeadLetter, Settled

_COLUMNS = ("at", "origin", "failed at", "handler", "attempt", "stage", "error", "replays")
_NAME_WIDTH = 28  # the longest of our header names, and a space


def as_json(letter: DeadLetter) -> str:
    """One line for a program: why a letter is here, and nothing of its key, value, headers or of the error's text."""
    origin = letter.origin
    return json.dumps(
        {
            "partition": letter.record.partition,
            "offset": letter.record.offset,
            "origin_topic": origin and origin.topic,
            "origin_partition": origin and origin.partition,
            "origin_offset": origin and origin.offset,
            "origin_timestamp": date_text(origin.timestamp) if origin else None,
            "group": letter.group,
            "handler": letter.handler,
            "attempt": letter.attempt,
            "first_failure_at": date_text(letter.first_failure_at),
            "failed_at": date_text(letter.failed_at),
            "stage": letter.stage,
            "error_type": letter.error_type,
            "replay_count": letter.replay_count,
            "is_reference": letter.is_reference,
        }
    )


def as_table(letters: Iterable[DeadLetter]) -> Table:
    """The same for a person, one letter a row."""
    table = Table(*_COLUMNS, box=None, header_style="bold", pad_edge=False)
    for letter in letters:
        origin = letter.origin
        cells = (
            f"{letter.record.partition}/{letter.record.offset}",
            f"{origin.partition}/{origin.offset}" if origin else None,
            date_text(letter.failed_at),
            letter.handler,
            letter.attempt,
            letter.stage,
            letter.error_type,
            letter.replay_count,
        )
        table.add_row(*(Text("" if cell is None else str(cell), overflow="fold") for cell in cells))
    return table


def as_text(letter: DeadLetter, *, payload: bool) -> str:
    """One letter with all its headers; of key and value only the sizes, unless the payload is asked for."""
    record = letter.record
    shown = [(printable(name.encode("utf-8", "replace")), printable(value)) for name, value in record.headers]
    for name, content in (("key", record.key), ("value", record.value)):
        shown.append((name, printable(content) if payload or content is None else f"({len(content)} bytes)"))
    lines = [f"{record.topic} {record.partition}/{record.offset}"]
    for name, text in shown:
        first, *others = text.splitlines() or [""]
        lines += [f"  {name:<{_NAME_WIDTH}}{first}", *(" " * (_NAME_WIDTH + 2) + other for other in others)]
    return "\n".join(lines)


def printable(content: bytes | None) -> str:
    """Bytes as text if a terminal may show it, or else as ``hex:``; nobody knows who wrote them."""
    if content is None:
        return "(none)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"hex:{content.hex()}"
    return text if all(c.isprintable() or c in "\n\t" for c in text) else f"hex:{content.hex()}"


def as_sentences(settled: Settled, *, what: str, dry_run: bool) -> str:
    """What became of the letters that were meant, or would become of them.

    Args:
        settled: The numbers.
        what: What was to be done, as a participle: ``replayed``.
        dry_run: Whether nothing was done yet.
    """
    said = [
        f"{_letters(settled.done)} would be {what}; say --yes to do it"
        if dry_run
        else f"{_letters(settled.done)} {what}"
    ]
    if settled.known:
        said.append(f"{_letters(settled.known)} had been replayed by a run that broke off")
    said += [f"{_letters(count)} left alone: {reason}" for reason, count in settled.left.items()]
    if not settled.complete:
        said.append("the rest has to wait until older letters are settled: no more gaps can be remembered")
    return "\n".join(said)


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
