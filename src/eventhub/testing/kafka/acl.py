"""Rights on a cluster with users: given, taken back, and seen by every node."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from eventhub.testing.kafka.wire import Answer, ask, string

_DESCRIBE_ACLS, _CREATE_ACLS, _DELETE_ACLS = (29, 1), (30, 1), (31, 1)
"""Version 1 knows prefixes and is the last with a plain header. Source: Kafka protocol."""

_LITERAL, _PREFIXED = 3, 4
_ALLOW = 3
_ANYWHERE = "*"

_VISIBLE_INTERVAL = 0.02
"""Seconds between two looks at what a node has learnt from the controller."""


class Resource(IntEnum):
    """What a right is for; the values are Kafka's."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What a right allows; the values are Kafka's."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


@dataclass(frozen=True, slots=True)
class Acl:
    """One right of one user.

    Attributes:
        user: Whose; ``*`` is everybody.
        operation: What it allows.
        resource: On what.
        name: The name of the topic, group or transactional id; ``kafka-cluster`` of the cluster.
        prefixed: Whether it is for every name that begins so.
    """

    user: str
    operation: Operation
    resource: Resource
    name: str
    prefixed: bool = False

    def encode(self) -> bytes:
        """The same eight fields create it, describe it and delete it."""
        return (
            struct.pack(">b", self.resource)
            + string(self.name)
            + struct.pack(">b", _PREFIXED if self.prefixed else _LITERAL)
            + string(f"User:{self.user}")
            + string(_ANYWHERE)
            + struct.pack(">bb", self.operation, _ALLOW)
        )


async def create_acls(host: str, port: int, acls: Iterable[Acl]) -> None:
    """Give rights.

    Raises:
        ValueError: If the cluster has no users, or refuses a right.
    """
    encoded = [acl.encode() for acl in acls]
    answer = await ask(host, port, _CREATE_ACLS, struct.pack(">i", len(encoded)) + b"".join(encoded))
    answer.int32()  # throttle time
    for _ in range(answer.int32()):
        _check(answer)


async def delete_acls(host: str, port: int, acls: Iterable[Acl]) -> None:
    """Take rights back; one that was never given is no error.

    Raises:
        ValueError: If the cluster has no users.
    """
    for acl in acls:
        answer = await ask(host, port, _DELETE_ACLS, struct.pack(">i", 1) + acl.encode())
        answer.int32()  # throttle time
        answer.int32()  # the number of filters, which is ours
        _check(answer)


async def wait_until_known(host: str, port: int, acl: Acl, *, given: bool) -> None:
    """Wait until a node knows of a right, or of its end: it learns both from the controller."""
    while await _knows(host, port, acl) != given:  # noqa: ASYNC110 (another process sets no event)
        await asyncio.sleep(_VISIBLE_INTERVAL)


async def _knows(host: str, port: int, acl: Acl) -> bool:
    answer = await ask(host, port, _DESCRIBE_ACLS, acl.encode())
    answer.int32()  # throttle time
    _check(answer)
    return answer.int32() > 0


def _check(answer: Answer) -> None:
    code, reason = answer.int16(), answer.string()
    if code:
        message = f"Kafka refuses with code {code}: {reason}"
        raise ValueError(message)
