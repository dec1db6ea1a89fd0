"""Everything the embedded registry knows, as tables that change row by row.

Each change is a value, so that a journal can keep it and ``State.apply`` can repeat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from eventhub.registry.base import Compatibility, Reference, Schema

DEFAULT_CONTEXT = "."
MODES = frozenset({"READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT", "FORWARD"})


class Subject(NamedTuple):
    """A subject's name, apart from the context it stands in."""

    context: str
    name: str

    def __str__(self) -> str:
        """As clients write it: the default context is left out."""
        return self.name if self.context == DEFAULT_CONTEXT else f":{self.context}:{self.name}"

    @property
    def whole_context(self) -> Subject:
        """The place where the settings of its whole context are kept."""
        return Subject(self.context, "")


GLOBAL = Subject(DEFAULT_CONTEXT, "")
"""Where the settings of the whole registry are kept."""


def parse_subject(text: str) -> Subject:
    """A subject as clients write it: ``name`` or ``:.context:name``."""
    if text.startswith(":."):
        context, colon, name = text[1:].partition(":")
        if colon:
            return Subject(context, name)
    return Subject(DEFAULT_CONTEXT, text)


def referred(reference: Reference, context: str) -> Subject:
    """The subject that a reference of a schema in a context speaks of: in the same context unless it names one."""
    subject = parse_subject(reference.subject)
    return subject if reference.subject.startswith(":.") else Subject(context, subject.name)


@dataclass(frozen=True, slots=True)
class Definition:
    """What an id stands for."""

    schema: Schema
    """With its canonical text."""
    guid: str
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject."""

    subject: Subject
    version: int
    id: int
    definition: Definition
    deleted: bool = False
    """Whether it is hidden: its id can still be read."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A version was deleted softly: its id can still be read."""

    subject: Subject
    version: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A version was deleted for good."""

    subject: Subject
    version: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A config or a mode was set, or removed if the value is None."""

    table: str
    """``config`` or ``mode``."""
    subject: Subject
    value: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        """Refuse what a later look-up could make nothing of.

        Raises:
            ValueError: If it is none of ours; a later version may know more.
        """
        if self.value is None:
            return
        found = _mode_problem(self.value) if self.table == "mode" else _config_problem(self.value)
        if found:
            raise ValueError(found)


def _mode_problem(value: Mapping[str, Any]) -> str:
    mode = value.get("mode")
    return "" if mode in list(MODES) else f"{mode!r} is no mode"


def _config_problem(value: Mapping[str, Any]) -> str:
    level, normalize = value.get("compatibilityLevel"), value.get("normalize")
    if level is not None and level not in list(Compatibility):
        return f"{level!r} is no compatibility level"
    return "" if isinstance(normalize, bool | None) else f"normalize is true or false, and not {normalize!r}"


Change = Version | Hidden | Removed | Setting


class State:
    """The tables and their indexes; only ``apply`` changes them."""

    def __init__(self) -> None:
        """Begin empty."""
        self._versions: dict[Subject, dict[int, Version]] = {}
        self._places: dict[tuple[str, int], dict[tuple[Subject, int], Version]] = {}  # (context, id) -> its versions
        self._ids: dict[tuple[str, str, str], int] = {}  # (context, type, guid) -> id
        self._guids: dict[str, dict[str, int]] = {}  # guid -> context -> id
        self._settings: dict[tuple[str, Subject], Mapping[str, Any]] = {}
        self._last_id: dict[str, int] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes, in order."""
        for change in changes:
            match change:
                case Version():
                    self._put(change)
                case Hidden(subject, version):
                    self._put(replace(self._versions[subject][version], deleted=True))
                case Removed():
                    self._remove(change)
                case _:
                    self._set(change)

    def _set(self, setting: Setting) -> None:
        if setting.value is None:
            self._settings.pop((setting.table, setting.subject), None)
        else:
            self._settings[setting.table, setting.subject] = setting.value

    def _put(self, version: Version) -> None:
        subject, definition = version.subject, version.definition
        self._versions.setdefault(subject, {})[version.version] = version
        self._places.setdefault((subject.context, version.id), {})[subject, version.version] = version
        self._ids[subject.context, definition.schema.type, definition.guid] = version.id
        self._guids.setdefault(definition.guid, {})[subject.context] = version.id
        self._last_id[subject.context] = max(version.id, self._last_id.get(subject.context, 0))

    def _remove(self, removed: Removed) -> None:
        versions = self._versions[removed.subject]
        version = versions.pop(removed.version)
        if not versions:
            del self._versions[removed.subject]
        context = removed.subject.context
        places = self._places[context, version.id]
        del places[removed.subject, removed.version]
        if not places:
            definition = version.definition
            del self._places[context, version.id]
            del self._ids[context, definition.schema.type, definition.guid]
            del self._guids[definition.guid][context]

    def subjects(self) -> Iterator[Subject]:
        """Every subject with at least one version, hidden or not."""
        return iter(sorted(self._versions))

    def versions(self, subject: Subject, *, deleted: bool = False) -> list[Version]:
        """The versions of a subject, oldest first; the hidden ones only if asked for."""
        rows = self._versions.get(subject, {})
        return [rows[number] for number in sorted(rows) if deleted or not rows[number].deleted]

    def places(self, context: str, schema_id: int) -> list[Version]:
        """Every version that has an id, hidden or not; empty for an unknown id."""
        return list(self._places.get((context, schema_id), {}).values())

    def referrers(self, version: Version) -> list[Version]:
        """Every version, hidden or not, whose schema refers to this one; -1 is the latest there is."""
        is_latest = version.version == max(self._versions[version.subject])
        numbers = {version.version, -1} if is_latest else {version.version}
        return [
            each
            for rows in self._versions.values()
            for each in rows.values()
            for reference in each.definition.schema.references
            if reference.version in numbers and referred(reference, each.subject.context) == version.subject
        ]

    def id_of(self, context: str, definition: Definition) -> int | None:
        """The id that a definition has in a context, or None."""
        return self._ids.get((context, definition.schema.type, definition.guid))

    def ids_of(self, guid: str) -> Mapping[str, int]:
        """The ids of a guid by context; empty for an unknown guid."""
        return self._guids.get(guid, {})

    def last_id(self, context: str) -> int:
        """The highest id that was ever given in a context; 0 for none."""
        return self._last_id.get(context, 0)

    def contexts(self) -> list[str]:
        """Every context with a subject, and the default one."""
        return sorted({DEFAULT_CONTEXT, *(subject.context for subject in self._versions)})

    def setting(self, table: str, subject: Subject) -> Mapping[str, Any] | None:
        """What was set for exactly this subject, or None."""
        return self._settings.get((table, subject))
