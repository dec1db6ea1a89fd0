"""Who carries the record in hand: the task of its lane, known also to tasks that its handler starts."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context
    from typing import Any

_carrier: ContextVar[weakref.ref[asyncio.Task[None]]] = ContextVar("eventhub_carrier")  # weak: else a cycle each task


def spawn(coroutine: Coroutine[Any, Any, None], context: Context) -> asyncio.Task[None]:
    """Start a task that carries records, in a copy of the context.

    Not in a task group: it would wait for ever for a handler that swallows its cancellation.
    """
    own = context.copy()
    task = asyncio.get_running_loop().create_task(coroutine, context=own)
    own.run(_carrier.set, weakref.ref(task))
    return task


def carrier() -> asyncio.Task[None] | None:
    """The task that carries the record in hand: the running one, or one that it was started by; None outside."""
    known = _carrier.get(None)
    return known() if known is not None else None
