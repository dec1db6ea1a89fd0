"""The published jars of Apache Kafka: found in the cache, or fetched once with Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.locks import locked

_OLDEST_JAVA = 17
"""What a Kafka 4 broker runs on. Source: KIP-1013."""

_MAVEN_TIMEOUT = 600.0
"""Seconds; a slow line needs a minute for 44 MB, a proxy that swallows packets needs for ever."""

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>eventhub</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
    </dependency>
    <!-- Writes the node's log to stderr without a configuration file. -->
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A Java and the jars of one Kafka version.

    Attributes:
        java: The ``java`` command.
        java_version: As the command says it, for example ``17.0.15``.
        version: Of Apache Kafka.
        directory: Where the jars are, and what is derived from them may be kept.
    """

    java: str
    java_version: str
    version: str
    directory: Path

    @property
    def class_path(self) -> str:
        """Every jar, sorted: an archive of loaded classes is only valid for one exact order."""
        return os.pathsep.join(str(jar) for jar in sorted(self.directory.glob("*.jar")))


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where eventhub keeps what it fetched: under ``XDG_CACHE_HOME``, else ``~/.cache``."""
    root = environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "eventhub" / "kafka"


def install(version: str, cache: Path | None = None) -> Installation:
    """The jars of this version, fetched with Maven unless the cache has them.

    Any number of processes may ask at once: one fetches, the others wait for it.

    Raises:
        KafkaUnavailable: If Java 17 is missing, or the jars are not cached and cannot be fetched.
    """
    java, java_version = _find_java()
    cache = cache or cache_directory()
    directory = cache / version
    if not directory.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{version}.lock"):
            if not directory.is_dir():
                _fetch(version, directory)
    return Installation(java, java_version, version, directory)


def missing_tools(version: str, cache: Path | None = None) -> list[str]:
    """What must be installed before `install` can succeed, in the words of the error message."""
    missing = []
    try:
        _find_java()
    except KafkaUnavailable as error:
        missing.append(str(error))
    cached = ((cache or cache_directory()) / version).is_dir()
    if not cached and shutil.which("mvn") is None:
        missing.append("Maven (no `mvn` on PATH)")
    return missing


def _find_java() -> tuple[str, str]:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        message = f"Java {_OLDEST_JAVA} or newer (no `java` on PATH)"
        raise KafkaUnavailable(message)
    version = _java_version(java)
    if version is None or int(version.split(".")[0]) < _OLDEST_JAVA:
        message = f"Java {_OLDEST_JAVA} or newer ({java} is {version or 'not a Java'})"
        raise KafkaUnavailable(message)
    return java, version


def _java_version(java: str) -> str | None:
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.search(r'version "([0-9][^"]*)"', said.stderr)
    return found and found[1]


def _fetch(version: str, directory: Path) -> None:
    """Copy Kafka's jars next to their final place, then rename: a directory there is complete."""
    maven = shutil.which("mvn")
    if maven is None:
        message = f"Apache Kafka {version} is not cached and Maven is missing (no `mvn` on PATH)"
        raise KafkaUnavailable(message)
    print(
        f"fetching Apache Kafka {version} with Maven, once, about 10 s",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=directory.parent) as work:
        pom, jars = Path(work, "pom.xml"), Path(work, "jars")
        pom.write_text(_POM.format(version=version))
        command = [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
        _run_maven([*command, f"-DoutputDirectory={jars}"], version)
        jars.rename(directory)


def _run_maven(command: list[str], version: str) -> None:
    advice = "check the network or the mirror in ~/.m2/settings.xml, or set EVENTHUB_TEST_KAFKA"
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_MAVEN_TIMEOUT, check=True)
    except subprocess.TimeoutExpired as error:
        message = f"Maven did not fetch Apache Kafka {version} in {_MAVEN_TIMEOUT:.0f} s: {advice}"
        raise KafkaUnavailable(message) from error
    except subprocess.CalledProcessError as error:
        said = next((line for line in error.stdout.splitlines() if "ERROR" in line), "")
        message = f"Maven could not fetch Apache Kafka {version}: {advice}; it said: {said}"
        raise KafkaUnavailable(message) from error
