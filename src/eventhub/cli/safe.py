"""Text of somebody else on a terminal: shown, not obeyed."""

from __future__ import annotations


def safe(line: str) -> str:
    r"""One line whose control characters, and whatever else would not be seen, stand as escapes such as ``\x1b``."""
    return "".join(each if each.isprintable() or each == "\t" else _escape(each) for each in line)


def safe_lines(text: str) -> str:
    """Text whose lines are safe, and stay lines; only for what may have as many as it likes."""
    return "\n".join(map(safe, text.split("\n")))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
