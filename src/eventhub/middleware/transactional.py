"""Inbox and outbox: one transaction around a handler.

Put it among the middleware of a service whose state offers a store::

    @dataclass(frozen=True)
    class Inventory:
        stock: Stock
        store: SqliteStore

    service = Service("inventory", [reserve_stock], lifespan=inventory, middleware=[transactional])

The handler finds the open transaction under ``context.transaction`` and writes through its
``connection``. What it returns is stored in the same transaction, and published by the relay. The
events of a batch share one transaction, which is that of the handler's ``BatchContext``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from eventhub.errors import BatchFailed, DeclarationError
from eventhub.outbox.base import HasStore
from eventhub.outbox.rows import claim_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventhub.event import Event
    from eventhub.handler import BatchHandler, Context, Handler, Middleware
    from eventhub.outbox.base import Store

log = structlog.get_logger()

_LONGEST_SCOPE = 200  # characters: part of a primary key, and PostgreSQL's has room for 2,700 bytes


@dataclass(frozen=True, slots=True)
class Transactional:
    """Inbox and outbox in one scope."""

    scope: str = ""
    """Empty, or the name of a deliberate replay, in which every event counts as new once more."""

    def __call__(self, handle: Handler) -> Handler:
        """Handle each event once, and store what the handler returned in the same transaction."""

        async def transacted(context: Context[Any]) -> Sequence[Event]:
            stamp = context.stamp
            store = _store(context)
            async with store.claiming(claim_of(stamp, context.group, self.scope)) as transaction:
                if transaction is None:
                    _skip(store, context)
                else:
                    returned = await handle(replace(context, transaction=transaction))
                    await transaction.enqueue(context.follow(stamp, returned))
            return ()  # the relay publishes, after the commit

        return transacted

    def around_batch(self, handle: BatchHandler) -> BatchHandler:
        """Handle the events of a batch that are new, in one transaction; if it fails, each is handled in its own."""

        async def transacted(contexts: Sequence[Context[Any]]) -> None:
            try:
                await self._transact(handle, contexts)
            except BatchFailed as failed:
                if len(contexts) == 1:
                    raise
                raise BatchFailed(-1, "it was undone with the events before the one that failed") from failed

        return transacted

    async def _transact(self, handle: BatchHandler, contexts: Sequence[Context[Any]]) -> None:
        store = _store(contexts[0])
        claims = [claim_of(context.stamp, context.group, self.scope) for context in contexts]
        async with store.transaction() as transaction:
            # In the same order everywhere, or two that claim the same events would wait for each other.
            order = sorted(range(len(claims)), key=claims.__getitem__)
            answers = await transaction.claim_all([claims[place] for place in order])
            new = {place for place, is_new in zip(order, answers, strict=True) if is_new}
            if new:
                await handle([replace(contexts[place], transaction=transaction) for place in sorted(new)])
        for place, context in enumerate(contexts):  # after the commit, since what is undone is claimed once more
            if place not in new:
                _skip(store, context)


transactional: Middleware = Transactional()
"""Handle each event once, and store what the handler returned in the same transaction; of a batch, one for all."""


def transactional_in(scope: str) -> Middleware:
    """``transactional`` for a deliberate replay: in a scope of its own every event counts as new once more.

    Raises:
        DeclarationError: If the scope is empty, longer than 200 characters, or not one that can be read.
    """
    if not 1 <= len(scope) <= _LONGEST_SCOPE or not scope.isprintable():
        msg = f"a scope has 1 to {_LONGEST_SCOPE} characters that can be printed, not {scope[:_LONGEST_SCOPE]!r}"
        raise DeclarationError(msg)
    return Transactional(scope)


def _skip(store: Store[Any], context: Context[Any]) -> None:
    """Count and log an event that the inbox had."""
    store.counters.duplicates += 1
    log.info("eventhub.duplicate_skipped", topic=context.record.topic, group=context.group)


def _store(context: Context[Any]) -> Store[Any]:
    return store_of(context.state, context.group)


def store_of(state: object, service: str) -> Store[Any]:
    """The store that the state of a transactional service of that name offers.

    Raises:
        DeclarationError: If it offers none.
    """
    if isinstance(state, HasStore):
        return state.store
    msg = (
        f"service {service!r} is transactional, but its state, {type(state).__name__}, has no attribute 'store'; "
        "let its lifespan yield one, for instance store=SqliteStore(path)"
    )
    raise DeclarationError(msg)
