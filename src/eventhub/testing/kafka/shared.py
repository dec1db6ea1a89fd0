"""One Kafka for every test process of this user, found or started, and stopped after the last.

Three locks in the cache directory decide who does what, and the kernel gives them back however
their holder ends:

* ``users.lock``, held shared by every process that uses the broker. The keeper (`keeper_main`)
  ends the broker when it can have this lock for itself.
* ``keeper.lock``, held by the keeper for as long as others may come: who can have it knows that
  there is no broker, whatever ``broker.json`` says.
* ``start.lock``, held while a process looks for the broker or starts it: the others wait for as
  long as that takes, a fetch included.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from eventhub.testing.kafka.cluster import KafkaCluster, archived_classes, choose_place, start_cluster
from eventhub.testing.kafka.configuration import new_id
from eventhub.testing.kafka.docker import container_command
from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import cache_directory, install
from eventhub.testing.kafka.keeper import Keeper, open_keeper
from eventhub.testing.kafka.locks import locked, try_lock
from eventhub.testing.kafka.node import Node
from eventhub.testing.kafka.options import KafkaOptions, wanted_version
from eventhub.testing.kafka.orphan import end_orphan
from eventhub.testing.kafka.probe import fetch_metadata
from eventhub.testing.kafka.storage import class_archive
from eventhub.testing.kafka.ways import Way, find_way

_ANSWER_TIMEOUT = 5.0
"""Seconds for a broker that is said to be there; a loaded machine is slow."""

_ENDING_TIMEOUT = 30.0
"""Seconds for the end of a broker that nobody may use any more."""

_ENDING_INTERVAL = 0.05

_ARCHIVE_GRACE = 60.0
"""Seconds for a Java to archive its classes at its end: 6 to 8 where nothing else runs."""

_CONTAINER_GRACE = 15.0
"""Seconds for Docker to remove a container."""

_PULL_TIMEOUT = 300.0
"""Seconds for the first start in Docker, which fetches the image."""

T = TypeVar("T")
Start = Callable[[str, Path, int], Awaitable[tuple[KafkaCluster, Keeper]]]


@dataclass(frozen=True, slots=True)
class SharedKafka:
    """A Kafka that other test processes may use too.

    Attributes:
        bootstrap: Where it is, as ``host:port[,host:port]``.
        cluster_id: As its brokers tell it.
    """

    bootstrap: str
    cluster_id: str


@contextmanager
def shared_kafka(environ: Mapping[str, str] = os.environ) -> Iterator[SharedKafka]:
    """Use the Kafka that ``EVENTHUB_TEST_KAFKA`` names, or one that is shared on this machine.

    The first user starts it, in Docker or with Java; it is stopped when the last user has ended,
    however that ended.

    Raises:
        KafkaUnavailable: If none is found and none can be started here.
        KafkaStartError: If it does not come up.
    """
    named = environ.get("EVENTHUB_TEST_KAFKA", "")
    if ":" in named:
        yield _at(named)
        return
    version, cache = wanted_version(environ), cache_directory(environ)
    way = find_way(named, version, cache, environ)
    start: Start = {Way.DOCKER: _start_container, Way.JAVA: _start_java}[way]
    directory = cache / f"shared-{version}-{way.value}"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "users.lock", shared=True):
        with locked(directory / "start.lock"):
            broker = _join_or_start(directory, partial(start, version, cache))
        yield broker


def _at(bootstrap: str) -> SharedKafka:
    cluster_id = _ask(bootstrap)
    if cluster_id is None:
        message = f"EVENTHUB_TEST_KAFKA is {bootstrap}, but no Kafka answers there without security"
        raise KafkaUnavailable(message)
    return SharedKafka(bootstrap, cluster_id)


def _join_or_start(directory: Path, start: Callable[[int], Awaitable[tuple[KafkaCluster, Keeper]]]) -> SharedKafka:
    """Find the shared broker alive, or start one; called by one process at a time."""
    deadline = time.monotonic() + _ENDING_TIMEOUT
    while time.monotonic() < deadline:
        alive = try_lock(directory / "keeper.lock")
        if alive is not None:
            try:
                end_orphan(directory / "broker.json")
                return _run(_start_and_share(directory, start(alive)))
            finally:
                os.close(alive)
        broker = _read(directory / "broker.json")
        if broker and _ask(broker.bootstrap) == broker.cluster_id:
            return broker
        time.sleep(_ENDING_INTERVAL)  # it is about to end, or was when we asked
    message = f"the Kafka described in {directory / 'broker.json'} neither answers nor ends"
    raise KafkaUnavailable(message)


def _read(file: Path) -> SharedKafka | None:
    try:
        described = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    return SharedKafka(described["bootstrap"], described["cluster_id"])


def _ask(bootstrap: str) -> str | None:
    """The id of the cluster of which one broker answers at these addresses."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        metadata = _run(fetch_metadata(host.strip("[]"), int(port), _ANSWER_TIMEOUT))
        if metadata and metadata.cluster_id:
            return metadata.cluster_id
    return None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end in a thread, since a test's event loop may be running in this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _start_and_share(directory: Path, started: Awaitable[tuple[KafkaCluster, Keeper]]) -> SharedKafka:
    cluster, keeper = await started
    description = {
        "bootstrap": cluster.bootstrap,
        "cluster_id": cluster.cluster_id,
        "pid": cluster.nodes[0].pid,
        "directory": str(keeper.directory),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    await keeper.share(directory / "broker.json", json.dumps(description, indent=2), directory / "users.lock")
    return SharedKafka(cluster.bootstrap, cluster.cluster_id)


async def _start_java(version: str, cache: Path, alive: int) -> tuple[KafkaCluster, Keeper]:
    """Start a broker from the published jars; the first of its kind archives its classes for the others."""
    installation = await asyncio.to_thread(install, version, cache)
    options, archive = KafkaOptions(version=version), class_archive(installation)
    if archive.exists():
        keep = partial(open_keeper, alive=alive)
        return await start_cluster(installation, options, keep, archived_classes(installation))
    keep = partial(open_keeper, alive=alive, grace=_ARCHIVE_GRACE)
    cluster, keeper = await start_cluster(installation, options, keep, ["-XX:ArchiveClassesAtExit=classes.jsa"])
    keeper.keep(cluster.nodes[0].log.with_name("classes.jsa"), archive)
    return cluster, keeper


async def _start_container(version: str, _: Path, alive: int) -> tuple[KafkaCluster, Keeper]:
    """Start a broker in Docker."""
    sys.stderr.write(f"starting Apache Kafka {version} in Docker; the image is fetched once\n")
    directory = Path(tempfile.mkdtemp(prefix="eventhub-kafka-"))
    keeper = await open_keeper(directory, alive=alive, grace=_CONTAINER_GRACE)
    try:
        place, cluster_id = choose_place(directory, 1), new_id()
        place = replace(place, internal_port=place.client_port)  # the container shows no other
        place.directory.mkdir()
        node = Node(place, container_command(version, place.client_port, cluster_id), cluster_id, keeper)
        cluster = KafkaCluster(cluster_id, (node,), KafkaOptions(version=version, start_timeout=_PULL_TIMEOUT))
        await node.launch()
        await cluster.ready(_PULL_TIMEOUT)
    except BaseException:
        await keeper.close()
        raise
    return cluster, keeper
