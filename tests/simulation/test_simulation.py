"""The real runtime on virtual time: many histories break no law, and the laws see what is broken on purpose."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.scenario import Outcome, simulate

ROOT = Path(__file__).parents[2]
SEEDS = 500
"""Histories of an ordinary test run; a night takes more."""
LIMIT = 600.0  # seconds; only a hang takes so long
"""Seconds that they may take on a slow machine that does something else too; on two idle processors it is 30."""


def outcomes(mutant: str | None = None) -> Iterator[Outcome]:
    """The histories of the first seeds, as they are asked for."""
    with mutated(mutant):
        yield from map(simulate, range(SEEDS))


def run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """Run the simulation's own command."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(["src", "."])}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT
    )


@pytest.mark.slow
def test_no_history_breaks_a_law() -> None:
    """Whatever happens to members, network, registry and handlers, every promise is kept."""
    finished = run("--seeds", str(SEEDS))

    assert (0, "") == (finished.returncode, finished.stderr), finished.stdout


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_laws_see_a_runtime_that_is_broken(mutant: str, record_property: Callable[[str, object], None]) -> None:
    """A mutant breaks a law within the seeds of an ordinary run, mostly within a few."""
    caught = next((outcome for outcome in outcomes(mutant) if outcome.breach is not None), None)
    record_property("caught", caught and f"seed {caught.seed}: {caught.breach}")

    assert caught is not None


def test_a_mutant_is_gone_after_its_block() -> None:
    """The runtime is itself again."""
    with mutated("commit-max"):
        pass

    assert simulate(0).breach is None


@pytest.mark.slow
def test_one_seed_is_one_history() -> None:
    """The same seed tells the same story in every process, whatever the hashes of its strings."""
    stories = [run("--seed", "17", hash_seed=hash_seed).stdout for hash_seed in ("1", "2")]

    assert stories[0].count("\n") > 100
    assert stories[0] == stories[1]


def test_a_broken_law_says_how_to_see_it_again() -> None:
    """The last line is the one command that replays the history, and it tells the same again."""
    told = run("--seeds", "1", "--mutant", "commit-max", "--processes", "1")
    law, command, *_ = told.stdout.splitlines()
    again = run(*command.split()[3:])

    assert (1, 1) == (told.returncode, again.returncode)
    assert "python -m tests.simulation --seed 0 --mutant commit-max" == command.strip()
    assert [law, command] == again.stdout.splitlines()[-2:]
