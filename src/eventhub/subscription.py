"""Subscriptions: which events a function handles, and how.

The signature of a handler is read once, here, when it is declared.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints, overload

from eventhub.errors import DeclarationError, HandlerFault
from eventhub.event import Event, event_info
from eventhub.handler import BatchContext, Context
from eventhub.retry import Retry

if TYPE_CHECKING:
    from eventhub.handler import BatchHandler, Handler

Returned = Event | Sequence[Event] | None

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R", bound=Returned)
R_co = TypeVar("R_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
E4 = TypeVar("E4", bound=Event)

FORMS = """\
    async def {name}(order: OrderCreated) -> StockReserved: ...
    async def {name}(order: OrderCreated, context: Context[State]) -> StockReserved: ..."""
BATCH_FORMS = """\
    async def {name}(orders: Sequence[OrderCreated]) -> None: ...
    async def {name}(orders: Sequence[OrderCreated], context: BatchContext[State]) -> None: ..."""


class Ordering(Enum):
    """Which records of a partition are handled one after the other."""

    KEY = "key"
    """Records of one key; other keys go on meanwhile. Records without a key wait for each other. The default."""
    PARTITION = "partition"
    """All records of the partition."""
    NONE = "none"
    """None: records are handled as capacity allows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """How many events one call of a batch handler gets."""

    size: int
    """At most so many."""
    wait: float
    """Seconds that the first of them waits for others."""


@dataclass(frozen=True, slots=True, eq=False)
class Subscription(Generic[P, R_co, S_contra]):
    """A function that handles events of some classes; still callable as the function it was."""

    function: Callable[P, Awaitable[R_co]]
    """The function as it was written."""
    events: tuple[type[Event], ...]
    """The classes of events it handles."""
    produces: tuple[type[Event], ...]
    """The classes of events it may return, as its annotation says."""
    takes_context: bool
    """Whether the function asks for a context."""
    retry: Retry
    """What happens when it fails."""
    ordering: Ordering
    """Which records wait for each other."""
    timeout: float | None
    """Seconds that one attempt may take, or None for no limit."""
    batch: Batch | None = None
    """How many events one call gets, or None for a handler of one event."""

    @property
    def name(self) -> str:
        """The handler's name, as it appears in headers, logs and derived ids."""
        return self.function.__qualname__.rpartition("<locals>.")[2]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R_co]:
        """Call the function itself, as a test of its logic does."""
        return self.function(*args, **kwargs)

    @property
    def handler(self) -> Handler:
        """The function in the one shape that the runtime and middleware know."""
        function: Any = self.function
        if self.takes_context:

            async def handle(context: Context[Any]) -> Sequence[Event]:
                return returned_events(await function(context.event, context))
        else:

            async def handle(context: Context[Any]) -> Sequence[Event]:
                return returned_events(await function(context.event))

        return handle

    @property
    def batch_handler(self) -> BatchHandler:
        """The function of many events in the one shape that the runtime and middleware know."""
        function: Any = self.function

        async def handle(contexts: Sequence[Context[Any]]) -> None:
            more = (BatchContext(contexts),) if self.takes_context else ()
            await function([context.event for context in contexts], *more)

        return handle


def returned_events(returned: object) -> Sequence[Event]:
    """What a handler returned, as a sequence.

    Raises:
        HandlerFault: If it is neither an event, nor a list or tuple of events, nor None.
    """
    if returned is None:
        return ()
    if isinstance(returned, Event):
        return (returned,)
    if isinstance(returned, (list, tuple)) and all(isinstance(event, Event) for event in returned):
        return returned
    msg = f"a handler returns an event, a list of events or None, not {type(returned).__name__}"
    raise HandlerFault(msg)


class Subscribing(Generic[E_contra]):
    """The decorator that ``subscribe`` makes: a function in, a subscription out."""

    def __init__(
        self, events: tuple[type[Event], ...], retry: Retry, ordering: Ordering, timeout: float | None
    ) -> None:
        """Keep what was declared until the function is known."""
        self._events = events
        self._retry = retry
        self._ordering = ordering
        self._timeout = timeout

    @overload
    def __call__(self, function: Callable[[E_contra], Coroutine[Any, Any, R]]) -> Subscription[[E_contra], R, Any]: ...

    @overload
    def __call__(
        self, function: Callable[[E_contra, Context[S]], Coroutine[Any, Any, R]]
    ) -> Subscription[[E_contra, Context[S]], R, S]: ...

    def __call__(self, function: Callable[..., Any]) -> Subscription[..., Any, Any]:
        """Turn an async function into a subscription.

        Raises:
            DeclarationError: If the function is not async, takes something else than an event and
                perhaps a context, or returns what is no event.
        """
        name = getattr(function, "__name__", repr(function))
        if not inspect.iscoroutinefunction(function):
            msg = (
                f"handler {name!r} must be async; a blocking function is called from one:\n"
                f"    return await anyio.to_thread.run_sync({name}, order)"
            )
            raise DeclarationError(msg)
        hints = _hints(function, FORMS)
        _check_taken(function, hints, self._events)
        return Subscription(
            function=function,
            events=self._events,
            produces=event_classes(hints["return"], f"handler {name!r}"),
            takes_context=_takes_context(function, FORMS),
            retry=self._retry,
            ordering=self._ordering,
            timeout=self._timeout,
        )


@overload
def subscribe(
    event1: type[E1], /, *, retry: Retry = ..., ordering: Ordering = ..., timeout: float | None = ...
) -> Subscribing[E1]: ...


@overload
def subscribe(
    event1: type[E1],
    event2: type[E2],
    /,
    *,
    retry: Retry = ...,
    ordering: Ordering = ...,
    timeout: float | None = ...,
) -> Subscribing[E1 | E2]: ...


@overload
def subscribe(
    event1: type[E1],
    event2: type[E2],
    event3: type[E3],
    /,
    *,
    retry: Retry = ...,
    ordering: Ordering = ...,
    timeout: float | None = ...,
) -> Subscribing[E1 | E2 | E3]: ...


@overload
def subscribe(
    event1: type[E1],
    event2: type[E2],
    event3: type[E3],
    event4: type[E4],
    /,
    *,
    retry: Retry = ...,
    ordering: Ordering = ...,
    timeout: float | None = ...,
) -> Subscribing[E1 | E2 | E3 | E4]: ...


def subscribe(
    *events: type[Event],
    retry: Retry | None = None,
    ordering: Ordering = Ordering.KEY,
    timeout: float | None = None,
) -> Subscribing[Any]:
    """Declare that a function handles events of the given classes.

    Args:
        events: One to four event classes.
        retry: What happens when the function fails; by default seven attempts within about twelve minutes.
        ordering: Which records wait for each other.
        timeout: Seconds that one attempt may take before it is cancelled and counts as failed; None for no limit.

    Raises:
        DeclarationError: If there is no event, or a class has no topic.
    """
    if not events or isinstance(events[0], type) is False:
        msg = "subscribe needs the event classes, as in @subscribe(OrderCreated)"
        raise DeclarationError(msg)
    for event in events:
        event_info(event)
    if timeout is not None and timeout <= 0:
        msg = f"timeout must be positive seconds, or None for no limit, not {timeout}"
        raise DeclarationError(msg)
    return Subscribing(events, retry if retry is not None else Retry(), ordering, timeout)


class BatchSubscribing(Generic[E_contra]):
    """The decorator that ``subscribe_batch`` makes."""

    def __init__(self, event: type[Event], batch: Batch, retry: Retry, ordering: Ordering) -> None:
        """Keep what was declared until the function is known."""
        self._event = event
        self._batch = batch
        self._retry = retry
        self._ordering = ordering

    @overload
    def __call__(
        self, function: Callable[[Sequence[E_contra]], Coroutine[Any, Any, None]]
    ) -> Subscription[[Sequence[E_contra]], None, Any]: ...

    @overload
    def __call__(
        self, function: Callable[[Sequence[E_contra], BatchContext[S]], Coroutine[Any, Any, None]]
    ) -> Subscription[[Sequence[E_contra], BatchContext[S]], None, S]: ...

    def __call__(self, function: Callable[..., Coroutine[Any, Any, None]]) -> Subscription[..., None, Any]:
        """Turn an async function of many events into a subscription.

        Raises:
            DeclarationError: If the function is not async, takes something else than the events and a
                ``BatchContext``, or returns any.
        """
        name = getattr(function, "__name__", repr(function))
        if not inspect.iscoroutinefunction(function):
            raise _another_form(name)
        hints, takes_context = _hints(function, BATCH_FORMS), _takes_context(function, BATCH_FORMS)
        names = tuple(inspect.signature(function).parameters)
        context = hints.get(names[1]) if takes_context else BatchContext
        if hints["return"] is not type(None) or (get_origin(context) or context) is not BatchContext:
            raise _another_form(name)
        return Subscription(function, (self._event,), (), takes_context, self._retry, self._ordering, None, self._batch)


def _another_form(name: str) -> DeclarationError:
    msg = (
        f"batch handler {name!r} must be async, take the events and return None:\n{BATCH_FORMS.format(name=name)}\n"
        "Events that follow are returned by a handler of one event, @subscribe"
    )
    return DeclarationError(msg)


def subscribe_batch(
    event: type[E1],
    /,
    *,
    size: int = 64,
    wait: float = 0.05,
    retry: Retry | None = None,
    ordering: Ordering = Ordering.KEY,
) -> BatchSubscribing[E1]:
    """Declare that a function handles many events of a class in one call, as what writes to a database does.

    Each event keeps its own lane and its own fate: with ``Ordering.KEY`` a batch holds at most one
    event of a key. When a batch fails, its events are handled one by one, unless the function says
    by ``BatchFailed`` which it was.

    Args:
        event: The event class.
        size: At most so many events a call.
        wait: Seconds that the first event of a batch waits for others.
        retry: What happens when an event fails; by default seven attempts within about twelve minutes.
        ordering: Which records wait for each other.

    Raises:
        DeclarationError: If the class has no topic, or a number makes no sense.
    """
    event_info(event)
    if size < 1 or wait < 0:
        msg = f"a batch has a size of at least 1 and waits for no negative time, not size={size}, wait={wait}"
        raise DeclarationError(msg)
    return BatchSubscribing(event, Batch(size, wait), retry if retry is not None else Retry(), ordering)


def _takes_context(function: Callable[..., Any], forms: str) -> bool:
    """Whether a handler takes (event, context) rather than (event), of the two forms that it may have."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.default is inspect.Parameter.empty]
    if (
        len(required) != len(parameters)
        or len(parameters) not in {1, 2}
        or any(p.kind not in positional for p in parameters)
    ):
        name = function.__name__
        msg = f"handler {name!r} takes {inspect.signature(function)}; the two forms are:\n{forms.format(name=name)}"
        raise DeclarationError(msg)
    return len(parameters) == 2  # noqa: PLR2004 - (event, context)


def _hints(function: Callable[..., Any], forms: str) -> Mapping[str, Any]:
    """A handler's annotations, what it returns among them."""
    name = function.__name__
    try:
        hints = get_type_hints(function)
    except NameError as error:
        msg = f"handler {name!r}: cannot read its annotations, since {error}; import it not only for type checking"
        raise DeclarationError(msg) from error
    if "return" not in hints:
        msg = f"handler {name!r} does not say what it returns:\n{forms.format(name=name)}"
        raise DeclarationError(msg)
    return hints


def _check_taken(function: Callable[..., Any], hints: Mapping[str, Any], events: Sequence[type[Event]]) -> None:
    """Refuse a handler that says of its event that it is of another class; a union is left to type checkers."""
    taken = hints.get(next(iter(inspect.signature(function).parameters), ""))
    for event in events:
        if isinstance(taken, type) and issubclass(taken, Event) and not issubclass(event, taken):
            msg = f"handler {function.__name__!r} takes {taken.__name__}, but is subscribed to {event.__name__}"
            raise DeclarationError(msg)


def event_classes(annotation: Any, where: str) -> tuple[type[Event], ...]:  # noqa: ANN401 - annotations have no type
    """The event classes inside an annotation such as ``list[A | B] | None``, in their order.

    Raises:
        DeclarationError: If something in it is neither an event with a topic nor a collection of such.
    """
    if annotation is None or annotation is type(None) or annotation is Ellipsis:
        return ()
    if isinstance(annotation, type) and issubclass(annotation, Event):
        event_info(annotation)
        return (annotation,)
    inner = get_args(annotation)
    if not inner:
        msg = f"{where} returns {annotation!r}, which is no event; return an event, a list of events or None"
        raise DeclarationError(msg)
    return tuple(dict.fromkeys(event for part in inner for event in event_classes(part, where)))
