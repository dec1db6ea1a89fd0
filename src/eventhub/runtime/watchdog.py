"""Sees what the client does not say: a connection that is silent, a group that never settles.

Pure but for what it is told: signs in, a diagnosis out. The client of Kafka has several ways to
go on without an error and without records (see *Non-obvious* in ``docs/design.md``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from eventhub.runtime.partition import Lane

log = structlog.get_logger()

_FRAMES = 5  # of a stuck handler's stack, innermost last: enough to see what it waits for


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a sign may last before the consumer is replaced; in seconds."""

    silence: float = 30.0
    """Without an answer to any fetch for a partition that is asked all the time."""
    joining: float = 90.0
    """Without a share of the group; longer than a rebalance may take."""
    commits_failed: int = 6
    """Commits in a row without success."""
    heartbeat: float = 60.0
    """Without a turn of the poll task."""
    rebalances: int = 3
    """Within a minute; more of them are a warning, no replacement, which would be another one."""
    idle: float = 5.0
    """Without a partition, before the group is asked whether some are read by nobody; then asked as often."""
    stuck: float = 60.0
    """Without the first unfinished record of a partition being finished: a warning, no replacement."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What can be seen of a worker at one moment; in seconds."""

    heartbeat_age: float
    """Since the poll task's last turn."""
    unjoined_for: float
    """Since the group last gave a share, or 0 while there is one."""
    silence: float
    """The longest time without an answer for a partition that was asked all that time."""
    commits_failed: int
    """Commits in a row without success."""


def diagnosis(signs: Signs, patience: Patience) -> str | None:
    """Why the consumer has to be replaced, or None while it looks sound."""
    if signs.heartbeat_age > patience.heartbeat:
        return f"the poll task has not come back for {signs.heartbeat_age:.0f} s"
    if signs.unjoined_for > patience.joining:
        return f"the group has given no partitions for {signs.unjoined_for:.0f} s"
    if signs.silence > patience.silence:
        return f"the broker has not answered a fetch for {signs.silence:.0f} s"
    if signs.commits_failed >= patience.commits_failed:
        return f"{signs.commits_failed} commits in a row have failed"
    return None


def report_stuck(lane: Lane, group: str, now: float) -> None:
    """Warn of a record that is under way for too long, with where its handler stands."""
    place = lane.partition.topic_partition
    log.warning(
        "eventhub.record_stuck",
        topic=place.topic,
        partition=place.partition,
        offset=lane.record.offset if lane.record is not None else None,
        group=group,
        seconds=round(now - lane.since, 1),
        parked=lane.parked,
        suspended_at=suspended_at(lane.task),
    )


def suspended_at(task: asyncio.Task[Any] | None) -> list[str]:
    """The innermost places where a task is suspended."""
    frames: list[str] = []
    waiting: Any = task.get_coro() if task is not None else None
    while waiting is not None and len(frames) < _FRAMES * 4:
        code = getattr(waiting, "cr_code", None)
        frame = getattr(waiting, "cr_frame", None)
        if code is not None and frame is not None:
            frames.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        waiting = getattr(waiting, "cr_await", None)
    return frames[-_FRAMES:]
