"""The memory store keeps the laws of stores."""

from __future__ import annotations

from typing import Any

import pytest

from eventhub.outbox.memory import MemoryStore
from eventhub.testing.conformance.stores import SharingLaws, StoreConformance


class TestMemoryStore(StoreConformance, SharingLaws):
    """Every law, save those of savepoints."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """A store of its own for each law."""
        return MemoryStore()

    async def write(self, connection: Any, name: str, value: str) -> None:
        """Write into the transaction's dictionary."""
        connection[name] = value

    async def read(self, store: Any, name: str) -> str | None:
        """Read from the committed dictionary."""
        value: str | None = store.data.get(name)
        return value
