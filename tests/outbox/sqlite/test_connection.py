"""What becomes of a transaction whose task is cancelled."""

import asyncio
import threading
from pathlib import Path

from eventhub.outbox.sqlite import SqliteStore
from eventhub.testing.conformance.stores.samples import fill, record, rows_of, values
from eventhub.testing.waiting import until


async def test_a_transaction_that_is_cancelled_twice_is_undone_before_the_next_begins(tmp_path: Path) -> None:
    """Else its late rollback would be the next one's, whose statements would then commit one by one."""
    at_it, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_it.set()
        go_on.wait()

    async def write(store: SqliteStore) -> None:
        async with store.transaction() as transaction:
            await transaction.enqueue([record("a")])
            await transaction.connection.create_function("hold", 0, hold)
            await transaction.connection.execute("SELECT hold()")

    async with SqliteStore(tmp_path / "store.sqlite3") as store, asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write(store))
        await until(at_it.is_set)
        for _ in range(2):
            writing.cancel()
            await asyncio.wait({writing}, timeout=0.01)
        next_one = tasks.create_task(fill(store, "b"))
        await asyncio.wait({next_one}, timeout=0.01)
        go_on.set()
        await next_one
        left = values(await rows_of(store))

    assert writing.cancelled()
    assert [b"b"] == left
