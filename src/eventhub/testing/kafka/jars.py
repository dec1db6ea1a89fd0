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
class Java:
    """A Java that Kafka can run on.

    Attributes:
        command: The path of its ``java``.
        build: Tells one build of one release from any other.
    """

    command: str
    build: str


@dataclass(frozen=True, slots=True)
class Installation:
    """A Java and the jars of one Kafka version.

    Attributes:
        java: What runs them.
        version: Of Apache Kafka.
        directory: Where the jars are, and what is derived from them may be kept.
    """

    java: Java
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


def install(version: str, cache: Path, environ: Mapping[str, str] = os.environ) -> Installation:
    """The jars of this version, fetched with Maven unless the cache has them.

    Any number of processes may ask at once: one fetches, the others wait for it.

    Raises:
        KafkaUnavailable: If Java 17 is missing, or the jars are not cached and cannot be fetched.
    """
    java = find_java(environ)
    directory = cache / version
    if not directory.is_dir():
        maven = find_maven(environ)
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{version}.lock"):
            if not directory.is_dir():
                _fetch(maven, version, directory)
    return Installation(java, version, directory)


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The Java of ``JAVA_HOME``, else of ``PATH``.

    Raises:
        KafkaUnavailable: If there is none, or it is too old for Kafka.
    """
    home = environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else shutil.which("java", path=environ.get("PATH"))
    if command is None:
        message = f"Java {_OLDEST_JAVA} or newer is missing: there is no java on PATH"
        raise KafkaUnavailable(message)
    build = _say_version(command)
    release = re.search(r'version "(\d+)', build)
    if release is None or int(release[1]) < _OLDEST_JAVA:
        message = f"Java {_OLDEST_JAVA} or newer is missing: {command} is {build.partition(chr(10))[0] or 'no Java'}"
        raise KafkaUnavailable(message)
    return Java(command, build)


def find_maven(environ: Mapping[str, str] = os.environ) -> str:
    """The path of Maven's ``mvn``.

    Raises:
        KafkaUnavailable: If there is none.
    """
    command = shutil.which("mvn", path=environ.get("PATH"))
    if command is None:
        message = "Maven is missing, which fetches Kafka once: there is no mvn on PATH"
        raise KafkaUnavailable(message)
    return command


def _say_version(java: str) -> str:
    try:
        return subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    except OSError:
        return ""


def _fetch(maven: str, version: str, directory: Path) -> None:
    """Copy Kafka's jars next to their final place, then rename: a directory there is complete."""
    sys.stderr.write(f"fetching Apache Kafka {version} with Maven, once, about 10 s\n")
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
        said = next((line for line in error.stdout.splitlines() if "ERROR" in line), "nothing")
        message = f"Maven could not fetch Apache Kafka {version}: {advice}; it said: {said}"
        raise KafkaUnavailable(message) from error
