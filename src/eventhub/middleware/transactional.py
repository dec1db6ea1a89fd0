"""Inbox and outbox: one transaction around a handler.

Put it among the middleware of a service whose state offers a store::

    @dataclass(frozen=True)
    class Inventory:
        stock: Stock
        store: SqliteStore

    service = Service("inventory", [reserve_stock], lifespan=inventory, middleware=[transactional])

The handler finds the open transaction under ``context.transaction`` and writes through its
``connection``. What it returns is stored in the same transaction, and published by the relay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from eventhub.errors import DeclarationError
from eventhub.outbox.base import HasStore
from eventhub.outbox.rows import claim_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.event import Event
    from eventhub.handler import Context, Handler, Middleware

log = structlog.get_logger()


def transactional(handle: Handler) -> Handler:
    """Handle each event once, and store what the handler returned in the same transaction."""
    return _transacted(handle, scope="")


def transactional_in(scope: str) -> Middleware:
    """``transactional`` for a deliberate replay: in a scope of its own every event counts as new once more."""
    return lambda handle: _transacted(handle, scope)


def _transacted(handle: Handler, scope: str) -> Handler:
    async def transacted(context: Context[Any]) -> Sequence[Event]:
        stamp = context.stamp
        store = _store(context)
        async with store.transaction() as transaction:
            if await transaction.claim(claim_of(stamp, context.group, scope)):
                returned = await handle(replace(context, transaction=transaction))
                await transaction.enqueue(context.follow(stamp, returned))
            else:
                store.counters.duplicates += 1
                log.info("eventhub.duplicate_skipped", topic=context.record.topic, group=context.group)
        return ()  # the relay publishes, after the commit

    return transacted


def _store(context: Context[Any]) -> Any:  # noqa: ANN401 - of any connection
    if isinstance(context.state, HasStore):
        return context.state.store
    state = type(context.state).__name__
    msg = (
        f"service {context.group!r} is transactional, but its state, {state}, has no attribute 'store'; "
        "let its lifespan yield one, for instance store=SqliteStore(path)"
    )
    raise DeclarationError(msg)
