"""What can go wrong while a real Kafka is sought, fetched and started."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from eventhub.errors import EventHubError

_TAIL_LINES = 20
"""How much of a log an error carries: enough for the cause under a Java stack trace."""


class KafkaUnavailable(EventHubError):
    """No Kafka can be had here; the message says what was looked for and what to install."""


class KafkaStartError(EventHubError):
    """A Kafka node ended or stayed silent while it was awaited.

    Attributes:
        log: A copy of the node's log, since the cluster's directory is removed.
        tail: The last lines of that log.
    """

    def __init__(self, reason: str, log: Path) -> None:
        """Keep the log now."""
        self.log = _keep(log)
        self.tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        super().__init__(f"{reason}; the end of {self.log}:\n{self.tail}")


class PortTaken(KafkaStartError):
    """Another process has a port of a node."""


def _keep(log: Path) -> Path:
    descriptor, copy = tempfile.mkstemp(prefix="eventhub-kafka-", suffix=".log")
    with os.fdopen(descriptor, "wb") as output:
        output.write(log.read_bytes())
    return Path(copy)
