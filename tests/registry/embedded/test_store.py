"""What the embedded registry decides."""

from __future__ import annotations

import pytest

from eventhub.registry.base import Compatibility, Schema
from eventhub.registry.embedded.refused import Refused
from eventhub.registry.embedded.state import GLOBAL, parse_subject
from eventhub.registry.embedded.store import Proposal, Store

_INT, _TEXT = Proposal(Schema('"int"')), Proposal(Schema('"string"'))


def test_changes_are_kept_before_they_are_made() -> None:
    """Whoever keeps the changes sees the state without them, and can prevent them."""
    kept: list[int] = []
    store = Store(lambda changes: kept.append(len(changes) + store.state.last_id(".")))
    store.register(parse_subject("a"), _INT)
    store.register(parse_subject("b"), _TEXT)

    assert [1, 2] == kept


def test_many_subjects_are_compared_without_keeping_all() -> None:
    """Schemas that were parsed longest ago are parsed again when they are needed."""
    store = Store()
    subjects = [parse_subject(f"s{number}") for number in range(1_100)]
    for number, subject in enumerate(subjects):
        store.register(subject, Proposal(Schema(f'{{"type":"int","n":{number}}}')))
    refused = 0
    for subject in (*subjects, *subjects):
        with pytest.raises(Refused):
            store.register(subject, _TEXT)
        refused += 1

    assert 2_200 == refused


def test_level_is_that_of_the_nearest_place() -> None:
    """A subject's own level comes before its context's, that before the registry's."""
    store, subject = Store(), parse_subject(":.ctx:s")
    levels = [store.level(subject)]
    for place, level in ((GLOBAL, "FULL"), (subject.whole_context, "FORWARD"), (subject, "NONE")):
        store.set("config", place, {"compatibilityLevel": level})
        levels.append(store.level(subject))

    assert [Compatibility.BACKWARD, Compatibility.FULL, Compatibility.FORWARD, Compatibility.NONE] == levels
