"""How events of one class are handled, worked out once when a worker starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from eventhub.event import Event
from eventhub.handler import BatchMiddleware, Follow, Handler, compose, compose_batch
from eventhub.retry import Retry
from eventhub.runtime.collector import Aside, Collector
from eventhub.runtime.deadlines import Deadlines
from eventhub.runtime.publisher import Publisher
from eventhub.service import Service
from eventhub.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Plan:
    """A subscription with everything that is around it."""

    function: Callable[[Event], Awaitable[object]] | None
    """The function itself, if nothing is around it and it asks for no context; None otherwise."""
    handle: Handler
    """The function in the shape of middleware, with its deadline and the service's middleware around it."""
    name: str
    """The handler's name."""
    retry: Retry
    """What happens when it fails."""
    follow: Follow
    """Makes the records of what it returns."""


def make_plan(
    subscription: Subscription[..., Any, Any],
    service: Service[Any],
    deadlines: Deadlines,
    publisher: Publisher,
    aside: Aside,
) -> Plan:
    """The plan of a subscription: its deadline around the function, the service's middleware around both.

    Of a batch handler, middleware that knows batches stands around the call, the rest around each event.
    """
    handle, middleware = subscription.handler, service.middleware
    if subscription.batch is not None:
        together = compose_batch(subscription.batch_handler, middleware)
        handle = Collector(together, subscription.batch, aside).handle
        middleware = tuple(wrap for wrap in middleware if not isinstance(wrap, BatchMiddleware))
    if subscription.timeout is not None:
        handle = deadlines.guard(handle, subscription.timeout, subscription.name)
    simple = not (subscription.takes_context or subscription.timeout or subscription.batch or service.middleware)
    return Plan(
        function=subscription.function if simple else None,
        handle=compose(handle, middleware),
        name=subscription.name,
        retry=subscription.retry,
        follow=partial(publisher.following, subscription, service.name),
    )
