"""Schemas in words: what a person, or a program, is told of subjects, versions, checks and differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from eventhub.cli.safe import safe
from eventhub.codecs.versions import Reading
from eventhub.registry.base import Compatibility, RegisteredSchema, SchemaType
from eventhub.registry.compatibility import Conflict, Problem
from eventhub.registry.differences import Change, Difference
from eventhub.schemas import Checked, Declaration, Registration

_COLUMNS = ("subject", "versions", "deleted", "type", "level", "latest id")
_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~", Change.MOVED: "="}
_LONGEST_VALUE = 200  # characters of one side of a difference that are shown; --json shows all


@dataclass(frozen=True, slots=True)
class Subject:
    """What there is under one subject."""

    subject: str
    versions: Sequence[int]
    deleted: Sequence[int]
    """Versions that are soft-deleted; empty also where nobody asked for them."""
    type: SchemaType
    """That of the latest version."""
    level: Compatibility | None
    """The level in force, or None where it may not be asked for."""
    latest_id: int


def as_table(subjects: Iterable[Subject]) -> Table:
    """Subjects for a person, one a row."""
    table = Table(*_COLUMNS, box=None, header_style="bold", pad_edge=False)
    for each in subjects:
        cells = (
            each.subject,
            _ranges(each.versions),
            _ranges(each.deleted),
            each.type.value,
            _level(each.level),
            str(each.latest_id),
        )
        table.add_row(*(Text(safe(cell), overflow="fold") for cell in cells))
    return table


def as_json(value: Mapping[str, Any]) -> str:
    """One line for a program."""
    return json.dumps(value)


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in order as 1-3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _level(level: Compatibility | None) -> str:
    return "level unknown" if level is None else level.value


def version_head(version: RegisteredSchema) -> str:
    """Whatever is known of a version beside its text."""
    facts = [
        ("subject", version.subject),
        ("version", str(version.version)),
        ("id", str(version.id)),
        ("guid", version.guid or "none"),
        ("type", version.schema.type.value),
        *(("refers to", f"{each.name}: {each.subject} version {each.version}") for each in version.schema.references),
    ]
    return "\n".join(safe(f"{name:<10}{fact}") for name, fact in facts)


# -- checks ----------------------------------------------------------------------------------------


def checked_text(checked: Checked) -> str:
    """What a class and the registry make of each other, for a person."""
    declaration = checked.declaration
    lines = [f"{declaration.subject}  {declaration.event.__name__}{_role(declaration)}"]
    for reading in checked.readings or ():
        lines += [f"  version {reading.version.version} (id {reading.version.id})  {_reading(reading)}"]
        lines += [f"    {problem}" for problem in reading.problems]
    if checked.readings == ():
        lines.append("  no version is registered")
    return "\n".join(map(safe, [*lines, *_registration(declaration, checked.registration)]))


def _role(declaration: Declaration) -> str:
    if declaration.service is None:
        return ""
    done = " and ".join(word for word, does in (("read", declaration.reads), ("written", declaration.writes)) if does)
    return f", {done} by {declaration.service}"


def _reading(reading: Reading) -> str:
    if reading.problems:
        return "CANNOT BE READ"
    return "is read" if reading.upcast is None else f"is read by upcast {reading.upcast.function.__name__}"


def _registration(declaration: Declaration, registration: Registration) -> Iterator[str]:
    level = _level(registration.level)
    if registration.version is not None:
        yield f"  its own schema is version {registration.version.version} (id {registration.version.id})"
    elif not registration.refusals:
        yield f"  its own schema would be a new version ({level})"
    elif declaration.writes:
        yield f"  its own schema WOULD BE REFUSED ({level})"
        yield from (f"    {reason}" for reason in registration.conflicts or registration.refusals)
    else:
        yield f"  its own schema would be refused ({level}), which is no problem for a class that is only read"


def summary(checked: Sequence[Checked]) -> str:
    """How many problems there are, in one line."""
    problems = sum(len(each.problems) for each in checked)
    versions = sum(len(each.readings or ()) for each in checked)
    return f"{_count(len(checked), 'class', 'classes')}, {_count(versions, 'version')}: {_count(problems, 'problem')}"


def broken_off(done: Sequence[str], left: Sequence[str], *, refused: bool) -> str:
    """How far registering went, in one line.

    Args:
        done: The subjects whose schemas were registered.
        left: The others, of which the first was tried.
        refused: Whether the registry refused that one; otherwise nobody knows what became of it.
    """
    uncertain, rest = ([], left) if refused else (left[:1], left[1:])
    told = [
        ("registered", done),
        ("perhaps registered, since there was no proper answer", uncertain),
        ("not registered", rest),
    ]
    parts = [f"{said}: {', '.join(subjects)}" for said, subjects in told if subjects]
    return "; ".join(["broken off", *parts, "the same command does the rest"])


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number or 'no'} {one if number == 1 else many or one + 's'}"


def checked_facts(checked: Checked) -> Mapping[str, Any]:
    """The same for a program."""
    declaration, registration = checked.declaration, checked.registration
    state = "registered" if registration.version else "refused" if registration.refusals else "accepted"
    return {
        "subject": declaration.subject,
        "event": declaration.event.__event__.name,
        "class": f"{declaration.event.__module__}.{declaration.event.__qualname__}",
        "service": declaration.service,
        "reads": declaration.reads,
        "writes": declaration.writes,
        "compatible": checked.compatible,
        "versions": [
            {
                "version": reading.version.version,
                "id": reading.version.id,
                "upcast": reading.upcast and reading.upcast.function.__name__,
                "problems": [asdict(problem) for problem in reading.problems],
            }
            for reading in checked.readings or ()
        ],
        "own_schema": {
            "state": state,
            "level": registration.level,
            "version": registration.version and registration.version.version,
            "id": registration.version and registration.version.id,
            "conflicts": [_conflict(each) for each in registration.conflicts],
            "refusals": registration.refusals,
        },
    }


def _conflict(conflict: Conflict) -> Mapping[str, Any]:
    return {"version": conflict.version, "new_reads": conflict.new_reads, **asdict(conflict.problem)}


# -- differences -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """Two schemas beside each other."""

    subject: str
    old: str
    """What the old one is called: ``version 1``."""
    new: str
    differences: Sequence[Difference]
    new_reads_old: Sequence[Problem]
    """What the new one cannot read of the old one's."""
    old_reads_new: Sequence[Problem]


def compared_text(compared: Compared) -> str:
    """What differs, and who reads whom, for a person."""
    lines = [f"{compared.subject}: {compared.old} -> {compared.new}"]
    lines += [f"  {_SIGNS[each.change]} {each.path or '/'}  {_sides(each)}" for each in compared.differences]
    if not compared.differences:
        return "\n".join(map(safe, [*lines, "  they say the same"]))
    for reader, writer, problems in (
        (compared.new, compared.old, compared.new_reads_old),
        (compared.old, compared.new, compared.old_reads_new),
    ):
        lines.append(f"{reader} {'cannot read' if problems else 'reads'} {writer}")
        lines += [f"  {problem}" for problem in problems]
    return "\n".join(map(safe, lines))


def _sides(difference: Difference) -> str:
    match difference.change:
        case Change.ADDED:
            return _value(difference.new)
        case Change.REMOVED:
            return _value(difference.old)
        case _:
            return f"{_value(difference.old)} -> {_value(difference.new)}"


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
