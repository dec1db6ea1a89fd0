"""A real PgBouncer for tests, in transaction mode, in front of a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from eventhub.testing.waiting import until

SESSIONS = 3
"""Sessions of the server that all clients share; a test that wants them mixed opens more connections than these."""

_CONFIGURATION = """\
[databases]
{database} = host={host} port={port} user={user}{password}
[pgbouncer]
pool_mode = transaction
default_pool_size = {sessions}
auth_type = any
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
"""


@asynccontextmanager
async def pgbouncer(url: str, folder: Path) -> AsyncIterator[str]:
    """The URL of a pooler in front of a server; the test is skipped where there is none, and with CI set it fails."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer on the PATH; apt-get install pgbouncer")  # with CI set a skip is a failure
    parts, own_port = urlsplit(url), _free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            host=parts.hostname,
            port=parts.port or 5432,
            user=parts.username or "postgres",
            password=f" password={parts.password}" if parts.password else "",
            database=parts.path[1:],
            sessions=SESSIONS,
            own_port=own_port,
        )
    )
    configuration.chmod(0o644)
    # It refuses to run as root, and reads its file before it becomes somebody else.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(program, "-q", *user, str(configuration))
    try:
        await until(lambda: process.returncode is not None or _listens(own_port))
        yield f"postgresql://postgres@127.0.0.1:{own_port}{parts.path}?sslmode=disable"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
