"""The laws of a store, one test each.

A store's own test module derives a class, gives it a store, and says how its business writes and reads::

    class TestMemoryStore(StoreConformance):
        @pytest.fixture
        def store(self) -> MemoryStore:
            return MemoryStore()

        async def write(self, connection: Any, name: str, value: str) -> None:
            connection[name] = value

        async def read(self, store: Any, name: str) -> str | None:
            return store.data.get(name)

The fixture gives an empty store to each test. A store adds ``SavepointLaws`` if its transactions have savepoints,
``ByHandLaws`` if its connection takes statements that end them, ``ConcurrentLaws`` if they run side by side, and
``SharingLaws`` if any number of relays may share it.
"""

from __future__ import annotations

import pytest

from eventhub.testing.conformance.stores.backlog_laws import BacklogLaws, SharingLaws
from eventhub.testing.conformance.stores.transaction_laws import (
    ByHandLaws,
    ConcurrentLaws,
    SavepointLaws,
    TransactionLaws,
)

__all__ = ["ByHandLaws", "ConcurrentLaws", "SavepointLaws", "SharingLaws", "StoreConformance"]


class StoreConformance(TransactionLaws, BacklogLaws):
    """The laws of every store; derive from it and define the fixture ``store``, ``write`` and ``read``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture(scope="session")
    @classmethod
    def anyio_backend(cls) -> str:
        """The ports are asyncio's."""
        return "asyncio"
