"""Connecting to the nodes that a cluster names: a silent one keeps nobody from the others.

A cluster goes on naming a node that has died until its session ends, after 9 s. The client would
wait for it as long as for the answer to any request, hold the one lock under which it connects
meanwhile, and choose it again at random.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import nullcontext
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection

log = structlog.get_logger()

CONNECT_TIMEOUT = 1.0
"""Seconds that a node has to take the connection and the credentials; twice as many after each failure."""
LONGEST_CONNECT = 10.0
"""Seconds that it has at most. It then rests for as long as it was waited for, and is treated like one that refuses."""


class Nodes:
    """Which nodes answered a client's last attempts to connect."""

    def __init__(self, client: AIOKafkaClient, connect_timeout: float) -> None:
        """Look at a client that has not connected yet."""
        self._client = client
        self._connect = client._get_conn  # noqa: SLF001 - the client has no public place for any of this
        self._timeout = connect_timeout
        self._failures: Counter[int | str] = Counter()  # in a row, by node
        self._rests_until: dict[int | str, float] = {}
        self._locks: defaultdict[tuple[int | str, ConnectionGroup], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def connection(
        self, node_id: int | str, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> AIOKafkaConnection | None:
        """The open connection to a node, or a new one; None if it cannot be had in time."""
        place = (node_id, group)
        known = self._client._conns.get(place)  # noqa: SLF001 - as in the constructor
        if known is not None and known.connected():
            return known
        async with self._locks[place]:
            now = asyncio.get_running_loop().time
            if now() < self._rests_until.get(node_id, 0.0):
                self._client.force_metadata_update()  # as the client does for a node that refuses
                return None
            seconds = patience(self._failures[node_id], self._timeout)
            try:
                async with asyncio.timeout(seconds):
                    connection = await self._connect(node_id, group=group, no_hint=no_hint)
            except TimeoutError:
                connection = None
                log.warning("eventhub.node_silent", node=node_id, seconds=seconds)
                self._rests_until[node_id] = now() + seconds
                self._client.force_metadata_update()
            self._failures[node_id] = 0 if connection is not None else self._failures[node_id] + 1
        return connection

    def choose(self) -> int | None:
        """Any of the nodes that failed least often; None if none is known."""
        nodes = [broker.nodeId for broker in self._client.cluster.brokers()]
        fewest = min((self._failures[node] for node in nodes), default=0)
        best = [node for node in nodes if self._failures[node] == fewest]
        return random.choice(best) if best else None  # noqa: S311 - spreads load, keeps no secret


def patience(failures: int, first: float) -> float:
    """Seconds for an attempt to connect after so many that failed: a slow network is no dead node."""
    return float(min(first * 2**failures, max(first, LONGEST_CONNECT)))


def spare_others(client: AIOKafkaClient, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
    """Let a client that has not connected yet give up a silent node soon, and connect to the others meanwhile."""
    nodes = Nodes(client, connect_timeout)
    changed: Any = client
    changed._get_conn, changed.get_random_node = nodes.connection, nodes.choose  # noqa: SLF001 - likewise
    changed._get_conn_lock_value = nullcontext()  # noqa: SLF001 - each connection has a lock of its own
