"""What all tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from eventhub.integrations.postgres import PostgresStore

    Makes = Generator[None, pytest.TestReport, pytest.TestReport]
    Collects = Generator[None, pytest.CollectReport, pytest.CollectReport]

settings.register_profile(
    "gate",
    deadline=None,  # no test is timed
    derandomize=bool(os.environ.get("CI")),  # a gate says the same of the same commit; other runs explore
    suppress_health_check=[HealthCheck.too_slow],  # nor is the making of examples: machines are shared
)
settings.load_profile("gate")

pytest_plugins = ["eventhub.testing.plugin"]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, the only loop that the Kafka client knows."""
    return "asyncio"


@pytest.fixture
async def tables(postgres_url: str) -> AsyncIterator[PostgresStore]:
    """A store in PostgreSQL with tables of the test's own."""
    from tests.postgres import tables_of_its_own  # noqa: PLC0415 - an extra

    async with tables_of_its_own(postgres_url) as store:
        yield store


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Makes:
    """Fail a skipped test where nothing may be missing."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Collects:
    """Fail a skipped module where nothing may be missing."""
    return _refuse_skip((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line a reason how many tests were skipped, and where they stand."""
    skipped: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid.partition("::")[0])
    for reason, files in skipped.items():
        places = ", ".join(dict.fromkeys(files))
        terminalreporter.write_line(f"skipped {len(files)} tests, since {reason}. They stand in {places}")


def _refuse_skip(report: Report) -> Report:
    """The report, failed if it says skipped and ``CI`` is set."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"with CI set nothing may be skipped. {reason}"
    return report
