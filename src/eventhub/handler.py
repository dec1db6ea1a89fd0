"""Handlers, what they are told about a record, and how middleware is put around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, runtime_checkable

from typing_extensions import TypeVar

from eventhub.errors import DeclarationError
from eventhub.event import Event, Stamp
from eventhub.headers import read_stamp

if TYPE_CHECKING:
    from eventhub.record import ProducerRecord, Record

State = TypeVar("State", covariant=True, default=Any)  # noqa: PLC0105 - users read it as Context[State]
"""What a service's lifespan yields."""

Follow = Callable[[Stamp, "Sequence[Event]"], "Sequence[ProducerRecord]"]
"""Makes the records of the events that a handler returned; the stamp is that of the event it was given."""


def _follow_nothing(cause: Stamp, returned: Sequence[Event]) -> Sequence[ProducerRecord]:
    """Stand in where a test makes a context by hand."""
    if not returned:
        return ()
    msg = f"a context made by hand cannot encode what follows from {cause.type}; run the service, or pass follow="
    raise DeclarationError(msg)


@dataclass(slots=True)
class Context(Generic[State]):
    """All that is known about one attempt at one record.

    Not frozen, since one is made for each attempt and freezing doubles its cost; nobody
    changes one. A middleware that wants another passes on ``dataclasses.replace(context, ...)``.
    """

    event: Event
    """The event itself."""
    record: Record
    """The record that carried it."""
    state: State
    """What the service's lifespan yielded; None without one."""
    group: str
    """The service's name, which is its consumer group."""
    handler: str
    """The handler's name."""
    attempt: int = 1
    """Which attempt this is, counted from 1."""
    transaction: Any = None
    """The open transaction, or None where no middleware opened one."""
    follow: Follow = _follow_nothing
    """Makes the records of what the handler returned, for a middleware that stores them instead."""

    @property
    def stamp(self) -> Stamp:
        """The event's id, time, source, correlation and cause, read from the record's headers."""
        return read_stamp(self.record, self.event.__event__.name)


@dataclass(frozen=True, slots=True)
class BatchContext(Generic[State]):
    """All that is known about one call of a batch handler."""

    contexts: Sequence[Context[State]]
    """The context of each event, in the order of the events; never empty."""

    @property
    def state(self) -> State:
        """What the service's lifespan yielded; None without one."""
        return self.contexts[0].state

    @property
    def transaction(self) -> Any:  # noqa: ANN401 - of any store
        """The open transaction, which all events share, or None where no middleware opened one."""
        return self.contexts[0].transaction


Handler = Callable[[Context[Any]], Awaitable[Sequence[Event]]]
"""A function from an event, in its context, to the events that follow from it."""

Middleware = Callable[[Handler], Handler]
"""A function from a handler to a handler."""


BatchHandler = Callable[[Sequence[Context[Any]]], Awaitable[None]]
"""A function of many events, each in its context."""


@runtime_checkable
class BatchMiddleware(Protocol):
    """A middleware that stands once around the call of a batch handler, instead of around each of its events."""

    def __call__(self, handle: Handler, /) -> Handler:
        """Stand around a handler of one event."""
        ...

    def around_batch(self, handle: BatchHandler, /) -> BatchHandler:
        """Stand around a handler of many events."""
        ...


def compose_batch(handler: BatchHandler, middleware: Sequence[Middleware]) -> BatchHandler:
    """The handler with that middleware around it that knows batches, the first of it outermost."""
    for wrap in reversed(middleware):
        if isinstance(wrap, BatchMiddleware):
            handler = wrap.around_batch(handler)
    return handler


def compose(handler: Handler, middleware: Sequence[Middleware]) -> Handler:
    """The handler with all middleware around it, the first of them outermost."""
    for wrap in reversed(middleware):
        handler = wrap(handler)
    return handler
