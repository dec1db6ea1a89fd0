"""Transactions whose savepoints are nested at random, and what they should leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from hypothesis import strategies as st

from eventhub.outbox.base import Transaction
from eventhub.testing.conformance.stores.samples import Undone, record

Block = list[Any]
"""What a block does: a number publishes it, a pair of a block and whether it fails nests one."""

blocks = st.recursive(
    st.lists(st.integers(0, 9), max_size=3),
    lambda inner: st.lists(st.integers(0, 9) | st.tuples(inner, st.booleans()), max_size=4),
    max_leaves=12,
)


async def play(
    transaction: Transaction[Any], block: Block, savepoint: Callable[[], AbstractAsyncContextManager[Any]]
) -> None:
    """Do what a block says."""
    for step in block:
        if isinstance(step, int):
            await transaction.defer([record(str(step))])
            continue
        inner, fails = step
        with suppress(Undone):
            async with savepoint():
                await play(transaction, inner, savepoint)
                if fails:
                    raise Undone


def kept(block: Block) -> list[int]:
    """What a block leaves, by the meaning of savepoints."""
    left: list[int] = []
    for step in block:
        if isinstance(step, int):
            left.append(step)
        elif not step[1]:
            left += kept(step[0])
    return left
