"""The command ``python -m examples``."""

from dataclasses import replace
from pathlib import Path

import pytest

from examples.__main__ import judge, main
from examples.evidence import Evidence
from examples.scenario import Setup

NOTHING = Evidence(
    orders=(), facts=(), dead_letters=(), hostile={}, unreachable="", shelves={}, levels={}, unread=0, exit_codes={}
)


@pytest.mark.slow
def test_a_run_that_passes_exits_with_0(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the counts line by line where there is no terminal, then the verdict."""
    for name, value in Setup(0, 0, Path()).environment.items():
        monkeypatch.setenv(name, value)  # so that it is put back
    code = main(["--orders", "40", "--seed", "3"])

    shown = capsys.readouterr().out
    assert 0 == code
    assert "order 40 created" in shown
    assert "9 of 9 checks passed" in shown


@pytest.mark.postgres
@pytest.mark.slow
def test_the_stock_may_be_in_postgresql(
    postgres_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has a schema of its own, so that a second one begins with full shelves."""
    for name, value in Setup(0, 0, Path()).environment.items():
        monkeypatch.setenv(name, value)
    codes = [main(["--orders", "40", "--seed", "3", "--postgres", postgres_url]) for _ in range(2)]

    assert [0, 0] == codes
    assert 2 == capsys.readouterr().out.count("9 of 9 checks passed")


def test_a_failed_check_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict names the check and says that the run did not pass."""
    passed = judge(replace(NOTHING, unread=3))

    assert passed is False
    assert "3 records are not committed" in capsys.readouterr().out


def test_a_run_without_faults_passes() -> None:
    """Nothing to object to is what passing means."""
    assert judge(NOTHING)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--broker", "carrier-pigeon://", "--registry", "http://localhost:1"], "carrier-pigeon://"),
        (["--postgres", "postgresql://ada:secret@127.0.0.1:1/shop"], "PostgreSQL failed"),
    ],
)
def test_what_cannot_run_says_why_and_exits_with_1(
    argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, no traceback, no password."""
    code = main(argv)

    shown = capsys.readouterr().err
    assert 1 == code
    assert reason in shown
    assert "secret" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "argv",
    [
        ["--orders", "0"],
        ["--broker", "kafka://localhost:9092"],
        ["--registry", "http://localhost:8081"],
        ["--kafka", "--broker", "kafka://localhost:9092", "--registry", "http://localhost:8081"],
        ["--chaos", "--broker", "kafka://localhost:9092", "--registry", "http://localhost:8081"],
    ],
)
def test_arguments_that_contradict_each_other_are_refused(argv: list[str]) -> None:
    """The command says how it wants to be called."""
    with pytest.raises(SystemExit) as refused:
        main(argv)

    assert 2 == refused.value.code
