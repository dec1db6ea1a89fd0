"""What was read in a run, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples.inventory_service.stock import Shelf
from examples.order_service.events import OrderCreated


@dataclass(frozen=True, slots=True)
class Fact:
    """One event as it stands on a topic."""

    type: str
    id: str
    order_id: str
    """The record's key, which is an order's id for all but ``StockLeft``."""
    value: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that a service gave up, and why."""

    topic: str
    value: bytes
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survived:
    """What only a run has whose processes were killed: what was done to them, and what their databases hold."""

    planned: Mapping[str, int]
    """How often each process was to be killed, by name."""
    killed: Mapping[str, int]
    """How often each was."""
    placed: Sequence[str]
    """The ids of the orders in the order service's table."""
    mailed: Sequence[str]
    """The order ids of the mails in the notification service's table, which takes doubles."""
    unsent: Mapping[str, int]
    """How many rows are left in each outbox, by service."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verdict is built on."""

    orders: Sequence[OrderCreated]
    """What the seeded generator is known to produce."""
    facts: Sequence[Fact]
    """All events that were read from the topics."""
    dead_letters: Sequence[DeadLetter]
    """All records that were read from the dead-letter topics."""
    hostile: Mapping[bytes, str]
    """The value of each hostile record that was sent, with a word that its reason has to contain."""
    unreachable: str
    """The customer who cannot get mail."""
    shelves: Mapping[str, Shelf]
    """The stock at the end, by sku."""
    levels: Mapping[str, Sequence[int]]
    """What was said to be left, by sku, in the order of the topic and without repetitions."""
    unread: int
    """How many records the services have not committed, after they stopped."""
    exit_codes: Mapping[str, int]
    """How the services ended, by name; empty if they were no processes of their own."""
    survived: Survived | None = None
    """What else there is to know of a run whose processes were killed; None for any other."""

    def of(self, *types: str) -> Sequence[Fact]:
        """The events of some types."""
        return [fact for fact in self.facts if fact.type in types]

    def orders_with(self, *types: str) -> set[str]:
        """The ids of orders that have an event of one of some types."""
        return {fact.order_id for fact in self.of(*types)}
