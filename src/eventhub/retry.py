"""What happens after a failure: which errors are tried again, when, and when it is given up.

All decisions are pure: an error and a number of attempts in, a fate out.
"""

from __future__ import annotations

import math
from asyncio import CancelledError
from dataclasses import dataclass
from enum import Enum

from eventhub.errors import (
    CrashPoison,
    DeclarationError,
    DecodeError,
    HandlerFault,
    InfrastructureError,
    SchemaMismatch,
)

LONG_WAIT = 10.0
"""Seconds from which on a record without order waits in a retry topic: a shorter wait is not worth a second copy."""


class Fate(Enum):
    """What becomes of a record whose handling failed."""

    RETRY = "retry"
    """Tried again after a wait; the default."""
    FATAL = "fatal"
    """Given up at once: trying again cannot help."""
    EXHAUSTED = "exhausted"
    """Given up: it was tried often enough."""
    IGNORE = "ignore"
    """Completed all the same, and counted."""
    PAUSE = "pause"
    """Nobody's fault: wait for the infrastructure, without counting an attempt."""


class Exhausted(Enum):
    """What becomes of a key when all attempts at one of its records failed."""

    DEAD_LETTER = "dead_letter"
    """The record goes to the dead-letter topic and the key goes on; the default."""
    HALT_KEY = "halt_key"
    """The key stands still until the service is started anew; other keys go on."""


ErrorTypes = type[BaseException] | tuple[type[BaseException], ...]

FATAL: tuple[type[BaseException], ...] = (CrashPoison, DecodeError, SchemaMismatch, HandlerFault)
"""Errors that the same record would meet again, whatever else is said."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How failures of one handler are treated.

    The waits are seconds before the second, third ... attempt; their number plus one is the
    number of attempts. Meanwhile the record's key is parked: its later records queue behind it,
    other keys go on. Where nothing is ordered, a record spends waits of 10 s and more in a retry topic.
    """

    on: ErrorTypes = (Exception, CancelledError)
    """Errors worth another attempt; any other is fatal. A cancellation that gets here was not ours."""
    fatal: ErrorTypes = ()
    """Errors that no attempt can heal: dead-lettered at once."""
    ignore: ErrorTypes = ()
    """Errors that mean "nothing to do": completed and counted."""
    pause: ErrorTypes = ()
    """Errors that are an outage, not the record's fault: waited for, never counted."""
    waits: tuple[float, ...] = (0.1, 0.4, 1.6, 10.0, 60.0, 600.0)
    """Seconds before each further attempt, never less; 0 to 20 % jitter is added."""
    attempts: int | None = None
    """The number of attempts in all; None for one more than there are waits. The last wait repeats."""
    exhausted: Exhausted = Exhausted.DEAD_LETTER
    """What happens after the last attempt."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.attempts is not None and self.attempts < 1:
            msg = f"attempts must be at least 1, not {self.attempts}"
            raise DeclarationError(msg)
        if not all(wait >= 0 for wait in self.waits):  # nan neither
            msg = f"waits must be 0 or more: {self.waits}"
            raise DeclarationError(msg)
        if not self.waits and self.max_attempts > 1:
            msg = "more than one attempt needs at least one wait, for instance waits=(1.0,)"
            raise DeclarationError(msg)

    @property
    def max_attempts(self) -> int:
        """The number of attempts in all, the first included."""
        return self.attempts if self.attempts is not None else len(self.waits) + 1

    def fate(self, error: BaseException, attempt: int) -> Fate:
        """What becomes of a record whose given attempt (counted from 1) failed with this error."""
        if isinstance(error, self.ignore):
            return Fate.IGNORE
        if isinstance(error, self.pause):
            return Fate.PAUSE
        if isinstance(error, self.fatal) or isinstance(error, FATAL):  # noqa: SIM101 - either may be one class
            return Fate.FATAL
        if isinstance(error, InfrastructureError):
            return Fate.PAUSE
        if not isinstance(error, self.on):
            return Fate.FATAL
        return Fate.RETRY if attempt < self.max_attempts else Fate.EXHAUSTED

    def wait_before(self, attempt: int, jitter: float) -> float:
        """Seconds to wait before an attempt (from 2 on); ``jitter`` in 0..1 adds up to 20 %."""
        wait = self.waits[min(attempt - 2, len(self.waits) - 1)]
        return wait * (1.0 + 0.2 * jitter)

    @property
    def long_waits(self) -> frozenset[int]:
        """The long waits before any attempt, in whole seconds; a fraction is rounded up."""
        return frozenset(map(math.ceil, filter(_is_long, self.waits[: self.max_attempts - 1])))

    def long_wait_before(self, attempt: int) -> int | None:
        """The whole seconds to wait before an attempt (from 2 on), or None where the wait is not long."""
        wait = self.waits[min(attempt - 2, len(self.waits) - 1)]
        return math.ceil(wait) if _is_long(wait) else None


def _is_long(wait: float) -> bool:
    return LONG_WAIT <= wait < math.inf


def backoff(failures: int, *, initial: float = 1.0, limit: float = 30.0, jitter: float = 0.0) -> float:
    """Seconds to wait after so many failures in a row of the infrastructure: doubling, up to a limit."""
    return float(min(limit, initial * 2.0 ** min(failures - 1, 32)) * (1.0 + 0.2 * jitter))
