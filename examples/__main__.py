"""Run the three services on a thousand orders, and check what they did: ``python -m examples``."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from eventhub.errors import EventHubError
from eventhub.testing.kafka import KafkaStartError, KafkaUnavailable
from examples.evidence import Evidence
from examples.kafka import kafka_and_registry
from examples.local import run_here
from examples.processes import ServiceEnded, run_processes
from examples.report import report
from examples.scenario import LeftOver, Setup
from examples.table import Screen, screen
from examples.verdict import verdict

EXPECTED_ERRORS = (EventHubError, ImportError, KafkaStartError, KafkaUnavailable, LeftOver, ServiceEnded)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, check, report; 0 if every check passed and 1 if not."""
    arguments = _arguments(argv)
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="eventhub-demo-"))
    passed = False
    try:
        with screen(console) as shown:
            evidence = asyncio.run(_run(arguments, folder, shown))
        passed = judge(evidence)
    except* EXPECTED_ERRORS as failures:
        print(_first(failures), file=sys.stderr)
    except* KeyboardInterrupt:
        print("stopped before the end, so there is no verdict", file=sys.stderr)
    if passed:
        shutil.rmtree(folder)
        return 0
    print(f"what the run left is in {folder}", file=sys.stderr)
    return 1


def judge(evidence: Evidence) -> bool:
    """Print the verdict, and say whether every check passed."""
    checks = verdict(evidence)
    print(*report(evidence, checks), sep="\n")
    return all(check.passed for check in checks)


async def _run(arguments: argparse.Namespace, folder: Path, shown: Screen) -> Evidence:
    """Run where the arguments say."""
    if arguments.chaos:
        return await _run_under_kills(Setup(arguments.orders, arguments.seed, folder), arguments.postgres, shown)
    setup = Setup(arguments.orders, arguments.seed, folder, await _room(arguments.postgres))
    if arguments.broker is not None:
        return await run_processes(setup, arguments.broker, arguments.registry, shown)
    if arguments.kafka:
        async with kafka_and_registry() as (broker, registry):
            return await run_processes(setup, broker, registry, shown)
    return await run_here(setup, shown)


async def _run_under_kills(setup: Setup, dsn: str | None, shown: Screen) -> Evidence:
    """Run on a Kafka of our own, and on the PostgreSQL that is named or else on one of our own."""
    from eventhub.testing.postgres import postgres  # noqa: PLC0415 - for those who have what tests need
    from examples.chaos import Chaos, run_chaos  # noqa: PLC0415 - an extra

    with nullcontext(dsn) if dsn is not None else postgres() as database:
        async with kafka_and_registry() as (broker, registry):
            return await run_chaos(setup, Chaos(), database, broker, registry, shown)


async def _room(dsn: str | None) -> str | None:
    """Room for a stock in a PostgreSQL, if one is named."""
    if dsn is None:
        return None
    from examples.postgres import new_schema  # noqa: PLC0415 - an extra

    return await new_schema(dsn)


def _first(error: BaseException) -> BaseException:
    """The first error in a group of errors, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples", description=__doc__)
    parser.add_argument("--orders", type=int, help="how many orders come in (default: 1000, with --chaos 2000)")
    parser.add_argument("--seed", type=int, help="decides every order and every kill (default: 1, with --chaos any)")
    parser.add_argument("--postgres", metavar="DSN", help="keep the stock there, as postgresql://user@localhost/shop")
    parser.add_argument("--kafka", action="store_true", help="three processes on a Kafka that is started for the run")
    parser.add_argument("--chaos", action="store_true", help="the same on PostgreSQL, with kill -9 at random")
    parser.add_argument("--broker", metavar="URL", help="three processes on your Kafka, as kafka://localhost:9092")
    parser.add_argument("--registry", metavar="URL", help="its Schema Registry, as http://localhost:8081")
    arguments = parser.parse_args(argv)
    if arguments.orders is None:
        arguments.orders = 2000 if arguments.chaos else 1000
    if arguments.seed is None:
        arguments.seed = random.randrange(1_000_000) if arguments.chaos else 1
    if arguments.orders < 1:
        parser.error("--orders must be at least 1")
    if (arguments.broker is None) is not (arguments.registry is None):
        parser.error("--broker and --registry belong together")
    if arguments.broker is not None and (arguments.kafka or arguments.chaos):
        parser.error("--kafka and --chaos start a broker of their own; leave them out to use yours")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
