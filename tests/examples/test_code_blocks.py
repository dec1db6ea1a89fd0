"""The Python that README and documentation show: it runs, and the tests in it pass."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    if BLOCK.search(page.read_text("utf-8"))
]


def blocks(page: str) -> Iterator[str]:
    """The Python blocks of a page, each at the line where it stands, so that tracebacks point there."""
    for block in BLOCK.finditer(page):
        yield "\n" * page.count("\n", 0, block.start("code")) + block["code"]


async def run_page(text: str, name: str) -> None:
    """Run the blocks of a page in their order as one module, then the programs and tests that they define."""
    module = ModuleType(Path(name).stem)
    for block in blocks(text):
        code = compile(block, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        await _awaited(eval(code, vars(module)))  # noqa: S307 - our own pages
    for run in [value for name, value in vars(module).items() if name == "main" or name.startswith("test_")]:
        await _awaited(run())


async def _awaited(outcome: Any) -> None:
    """Wait for what a block or a test started, if it started anything."""
    if inspect.isawaitable(outcome):
        await outcome


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
async def test_the_code_of_a_page_runs(page: Path) -> None:
    """What a reader copies works."""
    await run_page(page.read_text("utf-8"), page.name)


@pytest.mark.parametrize(
    "page",
    [
        "```python\nassert False\n```\n",
        "```python\nimport asyncio\n```\ntext\n```python\nassert await asyncio.sleep(0)\n```\n",
        "```python\nasync def test_it():\n    assert False\n```\n",
        "```python\nasync def main():\n    assert False\n```\n",
    ],
)
async def test_code_that_fails_is_seen(page: str) -> None:
    """A failing block and a failing test in a block fail the page."""
    with pytest.raises(AssertionError):
        await run_page(page, "page.md")
