"""Sources: the two forms of a generator, and what is said about any other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventhub.errors import DeclarationError
from eventhub.source import SourceContext, produces
from tests.events import OrderCreated


@produces(OrderCreated)
async def plain() -> AsyncIterator[OrderCreated]:
    """Need nothing."""
    yield OrderCreated(order_id="o-1")


@produces(OrderCreated, window=3)
async def stateful(context: SourceContext[str]) -> AsyncIterator[OrderCreated]:
    """Need the state."""
    yield OrderCreated(order_id=context.state)


async def test_a_source_is_called_like_the_generator_it_was() -> None:
    """A test of the logic needs no runtime."""
    assert ["o-1"] == [order.order_id async for order in plain()]


async def test_the_runtime_starts_either_form_with_a_context() -> None:
    """Only a function that asks for the context gets it."""
    context = SourceContext("o-2", "shop")

    assert ["o-1"] == [event.model_dump()["order_id"] async for event in plain.events_from(context)]
    assert ["o-2"] == [event.model_dump()["order_id"] async for event in stateful.events_from(context)]


async def _coroutine() -> None: ...
def _generator() -> Any:
    yield


async def _two(_a: Any, _b: Any) -> AsyncIterator[OrderCreated]:
    yield OrderCreated(order_id="o-1")


@pytest.mark.parametrize("function", [_coroutine, _generator, _two])
def test_what_is_no_async_generator_is_refused_with_the_right_form(function: Any) -> None:
    """The error shows both forms."""
    with pytest.raises(DeclarationError, match="the two forms are"):
        produces(OrderCreated)(function)


def test_a_window_below_one_is_refused() -> None:
    """Nothing could ever be yielded."""
    with pytest.raises(DeclarationError, match="window must be at least 1"):
        produces(OrderCreated, window=0)


def test_a_source_of_nothing_is_refused() -> None:
    """The classes decide which schemas are registered."""
    with pytest.raises(DeclarationError, match="produces needs the event classes"):
        produces()  # type: ignore[call-overload]
