"""Room in a PostgreSQL for one run: a schema, so that no earlier run is in the way."""

from uuid import uuid4

from eventhub.integrations.postgres import connected


async def new_schema(dsn: str) -> str:
    """Make a schema, and return the URL under which its tables are found.

    What asyncpg does not know in a URL it takes for a setting of the session.

    Raises:
        StoreError: If the database cannot be reached.
    """
    schema = f"shop_{uuid4().hex[:8]}"
    async with connected(dsn) as store:
        await store.pool.execute(f"CREATE SCHEMA {schema}")
    return f"{dsn}{'&' if '?' in dsn else '?'}search_path={schema}"
