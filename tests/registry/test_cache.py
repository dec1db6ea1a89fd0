"""What a client remembers, and how many share one fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from eventhub.clock import ManualClock
from eventhub.errors import RegistryError, SchemaNotFound
from eventhub.registry.cache import Cache

pytestmark = pytest.mark.anyio


class _Source:
    """A slow source of values that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()
        self.error: Exception | None = None
        self.cancelled = False

    async def fetch(self) -> str:
        self.asked += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return "value"


@pytest.fixture
def source() -> _Source:
    """A source that waits until it is opened."""
    return _Source()


@pytest.fixture
def clock() -> ManualClock:
    """A clock moved by hand."""
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache[str, str]:
    """A cache of two values."""
    return Cache(clock, size=2, missing_for=5.0)


async def _started(*waiting: Callable[[], Awaitable[str]]) -> list[asyncio.Task[str]]:
    """The calls as tasks, each at the point where it waits."""
    tasks = [asyncio.ensure_future(call()) for call in waiting]
    for _ in range(3):
        await asyncio.wait(tasks, timeout=0)
    return tasks


async def test_many_share_one_fetch(cache: Cache[str, str], source: _Source) -> None:
    """A hundred callers at once, and those who come later, cost one fetch."""
    tasks = await _started(*[lambda: cache.get("key", source.fetch)] * 100)
    source.open.set()
    values = {*await asyncio.gather(*tasks), await cache.get("key", source.fetch)}

    assert {"value"} == values
    assert 1 == source.asked


async def test_cancelled_waiter_leaves_the_others_their_value(cache: Cache[str, str], source: _Source) -> None:
    """Whoever began the fetch may go; the fetch goes on for those who still wait."""
    first, second = await _started(*[lambda: cache.get("key", source.fetch)] * 2)
    first.cancel()
    await asyncio.wait([first])
    source.open.set()

    assert "value" == await second
    assert 1 == source.asked


async def test_last_waiter_takes_the_fetch_along(cache: Cache[str, str], source: _Source) -> None:
    """A fetch that nobody waits for is cancelled, and the next caller begins another."""
    tasks = await _started(*[lambda: cache.get("key", source.fetch)] * 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    [again] = await _started(lambda: cache.get("key", source.fetch))
    source.open.set()

    assert "value" == await again
    assert source.cancelled
    assert 2 == source.asked


async def test_failure_is_everybodys_and_is_forgotten(cache: Cache[str, str], source: _Source) -> None:
    """All who wait get the error; the next caller tries again."""
    source.error = RegistryError("down")
    source.open.set()
    tasks = await _started(*[lambda: cache.get("key", source.fetch)] * 3)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    source.error = None

    assert [source.error] != errors
    assert all(isinstance(error, RegistryError) for error in errors)
    assert "value" == await cache.get("key", source.fetch)
    assert 2 == source.asked


async def test_what_is_not_there_is_asked_for_once_in_a_while(
    cache: Cache[str, str], source: _Source, clock: ManualClock
) -> None:
    """An unknown key costs one fetch until its time is over; then it may have come."""
    source.error = SchemaNotFound("no such schema", status=404, code=40403, url="http://registry")
    source.open.set()
    for _ in range(5):
        with pytest.raises(SchemaNotFound, match="no such schema") as missing:
            await cache.get("key", source.fetch)
    asked = source.asked
    clock.advance(5.0)
    source.error = None

    assert 1 == asked
    assert (404, 40403, "http://registry") == (missing.value.status, missing.value.code, missing.value.url)
    assert "value" == await cache.get("key", source.fetch)


async def test_value_that_comes_another_way_ends_the_absence(cache: Cache[str, str], source: _Source) -> None:
    """A key that was put is there, whatever was said before."""
    source.error = SchemaNotFound("no such schema")
    source.open.set()
    with pytest.raises(SchemaNotFound):
        await cache.get("key", source.fetch)
    cache["key"] = "put"

    assert "put" == await cache.get("key", source.fetch)


async def test_value_used_longest_ago_goes_first(cache: Cache[str, str], source: _Source) -> None:
    """The cache is bounded, and using a value keeps it."""
    source.open.set()
    cache["one"] = "1"
    cache["two"] = "2"
    await cache.get("one", source.fetch)
    cache["three"] = "3"

    assert ("1", "3") == (cache["one"], cache["three"])
    with pytest.raises(KeyError):
        cache["two"]


async def test_absences_are_bounded_too(cache: Cache[str, str], source: _Source) -> None:
    """Hostile ids do not fill the memory: the oldest absence is forgotten."""
    source.error = SchemaNotFound("no such schema")
    source.open.set()
    for key in ("one", "two", "three", "one"):
        with pytest.raises(SchemaNotFound):
            await cache.get(key, source.fetch)

    assert 4 == source.asked
