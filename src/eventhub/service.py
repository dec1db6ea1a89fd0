"""Services: handlers and sources under one name, which is the consumer group."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from eventhub.codecs.upcast import Upcast
from eventhub.errors import DeclarationError
from eventhub.event import Event, SubjectName, event_info, is_tombstone
from eventhub.source import Source
from eventhub.subscription import Ordering, Subscription

if TYPE_CHECKING:
    from eventhub.handler import Middleware

S = TypeVar("S")
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,200}")  # part of the names of retry and dead-letter topics
_UNITS = {"h": 3600, "m": 60, "s": 1}  # in retry topics' names, which have the largest that divides the wait
_WAIT = re.compile(r"(?P<count>[1-9][0-9]{0,8})(?P<unit>[hms])")

Lifespan = Callable[[], AbstractAsyncContextManager[S]]
"""A function whose async context manager yields the service's state."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a service's work is under way at once."""

    concurrency: int = 16
    """Handlers that run at the same time; records that wait behind their key do not count."""
    max_in_flight: int = 1000
    """Records that were read and are not finished."""
    max_in_flight_bytes: int = 64 * 1024 * 1024
    """Bytes of keys and values of those records."""

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could run."""
        if min(self.concurrency, self.max_in_flight, self.max_in_flight_bytes) < 1:
            msg = f"limits must be at least 1: {self}"
            raise DeclarationError(msg)


class Service(Generic[S]):
    """A list of subscriptions and sources under one name."""

    @overload
    def __init__(
        self: Service[None],
        name: str,
        handlers: Sequence[Subscription[..., Any, None] | Source[..., Any, None]],
        *,
        middleware: Sequence[Middleware] = ...,
        limits: Limits = ...,
        upcasts: Sequence[Upcast[Any, Any]] = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        handlers: Sequence[Subscription[..., Any, S] | Source[..., Any, S]],
        *,
        lifespan: Lifespan[S],
        middleware: Sequence[Middleware] = ...,
        limits: Limits = ...,
        upcasts: Sequence[Upcast[Any, Any]] = ...,
    ) -> None: ...

    def __init__(
        self,
        name: str,
        handlers: Sequence[Subscription[..., Any, Any] | Source[..., Any, Any]],
        *,
        lifespan: Lifespan[Any] | None = None,
        middleware: Sequence[Middleware] = (),
        limits: Limits = Limits(),
        upcasts: Sequence[Upcast[Any, Any]] = (),
    ) -> None:
        """Declare a service.

        Args:
            name: The service's name and consumer group: letters, digits, ``.``, ``_`` and ``-``.
            handlers: What ``@subscribe`` and ``@produces`` made.
            lifespan: Yields the state that contexts carry, opened before the first record and
                closed after the last; None for no state.
            middleware: Put around every handler, the first outermost.
            limits: How much work is under way at once.
            upcasts: What ``@upcast`` made, for events that were written in an old shape.

        Raises:
            DeclarationError: If the name is unfit, an entry is a plain function, two handlers take
                the same event, two events share a topic whose subject can name only one, or an
                upcast is for an event that no handler takes.
        """
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is no service name: 1 to 200 letters, digits, '.', '_' or '-'"
            raise DeclarationError(msg)
        self.name = name
        _check_entries(name, handlers)
        self.subscriptions = tuple(h for h in handlers if isinstance(h, Subscription))
        self.sources = tuple(h for h in handlers if isinstance(h, Source))
        self.lifespan = lifespan
        self.middleware = tuple(middleware)
        self.limits = limits
        self.upcasts = tuple(upcasts)
        _check_handled_once(self)
        _check_topics(self)
        _check_ordering(self)
        _check_upcasts(self)

    @property
    def reads(self) -> tuple[type[Event], ...]:
        """The event classes that are handled, tombstones included."""
        return _distinct(event for subscription in self.subscriptions for event in subscription.events)

    @property
    def writes(self) -> tuple[type[Event], ...]:
        """The event classes that handlers return and sources yield."""
        returned = (event for subscription in self.subscriptions for event in subscription.produces)
        yielded = (event for source in self.sources for event in source.events)
        return _distinct((*returned, *yielded))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are read, sorted."""
        return tuple(sorted({event.__event__.topic for event in self.reads}))

    @property
    def dead_letter_topics(self) -> tuple[str, ...]:
        """The topics that take what could not be handled, in the order of ``topics``."""
        return tuple(dead_letter_topic(topic, self.name) for topic in self.topics)

    @property
    def replay_topics(self) -> tuple[str, ...]:
        """The topics through which dead letters come back, in the order of ``topics``."""
        return tuple(replay_topic(topic, self.name) for topic in self.topics)

    @property
    def retry_topics(self) -> tuple[str, ...]:
        """The topics in which records without order wait for another attempt, in the order of ``topics``."""
        return tuple(name for topic in self.topics for name in self._retry_topics(topic))

    def waits(self, topic: str) -> AbstractSet[int]:
        """The seconds that records of a topic spend in retry topics; none where they have an order to keep."""
        unordered = (s for s in self.subscriptions if s.ordering is Ordering.NONE)
        reading = (s for s in unordered if any(event_info(event).topic == topic for event in s.events))
        return {wait for subscription in reading for wait in subscription.retry.long_waits}

    @property
    def own_topics(self) -> Mapping[str, str]:
        """The topics that the group keeps for itself, each with the topic of events that it stands beside."""
        own: dict[str, str] = {}
        for topic in self.topics:
            beside = (dead_letter_topic(topic, self.name), replay_topic(topic, self.name), *self._retry_topics(topic))
            own |= dict.fromkeys(beside, topic)
        return own

    def _retry_topics(self, topic: str) -> Sequence[str]:
        return [retry_topic(topic, self.name, wait) for wait in sorted(self.waits(topic))]

    def __repr__(self) -> str:
        """The service as it was declared."""
        return f"Service({self.name!r}, {[*(s.name for s in self.subscriptions), *(s.name for s in self.sources)]})"


def dead_letter_topic(topic: str, group: str) -> str:
    """The topic that takes what a group could not handle from a topic."""
    return f"{topic}.{group}.dlt"


def replay_topic(topic: str, group: str) -> str:
    """The topic through which dead letters come back to the group that gave them up, and to no other."""
    return f"{topic}.{group}.retry.replay"


def retry_topic(topic: str, group: str, wait: int) -> str:
    """The topic in which a group's records of another topic wait for so many seconds: ``orders.shop.retry.10m``."""
    unit, seconds = next((unit, seconds) for unit, seconds in _UNITS.items() if wait % seconds == 0)
    return f"{topic}.{group}.retry.{wait // seconds}{unit}"


def retry_wait(name: str, topic: str, group: str) -> int | None:
    """For how many seconds records wait in a topic, or None if it is no retry topic of this topic and group."""
    found = _WAIT.fullmatch(name.removeprefix(f"{topic}.{group}.retry."))
    if found is None:
        return None
    wait = int(found["count"]) * _UNITS[found["unit"]]
    return wait if name == retry_topic(topic, group, wait) else None


def _distinct(events: Iterator[type[Event]] | Sequence[type[Event]]) -> tuple[type[Event], ...]:
    return tuple(dict.fromkeys(events))


def _check_entries(name: str, handlers: Sequence[object]) -> None:
    if not isinstance(handlers, Iterable):
        shown = getattr(handlers, "name", type(handlers).__name__)
        msg = f"service {name!r} takes a list of handlers, as in Service({name!r}, [{shown}])"
        raise DeclarationError(msg)
    for entry in handlers:
        if not isinstance(entry, (Subscription, Source)):
            shown = getattr(entry, "__name__", repr(entry))
            msg = (
                f"service {name!r}: {shown} is neither a subscription nor a source; "
                "decorate it with @subscribe(...) or @produces(...)"
            )
            raise DeclarationError(msg)


def _check_handled_once(service: Service[Any]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for subscription in service.subscriptions:
        for event in subscription.events:
            info = event_info(event)
            if (first := taken.get((info.topic, info.name))) is not None:
                msg = (
                    f"service {service.name!r}: {event.__name__} is handled by {first!r} and by {subscription.name!r}; "
                    "one handler an event, or a second service"
                )
                raise DeclarationError(msg)
            taken[info.topic, info.name] = subscription.name


def _check_topics(service: Service[Any]) -> None:
    """One subject names one event: the topic-name strategy allows one event type a topic."""
    check_subjects((*service.reads, *service.writes), f"service {service.name!r}")


def check_subjects(events: Sequence[type[Event]], where: str) -> None:
    """Refuse two events whose schemas would be versions of one subject.

    Raises:
        DeclarationError: Naming both events and the way out.
    """
    named: dict[str, str] = {}
    for event in events:
        if is_tombstone(event):  # it has no schema
            continue
        info = event_info(event)
        first = named.setdefault(info.topic, info.name) if info.subject is SubjectName.TOPIC else info.name
        if first != info.name:
            msg = (
                f"{where}: {first} and {info.name} share topic {info.topic!r}, whose subject {info.subject_name!r} "
                "holds one event type; declare both with subject=SubjectName.TOPIC_RECORD"
            )
            raise DeclarationError(msg)


def _check_ordering(service: Service[Any]) -> None:
    """Records are put into lanes before they are decoded, so a topic has one ordering."""
    ordering: dict[str, tuple[Ordering, str]] = {}
    for subscription in service.subscriptions:
        for event in subscription.events:
            topic = event_info(event).topic
            first, name = ordering.setdefault(topic, (subscription.ordering, subscription.name))
            if first is not subscription.ordering:
                msg = (
                    f"service {service.name!r}: {name!r} and {subscription.name!r} read topic {topic!r} with different "
                    "orderings; a topic has one ordering a service"
                )
                raise DeclarationError(msg)


def _check_upcasts(service: Service[Any]) -> None:
    for upcast in service.upcasts:
        if upcast.event not in service.reads:
            msg = f"service {service.name!r} has an upcast for {upcast.event.__name__}, which no handler takes"
            raise DeclarationError(msg)
