"""Text of somebody else."""

import pytest

from eventhub.cli.safe import safe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nGrüße 茶", "a\tb\nGrüße 茶"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\x00\x9b", "a\\rb\\x00\\x9b"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, expected: str) -> None:
    """Letters of any language pass, and lines stay lines."""
    assert expected == safe(text)
