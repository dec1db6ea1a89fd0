"""What the embedded registry decides: every request that changes something, as a decision over ``State``.

Source: the documented behaviour of Confluent's Schema Registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any

from eventhub.errors import InvalidSchema
from eventhub.registry.base import LAST_NUMBER, Compatibility, Reference, Schema
from eventhub.registry.compatibility import Conflict, Parsed, conflicts, parse_schema
from eventhub.registry.compatibility.canonical import guid
from eventhub.registry.embedded.kept import KeptSchemas
from eventhub.registry.embedded.refused import (
    Refused,
    invalid_schema,
    not_permitted,
    read_only,
    schema_not_found,
    subject_not_found,
    version_not_found,
)
from eventhub.registry.embedded.state import (
    GLOBAL,
    Change,
    Definition,
    Hidden,
    Removed,
    Setting,
    State,
    Subject,
    Version,
    referred,
)

Keep = Callable[[Sequence[Change]], None]
"""Makes changes last before they are made; raises if it cannot."""

_PARSED_LETTERS = 2_000_000  # of the schemas kept parsed: some 1,000 ordinary ones, less than 50 MB at worst


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schema as a client sends it."""

    schema: Schema
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None
    id: int | None = None
    """The id it had elsewhere; only taken in mode IMPORT."""
    version: int | None = None
    """The version it had elsewhere; only taken in mode IMPORT."""
    normalize: bool = False
    """Whether differences of order that mean nothing do not make another schema."""


class Store:
    """The state and the only way to change it."""

    def __init__(self, keep: Keep | None = None, *, incompatible_code: int = 409) -> None:
        """Begin empty.

        Args:
            keep: Called with the changes before they are made, or None to keep them in memory only.
            incompatible_code: The ``error_code`` of an incompatible schema; Confluent's newest servers say 40901.
        """
        self.state = State()
        self._keep = keep or _forget
        self._incompatible_code = incompatible_code
        self._parsed = KeptSchemas(_PARSED_LETTERS)

    def register(self, subject: Subject, proposal: Proposal) -> Version:
        """Make a schema a version of the subject, unless it is one already."""
        mode = self.mode(subject)
        if mode.startswith("READONLY"):
            raise read_only(str(subject))
        definition, parsed = self.define(subject, proposal)
        if mode == "IMPORT" or (mode == "FORWARD" and proposal.id is not None):
            return self._import(subject, proposal, definition)
        if proposal.id is not None:
            reason = f"Subject {subject} is not in import mode"
            raise not_permitted(reason)
        for version in self.state.versions(subject):
            if version.definition == definition:
                return version
        found = self._conflicts(subject, parsed, self.state.versions(subject))
        if found:
            raise self._incompatible(subject, found)
        return self._add(subject, definition, None, None)

    def _incompatible(self, subject: Subject, found: Sequence[Conflict]) -> Refused:
        details = "; ".join(map(str, found))
        message = f'Schema being registered is incompatible with an earlier schema for subject "{subject}"'
        return Refused(self._incompatible_code, f"{message}, details: [{details}]")

    def _import(self, subject: Subject, proposal: Proposal, definition: Definition) -> Version:
        """Take a schema with the id and the version it had elsewhere."""
        taken = self.state.places(subject.context, proposal.id) if proposal.id is not None else []
        if any(version.definition != definition for version in taken):
            raise Refused(42207, f"Overwrite new schema with id {proposal.id} is not permitted.")
        for version in self.state.versions(subject):
            if version.definition == definition and proposal.version in {None, version.version}:
                return version
        return self._add(subject, definition, proposal.id, proposal.version)

    def _add(self, subject: Subject, definition: Definition, schema_id: int | None, number: int | None) -> Version:
        if schema_id is None:
            schema_id = self.state.id_of(subject.context, definition)
        if schema_id is None:
            schema_id = self.state.last_id(subject.context) + 1
        if number is None:
            known = self.state.versions(subject, deleted=True)
            number = known[-1].version + 1 if known else 1
        if max(schema_id, number) > LAST_NUMBER:
            reason = f"Subject {subject} can have no other version, since {LAST_NUMBER} is the last there can be"
            raise not_permitted(reason)
        version = Version(subject, number, schema_id, definition)
        self._change(version)
        return version

    def lookup(self, subject: Subject, proposal: Proposal, *, deleted: bool = False) -> Version:
        """The version of the subject that a schema is, the newest if there are several."""
        versions = self.state.versions(subject, deleted=deleted)
        if not versions:
            raise subject_not_found(str(subject))
        definition, _ = self.define(subject, proposal)
        for version in reversed(versions):
            if version.definition == definition:
                return version
        raise schema_not_found()

    def version(self, subject: Subject, number: int | None, *, deleted: bool = False) -> Version:
        """One version of a subject; None is the latest."""
        if not self.state.versions(subject, deleted=True):
            raise subject_not_found(str(subject))
        versions = self.state.versions(subject, deleted=deleted)
        if number is None:
            if not versions:
                raise subject_not_found(str(subject))
            return versions[-1]
        for version in versions:
            if version.version == number:
                return version
        raise version_not_found(number)

    def conflicts(self, subject: Subject, proposal: Proposal, against: Sequence[Version]) -> Sequence[Conflict]:
        """Why the subject's level forbids a schema after some of its versions; empty if it allows it."""
        _, parsed = self.define(subject, proposal)
        return self._conflicts(subject, parsed, against)

    def _conflicts(self, subject: Subject, new: Parsed, against: Sequence[Version]) -> Sequence[Conflict]:
        with _refused_if_invalid():  # also if they are too large to compare
            return conflicts(self.level(subject), new, against, self.parsed)

    def define(self, subject: Subject, proposal: Proposal) -> tuple[Definition, Parsed]:
        """What a proposal would be as a registered schema."""
        schema = proposal.schema
        normal = proposal.normalize or self._normalizes(subject)
        if normal:
            schema = replace(schema, references=tuple(sorted(set(schema.references), key=astuple)))
        with _refused_if_invalid():
            parsed = parse_schema(schema, lambda reference: self.resolve(subject.context, reference), normal=normal)
        canonical = replace(schema, text=parsed.text)
        its_guid = guid(parsed.text, schema.references, proposal.metadata, proposal.rule_set)
        return Definition(canonical, its_guid, proposal.metadata, proposal.rule_set), parsed

    def parsed(self, version: Version) -> Parsed:
        """A registered schema, parsed; kept for the next time."""
        definition, context = version.definition, version.subject.context
        key = (context, definition.schema.type, definition.guid)  # a reference means another schema in each context
        with _refused_if_invalid():  # a reference to a latest version may lead in a circle by now
            return self._parsed.get(
                key, lambda: parse_schema(definition.schema, lambda reference: self.resolve(context, reference))
            )

    def resolve(self, context: str, reference: Reference) -> Schema:
        """The schema that a reference stands for; hidden versions still count.

        Raises:
            InvalidSchema: If there is none.
        """
        for version in reversed(self.state.versions(referred(reference, context), deleted=True)):
            if reference.version in {version.version, -1}:
                return version.definition.schema
        msg = f"no schema for reference {reference.name!r}: subject {reference.subject!r} version {reference.version}"
        raise InvalidSchema(msg)

    def level(self, subject: Subject) -> Compatibility:
        """The compatibility level in force: the subject's own, its context's, the registry's, or BACKWARD."""
        return Compatibility(self._config(subject, "compatibilityLevel") or Compatibility.BACKWARD)

    def _normalizes(self, subject: Subject) -> bool:
        return bool(self._config(subject, "normalize"))

    def _config(self, subject: Subject, key: str) -> Any:  # noqa: ANN401 - JSON
        """What is configured for the subject, its context or the registry, whichever comes first; None for nothing."""
        for place in (subject, subject.whole_context, GLOBAL):
            config = self.state.setting("config", place) or {}
            if config.get(key) is not None:
                return config[key]
        return None

    def mode(self, subject: Subject) -> str:
        """The mode in force: the subject's own, its context's, the registry's, or READWRITE.

        READONLY_OVERRIDE of the registry comes before all others.
        """
        if (self.state.setting("mode", GLOBAL) or {}).get("mode") == "READONLY_OVERRIDE":
            return "READONLY_OVERRIDE"
        for place in (subject, subject.whole_context, GLOBAL):
            mode = self.state.setting("mode", place)
            if mode is not None:
                return str(mode["mode"])
        return "READWRITE"

    def set(self, table: str, subject: Subject, value: Mapping[str, Any] | None) -> None:
        """Set or remove a config or a mode."""
        self._change(Setting(table, subject, value))

    def delete(self, versions: Sequence[Version], *, permanent: bool) -> None:
        """Hide versions, or remove hidden ones for good, all or none."""
        change = Removed if permanent else Hidden
        self._change(*(change(version.subject, version.version) for version in versions))

    def _change(self, *changes: Change) -> None:
        self._keep(changes)
        self.state.apply(changes)


@contextmanager
def _refused_if_invalid() -> Iterator[None]:
    """Answer that a schema is not valid."""
    try:
        yield
    except InvalidSchema as error:
        raise invalid_schema(str(error)) from error


def _forget(_: Sequence[Change]) -> None:
    """Keep nothing: the registry lives in memory."""
