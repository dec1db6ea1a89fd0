"""Text of somebody else on a terminal: shown, not obeyed."""

from __future__ import annotations


def safe(text: str) -> str:
    r"""Text whose control characters, and whatever else would not be seen, stand as escapes such as ``\x1b``."""
    return "".join(each if each.isprintable() or each in "\n\t" else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
