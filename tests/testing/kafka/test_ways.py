"""Which way to a Kafka is taken on which machine."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from eventhub.testing.kafka.docker import container_command, container_settings, why_no_docker
from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.ways import Way, find_way

JAVA = """#!/bin/sh
echo 'openjdk version "17.0.15" 2025-04-15' >&2
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that has version 4.3.1, so that Maven is not needed for it."""
    (tmp_path / "cache" / "4.3.1").mkdir(parents=True)
    return tmp_path / "cache"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The only directory of PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def _command(path: Path, name: str, script: str) -> None:
    (path / name).write_text(script)
    (path / name).chmod(0o700)


def _environ(path: Path) -> Mapping[str, str]:
    return {"PATH": str(path)}


def test_docker_comes_first_where_a_daemon_answers(path: Path, cache: Path) -> None:
    """With both at hand Docker is taken, unless Java is wanted."""
    _command(path, "docker", "#!/bin/sh\necho 28.2.2\n")
    _command(path, "java", JAVA)

    assert Way.DOCKER == find_way("", "4.3.1", cache, _environ(path))
    assert Way.JAVA == find_way("java", "4.3.1", cache, _environ(path))


def test_a_docker_command_without_daemon_is_no_docker(path: Path, cache: Path) -> None:
    """Java is taken where the command is installed and its daemon does not run."""
    _command(path, "docker", "#!/bin/sh\nexit 1\n")
    _command(path, "java", JAVA)

    assert Way.JAVA == find_way("", "4.3.1", cache, _environ(path))


@pytest.mark.slow
def test_a_docker_that_hangs_is_given_up(path: Path) -> None:
    """A daemon that never answers costs seconds, not the test run."""
    _command(path, "docker", "#!/bin/sh\nexec /bin/sleep 60\n")
    began = time.monotonic()
    missing = why_no_docker(_environ(path))

    assert "no Docker daemon answers" == missing
    assert time.monotonic() - began < 20


def test_a_docker_elsewhere_is_not_taken(path: Path) -> None:
    """A container on another machine has its ports there."""
    _command(path, "docker", "#!/bin/sh\necho 28.2.2\n")
    elsewhere = {**_environ(path), "DOCKER_HOST": "tcp://docker.example:2376"}
    here = {**_environ(path), "DOCKER_HOST": "unix:///run/user/1000/docker.sock"}

    assert "DOCKER_HOST is another machine, docker.example" == why_no_docker(elsewhere)
    assert why_no_docker(here) is None


def test_nothing_at_all_is_told_in_one_line(path: Path, cache: Path) -> None:
    """The error says everything that was looked for, and what to install."""
    with pytest.raises(KafkaUnavailable) as raised:
        find_way("", "4.3.1", cache, _environ(path))
    told = str(raised.value)

    assert told.startswith("no Kafka for tests: EVENTHUB_TEST_KAFKA is not set; no Docker daemon answers; Java 17 ")
    assert "Install Java 17 and Maven" in told
    assert "\n" not in told


def test_a_version_that_is_not_cached_needs_maven(path: Path, cache: Path) -> None:
    """Java alone is enough for what was fetched before, and for nothing else."""
    _command(path, "java", JAVA)
    with pytest.raises(KafkaUnavailable, match="Maven is missing"):
        find_way("java", "4.2.0", cache, _environ(path))

    assert Way.JAVA == find_way("java", "4.3.1", cache, _environ(path))


def test_an_address_without_port_is_refused(path: Path, cache: Path) -> None:
    """A host alone is neither an address nor a way."""
    with pytest.raises(KafkaUnavailable, match="'kafka-host'; it must be host:port, docker or java"):
        find_way("kafka-host", "4.3.1", cache, _environ(path))


def test_a_container_is_told_what_a_node_is_told() -> None:
    """The settings are in the image's spelling, and clients are sent to the port on the host."""
    settings = container_settings(21_000, "the-cluster")

    assert "the-cluster" == settings["CLUSTER_ID"]
    assert "false" == settings["KAFKA_AUTO_CREATE_TOPICS_ENABLE"]
    assert "CLIENT://127.0.0.1:21000,INTERNAL://127.0.0.1:9094" == settings["KAFKA_ADVERTISED_LISTENERS"]


def test_a_container_runs_for_as_long_as_a_process() -> None:
    """The command of a container's node names the version, the port and the cluster."""
    command = container_command("4.3.1", 21_000, "the-cluster")

    assert ["-m", "eventhub.testing.kafka.docker", "4.3.1", "21000", "the-cluster"] == command[1:]
