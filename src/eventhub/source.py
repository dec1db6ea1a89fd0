"""Sources: async generators of events that the runtime publishes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, overload

from eventhub.errors import DeclarationError
from eventhub.event import Event, Occurrence, event_info
from eventhub.handler import State

P = ParamSpec("P")
S = TypeVar("S")
E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
E4 = TypeVar("E4", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)

FORMS = """\
    async def {name}() -> AsyncIterator[OrderCreated]: ...
    async def {name}(context: SourceContext[State]) -> AsyncIterator[OrderCreated]: ..."""


@dataclass(frozen=True, slots=True)
class SourceContext(Generic[State]):
    """What a source is told when it starts."""

    state: State
    """What the service's lifespan yielded; None without one."""
    service: str
    """The service's name."""


@dataclass(frozen=True, slots=True, eq=False)
class Source(Generic[P, E_co, S_contra]):
    """An async generator whose events are published in the order in which they are yielded."""

    function: Callable[P, AsyncIterator[E_co]]
    """The generator function as it was written."""
    events: tuple[type[Event], ...]
    """The classes of events it yields."""
    takes_context: bool
    """Whether the function asks for a context."""
    window: int
    """How many yielded events may be unconfirmed before the generator has to wait."""
    occurrence: Callable[[Any], Occurrence] | None = None
    """Tells what an event is about, so that it keeps its id when it is yielded again; None for a new id each time."""

    @property
    def name(self) -> str:
        """The source's name, as it appears in logs."""
        return self.function.__qualname__.rpartition("<locals>.")[2]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[E_co]:
        """Call the generator function itself, as a test of its logic does."""
        return self.function(*args, **kwargs)

    def events_from(self, context: SourceContext[Any]) -> AsyncIterator[Event]:
        """Start the generator."""
        function: Any = self.function
        started: AsyncIterator[Event] = function(context) if self.takes_context else function()
        return started


class Producing(Generic[E_co]):
    """The decorator that ``produces`` makes: a generator function in, a source out."""

    def __init__(
        self, events: tuple[type[Event], ...], window: int, occurrence: Callable[[Any], Occurrence] | None
    ) -> None:
        """Keep what was declared until the function is known."""
        self._events = events
        self._window = window
        self._occurrence = occurrence

    @overload
    def __call__(self, function: Callable[[], AsyncIterator[E_co]]) -> Source[[], E_co, Any]: ...

    @overload
    def __call__(
        self, function: Callable[[SourceContext[S]], AsyncIterator[E_co]]
    ) -> Source[[SourceContext[S]], E_co, S]: ...

    def __call__(self, function: Callable[..., Any]) -> Source[..., Any, Any]:
        """Turn an async generator function into a source.

        Raises:
            DeclarationError: If the function is no async generator, or takes more than a context.
        """
        name = getattr(function, "__name__", repr(function))
        parameters = inspect.signature(function).parameters
        if not inspect.isasyncgenfunction(function) or len(parameters) > 1:
            msg = f"source {name!r} must be an async generator; the two forms are:\n{FORMS.format(name=name)}"
            raise DeclarationError(msg)
        return Source(function, self._events, bool(parameters), self._window, self._occurrence)


@overload
def produces(
    event1: type[E1], /, *, window: int = ..., occurrence: Callable[[E1], Occurrence] | None = ...
) -> Producing[E1]: ...


@overload
def produces(
    event1: type[E1],
    event2: type[E2],
    /,
    *,
    window: int = ...,
    occurrence: Callable[[E1 | E2], Occurrence] | None = ...,
) -> Producing[E1 | E2]: ...


@overload
def produces(
    event1: type[E1],
    event2: type[E2],
    event3: type[E3],
    /,
    *,
    window: int = ...,
    occurrence: Callable[[E1 | E2 | E3], Occurrence] | None = ...,
) -> Producing[E1 | E2 | E3]: ...


@overload
def produces(
    event1: type[E1],
    event2: type[E2],
    event3: type[E3],
    event4: type[E4],
    /,
    *,
    window: int = ...,
    occurrence: Callable[[E1 | E2 | E3 | E4], Occurrence] | None = ...,
) -> Producing[E1 | E2 | E3 | E4]: ...


def produces(
    *events: type[Event], window: int = 100, occurrence: Callable[[Any], Occurrence] | None = None
) -> Producing[Any]:
    """Declare that an async generator yields events of the given classes, to be published in order.

    Args:
        events: One to four event classes.
        window: How many yielded events may be unconfirmed before the generator has to wait.
        occurrence: Tells what an event is about; one that is yielded again, after a restart for instance, then has
            the same id. Without it every yield is a new event.

    Raises:
        DeclarationError: If there is no event, a class has no topic, or the window is below 1.
    """
    if not events:
        msg = "produces needs the event classes, as in @produces(OrderCreated)"
        raise DeclarationError(msg)
    for event in events:
        event_info(event)
    if window < 1:
        msg = f"window must be at least 1, not {window}"
        raise DeclarationError(msg)
    return Producing(events, window, occurrence)
