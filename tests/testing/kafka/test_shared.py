"""One Kafka for many test processes, which end in many ways."""

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import cache_directory, install
from eventhub.testing.kafka.options import DEFAULT_VERSION
from eventhub.testing.kafka.probe import ClusterMetadata, fetch_metadata
from eventhub.testing.kafka.shared import shared_kafka
from eventhub.testing.kafka.storage import first_metadata

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for the end of processes as Linux does"),
]

USER = """
import sys
from eventhub.testing.kafka.shared import shared_kafka
with shared_kafka() as kafka:
    print(kafka.bootstrap, kafka.cluster_id, flush=True)
    sys.stdin.read()
"""

NEVER_READY = """#!/bin/sh
test "$1" = -version && exec {java} -version
echo $$ > {starting}
exec sleep 60
"""


class User:
    """A test process that uses the shared Kafka until its input ends."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kafka(self) -> str:
        """The address and the cluster that it got."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """End it as a test process ends, and read to the end of its output."""
        self.process.communicate(timeout=20)


@pytest.fixture
def environ(start_kafka: object, tmp_path: Path) -> Mapping[str, str]:
    """An environment with a cache of its own, hence a shared Kafka of its own, but without another fetch."""
    assert start_kafka  # it skips where nothing can be started
    installed = install(DEFAULT_VERSION, cache_directory())
    cache = tmp_path / "eventhub" / "kafka"
    first_metadata(installed)
    cache.mkdir(parents=True)
    (cache / DEFAULT_VERSION).symlink_to(installed.directory)
    path = os.pathsep.join(sys.path)
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONPATH": path,
        "EVENTHUB_TEST_KAFKA": "java",
        "EVENTHUB_TEST_KAFKA_VERSION": DEFAULT_VERSION,
    }


def _described(environ: Mapping[str, str]) -> Path:
    return Path(environ["XDG_CACHE_HOME"], "eventhub", "kafka", f"shared-{DEFAULT_VERSION}-java", "broker.json")


def _ask(bootstrap: str) -> ClusterMetadata | None:
    host, _, port = bootstrap.partition(":")
    return asyncio.run(fetch_metadata(host, int(port)))


@contextmanager
def _ends(pid: int) -> Iterator[None]:
    """What the block does ends this process, at once or a little later."""
    descriptor = os.pidfd_open(pid)
    try:
        yield
        ended, _, _ = select.select([descriptor], [], [], 20)

        assert [descriptor] == ended
    finally:
        os.close(descriptor)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_processes_that_come_at_once_share_one_kafka(environ: Mapping[str, str]) -> None:
    """However many ask at the same time, one is started, and all get it."""
    users = [User(environ) for _ in range(4)]
    kafkas = {user.kafka() for user in users}
    for user in users:
        user.leave()

    assert 1 == len(kafkas)


def test_a_process_joins_what_another_started(environ: Mapping[str, str]) -> None:
    """Who comes second gets the Kafka of the first, and the first keeps it when the second has gone."""
    with shared_kafka(environ) as ours:
        user = User(environ)
        theirs = user.kafka()
        with shared_kafka(environ) as ours_again:
            pass
        user.leave()
        metadata = _ask(ours.bootstrap)

    assert ours == ours_again
    assert f"{ours.bootstrap} {ours.cluster_id}" == theirs
    assert metadata is not None


def test_kafka_outlives_the_process_that_started_it(environ: Mapping[str, str]) -> None:
    """The starter ends, even by kill -9, and its output with it; the others go on; after the last nothing is left."""
    with ExitStack() as stack:
        starter = User(environ)
        bootstrap, cluster_id = starter.kafka().split()
        other = User(environ)
        other.kafka()
        described = json.loads(_described(environ).read_text())
        starter.process.kill()
        starter.leave()
        metadata = _ask(bootstrap)
        stack.enter_context(_ends(_parent(described["pid"])))
        stack.enter_context(_ends(described["pid"]))
        other.leave()

    assert metadata is not None
    assert cluster_id == metadata.cluster_id
    assert not Path(described["directory"]).exists()
    assert not _described(environ).exists()


def test_kafka_ends_when_its_last_user_is_killed(environ: Mapping[str, str]) -> None:
    """A user that is killed with -9 counts no longer."""
    user = User(environ)
    user.kafka()
    described = json.loads(_described(environ).read_text())
    with _ends(described["pid"]):
        user.process.kill()
        user.leave()


def test_kafka_ends_when_its_starter_is_killed_at_the_start(environ: Mapping[str, str], tmp_path: Path) -> None:
    """A starter that is killed before its Kafka is ready takes it along, and the next one starts another."""
    starting = tmp_path / "starting"
    os.mkfifo(starting)
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(NEVER_READY.format(java=shutil.which("java"), starting=starting))
    java.chmod(0o700)
    killed = User({**environ, "JAVA_HOME": str(tmp_path)})
    with _ends(int(starting.read_text())):
        killed.process.kill()
        killed.leave()
    next_one = User(environ)
    kafka = next_one.kafka()
    next_one.leave()

    assert kafka.startswith("127.0.0.1:")


def test_a_killed_keeper_takes_kafka_along(environ: Mapping[str, str]) -> None:
    """When the keeper is killed with -9 its Kafka ends; the next user clears up and gets another."""
    first = User(environ)
    bootstrap = first.kafka()
    described = json.loads(_described(environ).read_text())
    with _ends(described["pid"]):
        os.kill(_parent(described["pid"]), signal.SIGKILL)
    left_behind = Path(described["directory"]).exists()
    second = User(environ)
    another = second.kafka()
    first.leave()
    second.leave()

    assert left_behind
    assert bootstrap != another
    assert not Path(described["directory"]).exists()


def test_a_stale_description_is_no_order_to_kill(environ: Mapping[str, str], tmp_path: Path) -> None:
    """A description whose pid is somebody else's by now ends nobody, and removes nothing that is not Kafka's."""
    stale = _described(environ)
    stale.parent.mkdir()
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale.write_text(
        json.dumps({"bootstrap": "127.0.0.1:1", "cluster_id": "x", "pid": innocent.pid, "directory": str(tmp_path)})
    )
    user = User(environ)
    kafka = user.kafka()
    user.leave()
    innocent_ended = innocent.poll()
    innocent.communicate(b"\n")

    assert innocent_ended is None
    assert not kafka.startswith("127.0.0.1:1 ")
    assert tmp_path.exists()


def test_a_named_kafka_is_used(kafka_bootstrap: str) -> None:
    """The Kafka that EVENTHUB_TEST_KAFKA names is used as it is, wherever it comes from."""
    metadata = _ask(kafka_bootstrap)
    with shared_kafka({"EVENTHUB_TEST_KAFKA": kafka_bootstrap}) as kafka:
        assert kafka_bootstrap == kafka.bootstrap
        assert metadata is not None
        assert metadata.cluster_id == kafka.cluster_id


def test_a_named_kafka_that_is_silent_is_an_error() -> None:
    """An address in EVENTHUB_TEST_KAFKA where nothing answers is named, and nothing else is tried."""
    with (
        pytest.raises(KafkaUnavailable, match=r"EVENTHUB_TEST_KAFKA is 127\.0\.0\.1:1,"),
        shared_kafka({"EVENTHUB_TEST_KAFKA": "127.0.0.1:1"}),
    ):
        pass
