"""The gate: lint, types, layers, docs and tests, in the environment that nox itself runs in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"  # the tools are installed once, by `make venv`
nox.options.stop_on_first_error = True

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that the formatter has nothing to do."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with both checkers, since users have either."""
    session.run("mypy")
    session.run("pyright", "--pythonpath", sys.executable)


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports point down only."""
    session.run("lint-imports", "--no-logo")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.run("zensical", "build", "--strict", "--clean")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, a file at a time on each core, four at most; with CI set, sets have the same order each time."""
    seed = {"PYTHONHASHSEED": "0"} if os.environ.get("CI") else {}
    session.run("pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", *session.posargs, env=seed)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Measure what the tests cover, in one process; it takes three times as long."""
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")
