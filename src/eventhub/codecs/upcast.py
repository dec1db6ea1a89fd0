"""Upcasts: pure functions from the shape that an event once had to the one it has now.

A topic keeps what was written before a change that no default and no alias can bridge. Whoever
still reads it declares the old shape, as an event class without a topic, and a function::

    class OrderCreatedV1(Event):
        order_id: str
        customer: str


    @upcast(OrderCreated, from_version=1)
    def split_the_name(old: OrderCreatedV1) -> OrderCreated:
        first, _, last = old.customer.partition(" ")
        return OrderCreated(order_id=old.order_id, first_name=first, last_name=last)


    service = Service("inventory", [reserve_stock], upcasts=[split_the_name])

Handlers then see the new shape alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

from eventhub.codecs.base import Codec
from eventhub.errors import DeclarationError, SchemaMismatch
from eventhub.event import Event, event_info
from eventhub.registry.base import Schema
from eventhub.registry.compatibility import parse_schema

Old = TypeVar("Old", bound=Event)
New = TypeVar("New", bound=Event)

_FORM = """\
    @upcast({event}, from_version=1)
    def {name}(old: {event}V1) -> {event}: ...  # where {event}V1 is an Event without a topic"""


@dataclass(frozen=True, slots=True, eq=False)
class Upcast(Generic[Old, New]):
    """A function that makes an event of its old shape; still callable as the function it was."""

    function: Callable[[Old], New]
    """The function as it was written."""
    event: type[New]
    """The class that it makes."""
    from_version: int
    """The version of the event's subject with which the old shape was written."""
    old: type[Old]
    """The old shape."""

    def __call__(self, old: Old) -> New:
        """Call the function itself, as a test of it does."""
        return self.function(old)

    def read(self, old: Old) -> New:
        """The event of an old shape that was read.

        Raises:
            SchemaMismatch: If the function fails, or returns something else.
        """
        place = f"upcast {self.function.__name__!r} of version {self.from_version}"
        try:
            made = self.function(old)
        except Exception as error:
            msg = f"{place} failed with {type(error).__name__}"  # the text of the error may hold values
            raise SchemaMismatch(msg) from error
        if not isinstance(made, self.event):
            msg = f"{place} returned {type(made).__name__}, not {self.event.__name__}"
            raise SchemaMismatch(msg)
        return made


ByVersion = Mapping[tuple[type[Event], int], Upcast[Any, Any]]
"""Upcasts by the event and the version that they apply to."""


def upcast(event: type[New], *, from_version: int) -> Callable[[Callable[[Old], New]], Upcast[Old, New]]:
    """Declare that a function makes events of the shape that they had in one version of their subject.

    Args:
        event: The class that the function makes.
        from_version: The version, as the registry counts them.

    Raises:
        DeclarationError: If the version is none, or the function is not of the form that the message shows.
    """
    event_info(event)
    if from_version < 1:
        msg = f"upcast of {event.__name__}: versions count from 1, not {from_version}"
        raise DeclarationError(msg)

    def declare(function: Callable[[Old], New]) -> Upcast[Old, New]:
        return Upcast(function, event, from_version, _old_shape(function, event))

    return declare


def applies(upcast: Upcast[Any, Any], codec: Codec, schema: Schema) -> bool:
    """Whether a schema is the old shape: that one can read it, and the class would not write it itself.

    A new registry counts from 1 again, and its first version may well be the new shape.
    """
    own = parse_schema(codec.schema(upcast.event)).text
    return not codec.problems(upcast.old, schema) and own != parse_schema(schema).text


def by_version(upcasts: Sequence[Upcast[Any, Any]]) -> ByVersion:
    """Upcasts by what they apply to.

    Raises:
        DeclarationError: If two apply to the same version of an event.
    """
    found: dict[tuple[type[Event], int], Upcast[Any, Any]] = {}
    for upcast in upcasts:
        key = upcast.event, upcast.from_version
        if key in found:
            msg = f"{upcast.event.__name__} has two upcasts from version {upcast.from_version}; keep one"
            raise DeclarationError(msg)
        found[key] = upcast
    return found


def _old_shape(function: Callable[[Old], New], event: type[New]) -> type[Old]:
    """The class of the only argument of an upcast."""
    parameters = list(inspect.signature(function).parameters.values())
    try:
        hints = get_type_hints(function)
    except NameError as error:
        msg = f"upcast {function.__name__!r}: cannot read its annotations, since {error}"
        raise DeclarationError(msg) from error
    old = hints.get(parameters[0].name) if len(parameters) == 1 else None
    is_old_shape = isinstance(old, type) and issubclass(old, Event) and "__event__" not in old.__dict__
    if not is_old_shape or hints.get("return") is not event or inspect.iscoroutinefunction(function):
        form = _FORM.format(event=event.__name__, name=function.__name__)
        msg = f"upcast {function.__name__!r} takes {inspect.signature(function)}; the form is:\n{form}"
        raise DeclarationError(msg)
    return old  # type: ignore[return-value]
