"""A doorbell: wakes who waits for work, and remembers a ring that nobody heard."""

from __future__ import annotations

import asyncio


class Doorbell:
    """Rung by whoever has committed rows; any number may listen."""

    def __init__(self) -> None:
        """Begin silent."""
        # One event a listener, since each has to hear a ring that came before it waited.
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake every listener."""
        for heard in self._listeners:
            heard.set()

    def listen(self) -> Listener:
        """A listener of its own, which hears every ring from now on."""
        return Listener(self._listeners)


class Listener:
    """Hears one doorbell, until it is closed."""

    def __init__(self, listeners: set[asyncio.Event]) -> None:
        """Join the listeners."""
        self._listeners = listeners
        self._heard = asyncio.Event()
        listeners.add(self._heard)

    def close(self) -> None:
        """Hear nothing more."""
        self._listeners.discard(self._heard)

    def wake(self) -> None:
        """Let this listener hear a ring of its own."""
        self._heard.set()

    async def wait(self, timeout: float) -> bool:
        """Return whether the bell was rung since the last wait, within ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True
