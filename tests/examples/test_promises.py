"""The tests that the documentation names beside its promises: each of them exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(r"(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)")
LAW = re.compile(r"(?<![:\w])(?P<test>test_\w+)(?=`)")
LAWS = sorted((ROOT / "src/eventhub/testing/conformance").rglob("*.py"))


@cache
def functions_in(file: Path) -> frozenset[str]:
    """The names of the test functions of a file, those of its classes included."""
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def missing(text: str) -> list[str]:
    """The tests that a page names and that are not there."""
    laws = frozenset[str]().union(*map(functions_in, LAWS))
    in_files = [named[0] for named in NAMED.finditer(text) if named["test"] not in functions_in(ROOT / named["file"])]
    return in_files + [law["test"] for law in LAW.finditer(text) if law["test"] not in laws]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    """A promise points at a test that can be run."""
    assert [] == missing(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "named",
    [
        "tests/test_hub.py::test_nothing_of_the_kind",
        "tests/test_nowhere.py::test_something",
        "`test_that_is_no_law`",
    ],
)
def test_a_name_without_a_test_is_seen(named: str) -> None:
    """A test that was renamed leaves its promise without a proof, and the page is refused."""
    assert 1 == len(missing(f"Held by `{named}`." if named[0] != "`" else f"Held by {named}."))


def test_delivery_names_tests() -> None:
    """The page of promises is what this is about."""
    assert NAMED.search((ROOT / "docs/delivery.md").read_text(encoding="utf-8"))
