"""What stock is, wherever it is kept: shelves that are changed in transactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eventhub.outbox.base import Store

OPENING_STOCK = {
    "assam": 500,
    "ceylon": 500,
    "darjeeling": 250,
    "earl-grey": 500,
    "genmaicha": 400,
    "lapsang": 100,
    "oolong": 300,
    "white-peony": 8,
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """How much of one thing there was, and is."""

    opening: int
    available: int


class Stock(Protocol):
    """Shelves, with an inbox and an outbox in the same database."""

    @property
    def store(self) -> Store[Any]:
        """Who begins and commits transactions; that the state has it makes the service transactional."""
        ...

    async def take(self, database: Any, sku: str, quantity: int) -> int | None:  # noqa: ANN401 - of a transaction
        """Take goods from their shelf and say what is left there; of too little, nothing is taken, and None said."""
        ...

    async def shelves(self) -> Mapping[str, Shelf]:
        """All shelves by sku."""
        ...
