"""Waiting for a condition rather than for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, timeout: float = 10.0) -> None:
    """Return once a condition holds; it is looked at about every millisecond.

    Args:
        condition: A function without arguments; any true value counts.
        timeout: Seconds after which it is given up.

    Raises:
        TimeoutError: If the condition does not hold in time.
    """
    async with asyncio.timeout(timeout):
        for turn in range(2**62):
            if condition():
                return
            await asyncio.sleep(0 if turn < 100 else 0.001)  # noqa: PLR2004 - mostly a few turns of the loop suffice
