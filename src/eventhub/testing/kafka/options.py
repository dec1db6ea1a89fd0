"""What kind of cluster a test wants, as frozen values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

DEFAULT_VERSION = "4.3.1"
"""The Apache Kafka that eventhub is tested with."""


class Security(Enum):
    """How clients come in; the values are Kafka's names of the protocols."""

    NONE = "PLAINTEXT"
    """Everybody may do everything."""

    SCRAM = "SASL_PLAINTEXT"
    """Users log in with SCRAM-SHA-512 and may do what an `Acl` allows; ``ADMIN`` may do everything."""

    TLS = "SSL"
    """Encrypted. Everybody may do everything; a client certificate is asked for, not demanded."""

    SCRAM_TLS = "SASL_SSL"
    """Encrypted, otherwise like `SCRAM`."""

    @property
    def with_users(self) -> bool:
        """Whether clients log in, and need rights."""
        return self in {Security.SCRAM, Security.SCRAM_TLS}

    @property
    def encrypted(self) -> bool:
        """Whether clients speak TLS."""
        return self in {Security.TLS, Security.SCRAM_TLS}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logs in with a password.

    Attributes:
        name: Letters, digits and ``._-``.
        password: Of the same letters, since Kafka's own tool reads both from one line.
    """

    name: str
    password: str

    def __post_init__(self) -> None:
        """Refuse what the tool would read as something else.

        Raises:
            ValueError: If the name or the password has another letter, or none.
        """
        if not re.fullmatch(r"[\w.-]+", self.name, re.ASCII) or not re.fullmatch(r"[\w.-]+", self.password, re.ASCII):
            message = f"name and password of {self.name!r} must consist of letters, digits and '._-'"
            raise ValueError(message)


ADMIN = User("admin", "admin-secret")
"""The user who may do everything on a cluster with users."""


def wanted_version(environ: Mapping[str, str] = os.environ) -> str:
    """The Apache Kafka version to run: ``EVENTHUB_TEST_KAFKA_VERSION``, else `DEFAULT_VERSION`."""
    return environ.get("EVENTHUB_TEST_KAFKA_VERSION") or DEFAULT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """What kind of cluster a test wants.

    Attributes:
        nodes: 1, or 3 for replicated topics (replication factor 3, 2 in sync to write).
        security: How clients come in.
        users: Who can log in besides ``ADMIN``; only where the security has users.
        version: The Apache Kafka version.
        settings: More lines for every node's ``server.properties``; they win over eventhub's own.
        heap_mib: The largest Java heap of one node.
        start_timeout: Seconds until every node must be ready.
    """

    nodes: int = 1
    security: Security = Security.NONE
    users: tuple[User, ...] = ()
    version: str = field(default_factory=wanted_version)
    settings: Mapping[str, str] = field(default_factory=dict)
    heap_mib: int = 256
    start_timeout: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what no cluster can be.

        Raises:
            ValueError: If the number of nodes is neither 1 nor 3, or users could not log in.
        """
        if self.nodes not in {1, 3}:
            message = f"a test cluster has 1 or 3 nodes, not {self.nodes}"
            raise ValueError(message)
        if self.users and not self.security.with_users:
            message = f"users cannot log in with {self.security}; take Security.SCRAM or SCRAM_TLS"
            raise ValueError(message)

    @property
    def logins(self) -> tuple[User, ...]:
        """Everybody who can log in from the start."""
        return (ADMIN, *self.users) if self.security.with_users else ()
