"""The whole demo as three processes."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eventhub.registry.embedded.server import serve
from eventhub.testing.kafka import KafkaCluster
from examples.processes import ServiceEnded, run_processes
from examples.scenario import Setup
from examples.table import screen
from examples.verdict import verdict


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A short run."""
    return Setup(orders=60, seed=3, folder=tmp_path)


@pytest.mark.kafka
async def test_runs_on_a_real_kafka_pass(
    setup: Setup,
    start_kafka: Callable[..., AbstractAsyncContextManager[KafkaCluster]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Three processes bring every order to its end and stop when they are told to, also on topics used before."""
    again = replace(setup, folder=tmp_path_factory.mktemp("again"))
    with screen(Console(quiet=True)) as shown:
        async with start_kafka() as cluster, serve() as registry:
            broker = f"kafka://{cluster.bootstrap}"
            runs = [await run_processes(each, broker, registry.url, shown) for each in (setup, again)]

    for evidence in runs:
        assert {} == {check.claim: check.problems for check in verdict(evidence) if not check.passed}
        assert {"order": 0, "inventory": 0, "notification": 0} == evidence.exit_codes


@pytest.mark.slow
async def test_a_service_that_ends_by_itself_ends_the_run(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which one it was, and the last it said."""
    monkeypatch.setenv("EVENTHUB_TLS", "perhaps")
    with screen(Console(quiet=True)) as shown, pytest.raises(ExceptionGroup) as ended:
        await run_processes(setup, "memory://", "embedded", shown)

    first = ended.value.exceptions[0]
    assert isinstance(first, ServiceEnded)
    assert "service ended with exit code 1" in str(first)
    assert "EVENTHUB_TLS" in str(first)
