"""The pytest fixtures of eventhub; pytest loads them by itself where eventhub is installed.

What they need is imported when they are asked for: pytest loads this module in every run, also
where nobody wants a Kafka.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from eventhub.testing.kafka import StartKafka
    from eventhub.testing.postgres import PostgresServer


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of a real Kafka that every test process on this machine shares.

    Tests on it use topics, groups and transactional ids of their own. Where no Kafka can be had
    the test is skipped; with ``CI=true`` in the environment it fails.
    """
    from eventhub.testing.kafka.shared import shared_kafka

    with ExitStack() as stack:
        with _or_skipped(pytestconfig):
            kafka = stack.enter_context(shared_kafka())
        yield kafka.bootstrap


@pytest.fixture(scope="session")
def kafka_url(kafka_bootstrap: str) -> str:
    """The same Kafka as the URL that ``Hub`` takes."""
    return f"kafka://{kafka_bootstrap}"


@pytest.fixture(scope="session")
def start_kafka(pytestconfig: pytest.Config) -> StartKafka:
    """Start clusters of a test's own, as `eventhub.testing.kafka.kafka` does.

    Where Java or Maven is missing the test is skipped; with ``CI=true`` in the environment it fails.
    """
    from eventhub.testing.kafka.cluster import kafka
    from eventhub.testing.kafka.jars import cache_directory, install
    from eventhub.testing.kafka.options import wanted_version

    with _or_skipped(pytestconfig):
        install(wanted_version(), cache_directory())
    return kafka


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The URL of a real PostgreSQL; tests on it use tables of their own.

    Where none can be had the test is skipped; with ``CI=true`` in the environment it fails.
    """
    from eventhub.testing.postgres import postgres

    with ExitStack() as stack:
        with _or_skipped(pytestconfig):
            url = stack.enter_context(postgres())
        yield url


@pytest.fixture
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A PostgreSQL of a test's own, which it may kill and start again.

    Where its programs are missing the test is skipped; with ``CI=true`` in the environment it fails.
    """
    from eventhub.testing.postgres import postgres_server

    with ExitStack() as stack:
        with _or_skipped(pytestconfig):
            server = stack.enter_context(postgres_server())
        yield server


@contextmanager
def _or_skipped(config: pytest.Config) -> Iterator[None]:
    """Skip the test when the block finds no server, or fail it; what the block prints is seen at once."""
    from eventhub.testing.kafka.errors import KafkaUnavailable
    from eventhub.testing.postgres import PostgresUnavailable

    capture: Any = config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            yield
            return
    except (KafkaUnavailable, PostgresUnavailable) as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
