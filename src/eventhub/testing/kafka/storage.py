"""What is derived from the jars once and kept beside them."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eventhub.testing.kafka.configuration import HOST, new_id
from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import Installation

_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:1
controller.listener.names=CONTROLLER
listeners=INTERNAL://{host}:2,CONTROLLER://{host}:1
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
"""


def first_metadata(installation: Installation, credentials: Sequence[str] = ()) -> Path:
    """The metadata a new cluster begins with: its features and its first users.

    Kafka's own formatting takes a second of Java for every node; what it writes depends only on
    the version and the users, so it is asked once and kept.

    Args:
        installation: Whose features.
        credentials: SCRAM credentials as ``kafka-storage format --add-scram`` takes them.

    Raises:
        KafkaUnavailable: If Kafka refuses to format.
    """
    digest = hashlib.sha256("\n".join(credentials).encode()).hexdigest()[:16]
    kept = installation.directory / f"first-{digest}.checkpoint"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="format-", dir=installation.directory) as work:
            _format(installation, Path(work), credentials).rename(kept)
    return kept


def class_archive(installation: Installation) -> Path:
    """Where the classes that a node loads are archived, for this build of Java and these jars.

    A node that finds its classes there is up in a third less time.
    Source: JEP 350 (dynamic class-data sharing archives).
    """
    digest = hashlib.sha256(installation.java.build.encode()).hexdigest()[:16]
    return installation.directory / f"classes-{digest}.jsa"


def _format(installation: Installation, work: Path, credentials: Sequence[str]) -> Path:
    settings = work / "server.properties"
    settings.write_text(_SETTINGS.format(host=HOST, data=work / "data"))
    command = [installation.java.command, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", installation.class_path]
    command += ["kafka.tools.StorageTool", "format", "--cluster-id", new_id(), "--config", str(settings)]
    command += [word for one in credentials for word in ("--add-scram", one)]

    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    if formatted.returncode:
        message = f"Kafka {installation.version} refuses to format: {formatted.stderr.strip().splitlines()[-1]}"
        raise KafkaUnavailable(message)
    return work / "data" / "bootstrap.checkpoint"
