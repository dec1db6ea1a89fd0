"""One Kafka for many test processes."""

import os
import subprocess
import sys

import pytest

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.shared import shared_kafka


def test_a_named_kafka_that_is_silent_is_an_error() -> None:
    """An address in EVENTHUB_TEST_KAFKA where nothing answers is named, and nothing else is tried."""
    with (
        pytest.raises(KafkaUnavailable, match=r"EVENTHUB_TEST_KAFKA is 127\.0\.0\.1:1,"),
        shared_kafka({"EVENTHUB_TEST_KAFKA": "127.0.0.1:1"}),
    ):
        pass


def test_a_named_kafka_is_used() -> None:
    """The Kafka that EVENTHUB_TEST_KAFKA names is used as it is."""
    with shared_kafka() as started:
        named = {"EVENTHUB_TEST_KAFKA": started.bootstrap}
        with shared_kafka(named) as used:
            assert started == used


def test_two_processes_share_one_kafka() -> None:
    """A second process gets the address and the cluster of the first."""
    program = "from eventhub.testing.kafka.shared import shared_kafka\nwith shared_kafka() as kafka: print(kafka)"
    with shared_kafka() as ours:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        theirs = subprocess.run(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )

    assert str(ours) == theirs.stdout.strip()
