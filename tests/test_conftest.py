"""The rule that nothing is skipped where nothing may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # runs pytest itself

SKIPPING = """\
import pytest

@pytest.mark.skip(reason="no broker")
def test_of_a_broker():
    pass

@pytest.mark.xfail
def test_of_a_known_bug():
    assert False
"""

SKIPPED_MODULE = """\
import pytest

pytest.skip("no broker", allow_module_level=True)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty suite of tests with this project's conftest."""
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    return pytester


@pytest.mark.parametrize(("ci", "outcomes"), [("", {"skipped": 1}), ("true", {"errors": 1})])
def test_a_skipped_test_fails_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcomes: dict[str, int]
) -> None:
    """A skipped test is a failed one with CI set, an expected failure is not."""
    monkeypatch.setenv("CI", ci)
    suite.makepyfile(SKIPPING)

    result = suite.runpytest()

    assert {**outcomes, "xfailed": 1} == result.parseoutcomes()


@pytest.mark.parametrize(("ci", "outcomes"), [("", {"skipped": 1}), ("true", {"errors": 1})])
def test_a_skipped_module_fails_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcomes: dict[str, int]
) -> None:
    """A module that skips itself is an error with CI set."""
    monkeypatch.setenv("CI", ci)
    suite.makepyfile(SKIPPED_MODULE)

    result = suite.runpytest()

    assert outcomes == result.parseoutcomes()


def test_all_that_was_skipped_for_one_reason_is_said_in_one_line(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has the number, the reason and the files."""
    monkeypatch.setenv("CI", "")
    suite.makepyfile(SKIPPING + "\n\n" + SKIPPING.replace("test_of_a_broker", "test_of_another"))

    result = suite.runpytest()

    result.stdout.fnmatch_lines(["skipped 2 tests, since no broker. They stand in test_all_that_was_skipped*.py"])
