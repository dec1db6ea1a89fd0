"""What the embedded registry decides."""

from __future__ import annotations

import json

import pytest

from eventhub.registry.base import Compatibility, Reference, Schema, SchemaType
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
    subjects = [parse_subject(f"s{number}") for number in range(30)]
    for number, subject in enumerate(subjects):
        store.register(subject, Proposal(Schema(f'{{"type":"int","n":"{number}{"x" * 100_000}"}}')))
    refused = 0
    for subject in (*subjects, *subjects):
        with pytest.raises(Refused):
            store.register(subject, _TEXT)
        refused += 1

    assert 60 == refused


def test_schemas_too_large_to_compare_are_refused() -> None:
    """The answer says so, and the subject goes on."""
    store, subject = Store(), parse_subject("s")
    one, other = (
        Proposal(Schema(json.dumps({"anyOf": [{"const": number} for number in numbers]}), SchemaType.JSON))
        for numbers in (range(600), range(600, 1_200))
    )
    store.register(subject, one)
    with pytest.raises(Refused, match="too large to compare") as refused:
        store.register(subject, other)

    assert (42201, 1) == (refused.value.code, len(store.state.versions(subject)))


def test_reference_that_leads_in_a_circle_by_now_is_refused() -> None:
    """A reference to the latest version may come round when there is a later one."""
    store, a, b = Store(), parse_subject("a"), parse_subject("b")
    store.register(a, Proposal(Schema('{"type":"record","name":"A","fields":[]}')))
    store.register(b, Proposal(Schema('{"type":"array","items":"A"}', references=(Reference("A", "a", -1),))))
    store.register(
        a, Proposal(Schema('{"type":"record","name":"A","fields":[]}', references=(Reference("B", "b", 1),)))
    )
    with pytest.raises(Refused, match="circle") as refused:
        store.register(b, _INT)

    assert 42201 == refused.value.code


def test_level_is_that_of_the_nearest_place() -> None:
    """A subject's own level comes before its context's, that before the registry's."""
    store, subject = Store(), parse_subject(":.ctx:s")
    levels = [store.level(subject)]
    for place, level in ((GLOBAL, "FULL"), (subject.whole_context, "FORWARD"), (subject, "NONE")):
        store.set("config", place, {"compatibilityLevel": level})
        levels.append(store.level(subject))

    assert [Compatibility.BACKWARD, Compatibility.FULL, Compatibility.FORWARD, Compatibility.NONE] == levels


def test_numbers_beyond_those_of_a_record_are_not_given() -> None:
    """Whoever imported the last id, or the last version, gets no other one."""
    store, last = Store(), (1 << 31) - 1
    for context, id_, version in ((".id", last, 1), (".version", 1, last)):
        subject = parse_subject(f":{context}:s")
        store.set("mode", subject, {"mode": "IMPORT"})
        store.register(subject, Proposal(_INT.schema, id=id_, version=version))
        store.set("mode", subject, {"mode": "READWRITE"})
        store.set("config", subject, {"compatibilityLevel": "NONE"})
        with pytest.raises(Refused, match="2147483647 is the last"):
            store.register(subject, _TEXT)

    assert [1, 1] == [len(store.state.versions(parse_subject(f":{context}:s"))) for context in (".id", ".version")]
