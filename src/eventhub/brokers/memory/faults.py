"""What can go wrong with a broker, for tests that make it go wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Operation(StrEnum):
    """What a client asks of the broker."""

    SEND = "send"
    """To write records; a client's sends come one after the other."""
    POLL = "poll"
    """To fetch records; asked once a poll, not again while it waits."""
    COMMIT = "commit"
    """To store positions."""
    COMMITTED = "committed"
    """To look the group's positions up."""
    OFFSETS = "offsets"
    """To look the ends of partitions up."""
    JOIN = "join"
    """To take a place in the next generation."""
    HEARTBEAT = "heartbeat"
    """To keep the session, and to hear whether the generation is over."""
    LEAVE = "leave"
    """To give the place up."""
    ADMIN = "admin"
    """Whatever is asked of the administration, by the client ``admin``."""


class Faults(Protocol):
    """The network between the clients and the broker, asked at every crossing.

    Returning lets the operation pass, waiting delays it, raising a ``BrokerError`` loses it. A process that stops for
    a while is a client whose every operation waits. One that dies is a client whose every operation raises; the group
    finds out when its session has expired. A lost heartbeat is sent again, a lost join ends the member with a
    ``failure``, and whatever else is lost reaches the caller.
    """

    async def before(self, operation: Operation, client: str) -> None:
        """Let a request reach the broker; raising means that it never does."""
        ...

    async def after(self, operation: Operation, client: str) -> None:
        """Let the answer to a send or a commit come back; raising means done at the broker, unknown to the client."""
        ...
