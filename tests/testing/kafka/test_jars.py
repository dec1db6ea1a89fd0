"""Kafka's jars: fetched once, found again, and the errors that say what to do."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import cache_directory, find_java, install

JAVA = """#!/bin/sh
echo 'openjdk version "{release}" 2026-01-20' >&2
"""

MAVEN = """#!/bin/sh
for argument; do case $argument in -DoutputDirectory=*) jars=${argument#*=};; esac; done
mkdir $jars
touch $jars/kafka.jar
echo fetched >> %s/fetches
"""

FAILING_MAVEN = """#!/bin/sh
for argument; do case $argument in -DoutputDirectory=*) jars=${argument#*=};; esac; done
mkdir $jars
touch $jars/half.jar
echo '[ERROR] no route to host'
exit 1
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for the commands of a machine, with the shell's own beside it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def _install_command(tools: Path, name: str, script: str) -> Mapping[str, str]:
    """Put a command there, and give the environment in which it is found."""
    command = tools / name
    command.write_text(script)
    command.chmod(0o700)
    return {"PATH": str(tools)}


def test_the_cache_is_where_the_user_wants_it() -> None:
    """XDG_CACHE_HOME is respected; without it the cache is in the home directory."""
    assert Path("/caches/eventhub/kafka") == cache_directory({"XDG_CACHE_HOME": "/caches"})
    assert Path.home() / ".cache/eventhub/kafka" == cache_directory({})


def test_kafka_is_fetched_once_however_many_ask(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One asker fetches and says so in one line; the others wait for it, and later ones need no Maven."""
    _install_command(tools, "java", JAVA.format(release="17.0.15"))
    environ = _install_command(tools, "mvn", MAVEN % tmp_path)
    cache = tmp_path / "cache"
    with ThreadPoolExecutor(4) as pool:
        installed = set(pool.map(lambda _: install("4.3.1", cache, environ), range(4)))
    (tools / "mvn").unlink()
    installed.add(install("4.3.1", cache, environ))

    assert 1 == len(installed)
    assert str(cache / "4.3.1" / "kafka.jar") == installed.pop().class_path
    assert "fetched\n" == (tmp_path / "fetches").read_text()
    assert "fetching Apache Kafka 4.3.1 with Maven, once, about 10 s\n" == capsys.readouterr().err


def test_a_failed_fetch_leaves_nothing_and_says_what_to_do(tools: Path, tmp_path: Path) -> None:
    """What Maven half fetched is never taken for a Kafka, and its own reason is told."""
    _install_command(tools, "java", JAVA.format(release="17.0.15"))
    environ = _install_command(tools, "mvn", FAILING_MAVEN)
    with pytest.raises(KafkaUnavailable, match=r"check the network .*; it said: \[ERROR\] no route to host"):
        install("4.3.1", tmp_path / "cache", environ)

    assert ["4.3.1.lock"] == [file.name for file in (tmp_path / "cache").iterdir()]


def test_without_maven_nothing_can_be_fetched(tools: Path, tmp_path: Path) -> None:
    """What is missing is named."""
    environ = _install_command(tools, "java", JAVA.format(release="17.0.15"))
    with pytest.raises(KafkaUnavailable, match="Maven is missing"):
        install("4.3.1", tmp_path / "cache", environ)


@pytest.mark.parametrize("release", ["17", "17.0.15", "21.0.2", "25"])
def test_java_17_and_newer_run_kafka(tools: Path, release: str) -> None:
    """The release is read as every Java says it."""
    environ = _install_command(tools, "java", JAVA.format(release=release))

    assert str(tools / "java") == find_java(environ).command


@pytest.mark.parametrize("release", ["1.8.0_402", "11.0.22"])
def test_an_older_java_is_refused(tools: Path, release: str) -> None:
    """The error names the command and what it is."""
    environ = _install_command(tools, "java", JAVA.format(release=release))
    with pytest.raises(KafkaUnavailable, match=f'Java 17 or newer is missing: .*/java is openjdk version "{release}"'):
        find_java(environ)


def test_java_home_comes_before_the_path(tools: Path, tmp_path: Path) -> None:
    """JAVA_HOME decides, also when there is no Java in it."""
    environ = _install_command(tools, "java", JAVA.format(release="17.0.15"))

    assert str(tools / "java") == find_java({"PATH": "", "JAVA_HOME": str(tmp_path)}).command
    with pytest.raises(KafkaUnavailable, match="elsewhere/bin/java is no Java"):
        find_java({**environ, "JAVA_HOME": str(tmp_path / "elsewhere")})


def test_without_java_nothing_runs() -> None:
    """What is missing is named."""
    with pytest.raises(KafkaUnavailable, match="there is no java on PATH"):
        find_java({"PATH": ""})


def test_the_build_tells_javas_apart(tools: Path) -> None:
    """Two builds of Java never share an archive of classes."""
    first = find_java(_install_command(tools, "java", JAVA.format(release="17.0.15")))
    second = find_java(_install_command(tools, "java", JAVA.format(release="17.0.16")))

    assert first.build != second.build
