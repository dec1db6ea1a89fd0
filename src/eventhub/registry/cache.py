"""Remember what a registry said: a bounded cache, and one request for many waiters."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from eventhub.clock import Clock
from eventhub.errors import SchemaNotFound

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Fetches each value once, and keeps those used last.

    Many callers may wait for one fetch; if one of them is cancelled, the others still get the value, and the fetch
    is cancelled only with the last of them. ``SchemaNotFound`` is remembered for a short time, other errors are not.
    """

    def __init__(self, clock: Clock, *, size: int = 1_000, missing_for: float = 2.0) -> None:
        """Begin empty.

        Args:
            clock: Where the time comes from.
            size: How many values are kept.
            missing_for: How long, in seconds, what was not found is taken for not there.
        """
        self._clock = clock
        self._size = size
        self._missing_for = missing_for
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._missing: OrderedDict[Key, tuple[float, SchemaNotFound]] = OrderedDict()  # until when, and why
        self._fetches: dict[Key, _Fetch[Value]] = {}

    def __getitem__(self, key: Key) -> Value:
        """The value of a key that is kept; KeyError otherwise."""
        value = self._values[key]
        self._values.move_to_end(key)
        return value

    def __setitem__(self, key: Key, value: Value) -> None:
        """Keep a value; the one used longest ago goes."""
        self._values[key] = value
        self._values.move_to_end(key)
        self._missing.pop(key, None)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    async def get(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """The value of a key, fetched unless it is kept.

        Raises:
            SchemaNotFound: If it is not there, or was not there a moment ago.
        """
        if key in self._values:
            return self[key]
        if key in self._missing:
            until, error = self._missing[key]
            if self._clock.monotonic() < until:
                raise SchemaNotFound(str(error), status=error.status, code=error.code, url=error.url)
            del self._missing[key]
        return await self._share(key, fetch)

    async def _share(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """Wait for the one fetch of a key, beginning it if nobody did."""
        shared = self._fetches.get(key)
        if shared is None:
            shared = self._fetches[key] = _Fetch(asyncio.ensure_future(self._fetch(key, fetch)))
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiters -= 1
            if not shared.waiters:
                self._fetches.pop(key, None)
                shared.task.cancel()

    async def _fetch(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """Fetch a value and keep it, or keep that there is none."""
        try:
            value = await fetch()
        except SchemaNotFound as error:
            self._missing[key] = (self._clock.monotonic() + self._missing_for, error)
            if len(self._missing) > self._size:
                self._missing.popitem(last=False)
            raise
        self[key] = value
        return value


class _Fetch(Generic[Value]):
    """A fetch on its way.

    The task belongs to no task group, since it may outlive the caller that began it; its waiters own it together,
    and the last to leave ends it.
    """

    def __init__(self, task: asyncio.Future[Value]) -> None:
        self.task = task
        self.waiters = 0
