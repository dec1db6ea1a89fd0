"""When the records of a retry topic are due.

Pure: told the time, it says which records have waited long enough.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.record import Record

SHORTEST_REST = 1.0
"""Seconds that a partition rests at least: what was fetched beyond the records that are due is fetched again."""
LONGEST_REST = 30.0
"""Seconds that it rests at most, though nothing be due: only a fetch tells how much there is, and that it still is."""


class Delay:
    """When the records of one partition of a retry topic are due; a partition that is owned anew begins anew.

    A record is due so many seconds after it was written, by the time of day. The writer's clock may be ahead
    of ours, and either may step: so no record waits longer than that from when it was first seen here.
    """

    __slots__ = ("_seen_at", "_seen_end", "_wait", "until")

    def __init__(self, wait: float) -> None:
        """Let every record wait for so many seconds."""
        self._wait = wait
        self._seen_end = 0  # records below this offset were seen at that time, or before
        self._seen_at = 0.0
        self.until = -math.inf
        """Monotonic time before which the partition need not be asked."""

    def due(self, records: Sequence[Record], now: float, monotonic: float) -> Sequence[Record]:
        """The records up to the first that is not due.

        Args:
            records: At least one, in the order of their offsets.
            now: The time of day, in seconds since the epoch.
            monotonic: The time in which waits are measured.
        """
        if records[0].offset >= self._seen_end:
            self._seen_end, self._seen_at = records[-1].offset + 1, monotonic
        for place, record in enumerate(records):
            seen_for = monotonic - self._seen_at if record.offset < self._seen_end else 0.0
            left = min(record.timestamp + self._wait - now, self._wait - seen_for)
            if left > 0:
                self.until = monotonic + min(max(left, SHORTEST_REST), LONGEST_REST)
                return records[:place]
        return records
