"""Names of tables."""

from __future__ import annotations

import pytest

from eventhub import DeclarationError
from eventhub.outbox.names import plain, quoted


def test_a_name_is_quoted_behind_its_schema() -> None:
    """Prefix and table make the name."""
    assert '"eventhub_outbox"' == quoted("eventhub", "outbox")
    assert '"shop"."eventhub_outbox"' == quoted("eventhub", "outbox", "shop")


@pytest.mark.parametrize("name", ["", "1st", "Shop", 'a"b', "a b", "a;b", "ä", "a" * 41, "a\n"])
def test_anything_but_a_plain_name_is_refused(name: str) -> None:
    """Quotes, spaces, upper case, other alphabets and long names never reach a statement."""
    with pytest.raises(DeclarationError, match="no plain name"):
        plain(name)
