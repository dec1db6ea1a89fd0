"""Text of somebody else."""

import pytest

from eventhub.cli.safe import safe, safe_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb Grüße 茶", "a\tb Grüße 茶"),
        ("a\n0 problems", "a\\n0 problems"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\x00\x9b", "a\\rb\\x00\\x9b"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, expected: str) -> None:
    """Letters of any language pass; a line stays one, whatever is in it."""
    assert expected == safe(text)


def test_lines_of_a_text_stay_lines() -> None:
    """Only what a terminal would obey in them is shown."""
    assert "a\n\\x1b[2J\n" == safe_lines("a\n\x1b[2J\n")
