"""What the README shows of the demo: what the demo checks and prints."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SHOWN = (ROOT / "README.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]


@pytest.mark.slow
async def test_the_demo_ends_as_shown() -> None:
    """The orders come from a seed, so every run says the same, word by word."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "NO_COLOR": "1"},
    )
    async with asyncio.timeout(60):
        said = (await process.communicate())[0].decode()

    assert said.endswith(SHOWN), said
