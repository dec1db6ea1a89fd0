"""The grace that running handlers have, and other waits that come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from eventhub.errors import DeclarationError

CANCEL_GRACE = 1.0  # seconds for a handler to end once cancelled; one that swallows it can no longer do harm
SHARE = (
    0.7  # of the rebalance timeout that handlers may use: a member hears of the rebalance late, and commits after it
)


async def still_running(
    tasks: Collection[asyncio.Task[None]], grace: float, hurried: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Wait for tasks, and return those that did not end within so many seconds or before somebody hurried."""
    if tasks:
        ends = [asyncio.ensure_future(asyncio.wait(tasks)), asyncio.ensure_future(hurried.wait())]
        try:
            await asyncio.wait(ends, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
    return [task for task in tasks if not task.done()]


async def pause(until: asyncio.Event, seconds: float) -> None:
    """Wait for so many seconds, or until something happens."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()


async def cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait for their end, but not for ever."""
    for task in tasks:
        task.cancel()
    await still_running(tasks, CANCEL_GRACE, asyncio.Event())


def longest_grace(rebalance_timeout: float, commit_timeout: float) -> float:
    """The most seconds that handlers may go on in a rebalance, so that nobody else owns their partitions by then."""
    commits = 3 * commit_timeout  # before the handlers have ended, after that, and a regular one in between
    return min(SHARE * rebalance_timeout, rebalance_timeout - CANCEL_GRACE - commits)


def check_grace(drain_grace: float, commit_timeout: float, rebalance_timeout: float) -> None:
    """Refuse a grace that outlasts the rebalance.

    Raises:
        DeclarationError: Naming the longest grace that fits.
    """
    longest = longest_grace(rebalance_timeout, commit_timeout)
    if drain_grace > longest:
        use = f"use at most {longest:g}, or raise" if longest >= 0 else "lower commit_timeout, or raise"
        msg = (
            f"drain_grace={drain_grace:g} and commit_timeout={commit_timeout:g} do not fit in a rebalance, which waits "
            f"{rebalance_timeout:g} s before others get the partitions, whose handlers would still run: {use} the "
            'rebalance timeout (for Kafka Hub(client={"rebalance_timeout_ms": ...}))'
        )
        raise DeclarationError(msg)
