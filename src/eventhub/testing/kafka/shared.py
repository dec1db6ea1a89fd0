"""One Kafka for every test process of this user, found or started, and stopped by the last."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from eventhub.testing.kafka.cluster import start_cluster
from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import cache_directory, install, missing_tools
from eventhub.testing.kafka.keeper import open_keeper
from eventhub.testing.kafka.locks import locked, try_lock
from eventhub.testing.kafka.options import KafkaOptions, wanted_version
from eventhub.testing.kafka.probe import fetch_metadata

_ANSWER_TIMEOUT = 10.0
"""Seconds for a broker that is said to be there; a loaded machine is slow."""

_ENDING_TIMEOUT = 30.0
"""Seconds for the end of a cluster that nobody may use any more."""

_ENDING_INTERVAL = 0.05

T = TypeVar("T")


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

    The first user starts it; it is stopped when the last user has ended, however that ended.

    Raises:
        KafkaUnavailable: If none is found and none can be started here.
        KafkaStartError: If it does not come up.
    """
    named = environ.get("EVENTHUB_TEST_KAFKA")
    if named:
        yield _at(named)
        return
    version = wanted_version(environ)
    cache = cache_directory(environ)
    missing = missing_tools(version, cache)
    if missing:
        raise KafkaUnavailable(f"no Kafka for tests: {'; '.join(missing)}")
    directory = cache / f"shared-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "users.lock", shared=True):
        with locked(directory / "start.lock"):
            broker = _join_or_start(directory, version)
        yield broker


def _at(bootstrap: str) -> SharedKafka:
    metadata = _ask(bootstrap)
    if metadata is None:
        message = f"EVENTHUB_TEST_KAFKA is {bootstrap}, but no Kafka answers there without security"
        raise KafkaUnavailable(message)
    return SharedKafka(bootstrap, metadata)


def _join_or_start(directory: Path, version: str) -> SharedKafka:
    """Find the shared cluster alive, or start one; called by one process at a time."""
    deadline = time.monotonic() + _ENDING_TIMEOUT
    while time.monotonic() < deadline:
        alive = try_lock(directory / "keeper.lock")
        if alive is not None:
            try:
                return _run(_start(directory, version, alive))
            finally:
                os.close(alive)
        broker = _read(directory / "broker.json")
        if broker and _ask(broker.bootstrap) == broker.cluster_id:
            return broker
        time.sleep(_ENDING_INTERVAL)  # its last user is gone: it is about to end
    message = f"the Kafka described in {directory / 'broker.json'} neither answers nor ends"
    raise KafkaUnavailable(message)


async def _start(directory: Path, version: str, alive: int) -> SharedKafka:
    installation = await asyncio.to_thread(install, version, directory.parent)
    cluster, keeper = await start_cluster(
        installation, KafkaOptions(version=version), partial(open_keeper, alive=alive)
    )
    description = {
        "bootstrap": cluster.bootstrap,
        "cluster_id": cluster.cluster_id,
        "pid": cluster.nodes[0].pid,
        "directory": str(keeper.directory),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    await keeper.share(directory / "broker.json", json.dumps(description, indent=2), directory / "users.lock")
    return SharedKafka(cluster.bootstrap, cluster.cluster_id)


def _read(file: Path) -> SharedKafka | None:
    try:
        described = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    return SharedKafka(described["bootstrap"], described["cluster_id"])


def _ask(bootstrap: str) -> str | None:
    """The id of the cluster of which one broker answers at these addresses."""
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        metadata = _run(fetch_metadata(host, int(port), _ANSWER_TIMEOUT))
        if metadata and metadata.cluster_id:
            return metadata.cluster_id
    return None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end in a thread, since a test's event loop may be running in this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()
