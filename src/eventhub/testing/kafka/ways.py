"""Which way to a Kafka this machine offers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from eventhub.testing.kafka.docker import why_no_docker
from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import find_java, find_maven


class Way(Enum):
    """How a Kafka can be started; the values choose one in ``EVENTHUB_TEST_KAFKA``."""

    DOCKER = "docker"
    JAVA = "java"


def find_way(wanted: str, version: str, cache: Path, environ: Mapping[str, str]) -> Way:
    """The way that is wanted, or the first that is open: Docker, then Java with Maven.

    Args:
        wanted: ``docker``, ``java``, or empty for either.
        version: Of Apache Kafka; Maven is not needed where the cache has it.
        cache: Where fetched versions are.
        environ: Where ``PATH`` and ``JAVA_HOME`` are.

    Raises:
        KafkaUnavailable: If none is open; the message says what was looked for.
    """
    ways = list(Way) if not wanted else [way for way in Way if way.value == wanted]
    if not ways:
        message = f"EVENTHUB_TEST_KAFKA is {wanted!r}; it must be host:port, docker or java"
        raise KafkaUnavailable(message)
    looked_for = [] if wanted else ["EVENTHUB_TEST_KAFKA is not set"]
    for way in ways:
        missing = why_no_docker(environ) if way is Way.DOCKER else why_no_java(version, cache, environ)
        if missing is None:
            return way
        looked_for.append(missing)
    message = (
        f"no Kafka for tests: {'; '.join(looked_for)}. Install Java 17 and Maven, "
        "or start Docker and install eventhub[testing], or set EVENTHUB_TEST_KAFKA to the host:port of a broker"
    )
    raise KafkaUnavailable(message)


def why_no_java(version: str, cache: Path, environ: Mapping[str, str]) -> str | None:
    """Look for Java and, unless the jars are cached, for Maven.

    Returns:
        What is missing, or None when Kafka can be run.
    """
    try:
        find_java(environ)
        if not (cache / version).is_dir():
            find_maven(environ)
    except KafkaUnavailable as error:
        return str(error)
    return None
