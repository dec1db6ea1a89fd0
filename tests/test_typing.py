"""What mypy and pyright refuse: each line of tests/typing/ that is marked, and no other.

A mark says what each checker calls the error, or ``-`` where that one reports it on another line::

    await reserve_stock(1)  # E: arg-type / reportArgumentType
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "tests" / "typing").glob("*.py"))

MARK = re.compile(r"# E: (?P<mypy>[a-z-]+) / (?P<pyright>[A-Za-z-]+)$")
MYPY_ERROR = re.compile(r"(?P<path>.+?):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")

Errors = dict[str, dict[int, set[str]]]
"""File name -> line -> what a checker calls the errors there; a call to an overloaded function may have several."""

pytestmark = pytest.mark.slow  # runs both type checkers, once each


@pytest.fixture(scope="module")
def mypy_errors() -> Errors:
    """What mypy finds in all programs."""
    output = _output("mypy", "--strict", "--no-pretty", *map(str, PROGRAMS))
    return _by_place(
        (error["path"], int(error["line"]), error["code"])
        for line in output.splitlines()
        if (error := MYPY_ERROR.match(line))
    )


@pytest.fixture(scope="module")
def pyright_errors() -> Errors:
    """What pyright finds in all programs."""
    output = _output("pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, PROGRAMS))
    return _by_place(
        (error["file"], error["range"]["start"]["line"] + 1, error["rule"])  # it counts lines from 0
        for error in json.loads(output)["generalDiagnostics"]
        if error["severity"] == "error"
    )


def _by_place(errors: Iterable[tuple[str, int, str]]) -> Errors:
    """Errors by the file and line in which they were found."""
    places: Errors = {}
    for path, line, code in errors:
        places.setdefault(Path(path).name, {}).setdefault(line, set()).add(code)
    return places


def _output(checker: str, *arguments: str) -> str:
    """What a checker prints; it exits with 1 when it finds errors, and with more when it is broken itself."""
    finished = subprocess.run(
        [sys.executable, "-m", checker, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert finished.returncode in {0, 1}, finished.stdout + finished.stderr
    return finished.stdout


def marked(program: Path, checker: str) -> dict[int, str]:
    """The lines that a checker is to refuse, and what it is to call the error."""
    lines = enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
    marks = {number: mark[checker] for number, line in lines if (mark := MARK.search(line))}
    return {number: code for number, code in marks.items() if code != "-"}


def refused(errors: dict[int, set[str]], marks: dict[int, str]) -> dict[int, str]:
    """The lines that a checker did refuse, each with the marked code if that is among those found."""
    return {
        line: marks[line] if marks.get(line) in codes else " ".join(sorted(codes)) for line, codes in errors.items()
    }


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_mypy_refuses_what_is_marked(program: Path, mypy_errors: Errors) -> None:
    """Mypy in strict mode finds the marked errors and no others."""
    marks = marked(program, "mypy")

    assert marks == refused(mypy_errors.get(program.name, {}), marks)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_pyright_refuses_what_is_marked(program: Path, pyright_errors: Errors) -> None:
    """Pyright finds the marked errors and no others."""
    marks = marked(program, "pyright")

    assert marks == refused(pyright_errors.get(program.name, {}), marks)


def test_something_is_marked() -> None:
    """The marks are found in files that exist."""
    assert {} != {line: code for program in PROGRAMS for line, code in marked(program, "mypy").items()}
