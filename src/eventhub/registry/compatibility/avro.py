"""Whether a reader's Avro schema can read what a writer's schema wrote, by the rules of Apache Avro's Java library.

Neither the library nor the specification looks at logical types here: a decimal whose scale changed is compatible.

Source: Apache Avro 1.12, ``org.apache.avro.SchemaCompatibility``; specification, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.avro_model import (
    MISSING,
    Array,
    AvroSchema,
    Definition,
    Enum,
    Field,
    Fixed,
    Map,
    Record,
    Type,
    Union,
)
from eventhub.registry.compatibility.bounds import COMPARISONS, PROBLEMS
from eventhub.registry.compatibility.problem import Problem

_PROMOTIONS = {
    ("long", "int"),
    ("float", "int"),
    ("float", "long"),
    ("double", "int"),
    ("double", "long"),
    ("double", "float"),
    ("bytes", "string"),
    ("string", "bytes"),
}
"""Which kinds a reader takes for another kind of the writer: (reader, writer)."""


def avro_problems(reader: AvroSchema, writer: AvroSchema) -> tuple[Problem, ...]:
    """What in the writer's schema the reader's cannot read; empty if it can read all of it."""
    return _Comparison(reader, writer).compare(reader.root, writer.root, "")


class _Comparison:
    """Compares each pair of types once; a pair met again inside itself counts as compatible."""

    def __init__(self, reader: AvroSchema, writer: AvroSchema) -> None:
        self._reader = reader
        self._writer = writer
        # By identity, since the schemas outlive this: what was found, and what is looked up in a definition.
        self._found: dict[tuple[int, int], tuple[Problem, ...]] = {}
        self._fields: dict[int, dict[str, Field]] = {}
        self._aliases: dict[int, frozenset[str]] = {}
        self._symbols: dict[int, frozenset[str]] = {}

    def compare(self, reader: Type, writer: Type, path: str) -> tuple[Problem, ...]:
        """The problems of one pair of types, at a path in the reader's schema."""
        reader = self._reader.resolve(reader)
        writer = self._writer.resolve(writer)
        pair = (id(reader), id(writer))
        if pair not in self._found:
            if len(self._found) > COMPARISONS:
                msg = f"schemas are too large to compare: more than {COMPARISONS} pairs of types"
                raise InvalidSchema(msg)
            self._found[pair] = ()
            self._found[pair] = tuple(islice(self._differences(reader, writer, path), PROBLEMS))
        return self._found[pair]

    def _differences(self, reader: Type, writer: Type, path: str) -> Iterator[Problem]:
        match reader, writer:
            case Union(), Union(branches):
                for at, branch in enumerate(branches):
                    yield from self._branch(reader, branch, f"{path}/{at}")
            case Union(), _:
                yield from self._branch(reader, writer, path)
            case _, Union(branches):
                for at, branch in enumerate(branches):
                    yield from self.compare(reader, branch, f"{path}/{at}")
            case Array(items), Array(written):
                yield from self.compare(items, written, f"{path}/items")
            case Map(values), Map(written):
                yield from self.compare(values, written, f"{path}/values")
            case _:
                yield from self._definitions(reader, writer, path)

    def _definitions(self, reader: Type, writer: Type, path: str) -> Iterator[Problem]:
        """Compare what is no container: named types with their own kind, primitives with what they promote."""
        match reader, writer:
            case Record(), Record():
                yield from self._names(reader, writer, path)
                for at, field in enumerate(reader.fields):
                    yield from self._field(field, reader, writer, f"{path}/fields/{at}")
            case Enum(), Enum():
                yield from self._names(reader, writer, path)
                yield from self._unknown(reader, writer, path)
            case Fixed(), Fixed():
                yield from self._names(reader, writer, path)
                yield from _sizes(reader, writer, path)
            case _ if reader.kind != writer.kind and (reader.kind, writer.kind) not in _PROMOTIONS:
                wanted, found = self._reader.label(reader), self._writer.label(writer)
                yield Problem("TYPE_MISMATCH", path, f"{wanted!r} cannot be read from {found!r}", wanted, found)
            case _:
                pass

    def _branch(self, reader: Union, writer: Type, path: str) -> Iterator[Problem]:
        """Some branch of the reader's union has to take what the writer writes."""
        writer = self._writer.resolve(writer)
        closest: tuple[Problem, ...] = ()
        for branch in map(self._reader.resolve, reader.branches):
            problems = self.compare(branch, writer, path)
            if not problems:
                return
            if branch.kind == writer.kind:
                closest = problems
        written = self._writer.label(writer)
        wanted = _few(map(self._reader.label, reader.branches))
        reason = "".join(f"; closest: {problem.reason}" for problem in closest[:1])
        yield Problem("MISSING_UNION_BRANCH", path, f"no branch takes a {written}{reason}", f"[{wanted}]", written)

    def _field(self, field: Field, reader: Record, writer: Record, path: str) -> Iterator[Problem]:
        if id(writer) not in self._fields:
            self._fields[id(writer)] = {written.name: written for written in writer.fields}
        names = dict.fromkeys((field.name, *field.aliases))
        matching = [self._fields[id(writer)][name] for name in names if name in self._fields[id(writer)]]
        if len(matching) > 1:
            several = _few(written.name for written in matching)
            reason = f"field {field.name!r} and its aliases stand for several fields of the writer: {several}"
            yield Problem("READER_FIELD_AMBIGUOUS", path, reason, field.name, several)
        elif matching:
            yield from self.compare(field.type, matching[0].type, f"{path}/type")
        elif field.default is MISSING:
            yield self._no_default(field, reader, writer, path)

    def _no_default(self, field: Field, reader: Record, writer: Record, path: str) -> Problem:
        type_ = self._reader.resolve(field.type)
        reason = f"field {field.name!r} has no default, and {writer.name.full!r} is written without it"
        if isinstance(type_, Enum) and type_.default is not None:  # an enum's default is for unknown symbols only
            return Problem("TYPE_MISMATCH", f"{path}/type", reason, self._reader.label(type_), writer.name.full)
        return Problem("READER_FIELD_MISSING_DEFAULT_VALUE", path, reason, reader.name.full, writer.name.full)

    def _names(self, reader: Definition, writer: Definition, path: str) -> Iterable[Problem]:
        """Names have to be equal without their namespaces, or the reader has the writer's as an alias."""
        if id(reader) not in self._aliases:
            aliases = (alias.full for alias in reader.aliases if alias.space or not reader.name.space)
            self._aliases[id(reader)] = frozenset(aliases)
        if reader.name.name == writer.name.name or writer.name.full in self._aliases[id(reader)]:
            return ()
        wanted, written = reader.name.full, writer.name.full
        reason = f"{wanted!r} is read, {written!r} was written, and no alias joins them"
        return (Problem("NAME_MISMATCH", f"{path}/name", reason, wanted, written),)

    def _unknown(self, reader: Enum, writer: Enum, path: str) -> Iterable[Problem]:
        """Symbols that the reader lacks are read as its default, if it has one."""
        if id(reader) not in self._symbols:
            self._symbols[id(reader)] = frozenset(reader.symbols)
        unknown = [symbol for symbol in writer.symbols if symbol not in self._symbols[id(reader)]]
        if not unknown or reader.default is not None:
            return ()
        reason = f"enum {reader.name.full!r} lacks {_few(sorted(unknown))} and has no default symbol"
        return (Problem("MISSING_ENUM_SYMBOLS", f"{path}/symbols", reason, _few(reader.symbols), _few(unknown)),)


def _few(names: Iterable[str]) -> str:
    """Some names for a message; enough to find the place, however many there are."""
    some = list(islice(names, 11))
    return ", ".join(some if len(some) < 11 else [*some[:10], "..."])  # noqa: PLR2004 - ten are shown


def _sizes(reader: Fixed, writer: Fixed, path: str) -> Iterable[Problem]:
    if reader.size == writer.size:
        return ()
    reason = f"fixed {reader.name.full!r} is read as {reader.size} bytes, {writer.size} were written"
    return (Problem("FIXED_SIZE_MISMATCH", f"{path}/size", reason, str(reader.size), str(writer.size)),)
