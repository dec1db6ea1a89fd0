"""What two schemas say differently, place by place; a place is a JSON pointer, as the compatibility checkers have it.

A JSON pointer counts the fields of a record. So that a field that was put first does not make all others
look changed, entries of a list are paired by what they are called, and the pointer is the one in the
schema in which the entry stands, the new one if it stands in both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from eventhub.registry.base import SchemaType
from eventhub.registry.compatibility import Parsed
from eventhub.registry.compatibility.bounds import Json
from eventhub.registry.compatibility.proto_model import Enum, Field, Message, ProtoFile


class Change(StrEnum):
    """What happened at a place."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"
    """The entries of a list have another order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two schemas differ."""

    change: Change
    path: str
    """A JSON pointer: into the old schema for what was removed, into the new one otherwise."""
    old: Json = None
    """What the old schema says there."""
    new: Json = None
    """What the new schema says there."""


def differences(old: Parsed, new: Parsed) -> tuple[Difference, ...]:
    """What a new schema says otherwise than an old one; empty if they mean the same.

    In Protobuf a place is a message or an enum and a number, whatever the order in the file.
    """
    if old.type is not new.type:
        return (Difference(Change.CHANGED, "", old.type.value, new.type.value),)
    return tuple(_between(_content(old), _content(new), ""))


def _content(schema: Parsed) -> Json:
    """A schema as JSON."""
    if schema.type is not SchemaType.PROTOBUF:
        return json.loads(schema.text)
    assert isinstance(schema.model, ProtoFile)  # noqa: S101 - for the type checker
    described = {name: _numbered(each) for name, each in schema.model.definitions()}
    return {"syntax": schema.model.syntax, "package": schema.model.package, **described}


def _numbered(definition: Message | Enum) -> Mapping[str, Json]:
    if isinstance(definition, Enum):
        return dict(definition.values)
    return {str(field.number): _declared(field) for field in definition.fields}


def _declared(field: Field) -> str:
    """A field as a Protobuf file declares it."""
    kind = f"map<{field.named.replace(',', ', ')}>" if field.type == "map" else field.named or field.type
    words = [field.label, kind, field.name, f"(oneof {field.oneof})" if field.oneof else ""]
    return " ".join(word for word in words if word)


def _between(old: Json, new: Json, path: str) -> Iterator[Difference]:
    match old, new:
        case dict(), dict():
            for key in dict.fromkeys((*old, *new)):
                place = f"{path}/{_escaped(key)}"
                if key not in new:
                    yield Difference(Change.REMOVED, place, old=old[key])
                elif key not in old:
                    yield Difference(Change.ADDED, place, new=new[key])
                else:
                    yield from _between(old[key], new[key], place)
        case list(), list():
            yield from _in_lists(old, new, path)
        case _ if _told(old) != _told(new):
            yield Difference(Change.CHANGED, path, old, new)
        case _:
            pass


def _in_lists(old: Sequence[Json], new: Sequence[Json], path: str) -> Iterator[Difference]:
    ours, theirs = _labelled(new), _labelled(old)
    for label, at in theirs.items():
        if label not in ours:
            yield Difference(Change.REMOVED, f"{path}/{at}", old=old[at])
    for label, at in ours.items():
        if label in theirs:
            yield from _between(old[theirs[label]], new[at], f"{path}/{at}")
        else:
            yield Difference(Change.ADDED, f"{path}/{at}", new=new[at])
    before = [label for label in theirs if label in ours]
    after = [label for label in ours if label in theirs]
    if before != after:
        yield Difference(Change.MOVED, path, [label for label, _ in before], [label for label, _ in after])


def _labelled(entries: Sequence[Json]) -> Mapping[tuple[str, int], int]:
    """Where each entry of a list stands, by what it is called; the second of a name is another one."""
    seen: Counter[str] = Counter()
    places: dict[tuple[str, int], int] = {}
    for at, entry in enumerate(entries):
        label = _label(entry)
        places[label, seen[label]] = at
        seen[label] += 1
    return places


def _label(entry: Json) -> str:
    """What an entry is called: a field, a symbol or a branch of a union."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        names = (entry.get(key) for key in ("name", "title", "$ref", "const", "type"))
        return next((name for name in names if isinstance(name, str)), "{}")
    return "[]" if isinstance(entry, list) else _told(entry)


def _told(value: Json) -> str:
    """JSON as text, which tells 1 from 1.0 and from true; Python takes them for equal."""
    return json.dumps(value, sort_keys=True)


def _escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
