"""What a relay sends and what it makes of the answers, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventhub.errors import AuthorizationFailed, BrokerError, PublishRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.brokers.base import Outcome
    from eventhub.outbox.base import Lane, OutboxRow

    Refused = tuple[OutboxRow, BrokerError]
    """A row, and why the broker does not take it."""

HEAVY_BYTES = 64 * 1024
"""Rows above this may be refused for their size while smaller ones of their key are taken.

Of all refusals only that one tells rows of one topic and key apart, so a heavy row ends its key's
share of a round: what comes after it is sent once it was acknowledged, and nothing overtakes it.
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the rows of one round."""

    acknowledged: Sequence[int]
    """Ids of rows to delete: of each lane, those before its first failure."""
    refused: Sequence[Refused]
    """The first refused row of each key, every refused one without a key, and why."""
    failure: BrokerError | None
    """The first failure that is no row's fault, or None."""


def to_send(rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
    """The rows that may go together: those behind a heavy row of their lane wait for the next round."""
    ended: set[Lane] = set()
    chosen: list[OutboxRow] = []
    for row in rows:
        if row.key is None:
            chosen.append(row)
        elif row.lane not in ended:
            chosen.append(row)
            if row.size_bytes > HEAVY_BYTES:
                ended.add(row.lane)
    return chosen


def settle(rows: Sequence[OutboxRow], outcomes: Sequence[Outcome]) -> Settled:
    """What to delete, whom to blame and whether to rest, after an outcome for each row."""
    failed: set[Lane] = set()
    acknowledged: list[int] = []
    refused: list[Refused] = []
    failure: BrokerError | None = None
    for row, outcome in zip(rows, outcomes, strict=True):
        behind = row.lane in failed
        if not isinstance(outcome, BrokerError):
            if row.key is None or not behind:  # what was acknowledged behind a failure is sent again after it
                acknowledged.append(row.id)
            continue
        failed.add(row.lane)
        if not isinstance(outcome, (PublishRefused, AuthorizationFailed)):
            failure = failure or outcome
        elif row.key is None or not behind:
            refused.append((row, outcome))
    return Settled(acknowledged, refused, failure)
