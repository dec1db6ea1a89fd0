"""The breaker: tells an outage from poison, by how many different keys fail.

::

    CLOSED   records are handled
      |  10 failures in a row over 3 keys, or half of 20 outcomes and 3 keys in 30 s
    OPEN     records wait, no attempt is counted
      |  after 5 s, doubling to 60 s
    PROBING  one record is tried: success closes, failure opens again

A record that can never be handled fails under one key, and its key's other records wait for it;
when several keys fail and nothing succeeds, something behind the handlers is down, and whatever
is tried now would use up its attempts for nothing. Poison under several keys at once looks the
same, so a probe is best made with a key that has not failed: its success closes the breaker and
lets the attempts at the poison count again.

Only failures that an outage may cause are told to the breaker. A record that cannot be decoded
says nothing about the world, neither good nor bad.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from eventhub.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Hashable

_SLOTS = 30  # parts of the window that are forgotten one by one


class BreakerState(Enum):
    """Whether records are handled."""

    CLOSED = "closed"
    """They are."""
    OPEN = "open"
    """They wait."""
    PROBING = "probing"
    """One is being tried while the others wait."""


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """What counts as an outage, and when it is looked at again."""

    failures: int = 10
    """Failures without a success between them that open the breaker."""
    keys: int = 3
    """Different keys that must be among the failures; fewer are poison."""
    share: float = 0.5
    """The share of failures among recent outcomes that opens the breaker, from 0 to 1."""
    outcomes: int = 20
    """Recent outcomes below which their share means nothing."""
    window: float = 30.0
    """Seconds for which an outcome is recent."""
    probe_wait: float = 5.0
    """Seconds from opening to the first probe; each failed probe doubles them."""
    probe_wait_limit: float = 60.0
    """Seconds between probes at most."""

    def __post_init__(self) -> None:
        """Refuse options under which one key could open the breaker, or nothing could close it."""
        if self.keys < 2:  # noqa: PLR2004 - one key is poison
            msg = f"a breaker needs failures of at least 2 keys, not {self.keys}; one key that fails is poison"
            raise DeclarationError(msg)
        if min(self.failures, self.outcomes) < 1 or not 0 < self.share <= 1:
            msg = f"a breaker needs at least 1 failure, 1 outcome and a share above 0 up to 1: {self}"
            raise DeclarationError(msg)
        if self.window <= 0 or not 0 < self.probe_wait <= self.probe_wait_limit:
            msg = f"a breaker's window and waits are positive seconds, the limit the longest wait: {self}"
            raise DeclarationError(msg)


@dataclass(slots=True)
class _Slot:
    """What happened in one part of the window."""

    number: int
    failures: int = 0
    successes: int = 0
    keys: set[int] = field(default_factory=set)


class Breaker:
    """Opens when many keys fail, and closes when one record succeeds again.

    All times are seconds of a clock that never steps back. Keys are kept as hashes, and only as
    many as are asked for.

    Attributes:
        state: Whether records are handled; only the breaker changes it.
        suspicious: False while no failure is remembered: ``succeeded`` would do nothing then, and
            need not be called. Successes before the first remembered failure are thus unknown,
            so shares are judged only when a whole window has passed since.
        probe_at: The time of the next probe while the breaker is open.
    """

    def __init__(self, options: BreakerOptions = BreakerOptions()) -> None:
        """Start closed, with nothing remembered."""
        self._options = options
        # All that follows is changed by the methods below only.
        self.state = BreakerState.CLOSED
        self.suspicious = False
        self.probe_at = 0.0
        self._wait = options.probe_wait
        self._run = 0  # failures since the last success
        self._run_keys: set[int] = set()
        self._slots: deque[_Slot] = deque()
        self._watching_since = 0.0  # the first remembered failure; later successes are all counted

    def failed(self, key: Hashable, now: float) -> None:
        """Count a failed attempt.

        ``key`` is what poison would be confined to: the record's key, or the place of a record
        that has none. Failures while the breaker is open are of attempts that began before.
        """
        if self.state is BreakerState.PROBING:
            self._wait = min(self._wait * 2, self._options.probe_wait_limit)
            self._open(now)
        elif self.state is BreakerState.CLOSED:
            self._remember(hash(key), now)
            if self._in_a_row() or self._too_many(now):
                self._open(now)

    def succeeded(self, now: float) -> None:
        """Count a record that was handled; while a probe is under way it closes the breaker."""
        if self.state is BreakerState.PROBING:
            self._close()
        elif self.state is BreakerState.CLOSED and self.suspicious:
            self._run = 0
            self._run_keys.clear()
            self._slot(now).successes += 1
            if not any(slot.failures for slot in self._slots):
                self._close()

    def probe(self, now: float) -> bool:
        """Whether one record is to be tried now; no other is until it failed, succeeded or was abandoned."""
        if self.state is not BreakerState.OPEN or now < self.probe_at:
            return False
        self.state = BreakerState.PROBING
        return True

    def abandoned(self) -> None:
        """The probe ended without telling anything: its partition went away, or it could not be decoded."""
        if self.state is BreakerState.PROBING:
            self.state = BreakerState.OPEN  # its time has come already, so the next probe is due at once

    def _remember(self, key: int, now: float) -> None:
        if not self.suspicious:
            self.suspicious = True
            self._watching_since = now
        slot = self._slot(now)
        slot.failures += 1
        self._run += 1
        for keys in (slot.keys, self._run_keys):
            if len(keys) < self._options.keys:  # more would decide nothing
                keys.add(key)

    def _in_a_row(self) -> bool:
        return self._run >= self._options.failures and len(self._run_keys) >= self._options.keys

    def _too_many(self, now: float) -> bool:
        """Whether failures are too large a share of what happened in the last window, all of it known."""
        if now - self._watching_since < self._options.window:
            return False
        failures = sum(slot.failures for slot in self._slots)
        outcomes = failures + sum(slot.successes for slot in self._slots)
        keys = set[int]().union(*(slot.keys for slot in self._slots))
        return (
            outcomes >= self._options.outcomes
            and failures >= self._options.share * outcomes
            and len(keys) >= self._options.keys
        )

    def _slot(self, now: float) -> _Slot:
        """The slot of this time, after those that left the window are dropped."""
        number = int(now * _SLOTS // self._options.window)
        while self._slots and self._slots[0].number <= number - _SLOTS:
            self._slots.popleft()
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self.probe_at = now + self._wait

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self.suspicious = False
        self._wait = self._options.probe_wait
        self._run = 0
        self._run_keys.clear()
        self._slots.clear()
