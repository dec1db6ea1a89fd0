"""The attempts at a record that failed, from its first failure until it is done with.

Its decisions are pure but for the clock that it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventhub.errors import PublishRefused, RecordError, SchemaNotFound
from eventhub.retry import Fate, Retry, backoff
from eventhub.runtime.dead_letter import Reason

if TYPE_CHECKING:
    from eventhub.clock import Clock


class Attempts:
    """The failed attempts at one record so far."""

    error: BaseException
    """What the latest attempt met."""
    handler: str | None = None
    """The name of the handler whose record it is, or None while nobody knows."""

    def __init__(self, attempt: int, clock: Clock, first_at: float | None = None) -> None:
        """Start with the attempt in hand, counted from 1, and the time at which the first failed, if it is known."""
        self.attempt = attempt
        """The number of the latest attempt, or of the next one while it is waited for."""
        self.first_at = clock.now() if first_at is None else first_at
        """When the first attempt failed, in seconds since the epoch."""
        self._clock = clock
        self._since = clock.monotonic()
        self._pauses = 0

    def fate(self, retry: Retry, schema_grace: float) -> Fate:
        """What becomes of the record, given its handler's policy and how long a schema may be on its way."""
        if isinstance(self.error, PublishRefused):  # the same events would be refused again
            return Fate.FATAL
        if isinstance(self.error, SchemaNotFound) and self._clock.monotonic() - self._since >= schema_grace:
            return Fate.FATAL
        return retry.fate(self.error, self.attempt)

    def retry(self, policy: Retry, jitter: float) -> float:
        """Count the attempt; returns the seconds to wait before the next one."""
        self.attempt += 1
        self._pauses = 0
        return policy.wait_before(self.attempt, jitter)

    def pause(self, jitter: float) -> float:
        """Count nothing, since nobody is to blame; returns the seconds to wait."""
        self._pauses += 1
        return backoff(self._pauses, jitter=jitter)

    def reason(self, group: str, handler: str | None) -> Reason:
        """What the dead letter says."""
        return Reason(
            group=group,
            handler=handler,
            attempt=self.attempt,
            error=self.error,
            stage=self.stage,
            first_failure_at=self.first_at,
            failed_at=self._clock.now(),
        )

    @property
    def stage(self) -> str:
        """Where in a record's life the error belongs (``eventhub-error-stage``)."""
        if isinstance(self.error, RecordError):
            return self.error.stage
        if isinstance(self.error, SchemaNotFound):
            return "decode"
        return "publish" if isinstance(self.error, PublishRefused) else "handle"
