"""The tables of the embedded registry."""

from __future__ import annotations

import pytest

from eventhub.registry.base import Reference, Schema
from eventhub.registry.embedded.state import (
    GLOBAL,
    Definition,
    Hidden,
    Removed,
    Setting,
    State,
    Subject,
    Version,
    parse_subject,
    referred,
)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("orders", Subject(".", "orders")),
        (":.ctx:orders", Subject(".ctx", "orders")),
        (":.:orders", Subject(".", "orders")),
        (":.ctx:a:b", Subject(".ctx", "a:b")),
        (":.ctx:", Subject(".ctx", "")),
        (":orders", Subject(".", ":orders")),
        (":.orders", Subject(".", ":.orders")),
    ],
)
def test_subject_names_its_context(text: str, subject: Subject) -> None:
    """A subject is in the default context unless it says otherwise, and reads the same when written again."""
    assert subject == parse_subject(text)
    assert subject == parse_subject(str(subject))


def test_reference_stays_in_the_context_of_its_schema() -> None:
    """A reference means a subject of its own context, unless it names one."""
    assert Subject(".ctx", "s") == referred(Reference("n", "s", 1), ".ctx")
    assert Subject(".", "s") == referred(Reference("n", ":.:s", 1), ".ctx")


def test_last_use_of_an_id_ends_it() -> None:
    """An id and a guid are known as long as one version has them, and no id is given twice."""
    definition = Definition(Schema('"int"'), "guid")
    one, other = Subject(".", "a"), Subject(".", "b")
    state = State()
    state.apply([Version(one, 1, 4, definition), Version(other, 1, 4, definition), Hidden(one, 1), Removed(one, 1)])

    assert 4 == state.id_of(".", definition)
    assert {".": 4} == state.ids_of("guid")
    assert [other] == list(state.subjects())
    state.apply([Hidden(other, 1), Removed(other, 1)])
    assert state.id_of(".", definition) is None
    assert {} == state.ids_of("guid")
    assert [] == state.places(".", 4)
    assert 4 == state.last_id(".")


def test_setting_without_a_value_is_none() -> None:
    """A setting is removed by setting nothing, whether it was there or not."""
    state = State()
    state.apply([Setting("mode", GLOBAL, {"mode": "IMPORT"}), Setting("mode", GLOBAL, None)])
    state.apply([Setting("mode", GLOBAL, None)])

    assert state.setting("mode", GLOBAL) is None
