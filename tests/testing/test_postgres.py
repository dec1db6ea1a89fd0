"""A real PostgreSQL for tests."""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg
import pytest

from eventhub.testing.postgres import PostgresServer, find_binaries, postgres


@pytest.mark.postgres
async def test_a_server_answers(postgres_url: str) -> None:
    """The fixture gives the URL of a server that takes connections."""
    connection = await asyncpg.connect(postgres_url)
    answer = await connection.fetchval("SELECT 6 * 7")
    await connection.close()

    assert 42 == answer


@pytest.mark.postgres
@pytest.mark.slow
async def test_a_server_ends_with_its_block(postgres_url: str) -> None:
    """Once the block is left, nobody listens and no folder is left."""
    if os.environ.get("EVENTHUB_TEST_POSTGRES"):
        return  # the server is somebody else's, and stays
    with postgres() as url:
        assert url != postgres_url
        connection = await asyncpg.connect(url)
        folder = Path(await connection.fetchval("SHOW data_directory")).parent
        await connection.close()

    with pytest.raises(OSError):  # noqa: PT011 - refused, in the words of the system
        await asyncpg.connect(url)
    assert not folder.exists()


@pytest.mark.postgres
@pytest.mark.slow
async def test_a_server_of_ones_own_comes_back_with_what_was_committed(postgres_server: PostgresServer) -> None:
    """It can be killed and started again, at the same address."""
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("CREATE TABLE kept ()")
    postgres_server.kill()
    await connection.close()
    postgres_server.start()
    connection = await asyncpg.connect(postgres_server.url)
    found = await connection.fetchval("SELECT to_regclass('kept')::text")
    await connection.close()

    assert "kept" == found


def test_a_named_server_is_taken_as_it_is() -> None:
    """The variable wins over everything that could be started."""
    with postgres({"EVENTHUB_TEST_POSTGRES": "postgresql://somewhere"}) as url:
        assert "postgresql://somewhere" == url


def test_programs_on_the_path_come_first(tmp_path: Path) -> None:
    """Who has put a server on the PATH means it."""
    program = tmp_path / "postgres"
    program.touch(mode=0o755)

    assert tmp_path == find_binaries({"PATH": str(tmp_path)})


def test_the_newest_of_the_machine_comes_before_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian keeps a folder a version, off the PATH; what pip brought is the last resort."""
    for version in ("9.6", "15", "17"):
        program = tmp_path / "servers" / version / "bin" / "postgres"
        program.parent.mkdir(parents=True)
        program.touch()
    carried = tmp_path / "site" / "some_wheel" / "pginstall" / "bin"
    carried.mkdir(parents=True)
    (carried / "initdb").touch()
    (carried.parent.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    nothing = {"PATH": str(tmp_path)}

    assert tmp_path / "servers/17/bin" == find_binaries(nothing, tmp_path / "servers", ["some_wheel"])
    assert carried == find_binaries(nothing, tmp_path / "none", ["missing_wheel", "some_wheel"])


@pytest.mark.postgres
async def test_a_server_does_not_run_as_root(postgres_server: PostgresServer) -> None:
    """Whoever runs the tests, its data belong to somebody else than root."""
    connection = await asyncpg.connect(postgres_server.url)
    data = Path(await connection.fetchval("SHOW data_directory"))
    await connection.close()

    assert 0 != data.stat().st_uid


def test_without_any_server_nothing_is_found(tmp_path: Path) -> None:
    """Neither PATH nor the folder of servers nor a wheel has one."""
    assert find_binaries({"PATH": str(tmp_path)}, tmp_path, ()) is None
