"""Whether a reader's JSON Schema takes every value that a writer's schema allows.

What cannot be proved counts as incompatible. Beyond that the rules are those of Confluent's Schema Registry: a property
that is added to an open content model is incompatible, since old data may hold anything under its name; a property
that is required with a default may be added; the branches of ``oneOf`` are taken to exclude each other; ``format``
says nothing, unless the reader is known to parse it.

Source: Confluent Schema Registry, "JSON Schema compatibility rules", policy STRICT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import COMPARISONS, PROBLEMS, Json
from eventhub.registry.compatibility.canonical import write_json
from eventhub.registry.compatibility.json_bounds import BOUNDS, implied, kept
from eventhub.registry.compatibility.json_model import TYPES, JsonSchema
from eventhub.registry.compatibility.problem import Problem

_ANNOTATIONS: Final = frozenset(
    {
        "$anchor", "$comment", "$defs", "$id", "$schema", "contentEncoding", "contentMediaType", "default",
        "definitions", "deprecated", "description", "discriminator", "examples", "format", "readOnly", "title",
        "writeOnly",
    }
)  # fmt: skip
_COMBINED: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_OF: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "array": frozenset({"prefixItems", "items", "additionalItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        {"properties", "additionalProperties", "patternProperties", "required", "minProperties", "maxProperties"}
    ),
}
"""Which keywords say something about values of a type, and nothing about others."""


Formats = Mapping[str, frozenset[str]]
"""The formats of which a reader parses the texts, each with those of which it takes every text."""
NO_FORMATS: Final[Formats] = {}


def json_problems(reader: JsonSchema, writer: JsonSchema, parsed: Formats = NO_FORMATS) -> tuple[Problem, ...]:
    """What a writer's schema allows and a reader's does not, or not provably; empty if it allows all.

    Args:
        reader: The reader's schema.
        writer: The writer's.
        parsed: The formats that the reader parses; a registry knows of none.
    """
    return _Comparison(reader, writer, parsed).compare(reader.root, writer.root, "")


class _Comparison:
    """Compares each pair of schemas once; a pair met again inside itself counts as compatible."""

    def __init__(self, reader: JsonSchema, writer: JsonSchema, parsed: Formats) -> None:
        self._reader = reader
        self._writer = writer
        self._parsed = parsed
        self._silent = _ANNOTATIONS - {"format"} if parsed else _ANNOTATIONS
        self._found: dict[tuple[int, int], tuple[Problem, ...]] = {}
        self._work = 0
        self._parts: dict[int, list[Json]] = {}  # taken apart once, so that parts have identities too
        self._kept: list[Json] = []  # what is known by its identity has to stay alive

    def compare(self, reader: Json, writer: Json, path: str) -> tuple[Problem, ...]:
        """The problems of one pair of schemas, at a path in the reader's."""
        pair = (id(reader), id(writer))
        if pair not in self._found:
            self._spend(1)
            self._kept += (reader, writer)
            self._found[pair] = ()
            self._found[pair] = tuple(islice(self._differences(reader, writer, path), PROBLEMS))
        return self._found[pair]

    def _differences(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        """Take both sides apart until plain assertions are left: what the reader asks must all hold."""
        if writer is False:
            return
        asked, given = self._conjuncts(reader), self._conjuncts(writer)
        if len(asked) != 1:
            for each in asked:
                yield from self.compare(each, writer, path)
        elif len(given) != 1:
            whole = [self.compare(branch, writer, path) for branch in _branches(asked[0]) or ()]
            yield from _fewest([*whole, *(self.compare(reader, each, path) for each in given)])
        else:
            yield from self._single(asked[0], given[0], path)

    def _spend(self, work: int) -> None:
        """Count work, and give up when it is too much."""
        self._work += work
        if self._work > COMPARISONS:
            msg = f"schemas are too large to compare: more than {COMPARISONS} pairs of parts"
            raise InvalidSchema(msg)

    def _conjuncts(self, schema: Json) -> list[Json]:
        if id(schema) not in self._parts:
            self._parts[id(schema)] = _conjuncts(schema, self._silent)
        return self._parts[id(schema)]

    def _single(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        """Follow names and unions, the writer's first: each of its branches has to find a place."""
        if "$ref" in reader or "$ref" in writer:
            yield from self._named(reader, writer, path)
            return
        branches = _branches(writer) or (_branches_of_values(writer) if _branches(reader) else None)
        if branches is not None:
            for branch in branches:
                yield from self.compare(reader, branch, path)
            return
        taking = _branches(reader)
        if taking is None:
            yield from self._assertions(reader, writer, path)
            return
        problems = _fewest(self.compare(branch, writer, path) for branch in taking)
        if problems:
            reason = f"no branch takes {_shown(writer)}; closest: {problems[0].reason}"
            yield Problem("SUM_TYPE_NARROWED", path, reason, _shown(reader), _shown(writer))

    def _named(self, reader: Json, writer: Json, path: str) -> Iterable[Problem]:
        ours = self._reader.resolve(reader["$ref"]) if "$ref" in reader else reader
        theirs = self._writer.resolve(writer["$ref"]) if "$ref" in writer else writer
        if ours is None or theirs is None:
            return _unproved("$ref", reader, writer, path)
        return self.compare(ours, theirs, path)

    def _assertions(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        """Compare what two schemas without unions say about values."""
        self._spend(len(_listed(reader) or ()) + len(_listed(writer) or ()))
        yield from _values(reader, writer, path)
        types = _types(writer)
        missing = types - _types(reader) - ({"integer"} if "number" in _types(reader) else set())
        if missing:
            wanted, found = ", ".join(sorted(_types(reader))), ", ".join(sorted(missing))
            yield Problem("TYPE_NARROWED", path, f"{found} is written, {wanted} is read", wanted, found)
            return
        if "object" in types:
            yield from self._properties(reader, writer, path)
        if "array" in types:
            yield from self._items(reader, writer, path)
        if "string" in types:
            yield from self._format(reader, writer, path)
        for keyword in reader:
            if keyword not in _HANDLED and _concerns(keyword, types):
                yield from _keyword(keyword, reader, writer, path)

    def _properties(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        ours, theirs = reader.get("properties", {}), writer.get("properties", {})
        if reader.get("patternProperties") != writer.get("patternProperties") or (
            writer.get("patternProperties") and not ours.keys() <= theirs.keys()
        ):
            yield from _unproved("patternProperties", reader, writer, path)
        open_to, rest = reader.get("additionalProperties", True), writer.get("additionalProperties", True)
        for name, written in theirs.items():
            if name in ours:
                yield from self.compare(ours[name], written, f"{path}/properties/{name}")
            elif self.compare(open_to, written, path):
                reason = f"property {name!r} is written, and the reader takes no other properties"
                yield Problem("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", path, reason, _shown(open_to), name)
        for name, read in ours.items():
            if name not in theirs and self.compare(read, rest, f"{path}/properties/{name}"):
                reason = f"property {name!r} is read, and may hold anything in what was written without it"
                kind = "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
                yield Problem(kind, f"{path}/properties/{name}", reason, _shown(read), _shown(rest))
        if self.compare(open_to, rest, f"{path}/additionalProperties"):
            reason = f"other properties are written as {_shown(rest)} and read as {_shown(open_to)}"
            kind = "ADDITIONAL_PROPERTIES_NARROWED"
            yield Problem(kind, f"{path}/additionalProperties", reason, _shown(open_to), _shown(rest))
        yield from _required(reader, writer, path)

    def _items(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        (ours, open_to), (theirs, rest) = _tuple(reader), _tuple(writer)
        longest = writer.get("maxItems")
        for at in range(max(len(ours), len(theirs))):
            if longest is None or at < longest:
                read = ours[at] if at < len(ours) else open_to
                yield from self.compare(read, theirs[at] if at < len(theirs) else rest, f"{path}/items/{at}")
        if longest is None or longest > max(len(ours), len(theirs)):
            yield from self.compare(open_to, rest, f"{path}/items")

    def _format(self, reader: Json, writer: Json, path: str) -> Iterator[Problem]:
        """Compare how texts are read with how they are written, where the reader parses them."""
        read, written = str(reader.get("format")), str(writer.get("format"))
        if read in self._parsed and written not in self._parsed[read]:
            found = f"format {written}" if "format" in writer else "nothing"
            reason = f"format {read} is asked of what is read, {found} of what was written"
            yield Problem("FORMAT_NARROWED", f"{path}/format", reason, read, found)


_HANDLED: Final = frozenset(
    {
        "type", "enum", "const", "properties", "additionalProperties", "patternProperties", "required",
        "prefixItems", "items", "additionalItems", "format",
    }
)  # fmt: skip
"""Keywords that are compared together with others."""


def _conjuncts(schema: Json, silent: Collection[str]) -> list[Json]:
    """The parts of a schema that all have to hold, without what asserts nothing; one part for a plain schema."""
    if schema is True:
        return [{}]
    if schema is False:
        return [{"not": {}}]
    plain = {key: value for key, value in schema.items() if key not in silent and key not in _COMBINED}
    parts: list[Json] = [plain] if plain else []
    parts += [{key: schema[key]} for key in ("$ref", "anyOf", "oneOf") if key in schema]
    for each in schema.get("allOf", ()):
        parts += _conjuncts(each, silent)
    if parts == [schema]:
        return [schema]  # the same part again, so that going round in a circle is noticed
    return parts or [{}]


def _branches(schema: Json) -> list[Json] | None:
    """The branches of a union; None for what is none."""
    return schema.get("anyOf", schema.get("oneOf"))  # type: ignore[no-any-return]


def _branches_of_values(schema: Json) -> list[Json] | None:
    """The values, or the types, that a schema without a union allows, as branches; None if they are not listed."""
    rest = {key: value for key, value in schema.items() if key not in {"enum", "type"}}
    if len(schema.get("enum", ())) > 1:
        return [{**rest, "const": value} for value in schema["enum"]]
    if isinstance(schema.get("type"), list) and len(schema["type"]) > 1:
        return [{**rest, "type": each} for each in schema["type"]]
    return None


def _fewest(attempts: Iterable[tuple[Problem, ...]]) -> tuple[Problem, ...]:
    """The problems of the attempt that came closest; none if one succeeded."""
    return min(attempts, key=len, default=())


def _types(schema: Json) -> set[str]:
    """The types that a schema without unions allows."""
    listed = _listed(schema)
    if listed is not None:
        return {_type(value) for value in listed}
    types = schema.get("type", list(TYPES - {"integer"}))
    return {types} if isinstance(types, str) else set(types)


def _type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "integer" if value == int(value) else "number"


def _listed(schema: Json) -> list[Json] | None:
    """The only values that a schema allows; None if there are others."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _values(reader: Json, writer: Json, path: str) -> Iterator[Problem]:
    """What is listed by the reader has to be all that the writer lists."""
    allowed, written = _listed(reader), _listed(writer)
    if allowed is None:
        return
    texts = {write_json(value) for value in allowed}
    others = None if written is None else [text for text in map(write_json, written) if text not in texts]
    if others is None or others:
        found, read = "other values" if others is None else _shown(written), _shown(allowed)
        yield Problem("ENUM_ARRAY_NARROWED", path, f"{found} may be written, only {read} is read", read, found)


def _required(reader: Json, writer: Json, path: str) -> Iterator[Problem]:
    properties, there = reader.get("properties", {}), frozenset(writer.get("required", ()))
    for name in reader.get("required", ()):
        read = properties.get(name, True)
        if name not in there and not (isinstance(read, dict) and "default" in read):
            reason = f"property {name!r} is required without a default, and may be missing in what was written"
            yield Problem("REQUIRED_ATTRIBUTE_ADDED", path, reason, name, "")


def _tuple(schema: Json) -> tuple[list[Json], Json]:
    """The schemas of the first items, and that of all others, as 2020-12 or draft-07 say it."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return schema.get("prefixItems", []), items


def _concerns(keyword: str, types: set[str]) -> bool:
    """Whether a keyword says something about values of some types; an unknown one may."""
    known = [keywords for keywords in _OF.values() if keyword in keywords]
    return not known or any(keyword in _OF.get(each, ()) for each in types)


def _keyword(keyword: str, reader: Json, writer: Json, path: str) -> Iterable[Problem]:
    """Compare one assertion of the reader with the writer's."""
    ours, theirs = reader[keyword], writer.get(keyword)
    if ours == theirs or (keyword == "uniqueItems" and not ours):
        return ()
    if keyword not in BOUNDS or isinstance(ours, bool):
        return _unproved(keyword, reader, writer, path)
    listed = _listed(writer)
    if implied(keyword, ours, writer) or (listed is not None and all(kept(keyword, ours, each) for each in listed)):
        return ()
    asked = "nothing" if theirs is None else f"{keyword} {theirs}"
    reason = f"{keyword} {ours} is asked of what is read, {asked} of what was written"
    return (Problem(f"{_screaming(keyword)}_NARROWED", f"{path}/{keyword}", reason, str(ours), asked),)


def _screaming(keyword: str) -> str:
    """A keyword as Confluent writes it in the names of problems: MAX_LENGTH."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in keyword).upper()


def _unproved(keyword: str, reader: Json, writer: Json, path: str) -> tuple[Problem, ...]:
    """The problem of an assertion that we cannot compare and that differs; none if it does not."""
    ours, theirs = _shown(reader.get(keyword)), _shown(writer.get(keyword))
    reason = f"cannot prove that {keyword} {ours} takes all that {keyword} {theirs} allows"
    return (Problem("CANNOT_PROVE", f"{path}/{keyword}", reason, ours, theirs),)


def _shown(schema: Json) -> str:
    """A schema for a message, shortened."""
    return write_json(schema)[:80]
