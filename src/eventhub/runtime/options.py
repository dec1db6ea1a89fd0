"""How the runtime goes about its work; every value is a default that a hub may change."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from eventhub.clock import Clock, SystemClock
from eventhub.runtime.breaker import BreakerOptions
from eventhub.runtime.hooks import Hooks
from eventhub.runtime.watchdog import Patience


class Start(Enum):
    """Where a group begins that has never committed."""

    EARLIEST = "earliest"
    """At the first record that the topic still holds; the default, since nothing is lost."""
    LATEST = "latest"
    """At the records that are written from now on."""


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds; reasons in ``docs/design.md``."""

    start: Start = Start.EARLIEST
    """Where a new group begins."""
    commit_interval: float = 1.0
    """Between two commits of a worker that has something new to commit."""
    commit_timeout: float = 5.0
    """After which one commit is given up; the next one covers it."""
    poll_timeout: float = 0.2
    """How long one poll waits for records; also the heartbeat of the poll task."""
    max_poll_records: int = 500
    """Records of one poll; more live objects at once make the collector slow."""
    drain_grace: float = 10.0
    """How long handlers may go on after their partitions were revoked."""
    stop_grace: float = 30.0
    """How long handlers may go on after the service was told to stop."""
    schema_grace: float = 60.0
    """How long an unknown schema id may be on its way to the registry's replica before it is poison."""
    longest_delay: float = math.inf
    """How long a record in a retry topic is waited for at most; a test cuts it short."""
    max_parked_keys: int = 1000
    """Keys that wait for a later attempt before the partitions are no longer asked."""
    max_parked_records: int = 10_000
    """Records that wait behind those keys before the partitions are no longer asked."""
    max_span: int = 10_000
    """Offsets between the first unfinished and the last delivered record of a partition."""
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    """What counts as an outage rather than poison."""
    patience: Patience = field(default_factory=Patience)
    """How long the client may be silent before it is replaced."""
    hooks: tuple[Hooks, ...] = ()
    """Who is told what the runtime does apart from any one record."""
    partitions: int = 3
    """Partitions of topics that the hub creates."""
    fail_on_offset_reset: bool = False
    """Whether an offset that retention deleted stops the service instead of going on at the next record."""
    clock: Clock = field(default_factory=SystemClock)
    """What the runtime knows of time; a test brings its own."""
    random: Callable[[], float] = random.random
    """Numbers in 0..1 for jitter; a test brings its own."""
