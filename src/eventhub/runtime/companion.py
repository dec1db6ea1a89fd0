"""What runs beside the worker of a service for as long as its state is open."""

from __future__ import annotations

from typing import Protocol


class Companion(Protocol):
    """Started with the service's state, stopped once its records and sources have come to their end."""

    async def run(self) -> None:
        """Run until ``stop``; what it raises ends the service."""
        ...

    def stop(self) -> None:
        """Come to an end soon."""
        ...

    def age(self) -> float:
        """Seconds that the oldest of what waits for it has waited, as far as it has seen; 0 for nothing."""
        ...

    async def idle(self) -> bool:
        """Whether there is nothing left to do at this moment."""
        ...
