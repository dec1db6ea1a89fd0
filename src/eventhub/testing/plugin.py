"""The pytest fixtures of eventhub; pytest loads them by itself where eventhub is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.shared import shared_kafka


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a real Kafka that every test process on this machine shares.

    Tests on it must use topics, groups and transactional ids of their own. Where no Kafka can be
    had the test is skipped; with ``CI=true`` in the environment it fails.
    """
    try:
        with shared_kafka() as broker:
            yield broker.bootstrap
    except KafkaUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_url(kafka_bootstrap: str) -> str:
    """The same Kafka as the URL that ``Hub`` takes."""
    return f"kafka://{kafka_bootstrap}"
