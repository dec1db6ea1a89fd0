"""An Apicurio Registry for the tests: one that runs, or the published archive, fetched once with Maven."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_VERSION = "3.3.3"
_OLDEST_JAVA = 21  # the class files say so
_START_SECONDS = 120  # 5 to 12 on an idle machine
_ADDRESS = "EVENTHUB_TEST_APICURIO"
"""The variable with the address of a registry that runs, up to its port."""


@contextmanager
def apicurio() -> Iterator[str]:
    """The address of a registry in memory, whose level is BACKWARD as everywhere else; or a skipped test."""
    address = os.environ.get(_ADDRESS)
    if address:
        yield address
        return
    java, maven = _java(), shutil.which("mvn")
    if java is None or maven is None:
        pytest.skip(f"needs Java {_OLDEST_JAVA} and Maven to run Apicurio Registry {_VERSION}, or {_ADDRESS}")
    home = _unpacked(maven)
    port, management = _free_port(), _free_port()
    options = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": port,
        "quarkus.management.host": "127.0.0.1",  # else it listens on 0.0.0.0:9000
        "quarkus.management.port": management,
        "apicurio.rules.global.compatibility": "BACKWARD",  # else NONE
    }
    jvm = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command = [java, *jvm, *(f"-D{key}={value}" for key, value in options.items()), "-jar", "quarkus-run.jar"]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, f"http://127.0.0.1:{port}/apis/ccompat/v7/subjects")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # it keeps nothing
        process.wait()


def _java() -> str | None:
    """A Java that is young enough, of the environment, the path, or where systems put them."""
    homes = [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    homes += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True) if Path("/usr/lib/jvm").is_dir() else []
    for java in [*(str(home / "bin/java") for home in homes), shutil.which("java")]:
        if java is not None and Path(java).is_file():
            said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', said)
            if version is not None and int(version[1]) >= _OLDEST_JAVA:
                return java
    return None


def _unpacked(maven: str) -> Path:
    """Where the registry is unpacked, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventhub" / "apicurio"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / _VERSION
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # only one run fetches
        if not home.is_dir():
            artifact = f"io.apicurio:apicurio-registry-app:{_VERSION}:tar.gz:all"
            goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
            command = [maven, "-q", "-B", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={cache}"]
            subprocess.run(command, check=True, cwd=cache)
            archive = cache / f"apicurio-registry-app-{_VERSION}-all.tar.gz"
            with tarfile.open(archive) as tar:
                tar.extractall(cache / "making", filter="data")
            archive.unlink()
            next((cache / "making").rglob("quarkus-run.jar")).parent.rename(home)
            shutil.rmtree(cache / "making", ignore_errors=True)
    return home


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    """Return once the registry answers."""
    pause = threading.Event()
    for _ in range(_START_SECONDS * 5):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            if answer.status == 200:
                return
        if process.poll() is not None:
            break
        pause.wait(0.2)
    pytest.fail(f"Apicurio Registry did not answer at {url} within {_START_SECONDS} s")
