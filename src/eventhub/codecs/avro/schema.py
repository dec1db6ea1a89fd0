"""The Avro schema of an event class: the same text at every call, in every process.

========================================  ==============================================
Python                                    Avro
========================================  ==============================================
bool, int, float, str, bytes, None        boolean, long, double, string, bytes, null
datetime, AwareDatetime                   long timestamp-micros
NaiveDatetime                             long local-timestamp-micros
date, time, timedelta                     int date, long time-micros, long timedelta-micros
UUID                                      string uuid
Decimal with max_digits, decimal_places   bytes decimal
Decimal                                   string
Enum of Avro names, of strings, of ints   enum, string, long
Literal                                   string, long or boolean
Optional, Union                           union, null first unless the default says otherwise
list, set, frozenset, tuple[X, ...]       array
dict[str, X]                              map
nested model, also recursive or generic   record, defined once, then by name
URL, IP address, path, zone, SecretStr    string
========================================  ==============================================

Docstrings and descriptions are left out: the schema says what is on the wire, so better prose
never registers a new version. Defaults are in it, and a ``default_factory`` only where it is
the class of a container, since nothing else gives every process the same value. An enum names
the symbol that readers take for one they do not know in its body: ``__default__ = "other"``.

A schema written by hand takes the place of all this: ``__schema__ = "..."`` in the class body.
It has to define a record with the event's name, and speak of the class's fields.
"""

from __future__ import annotations

import re
import types
import typing
from collections import abc, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, TypeVar, get_args, get_origin
from uuid import UUID

import pydantic
from pydantic import BaseModel, RootModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from eventhub.codecs.avro.defaults import default_json
from eventhub.codecs.avro.text import text
from eventhub.codecs.avro.types import (
    PRIMITIVES,
    Array,
    AvroType,
    Enumeration,
    Field,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Union,
    full_name,
    parse,
    simple_name,
)
from eventhub.codecs.avro.unions import branch_index, put_first
from eventhub.codecs.avro.values import TEXTS, Misfit
from eventhub.codecs.models import aliased, check_metadata, check_serializers, read_aliases, wire_names
from eventhub.codecs.names import event_name, record_name
from eventhub.errors import DeclarationError, InvalidSchema
from eventhub.event import Event

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_NULL = Primitive("null")
_STRING = Primitive("string")
_LEAVES: dict[Any, Primitive] = {
    None: _NULL,
    type(None): _NULL,
    bool: Primitive("boolean"),
    int: Primitive("long"),
    float: Primitive("double"),
    str: _STRING,
    bytes: Primitive("bytes"),
    date: Primitive("int", Logical("date")),
    time: Primitive("long", Logical("time-micros")),
    timedelta: Primitive("long", Logical("timedelta-micros")),
    UUID: Primitive("string", Logical("uuid"), UUID),
    pydantic.NaiveDatetime: Primitive("long", Logical("local-timestamp-micros")),
    pydantic.PastDate: Primitive("int", Logical("date")),
    pydantic.FutureDate: Primitive("int", Logical("date")),
    pydantic.ByteSize: Primitive("long"),
    pydantic.EmailStr: _STRING,
    pydantic.SecretStr: Primitive("string", python=pydantic.SecretStr),
    pydantic.SecretBytes: Primitive("bytes", python=pydantic.SecretBytes),
    **dict.fromkeys(
        (datetime, pydantic.AwareDatetime, pydantic.PastDatetime, pydantic.FutureDatetime),
        Primitive("long", Logical("timestamp-micros")),
    ),
}
_ARRAYS = (list, set, frozenset, deque, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_INSTEAD = {
    Any: "say which types it may have, as in str | int",
    object: "say which types it may have, as in str | int",
    list: "say what is in it, as in list[str]",
    tuple: "say what is in it, as in tuple[str, ...]",
    set: "say what is in it, as in set[str]",
    frozenset: "say what is in it, as in frozenset[str]",
    dict: "say what is in it, as in dict[str, int]",
    complex: "use two floats",
}


def avro_schema(event: type[Event]) -> str:
    """The Avro schema of an event class: the one in its body, else the derived one.

    Raises:
        DeclarationError: If a field's type has no place in Avro, naming class, field and what to use instead.
    """
    declared = avro_type(event)
    by_hand = event.__dict__.get("__schema__")
    return text(declared) if by_hand is None else str(by_hand)


def avro_type(event: type[Event]) -> Record:
    """What ``avro_schema`` describes."""
    by_hand = event.__dict__.get("__schema__")
    return _Derivation(event).record(event) if by_hand is None else _checked(event, by_hand)


def shape(event: type[Event]) -> Record:
    """The types of an event class as other formats build on them: derived, with unions in the order of the class."""
    return _Derivation(event, keeps_order=True).record(event)


def reader_schema(event: type[Event], writer: str) -> str:
    """The schema of a class as one that reads what a writer of some name wrote.

    It takes the writer's name, since a topic's only class reads events of any name, and a default for
    each field that the class fills by a function, which no schema can say. What is no record has no name.
    """
    by_hand = event.__dict__.get("__schema__")
    declared = _Derivation(event, reads=True).record(event) if by_hand is None else _checked(event, by_hand)
    return text(replace(declared, aliases=(*declared.aliases, writer)) if writer else declared)


def _checked(event: type[Event], by_hand: object) -> Record:
    """The type that a schema written by hand describes, once it is known to be the event's."""
    declared = event_name(event)
    try:
        parsed = parse(by_hand) if isinstance(by_hand, str) else None
    except InvalidSchema as error:
        msg = f"{event.__name__}.__schema__: {error}"
        raise DeclarationError(msg) from error
    if not isinstance(parsed, Record):
        msg = f"{event.__name__}.__schema__ is no Avro record as JSON text"
        raise DeclarationError(msg)
    if parsed.name != declared:
        msg = f"{event.__name__}.__schema__ defines {parsed.name!r}; declare the event with name={parsed.name!r}"
        raise DeclarationError(msg)
    known = set(wire_names(event).values())
    unknown = [entry.name for entry in parsed.fields if entry.name not in known]
    if unknown:
        names = ", ".join(sorted(known))
        msg = f"{event.__name__}.__schema__ has the field {unknown[0]!r}, which the class has not; it has {names}"
        raise DeclarationError(msg)
    return parsed


class _Derivation:
    """Derives one schema; keeps the named types met so far."""

    def __init__(self, event: type[Event], *, reads: bool = False, keeps_order: bool = False) -> None:
        self._event = event
        self._reads = reads
        self._keeps_order = keeps_order
        self._name = event_name(event)
        self._namespace = self._name.rpartition(".")[0]
        self._named: dict[str, tuple[type, Record | Enumeration]] = {}
        self._aliases: list[Any] = []  # type aliases being unwrapped; one that meets itself has no end

    def record(self, model: type[BaseModel]) -> Record:
        """The record of a model, the same one wherever the model appears."""
        name = self._name if model is self._event else record_name(model)
        known = self._known(name, model)
        if isinstance(known, Record):
            return known
        if not model.__pydantic_complete__:
            _complete(model)
        record = Record(full_name(name, self._namespace))
        self._named[simple_name(name)] = model, record
        check_serializers(model)
        wire = wire_names(model)
        for field_name, field in model.model_fields.items():
            place = f"{model.__name__}.{field_name}"
            if field_name in wire:
                record.fields.append(self._field(wire[field_name], field, place))
            elif field.is_required():
                msg = f"{place} is required but excluded from what is written; give it a default"
                raise DeclarationError(msg)
        return record

    def _field(self, name: str, field: FieldInfo, place: str) -> Field:
        if not _NAME.fullmatch(name):
            msg = f"{place}: {name!r} is no Avro name: letters, digits and '_', not beginning with a digit"
            raise DeclarationError(msg)
        declared = self.of(field.annotation, list(field.metadata), place)
        aliases = tuple(alias for alias in read_aliases(field) if alias != name and _NAME.fullmatch(alias))
        if field.default_factory in {list, dict, set, frozenset, tuple, deque}:
            default: Any = field.get_default(call_default_factory=True)
        elif self._reads and field.default_factory is not None:
            branches = declared.branches if isinstance(declared, Union) else (declared,)
            declared, default = Union((_NULL, *(branch for branch in branches if branch != _NULL))), None
        elif field.is_required() or field.default_factory is not None:
            return Field(name, declared, aliases=aliases)
        else:
            default = field.default
        try:
            if isinstance(declared, Union) and not self._keeps_order:
                declared = put_first(declared, branch_index(declared, default))
            return Field(name, declared, has_default=True, default=default_json(declared, default), aliases=aliases)
        except Misfit as error:
            msg = f"{place}: the default has no place in the schema: {error}"
            raise DeclarationError(msg) from error

    def of(self, annotation: Any, metadata: list[Any], place: str) -> AvroType:
        """The type of an annotation with what pydantic knows of it."""
        metadata = [*_flat(metadata)]
        check_metadata(metadata, place)
        if annotation is Decimal:
            return _decimal(metadata, place)
        if annotation in _LEAVES:
            return _LEAVES[annotation]
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__, metadata, place)
        alias = aliased(annotation)
        if alias is not None:
            return self._unwrapped(annotation, alias, metadata, place)
        origin = get_origin(annotation)
        if origin is not None:
            return self._parametrized(annotation, origin, metadata, place)
        if isinstance(annotation, type):
            return self._class(annotation, place)
        raise _unsupported(annotation, place)

    def _class(self, cls: type, place: str) -> AvroType:
        if issubclass(cls, RootModel):
            root = cls.model_fields["root"]
            check_serializers(cls)
            return self._unwrapped(cls, root.annotation, list(root.metadata), place)
        if issubclass(cls, BaseModel):
            return self.record(cls)
        if issubclass(cls, Enum):
            return self._enum(cls, place)
        if issubclass(cls, TEXTS):
            return Primitive("string", python=cls)
        raise _unsupported(cls, place)

    def _parametrized(self, annotation: Any, origin: Any, metadata: list[Any], place: str) -> AvroType:
        arguments = get_args(annotation)
        if origin is Annotated:
            return self.of(arguments[0], [*metadata, *arguments[1:]], place)
        if origin is Literal:
            return self._union([type(value) for value in arguments], metadata, place)
        if origin in {typing.Union, types.UnionType}:
            return self._union(arguments, metadata, place)
        if origin in _ARRAYS or origin is tuple:
            return self._array(arguments, place)
        if origin in _MAPS:
            return self._map(arguments, place)
        raise _unsupported(annotation, place)

    def _array(self, arguments: Sequence[Any], place: str) -> AvroType:
        items = {entry for entry in arguments if entry is not Ellipsis}
        if len(items) != 1:
            msg = f"{place}: a tuple of different types has no place in Avro; declare a model with named fields"
            raise DeclarationError(msg)
        return Array(self.of(items.pop(), [], f"{place}[]"))

    def _map(self, arguments: Sequence[Any], place: str) -> AvroType:
        key = self.of(arguments[0], [], f"{place} (key)")
        if not (isinstance(key, Enumeration) or (isinstance(key, Primitive) and key.kind == "string")):
            msg = f"{place}: the keys of an Avro map are strings; use dict[str, ...] or a list of models"
            raise DeclarationError(msg)
        return Map(self.of(arguments[1], [], f"{place}{{}}"))

    def _unwrapped(self, outer: Any, inner: Any, metadata: list[Any], place: str) -> AvroType:
        if outer in self._aliases:
            msg = f"{place}: {outer} contains itself without a name; declare a model, which Avro can name"
            raise DeclarationError(msg)
        self._aliases.append(outer)
        declared = self.of(inner, metadata, place)
        self._aliases.pop()
        return declared

    def _union(self, members: Iterable[Any], metadata: list[Any], place: str) -> AvroType:
        """One type, or a union with null first; members that are one type to Avro become one branch."""
        branches: dict[str, AvroType] = {}
        for member in members:
            declared = self.of(member, metadata if member is Decimal else [], place)
            for branch in declared.branches if isinstance(declared, Union) else (declared,):
                kind = _kind(branch)
                other = branches.setdefault(kind, branch)
                if other != branch and kind != "string":
                    msg = f"{place}: two types of this union are both {kind} to Avro; keep one, or declare models"
                    raise DeclarationError(msg)
                if isinstance(branch, Primitive) and isinstance(other, Primitive) and other.python is not branch.python:
                    branches[kind] = Primitive(kind)  # which of the two it is, pydantic decides
        ordered = sorted(branches.values(), key=lambda branch: branch != _NULL)
        return ordered[0] if len(ordered) == 1 else Union(tuple(ordered))

    def _enum(self, cls: type[Enum], place: str) -> AvroType:
        values = [member.value for member in cls]
        if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return Primitive("long", python=cls)
        if not values or not all(isinstance(value, str) for value in values):
            msg = f"{place}: the values of enum {cls.__name__} are neither all strings nor all ints"
            raise DeclarationError(msg)
        if not all(_NAME.fullmatch(value) for value in values):
            return Primitive("string", python=cls)
        known = self._known(cls.__name__, cls)
        if isinstance(known, Enumeration):
            return known
        default = getattr(cls, "__default__", None)
        if default is not None and default not in values:
            msg = f"{place}: {cls.__name__}.__default__ is {default!r}, which is no value of the enum"
            raise DeclarationError(msg)
        enum = Enumeration(full_name(cls.__name__, self._namespace), tuple(values), default, python=cls)
        self._named[cls.__name__] = cls, enum
        return enum

    def _known(self, name: str, cls: type) -> Record | Enumeration | None:
        """The type that has this name already, if it is this class's."""
        name = simple_name(name)
        if not _NAME.fullmatch(name) or name in PRIMITIVES:
            msg = f"{cls.__name__} is no name for an Avro type; rename the class"
            raise DeclarationError(msg)
        other, declared = self._named.get(name, (cls, None))
        if other is not cls:
            msg = (
                f"{self._event.__name__} contains two classes that are both {name!r} in its Avro schema: "
                f"{other.__module__}.{other.__qualname__} and {cls.__module__}.{cls.__qualname__}; rename one"
            )
            raise DeclarationError(msg)
        return declared


def _complete(model: type[BaseModel]) -> None:
    """Resolve the names in annotations that were not yet defined when the class was made."""
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        msg = f"{model.__name__}: {error.name!r} in its annotations is not defined where the class is"
        raise DeclarationError(msg) from error


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    """Metadata, with what ``Field(...)`` inside ``Annotated`` holds."""
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from entry.metadata
        else:
            yield entry


def _decimal(metadata: list[Any], place: str) -> AvroType:
    digits = [found for entry in metadata if (found := getattr(entry, "max_digits", None)) is not None]
    places = [found for entry in metadata if (found := getattr(entry, "decimal_places", None)) is not None]
    if not digits or not places:
        return Primitive("string", python=Decimal)
    if not 0 <= places[-1] <= digits[-1]:
        msg = f"{place}: a Decimal of {digits[-1]} digits cannot have {places[-1]} places"
        raise DeclarationError(msg)
    return Primitive("bytes", Logical("decimal", places[-1], digits[-1]))


def _kind(declared: AvroType) -> str:
    """What makes two branches of a union the same to Avro."""
    if isinstance(declared, Primitive):
        return declared.kind
    if isinstance(declared, (Array, Map)):
        return type(declared).__name__.lower()
    return declared.name if isinstance(declared, (Record, Enumeration, Fixed)) else "union"


def _unsupported(annotation: Any, place: str) -> DeclarationError:
    shown = getattr(annotation, "__name__", None) or str(annotation)
    if isinstance(annotation, TypeVar):
        instead = "give the generic class its argument, as in Envelope[OrderCreated]"
    elif isinstance(annotation, type) and hasattr(annotation, "__annotations__") and annotation not in _INSTEAD:
        instead = "declare it as a pydantic BaseModel"
    else:
        instead = _INSTEAD.get(annotation, "use a type of the table in docs/schemas.md, or write __schema__ by hand")
    return DeclarationError(f"{place}: {shown} has no place in an Avro schema; {instead}")
