"""Run histories by their seeds, or replay one and print it.

::

    python -m tests.simulation --seeds 500          on all processors
    python -m tests.simulation --seed 17            with its history
    python -m tests.simulation --seeds 500 --mutant commit-max
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool

from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.scenario import Outcome, simulate

CHUNK = 10  # seeds that a processor takes at once


def main() -> int:
    """Run what the command line asks for; the exit code is 1 if a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=500, help="how many histories, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay one history and print it")
    parser.add_argument("--mutant", choices=list(MUTANTS), help="break the runtime on purpose")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at the same time")
    asked = parser.parse_args()
    with mutated(asked.mutant):
        return _replay(asked.seed, asked.mutant) if asked.seed is not None else _run(asked)


def _replay(seed: int, mutant: str | None) -> int:
    outcome = simulate(seed)
    print("\n".join(outcome.history.lines()))
    print(_verdict(outcome, mutant))
    return 1 if outcome.breach else 0


def _run(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    seconds, broken = 0.0, 0
    for breach, lasted in _outcomes(range(asked.first, asked.first + asked.seeds), asked):
        seconds += lasted
        if breach is not None:
            broken += 1
            print(breach, flush=True)
    took = time.monotonic() - began
    print(f"{asked.seeds} histories of {seconds / 3600:.1f} hours in {took:.1f} s, {broken} break a law")
    return 1 if broken else 0


def _outcomes(seeds: range, asked: argparse.Namespace) -> Iterator[tuple[str | None, float]]:
    """The breach of each history, if there is one, and how long it lasted."""
    work = ((seed, asked.mutant) for seed in seeds)
    if asked.processes == 1:
        yield from map(_try, work)
    else:
        with Pool(asked.processes) as pool:
            yield from pool.imap_unordered(_try, work, CHUNK)


def _try(work: tuple[int, str | None]) -> tuple[str | None, float]:
    seed, mutant = work
    with mutated(mutant):
        outcome = simulate(seed)
    return _verdict(outcome, mutant) if outcome.breach else None, outcome.seconds


def _verdict(outcome: Outcome, mutant: str | None) -> str:
    """What came of a seed, and how to see it again."""
    if outcome.breach is None:
        return f"seed {outcome.seed} breaks no law"
    command = f"python -m tests.simulation --seed {outcome.seed}" + (f" --mutant {mutant}" if mutant else "")
    return f"seed {outcome.seed} breaks a law: {outcome.breach}\n  {command}"


if __name__ == "__main__":
    sys.exit(main())
