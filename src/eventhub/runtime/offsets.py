"""Which records of one partition are finished, and from where a successor would have to go on.

Pure: nothing here waits, asks or commits.
"""

from __future__ import annotations

from eventhub.runtime.offset_map import OffsetMap


class Offsets:
    """The delivered and the finished offsets of one partition in one assignment.

    A record that is handled where it was delivered, before the next one is looked at, only moves
    ``next``. Any other is begun and finished by itself. Offsets have gaps (compaction, transaction
    markers), so only offsets that were delivered are ever waited for.

    Source: KIP-98 (transaction markers take offsets).
    """

    __slots__ = ("_attempts", "_known", "_start", "_unfinished", "next", "restarts", "tried_before", "trying")

    def __init__(self, start: int, known: OffsetMap | None = None, *, restarts: int = 0) -> None:
        """Start before an offset, with what a predecessor had finished beyond it, or None.

        Args:
            start: The next offset to be delivered.
            known: What a predecessor left behind.
            restarts: How often in a row the partition was taken over like this, without progress.
        """
        self.next = start
        """One past the last record that was delivered and is not under way in turn."""
        self._unfinished: dict[int, None] = {}  # in the order of offsets
        self._attempts = dict(known.attempts) if known is not None else {}
        self._known = known
        self._start = start
        self.restarts = restarts
        """How often in a row the partition was taken over without progress; nothing once there is some."""
        self.tried_before = bool(self._attempts)
        """Whether attempts at some of the records were made before the start."""
        self.trying: int | None = None
        """The offset that is tried alone, or None."""

    @property
    def progressed(self) -> bool:
        """Whether anything was finished since the start."""
        return self.committable > self._start

    def passed(self, offset: int) -> None:
        """Note that a record was delivered and finished in turn."""
        self.next = offset + 1

    def begin(self, offset: int) -> None:
        """Note that a record was delivered and will be finished later."""
        self._unfinished[offset] = None
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """Note that a record that was begun is finished.

        Raises:
            KeyError: If it was not begun, or is finished already.
        """
        del self._unfinished[offset]
        self._attempts.pop(offset, None)

    def failed(self, offset: int, attempts: int) -> None:
        """Note how many attempts at a record have failed; it will be begun and finished, not passed."""
        self._attempts[offset] = attempts

    def attempts(self, offset: int) -> int:
        """How many attempts at a record have failed so far, here or before the last restart."""
        return self._attempts.get(offset, 0)

    def was_finished(self, offset: int) -> bool:
        """Whether a predecessor finished the record already."""
        return self._known is not None and self._known.done(offset)

    @property
    def resuming(self) -> bool:
        """Whether a predecessor may have finished records that are still to be delivered."""
        if self._known is not None and self.next >= self._known.end:
            self._known = None
        return self._known is not None

    @property
    def head(self) -> int | None:
        """The lowest offset that is begun and unfinished, or None."""
        return next(iter(self._unfinished), None)

    @property
    def committable(self) -> int:
        """The offset to resume from: everything below it is finished."""
        return next(iter(self._unfinished), self.next)

    def map(self) -> OffsetMap | None:
        """What a successor has to know beyond ``committable``, or None if there is nothing."""
        base = self.committable
        end = self.next
        unfinished = set(self._unfinished)
        if self.resuming and self._known is not None:
            end = self._known.end
            unfinished |= {offset for offset in self._known.unfinished if offset >= self.next}
        attempts = {offset: made for offset in unfinished if (made := self.attempts(offset))}
        restarts = 0 if self.progressed else self.restarts
        trying = self.trying == base
        if not attempts and not restarts and not trying and end - base == len(unfinished):
            return None
        return OffsetMap(base, end, frozenset(unfinished), attempts, restarts, trying)
