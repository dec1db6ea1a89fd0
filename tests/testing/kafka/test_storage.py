"""What is derived from the jars once and kept beside them."""

from pathlib import Path

import pytest

from eventhub.testing.kafka.errors import KafkaUnavailable
from eventhub.testing.kafka.jars import Installation, Java, cache_directory, install
from eventhub.testing.kafka.options import DEFAULT_VERSION
from eventhub.testing.kafka.storage import class_archive, first_metadata

ADMIN = "SCRAM-SHA-512=[name=admin,password=secret]"
CLERK = "SCRAM-SHA-512=[name=clerk,password=secret]"


@pytest.fixture
def installation(start_kafka: object, tmp_path: Path) -> Installation:
    """Kafka's jars in a directory where nothing was derived yet."""
    assert start_kafka  # it skips where there are no jars
    installed = install(DEFAULT_VERSION, cache_directory())
    for jar in installed.directory.glob("*.jar"):
        (tmp_path / jar.name).symlink_to(jar)
    return Installation(installed.java, installed.version, tmp_path)


@pytest.mark.kafka
def test_the_first_metadata_is_formatted_once_for_the_same_users(installation: Installation) -> None:
    """Kafka's own tool is asked once; other users are another beginning."""
    first = first_metadata(installation, [ADMIN])
    formatted = first.stat().st_mtime_ns
    again = first_metadata(installation, [ADMIN])
    other = first_metadata(installation, [ADMIN, CLERK])

    assert first == again
    assert formatted == again.stat().st_mtime_ns
    assert b"clerk" not in first.read_bytes()
    assert b"clerk" in other.read_bytes()


@pytest.mark.kafka
def test_what_kafka_refuses_is_told(installation: Installation) -> None:
    """The tool's own reason is in the error, and nothing is kept."""
    with pytest.raises(
        KafkaUnavailable, match="refuses to format: The add-scram mechanism NO-SUCH-MECHANISM is not supported"
    ):
        first_metadata(installation, ["NO-SUCH-MECHANISM=[name=admin,password=secret]"])

    assert [] == list(installation.directory.glob("first-*"))


def test_each_build_of_java_has_its_own_archive(tmp_path: Path) -> None:
    """An archive of another build would only be refused by Java, at every start."""
    archives = {
        class_archive(Installation(Java("java", build), "4.3.1", tmp_path)) for build in ("17.0.15+6", "17.0.15+7")
    }

    assert 2 == len(archives)
