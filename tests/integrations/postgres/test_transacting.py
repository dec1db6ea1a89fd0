"""Transactions that begin with a claim: one message, hostile texts, savepoints, and beginnings that fail."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.errors import StoreError
from eventhub.integrations.postgres import PostgresStore
from eventhub.integrations.postgres.transacting import claim_statement
from eventhub.testing.conformance.stores.samples import Undone, claims, new_claim, record, rows_of

HOSTILE = ["'; DROP TABLE business; --", "\\'; --", "$$x$$", "%s $1 :name", "E'\\x27'", "ü\u2028😀", "", " "]

_PLAIN = claim_statement("inbox", new_claim()._replace(group="", scope=""))


@given(group=st.text(), scope=st.text(), day=st.dates(), event=st.uuids())
def test_nothing_of_a_claim_is_read_as_a_statement(group: str, scope: str, day: Any, event: Any) -> None:
    """Whatever the texts are, only digits of theirs stand in the message."""
    claim = new_claim(day)._replace(group=group, scope=scope, event=event)

    parts, plain = claim_statement("inbox", claim).split("'"), _PLAIN.split("'")

    assert plain[::2] == parts[::2]
    assert all(re.fullmatch("[0-9a-f-]*|hex|UTF8", quoted) for quoted in parts[1::2])


@pytest.mark.postgres
async def test_hostile_texts_are_what_they_are(tables: PostgresStore) -> None:
    """Each is a group and a scope of its own, kept to the letter."""
    base = new_claim()
    hostile = [base._replace(group=one, scope=other) for one in HOSTILE for other in HOSTILE]
    first = [await claims(tables, claim) for claim in hostile]
    again = [await claims(tables, claim) for claim in hostile]
    kept = await tables.pool.fetch("SELECT consumer_group, scope, event_id, day FROM eventhub_inbox")

    assert {True} == set(first)
    assert {False} == set(again)
    assert {(claim.group, claim.scope, claim.event, claim.day) for claim in hostile} == {tuple(row) for row in kept}


@pytest.mark.postgres
async def test_a_claim_costs_no_message_of_its_own(tables: PostgresStore, postgres_url: str) -> None:
    """It goes with BEGIN: a claim, a statement and a commit are three."""
    said: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda query: said.append(query.query.split()[0]))

    schema = await tables.pool.fetchval("SELECT current_schema()")
    settings = {"search_path": schema}
    async with (
        asyncpg.create_pool(postgres_url, min_size=1, max_size=1, setup=listen, server_settings=settings) as pool,
        PostgresStore(pool).claiming(new_claim()) as transaction,
    ):
        assert transaction is not None
        await transaction.connection.execute("UPDATE business SET value = '2'")

    assert ["BEGIN;", "UPDATE", "COMMIT;"] == said[:3]


@pytest.mark.postgres
async def test_the_claims_of_a_batch_are_one_statement(tables: PostgresStore) -> None:
    """However many there are."""
    said: list[str] = []
    async with tables.transaction() as transaction:
        await transaction.claim_all([new_claim()])  # the client asks once a connection what arrays of these types are
        transaction.connection.add_query_logger(lambda query: said.append(query.query.split()[0]))
        answers = await transaction.claim_all([new_claim() for _ in range(100)])

    assert [True] * 100 == answers
    assert ["WITH", "COMMIT;"] == said[:2]


@pytest.mark.postgres
async def test_a_savepoint_stands_in_the_transaction_of_a_claim(tables: PostgresStore) -> None:
    """The client's own nested transaction is a savepoint: undone by itself, it leaves the claim and the rest."""
    claim = new_claim()
    async with tables.claiming(claim) as transaction:
        assert transaction is not None
        await transaction.defer([record("kept")])
        with suppress(Undone):
            async with transaction.connection.transaction():
                await transaction.defer([record("undone")])
                raise Undone

    assert [b"kept"] == [row.value for row in await rows_of(tables)]
    assert not await claims(tables, claim)


@pytest.mark.postgres
async def test_a_beginning_that_fails_leaves_a_connection_that_works(postgres_url: str) -> None:
    """It is not given back in the middle of a transaction, of which the client would complain to the loop."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, complaint: complaints.append(complaint))
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        with pytest.raises(StoreError, match="eventhub outbox ddl"):
            await claims(PostgresStore(pool, prefix="nowhere"), new_claim())
        after = await pool.fetchval("SELECT 1")

    assert 1 == after
    assert [] == complaints


@pytest.mark.postgres
async def test_who_gives_up_waiting_for_a_claim_leaves_nothing(tables: PostgresStore, postgres_url: str) -> None:
    """Cancelled while another transaction has the claim, the beginning is undone, and its connection works."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, complaint: complaints.append(complaint))
    claim = new_claim()
    schema = await tables.pool.fetchval("SELECT current_schema()")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'BEGIN; INSERT%'"
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool, tables.claiming(claim):
        second = asyncio.create_task(claims(PostgresStore(pool, schema=schema), claim))
        async with asyncio.timeout(30):
            while not await tables.pool.fetchval(waiting):
                assert not second.done()
        second.cancel()
        await asyncio.wait([second])
        after = await pool.fetchval("SELECT pg_current_xact_id_if_assigned()")

    assert second.cancelled()
    assert after is None
    assert [] == complaints
