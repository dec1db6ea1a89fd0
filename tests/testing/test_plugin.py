"""The fixtures that users of eventhub get."""

import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from eventhub.testing.kafka.jars import cache_directory

TEST = """
def test_something(kafka_bootstrap):
    assert ":" in kafka_bootstrap
"""

CACHE = cache_directory().parent.parent
"""Found now, since pytester gives its tests another home."""


@pytest.mark.kafka
async def test_a_client_reaches_the_shared_kafka(kafka_bootstrap: str) -> None:
    """A plain client connects to the address of the fixture."""
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        brokers = producer.client.cluster.brokers()

    assert 1 == len(brokers)


@pytest.mark.kafka
def test_the_url_is_the_address_with_its_scheme(kafka_bootstrap: str, kafka_url: str) -> None:
    """``kafka_url`` is what ``Hub`` takes."""
    assert f"kafka://{kafka_bootstrap}" == kafka_url


def test_without_a_kafka_tests_are_skipped_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine where no Kafka can be had, the summary says why in one line."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("EVENTHUB_TEST_KAFKA", "127.0.0.1:1")
    pytester.makepyfile(TEST)
    result = pytester.runpytest("-rs", "-p", "eventhub.testing.plugin")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*EVENTHUB_TEST_KAFKA is 127.0.0.1:1, but no Kafka answers there*"])


def test_in_ci_a_missing_kafka_is_a_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI=true nothing is skipped: a green run has met a real Kafka."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("EVENTHUB_TEST_KAFKA", "127.0.0.1:1")
    pytester.makepyfile(TEST)
    result = pytester.runpytest("-p", "eventhub.testing.plugin")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["EVENTHUB_TEST_KAFKA is 127.0.0.1:1, but no Kafka answers there*"])


@pytest.mark.kafka
def test_the_tests_that_the_documentation_shows_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, start_kafka: object
) -> None:
    """A reader's tests with the fixtures work as shown; pytest runs them, since only it knows fixtures."""
    page = (Path(__file__).parent.parent.parent / "docs" / "testing.md").read_text()
    tests = "\n".join(re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE))
    pytester.makeconftest('import pytest\n@pytest.fixture\ndef anyio_backend(): return "asyncio"')
    pytester.makepyfile(tests)
    result = pytester.runpytest("-p", "eventhub.testing.plugin", "-o", "anyio_mode=auto", "-W", "error")

    assert start_kafka  # it skips where no cluster can be had
    result.assert_outcomes(passed=3)
