"""The recorded verdicts of Apache Avro's Java library."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "java_verdicts.jsonl.gz"


Problems = list[tuple[str, str]]
"""What is incompatible: each kind, and its place in the reader's schema."""


@cache
def texts() -> Mapping[str, str | None]:
    """Each schema, and what Java writes for it; None where Java refuses it."""
    return {asked: text for family in _families() for asked, text in zip(family["asked"], family["texts"], strict=True)}


@cache
def pairs() -> Sequence[tuple[str, str, Problems]]:
    """A reader's schema, a writer's, and Java's problems.

    Pairs on which Java throws are left out: a field that has its own name as alias counts as ambiguous there.
    """
    return [
        (family["asked"][reader], family["asked"][writer], sorted(map(tuple, problems)))
        for family in _families()
        for reader, writer, problems in family["pairs"]
        if problems is not None
    ]


@cache
def _families() -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(_FILE.read_bytes()).decode().split("\n")]
