"""How a service is doing: plain numbers, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventhub.runtime.breaker import BreakerState
from eventhub.runtime.counters import Counters
from eventhub.runtime.watchdog import Patience


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a service is doing at one moment; times in seconds."""

    group: str
    """The service's name."""
    joined: bool
    """Whether the group has given its share, be it nothing; True for a service of sources only."""
    counted: Counters
    """What was counted since the service started."""
    stopping: bool = False
    """Whether it was told to stop."""
    partitions: int = 0
    """Partitions that are owned."""
    rebalances: int = 0
    """How often the group has shared its partitions out within the last minute."""
    unread: str = ""
    """What nobody in the group reads although this member has nothing to read, in words; empty if all is well."""
    replaced: str = ""
    """Why the last consumer was replaced, with the true cause once it is found; empty before the first."""
    heartbeat_age: float = 0.0
    """Since the poll task's last turn; 0 for a service of sources only."""
    in_flight: int = 0
    """Records that are begun and unfinished."""
    in_flight_bytes: int = 0
    """Bytes of their keys and values."""
    running: int = 0
    """Handlers that are suspended in a place to run."""
    parked_keys: int = 0
    """Keys that wait for a later attempt."""
    parked_records: int = 0
    """Records of those keys."""
    head_age: float = 0.0
    """Of the longest record under way."""
    unreadable: int = 0
    """Partitions that stand still, since the client cannot take one of their records apart."""
    lag: int = 0
    """Records that the owned partitions hold beyond the last one fetched, as of the last fetch."""
    waiting: int = 0
    """Records in retry topics whose next attempt is not due yet, as of the last fetch; no part of the lag."""
    withheld: int = 0
    """Of these, offsets that may not be read yet, since a transaction in front of them is open."""
    uncommitted: int = 0
    """Offsets between the commit and the last delivered record, over all partitions."""
    breaker: BreakerState = BreakerState.CLOSED
    """Whether handlers are held back."""
    stale: int = 0
    """Completions that came after their partition had gone."""
    commits_failed: int = 0
    """Commits in a row without success."""
    outbox_age: float = 0.0
    """Since the oldest row was written that this process's relay is to send, as of its last look; 0 for none."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a service lives, whether it does its work, and what is wrong otherwise."""

    live: bool
    """Whether it can still recover by itself; if not, restart the process."""
    ready: bool
    """Whether it does its work."""
    problems: tuple[str, ...]
    """What is wrong, one sentence each."""
    detail: Snapshot
    """The numbers behind it."""


def health(snapshot: Snapshot, patience: Patience) -> Health:
    """What the numbers mean."""
    live = snapshot.stopping or snapshot.heartbeat_age <= patience.heartbeat  # who stops polls no more
    ready = live and snapshot.joined and not snapshot.stopping
    problems = tuple(said for is_so, said in _problems(snapshot, patience, live=live) if is_so)
    return Health(live, ready=ready, problems=problems, detail=snapshot)


def _problems(snapshot: Snapshot, patience: Patience, *, live: bool) -> Sequence[tuple[object, str]]:
    """All that can be wrong, each with whether it is."""
    replaced = not snapshot.joined and snapshot.replaced
    return (
        (snapshot.stopping, "it is stopping"),
        (not live, f"the poll task has not come back for {snapshot.heartbeat_age:.0f} s"),
        (not snapshot.joined, "the group has given no share yet"),
        (replaced, f"the last consumer was replaced: {snapshot.replaced}"),
        (snapshot.unread, snapshot.unread),
        (
            snapshot.rebalances > patience.rebalances,
            f"the group was rebalanced {snapshot.rebalances} times within a minute",
        ),
        (snapshot.head_age > patience.stuck, f"a record is under way for {snapshot.head_age:.0f} s"),
        (snapshot.breaker is not BreakerState.CLOSED, "handlers are held back, since many keys fail"),
        (snapshot.unreadable, f"{snapshot.unreadable} partitions stand still at a batch that nobody can read"),
        (snapshot.commits_failed, f"the last {snapshot.commits_failed} commits failed"),
    )
