"""What the laws of stores are tried on: claims, records and rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from eventhub.outbox.base import Claim, OutboxRow, Store
from eventhub.record import ProducerRecord

DEADLINE = 30.0
"""Seconds that only a hang reaches."""


class Undone(Exception):
    """What a test raises to have a block undone."""


def new_claim(day: date | None = None) -> Claim:
    """A claim of an event that no other test has."""
    return Claim("inventory", UUID(str(uuid7())), day if day is not None else datetime.now(UTC).date())


def record(value: str, *, key: bytes | None = b"", topic: str = "orders") -> ProducerRecord:
    """A record whose key is its value unless told otherwise."""
    key = value.encode() if key == b"" else key
    return ProducerRecord(topic, key, value.encode(), (("ce_id", str(uuid7()).encode()),))


async def fill(store: Store[Any], letters: str) -> None:
    """Commit a record a letter, whose key is the letter."""
    async with store.transaction() as transaction:
        await transaction.enqueue([record(letter) for letter in letters])


async def rows_of(store: Store[Any]) -> list[OutboxRow]:
    """All rows that a relay would be shown."""
    async with store.backlog() as backlog:
        return list(await backlog.read(await backlog.share(), 1000))


def values(rows: Sequence[OutboxRow]) -> list[bytes | None]:
    """The values of rows."""
    return [row.value for row in rows]


async def claims(store: Store[Any], claim: Claim) -> bool:
    """Whether a claim is true in a transaction that begins with it, and is committed."""
    async with store.claiming(claim) as transaction:
        return transaction is not None


async def bury_first(store: Store[Any]) -> list[OutboxRow]:
    """Bury the first row that can be read, and return all that could be read before."""
    async with store.backlog() as backlog:
        rows = list(await backlog.read(await backlog.share(), 100))
        await backlog.bury({rows[0].id: "refused"})
    return rows
