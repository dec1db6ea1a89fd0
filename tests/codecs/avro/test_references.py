"""Schemas that speak of what other subjects define."""

from __future__ import annotations

from eventhub.codecs.avro.references import made_whole


def test_what_defines_nothing_is_put_in_once() -> None:
    """Unions of unions, which no honest registry takes for a definition, would double with each name."""
    definitions = {f"A{number}": f'["A{number + 1}","A{number + 1}"]' for number in range(30)}
    whole = made_whole('"A0"', definitions)

    assert 31 == whole.count("A")
