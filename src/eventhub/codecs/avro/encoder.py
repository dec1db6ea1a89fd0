"""The encoder of one schema as straight-line Python: no schema is walked while an event is written.

For ``LineItem(sku: str, quantity: int)`` the generated function is, but for the names::

    def encode(value, deep=0):
        try:
            out = []; append = out.append; extend = out.extend
            fields = value.__dict__
            sku = fields['sku']
            sku = sku.encode() if sku.__class__ is str else text(sku)
            length = len(sku) << 1
            quantity = fields['quantity']
            if quantity.__class__ is not int: quantity = integer(quantity)
            number = (quantity << 1) ^ (quantity >> 63)
            extend((
                PREFIX,
                SHORT[length] if length < 2048 else varint(length),
                sku,
                SHORT[number] if number < 2048 else varint(number),
            ))
            return join(out)
        except ERRORS as error:
            fail(error)

Values are read from ``__dict__``, which holds what pydantic validated and whatever was put there
since: a value of an unexpected class goes through the function that converts or refuses it.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, RootModel

from eventhub.codecs.avro.binary import SHORT, Symbols, leaf_writer, moment, too_deep, uuid, varint, varint32
from eventhub.codecs.avro.source import Source
from eventhub.codecs.avro.types import (
    MAX_NESTED,
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Map,
    Primitive,
    Record,
    Union,
    parts,
    simple_name,
)
from eventhub.codecs.avro.unions import branch_index
from eventhub.codecs.avro.values import (
    Misfit,
    as_mapping,
    as_model,
    as_sequence,
    unwrapped,
    write_boolean,
    write_float,
    write_integer,
    write_text,
)
from eventhub.codecs.base import Encode
from eventhub.codecs.models import models, wire_names
from eventhub.errors import SchemaMismatch
from eventhub.event import Event

MAX_LINES = 20_000
"""A longer function takes longer to compile than it will ever save."""
MAX_INDENT = 10
"""Python nests at most 20 loops; what is deeper becomes a function of its own."""
MAX_CHAIN = 64
"""Branches of a union that are asked for in turn: an ``elif`` nests in the one before, and Python bounds nesting."""

_NULL = Primitive("null")
_SAMPLES: tuple[Any, ...] = (
    *(None, True, 0, 0.0, "", b"", UUID(int=0), date.min, time.min, timedelta()),
    *([], (), set(), frozenset(), deque(), {}),
)
_BY_VALUE = (Enumeration, Fixed)
"""Branches that not every value of a class belongs to."""

Parts = list[tuple[str, str]]
"""Expressions for the bytes of what comes next, each with the path of its field."""


class NotCompilable(Exception):
    """There is no straight-line code for a class and its schema; it is walked instead."""


def compiled_encoder(event: type[Event], declared: AvroType, prefix: bytes) -> Encode:
    """A function that writes events of a class as a record, after a fixed prefix.

    Raises:
        NotCompilable: If the schema speaks of records or fields that the class does not have, or is huge.
    """
    if not isinstance(declared, Record):
        raise NotCompilable
    generated = _Encoder(event, declared, prefix)

    def fail(error: Exception) -> None:
        reason = "the value is missing" if isinstance(error, KeyError) else str(error)
        msg = f"{event.__name__}{generated.source.place(error)}: {reason}"
        raise SchemaMismatch(msg) from error

    return generated.entrance(event, declared, fail)


def shared_records(declared: AvroType) -> set[int]:
    """The identities of records that a type speaks of more than once; those that contain themselves are among them."""
    counted: Counter[int] = Counter()
    pending = [declared]
    while pending:
        current = pending.pop()
        if isinstance(current, Record):
            counted[id(current)] += 1
            if counted[id(current)] > 1:
                continue
        pending.extend(parts(current))
    return {identity for identity, count in counted.items() if count > 1}


class _Encoder:
    """Writes the source of one encoder."""

    def __init__(self, event: type[Event], declared: Record, prefix: bytes) -> None:
        self.source = Source(
            ERRORS=(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, struct.error),
            PREFIX=prefix,
            SHORT=SHORT,
            SEQUENCES=frozenset({list, tuple, set, frozenset, deque}),
            RootModel=RootModel,
            as_mapping=as_mapping,
            as_model=as_model,
            as_sequence=as_sequence,
            boolean=write_boolean,
            branch_index=branch_index,
            integer=write_integer,
            join=b"".join,
            moment=moment,
            number=write_float,
            pack=struct.Struct("<d").pack,
            text=lambda value: write_text(value).encode(),
            too_deep=too_deep,
            unwrapped=unwrapped,
            uuid=uuid,
            varint=varint,
            varint32=varint32,
        )
        self._models = models(event)
        self._has_roots = any(issubclass(model, RootModel) for model in self._models.values())
        self._shared = shared_records(declared)
        self._functions: dict[int, str] = {}  # of types that are written by a function of their own
        self._pending: list[tuple[AvroType, str]] = []

    def entrance(self, event: type[Event], declared: Record, fail: Callable[[Exception], None]) -> Encode:
        """Compile the function for events."""
        line = self.source.line
        line(0, "def encode(value, deep=0):", "")
        line(1, "try:", "")
        line(2, "out = []; append = out.append; extend = out.extend", "")
        written: Parts = [("PREFIX", "")]
        self._fields(event, declared, "value", (2, ""), written)
        self._flush(2, written)
        line(2, "return join(out)", "")
        line(1, "except ERRORS as error:", "")
        line(2, f"{self.source.constant(fail)}(error)", "")
        while self._pending:
            inner, name = self._pending.pop()
            line(0, f"def {name}(value, append, extend, deep):", "")
            line(1, f"if deep > {MAX_NESTED}: too_deep()", "")
            self._write(inner, "value", (1, ""), written, outlined=True)
            self._flush(1, written)
        return self.source.function("encode")

    def _write(
        self, declared: AvroType, value: str, at: tuple[int, str], written: Parts, *, outlined: bool = False
    ) -> None:
        """Add what writes the value of a variable: statements to the source, bytes to what is written."""
        indent, path = at
        if len(self.source) > MAX_LINES:
            raise NotCompilable
        if not outlined and (id(declared) in self._shared or indent > MAX_INDENT):
            self._flush(indent, written)
            self.source.line(indent, f"{self._function(declared)}({value}, append, extend, deep + 1)", path)
            return
        if self._has_roots:
            self.source.line(indent, f"if isinstance({value}, RootModel): {value} = unwrapped({value})", path)
        if isinstance(declared, Record):
            self._record(declared, value, at, written)
        elif isinstance(declared, Array):
            self._array(declared, value, at, written)
        elif isinstance(declared, Map):
            self._map(declared, value, at, written)
        elif isinstance(declared, Union):
            self._union(declared, value, at, written)
        else:
            self._leaf(declared, value, at, written)

    def _function(self, declared: AvroType) -> str:
        """The name of the function that writes a type, which is written later."""
        if id(declared) not in self._functions:
            name = self._functions[id(declared)] = f"write_{self.source.name()}"
            self._pending.append((declared, name))
        return self._functions[id(declared)]

    def _record(self, declared: Record, value: str, at: tuple[int, str], written: Parts) -> None:
        model = self._models.get(simple_name(declared.name))
        if model is None:
            raise NotCompilable
        self.source.line(at[0], f"if {value}.__class__ is not {self.source.constant(model)}: as_model({value})", at[1])
        self._fields(model, declared, value, at, written)

    def _fields(
        self, model: type[BaseModel], declared: Record, value: str, at: tuple[int, str], written: Parts
    ) -> None:
        indent, path = at
        attributes = {wire: name for name, wire in wire_names(model).items()}
        held = self.source.name()
        self.source.line(indent, f"{held} = {value}.__dict__", path)
        for entry in declared.fields:
            if entry.name not in attributes:
                raise NotCompilable
            within = f"{path}.{entry.name}"
            variable = self.source.name()
            self.source.line(indent, f"{variable} = {held}[{attributes[entry.name]!r}]", within)
            self._write(entry.type, variable, (indent, within), written)

    def _array(self, declared: Array, value: str, at: tuple[int, str], written: Parts) -> None:
        indent, path = at
        item = self.source.name()
        self._flush(indent, written)
        self.source.line(indent, f"if {value}.__class__ not in SEQUENCES: {value} = as_sequence({value})", path)
        self.source.line(indent, f"if {value}:", path)
        self._count(f"len({value})", (indent + 1, path), written)
        self._flush(indent + 1, written)
        self.source.line(indent + 1, f"for {item} in {value}:", path)
        self._write(declared.items, item, (indent + 2, f"{path}[]"), written)
        self._flush(indent + 2, written)
        written.append(("b'\\x00'", path))

    def _map(self, declared: Map, value: str, at: tuple[int, str], written: Parts) -> None:
        indent, path = at
        key, entry = self.source.name(), self.source.name()
        self._flush(indent, written)
        self.source.line(indent, f"if {value}.__class__ is not dict: {value} = as_mapping({value})", path)
        self.source.line(indent, f"if {value}:", path)
        self._count(f"len({value})", (indent + 1, path), written)
        self._flush(indent + 1, written)
        self.source.line(indent + 1, f"for {key}, {entry} in {value}.items():", path)
        self._text(key, (indent + 2, f"{path}{{}}"), written)
        self._write(declared.values, entry, (indent + 2, f"{path}{{}}"), written)
        self._flush(indent + 2, written)
        written.append(("b'\\x00'", path))

    def _union(self, declared: Union, value: str, at: tuple[int, str], written: Parts) -> None:
        indent, path = at
        self._flush(indent, written)
        if len(declared.branches) == 2 and _NULL in declared.branches:  # noqa: PLR2004 - null or one other
            null = declared.branches.index(_NULL)
            self.source.line(indent, f"if {value} is None: append({SHORT[null << 1]!r})", path)
            self.source.line(indent, "else:", path)
            written.append((repr(SHORT[(1 - null) << 1]), path))
            self._write(declared.branches[1 - null], value, (indent + 1, path), written)
            self._flush(indent + 1, written)
            return
        index = self.source.name()
        by_class = self.source.constant(self._branches(declared))
        self.source.line(indent, f"{index} = {by_class}.get({value}.__class__)", path)
        by_rank = f"branch_index({self.source.constant(declared)}, {value})"
        self.source.line(indent, f"if {index} is None: {index} = {by_rank}", path)
        if len(declared.branches) > MAX_CHAIN:
            indexes = self.source.constant([varint(number << 1) for number in range(len(declared.branches))])
            branches = self.source.table([self._function(branch) for branch in declared.branches])
            self.source.line(indent, f"append({indexes}[{index}])", path)
            self.source.line(indent, f"{branches}[{index}]({value}, append, extend, deep + 1)", path)
            return
        for number, branch in enumerate(declared.branches):
            self.source.line(indent, f"{'el' * bool(number)}if {index} == {number}:", path)
            written.append((repr(SHORT[number << 1]), path))
            self._write(branch, value, (indent + 1, path), written)
            self._flush(indent + 1, written)

    def _branches(self, declared: Union) -> dict[type, int]:
        """The branches of classes whose values all belong to one."""
        found: dict[type, int] = {}
        samples = [*_SAMPLES, *(model.__new__(model) for model in self._models.values())]
        for sample in samples:
            if isinstance(sample, RootModel) or any(isinstance(branch, _BY_VALUE) for branch in declared.branches):
                continue
            try:
                found[type(sample)] = branch_index(declared, sample)
            except Misfit:
                continue
        return found

    def _leaf(self, declared: Primitive | Fixed | Enumeration, value: str, at: tuple[int, str], written: Parts) -> None:
        if isinstance(declared, Enumeration):
            written.append((f"{self.source.constant(Symbols(declared))}[{value}]", at[1]))
        elif isinstance(declared, Primitive) and (inline := self._INLINE.get(_what(declared))) is not None:
            inline(self, value, at, written)
        else:
            written.append((f"{self.source.constant(leaf_writer(declared))}({value})", at[1]))

    def _text(self, value: str, at: tuple[int, str], written: Parts) -> None:
        encoded = self.source.name()
        self.source.line(at[0], f"{encoded} = {value}.encode() if {value}.__class__ is str else text({value})", at[1])
        self._count(f"len({encoded})", at, written)
        written.append((encoded, at[1]))

    def _count(self, count: str, at: tuple[int, str], written: Parts) -> None:
        number = self.source.name()
        self.source.line(at[0], f"{number} = {count} << 1", at[1])
        written.append((f"SHORT[{number}] if {number} < {len(SHORT)} else varint({number})", at[1]))

    def _integer(self, value: str, at: tuple[int, str], written: Parts, *, long: str = "varint") -> None:
        number = self.source.name()
        self.source.line(at[0], f"if {value}.__class__ is not int: {value} = integer({value})", at[1])
        self.source.line(at[0], f"{number} = ({value} << 1) ^ ({value} >> 63)", at[1])
        written.append((f"SHORT[{number}] if {number} < {len(SHORT)} else {long}({number})", at[1]))

    def _int(self, value: str, at: tuple[int, str], written: Parts) -> None:
        self._integer(value, at, written, long="varint32")

    def _double(self, value: str, at: tuple[int, str], written: Parts) -> None:
        written.append((f"pack({value} if {value}.__class__ is float else number({value}))", at[1]))

    def _boolean(self, value: str, at: tuple[int, str], written: Parts) -> None:
        written.append((f"b'\\x01' if {value} is True or boolean({value}) else b'\\x00'", at[1]))

    def _moment(self, value: str, at: tuple[int, str], written: Parts) -> None:
        written.append((f"moment({value})", at[1]))

    def _uuid(self, value: str, at: tuple[int, str], written: Parts) -> None:
        written.append((f"uuid({value})", at[1]))

    _INLINE: ClassVar = {
        "string": _text,
        "string uuid": _uuid,
        "long": _integer,
        "int": _int,
        "double": _double,
        "boolean": _boolean,
        "long timestamp-micros": _moment,
    }

    def _flush(self, indent: int, written: Parts) -> None:
        """Append what is written so far; each part on a line of its own, which tells the place of an error."""
        if len(written) == 1:
            self.source.line(indent, f"append({written[0][0]})", written[0][1])
        elif written:
            self.source.line(indent, "extend((", written[0][1])
            for expression, path in written:
                self.source.line(indent + 1, f"{expression},", path)
            self.source.line(indent, "))", written[-1][1])
        written.clear()


def _what(declared: Primitive) -> str:
    return declared.kind if declared.logical is None else f"{declared.kind} {declared.logical.name}"
