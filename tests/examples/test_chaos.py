"""The run under kills."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from rich.console import Console

from eventhub.registry.embedded.server import serve
from eventhub.testing.kafka import KafkaCluster
from examples.chaos import LAST, LONGEST_PAUSE, MODULES, Chaos, plan, run_chaos
from examples.scenario import Setup
from examples.table import screen
from examples.verdict import verdict

CHAOS = Chaos(kills=3, pauses=2)


def test_a_seed_draws_the_same_plan_again() -> None:
    """What is done to whom depends on nothing else."""
    assert plan(CHAOS, 7, 1000) == plan(CHAOS, 7, 1000)
    assert plan(CHAOS, 7, 1000) != plan(CHAOS, 8, 1000)


@pytest.mark.parametrize("seed", range(20))
def test_every_process_is_harmed_as_often_as_wanted_while_it_has_work(seed: int) -> None:
    """Each harm of a process comes after its last one, and before the orders run out."""
    harms = plan(CHAOS, seed, 1000)

    assert MODULES.keys() == harms.keys()
    for planned in harms.values():
        pauses = [harm.pause for harm in planned if harm.pause is not None]
        assert (5, 2) == (len(planned), len(pauses))
        assert all(1.0 <= pause <= LONGEST_PAUSE for pause in pauses)
        afters = [harm.after for harm in planned]
        assert sorted(afters) == afters
        assert 1 <= afters[0]
        assert afters[-1] <= 1000 * LAST


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
async def test_a_run_under_kills_is_exact(
    postgres_url: str,
    start_kafka: Callable[..., AbstractAsyncContextManager[KafkaCluster]],
    tmp_path: Path,
) -> None:
    """Each process is killed twice and paused once: nothing is lost, and every order and effect is there once."""
    setup = Setup(orders=200, seed=3, folder=tmp_path)
    with screen(Console(quiet=True)) as shown:
        async with start_kafka() as cluster, serve() as registry:
            broker = f"kafka://{cluster.bootstrap}"
            chaos = Chaos(kills=2, pauses=1, order_pause=0.03)
            evidence = await run_chaos(setup, chaos, postgres_url, broker, registry.url, shown)

    assert {} == {check.claim: check.problems for check in verdict(evidence) if not check.passed}
    assert evidence.survived is not None
    assert dict.fromkeys(MODULES, 2) == evidence.survived.killed
