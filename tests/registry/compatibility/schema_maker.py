"""Random Avro schemas and random changes to them, valid for the most part, for whoever brings the randomness."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

Json = Any

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_NAMES = ("A", "B", "C", "D")
_SPACES = (None, None, "", "n", "n.m")
_SYMBOLS = ("X", "Y", "Z", "W")
_FIELDS = ("a", "b", "c", "d")
_DEFAULTS: dict[str, tuple[Json, ...]] = {
    "null": (None, None, "null"),
    "boolean": (True, False, 1),
    "int": (0, -1, 2**31 - 1, 2**31, 1.5),
    "long": (0, 2**40, -(2**63), 2**63),
    "float": (0, 1.5, "NaN", True),
    "double": (1e-5, 123456789.125, 1e300, "1.5", None),
    "bytes": ("", "\u00ff", 1),
    "string": ("", 'x"\\\u0001\u001f\u00e9\u2028', None),
    "array": ([], [1], {}),
    "map": ({}, {"k": "v"}, []),
}


class SchemaMaker:
    """Makes one schema at a time; it remembers the names it used, so that it can refer to them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._known: list[str] = []

    def schema(self, depth: int = 3) -> Json:
        """A schema with types nested at most so deep."""
        makers: list[Callable[[int], Json]] = [self._primitive]
        if depth > 0:
            makers += [self._record, self._record, self._enum, self._fixed, self._array, self._map, self._union]
        if self._known:
            makers.append(self._reference)
        return self._random.choice(makers)(depth)

    def _primitive(self, _: int) -> Json:
        kind = self._random.choice(_PRIMITIVES)
        if self._random.random() < 0.9:
            return kind
        return {
            "type": kind,
            **self._random.choice(({}, {"logicalType": "uuid"}, {"p": [1, {"q": None}], "doc": "no"})),
        }

    def _record(self, depth: int) -> Json:
        made = self._named("record")
        names = self._random.sample(_FIELDS, self._random.randint(0, 3))
        made["fields"] = [self._field(name, depth - 1) for name in names]
        if self._random.random() < 0.05:
            made["fields"] += made["fields"][:1]
        return made

    def _field(self, name: str, depth: int) -> Json:
        field: Json = {"name": name, "type": self.schema(depth)}
        if self._random.random() < 0.4:
            field["default"] = self._default(field["type"])
        if self._random.random() < 0.2:
            field["aliases"] = self._random.sample(_FIELDS, self._random.randint(0, 2))
        if self._random.random() < 0.1:
            field["order"] = self._random.choice(("ascending", "descending", "ignore", "DESCENDING"))
        if self._random.random() < 0.1:
            field["doc"] = "about it"
        return field

    def _default(self, type_: Json) -> Json:
        if isinstance(type_, list):
            return self._default(self._random.choice(type_)) if type_ else None
        kind = type_["type"] if isinstance(type_, dict) else type_
        if kind == "record":
            return {field["name"]: self._default(field["type"]) for field in type_["fields"] if "default" not in field}
        return self._random.choice(_DEFAULTS.get(str(kind), ("X", "", 0)))

    def _enum(self, _: int) -> Json:
        made = self._named("enum")
        made["symbols"] = self._random.sample(_SYMBOLS, self._random.randint(1, 4))
        if self._random.random() < 0.3:
            made["default"] = self._random.choice(_SYMBOLS)
        return made

    def _fixed(self, _: int) -> Json:
        return {**self._named("fixed"), "size": self._random.choice((0, 4, 4, 16))}

    def _array(self, depth: int) -> Json:
        return {"type": "array", "items": self.schema(depth - 1)}

    def _map(self, depth: int) -> Json:
        return {"type": "map", "values": self.schema(depth - 1)}

    def _union(self, depth: int) -> Json:
        branches: dict[str, Json] = {}
        for _ in range(self._random.randint(0, 4)):
            branch = self.schema(depth - 1)
            if not isinstance(branch, list) or self._random.random() < 0.05:
                branches[_label(branch)] = branch
        return list(branches.values())

    def _reference(self, _: int) -> Json:
        return self._random.choice(self._known)

    def _named(self, kind: str) -> Json:
        name = self._random.choice(_NAMES)
        made: Json = {"type": kind, "name": name}
        space = self._random.choice(_SPACES)
        if space is not None:
            made["namespace"] = space
        self._known.append(f"{space}.{name}" if space else name)
        if self._random.random() < 0.2:
            made["aliases"] = [self._random.choice((*_NAMES, "n.A", "n.m.B", "C")) for _ in range(2)]
        if self._random.random() < 0.1:
            made["doc"] = "what it is"
        if self._random.random() < 0.05:
            made["x-prop"] = {"deep": [1.0, 2e10, True]}
        return made


def change(random: Random, schema: Json, times: int = 2) -> Json:
    """A copy of a schema with a few changes anywhere in it."""
    changed = [copy.deepcopy(schema)]  # in a list, so that the outermost type can be replaced too
    for _ in range(random.randint(1, times)):
        holder, key = random.choice(_places(changed))
        _change(random, holder, key)
    return changed[0]


def _places(holder: Json) -> list[tuple[Json, Json]]:
    """Everything in a schema that a change may replace, as container and key."""
    keys = range(len(holder)) if isinstance(holder, list) else [key for key in holder if key not in {"default", "p"}]
    found = []
    for key in keys:
        found.append((holder, key))
        if isinstance(holder[key], (dict, list)):
            found += _places(holder[key])
    return found


def _change(random: Random, holder: Json, key: Json) -> None:
    """Make one change at a place."""
    value = holder[key]
    maker = SchemaMaker(random)
    match key, value:
        case "fields", list():
            at = random.randrange(2 * len(value) + 1)  # as often one goes as one comes
            value[at : at + 1] = [] if at < len(value) else [maker._field(random.choice(_FIELDS), 1)]
        case "symbols", list():
            holder[key] = random.sample(_SYMBOLS, random.randint(1, 4))
        case "aliases", list():
            holder[key] = random.sample((*_NAMES, *_FIELDS, "n.A"), 2)
        case "name" | "namespace", str():
            holder[key] = random.choice((*_NAMES, *_FIELDS, *_SPACES[2:]))
        case "size", int():
            holder[key] = random.choice((4, 8))
        case _, {"name": str(), "type": _, **rest} if "fields" not in rest and "symbols" not in rest:
            value.update(
                {"default": maker._default(value["type"])}
                if random.random() < 0.5
                else {"aliases": random.sample(_FIELDS, 1), "name": random.choice(_FIELDS)}
            )
        case int() | "type" | "items" | "values", _ if not isinstance(holder, dict) or "fields" not in holder:
            holder[key] = [value, "null"] if random.random() < 0.3 and not isinstance(value, list) else maker.schema(1)
        case _:
            pass


def _label(branch: Json) -> str:
    """What tells the branches of a union apart, roughly."""
    return str(branch.get("name", branch["type"])) if isinstance(branch, dict) else str(branch)
