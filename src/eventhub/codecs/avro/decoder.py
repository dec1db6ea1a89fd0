"""The decoder of one pair of writer's schema and event class as straight-line Python.

For a writer's ``LineItem(sku: string, colour: string, quantity: long)`` and a class without colours
the generated function is, but for the names::

    def decode(b, start):
        if b.__class__ is not bytes: b = bytes(b)
        p = start; e = len(b); deep = 0
        try:
            n = b[p]; p += 1
            if n < 128: q = p + HALF[n]
            else: p, q = half(b, p, n)
            sku = b[p:q].decode(); p = q
            n = b[p]; p += 1
            if n < 128: q = p + HALF[n]
            else: p, q = half(b, p, n)
            p = q
            n = b[p]; p += 1
            if n < 128: quantity = SIGNED[n]
            else: p, n = rest(b, p, n); quantity = (n >> 1) ^ -(n & 1)
            if p != e: left_over(e - p)
            return validate({'sku': sku, 'quantity': quantity})
        except ERRORS as error:
            return again(error, b, start)

What the class does not want is stepped over. Nothing is believed that could cost more than the bytes
are worth: entries of an array take at least a byte each, and there are no more of them than bytes.
A length beyond the end is noticed by whatever is read next; to say in which field it stood, a bad
record is read ``again`` by a second function that compares each length with what is left.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import ClassVar

from pydantic import BaseModel

from eventhub.codecs.avro.binary import (
    HALF,
    SIGNED,
    bad_index,
    half,
    left_over,
    rest,
    rest32,
    too_deep,
    too_long,
    too_many_digits,
    unknown_symbol,
)
from eventhub.codecs.avro.digits import promises_digits
from eventhub.codecs.avro.encoder import MAX_CHAIN, MAX_INDENT, MAX_LINES, NotCompilable, shared_records
from eventhub.codecs.avro.resolution import (
    chooses_record,
    chosen,
    counterpart,
    meaning,
    source_field,
    symbols_read,
    validator,
)
from eventhub.codecs.avro.source import Source
from eventhub.codecs.avro.types import (
    MAX_NESTED,
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Union,
    simple_name,
)
from eventhub.codecs.avro.values import EXACT, MAX_DECIMAL_BYTES, UnknownSymbol, value_reader
from eventhub.codecs.base import Decode
from eventhub.codecs.models import Refused, mismatch, models, wire_names
from eventhub.errors import DecodeError, SchemaMismatch
from eventhub.event import Event

_SKIPPED = Record("")
"""What is wanted where nothing is wanted."""
_STRING = Primitive("string")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SIGNED = "(n >> 1) ^ -(n & 1)"
_ONE_BYTE = 64  # indexes below take one byte


def compiled_decoder(event: type[Event], written: AvroType, wanted: AvroType) -> Decode:
    """A function that reads values of a type into an event of a class.

    Raises:
        NotCompilable: If the type is huge.
    """

    @cache
    def careful() -> Decode:
        generated = _Decoder(event, written, careful=True)
        return generated.entrance(written, wanted, partial(_fail, event, generated.source))

    quick = _Decoder(event, written, careful=False)

    def again(error: Exception, value: bytes, start: int) -> Event:
        if isinstance(error, Refused):  # validators run once
            return _fail(event, quick.source, error, value, start)
        return careful()(value, start)  # the same error follows, and knows its place

    return quick.entrance(written, wanted, again)


def _fail(event: type[Event], source: Source, error: Exception, value: bytes, start: int) -> Event:
    """Say what is wrong with a value, and in which field."""
    del value, start
    place = f"{event.__name__}{source.place(error)}"
    if isinstance(error, Refused):
        raise mismatch(place, error) from error.__cause__
    reason = "the bytes end here" if isinstance(error, (IndexError, struct.error)) else str(error)
    msg = f"{place}: {reason}"
    if isinstance(error, UnknownSymbol):
        raise SchemaMismatch(msg) from error
    raise DecodeError(msg) from error


class _Decoder:
    """Writes the source of one decoder.

    In it ``b`` are the bytes, ``p`` is the place of the next one, ``e`` the end; ``n`` is the last varint
    as it stands, ``q`` where a part ends, and ``deep`` how many functions are under way.
    """

    def __init__(self, event: type[Event], written: AvroType, *, careful: bool) -> None:
        self.source = Source(
            EPOCH=_EPOCH,
            ERRORS=(Refused, ValueError, LookupError, ArithmeticError, struct.error),
            HALF=HALF,
            MICROSECOND=timedelta(microseconds=1),
            SIGNED=SIGNED,
            bad_index=bad_index,
            day=date.fromordinal,
            double=struct.Struct("<d").unpack_from,
            float_=struct.Struct("<f").unpack_from,
            half=half,
            int_of=int.from_bytes,
            left_over=left_over,
            rest=rest,
            rest32=rest32,
            scaled=EXACT.multiply,
            too_deep=too_deep,
            too_long=too_long,
            too_many_digits=too_many_digits,
            unknown_symbol=unknown_symbol,
        )
        self._event = event
        self._counts_digits = "__schema__" in event.__dict__  # of which nobody knows how it was derived
        self._careful = careful
        self._models: Mapping[str, type[BaseModel]] = models(event)
        self._shared = shared_records(written)
        self._functions: dict[tuple[int, int], str] = {}  # by what is written and what is wanted of it
        self._pending: list[tuple[AvroType, AvroType | None, str]] = []

    def entrance(self, written: AvroType, wanted: AvroType, fail: Callable[[Exception, bytes, int], Event]) -> Decode:
        """Compile the function for values."""
        line = self.source.line
        line(0, "def decode(b, start):", "")
        line(1, "if b.__class__ is not bytes: b = bytes(b)", "")
        line(1, "p = start; e = len(b); deep = 0", "")
        line(1, "try:", "")
        found = self._read(written, wanted, 2, "", outlined=True)
        line(2, "if p != e: left_over(e - p)", "")
        line(2, f"return validate({found})", "")
        line(1, "except ERRORS as error:", "")
        line(2, f"return {self.source.constant(fail)}(error, b, start)", "")
        while self._pending:
            inner, want, name = self._pending.pop()
            line(0, f"def {name}(b, p, e, deep):", "")
            line(1, f"if deep > {MAX_NESTED}: too_deep()", "")
            found = self._read(inner, want, 1, "", outlined=True)
            line(1, f"return {found}, p", "")
        self.source.define("validate", validator(self._event, counts_digits=self._counts_digits))
        return self.source.function("decode")

    def _read(
        self, written: AvroType, wanted: AvroType | None, indent: int, path: str, *, outlined: bool = False
    ) -> str:
        """Add what reads one value; returns the expression that holds it."""
        if len(self.source) > MAX_LINES:
            raise NotCompilable
        if not outlined and (id(written) in self._shared or indent > MAX_INDENT):
            found = self.source.name()
            self.source.line(indent, f"{found}, p = {self._function(written, wanted)}(b, p, e, deep + 1)", path)
            return found
        if isinstance(written, Union):
            return self._union(written, wanted, indent, path)
        self._counts_digits |= wanted is None or not promises_digits(written, wanted)
        found = self._READERS[type(written)](self, written, wanted, indent, path)
        choose = chosen(counterpart(written, wanted)) if isinstance(wanted, Union) else None
        return found if choose is None else self._held(f"{self.source.constant(choose)}({found})", indent, path)

    def _function(self, written: AvroType, wanted: AvroType | None) -> str:
        """The name of the function that reads a type, which is written later."""
        key = id(written), id(wanted)
        if key not in self._functions:
            self._functions[key] = f"read_{self.source.name()}"
            self._pending.append((written, wanted, self._functions[key]))
        return self._functions[key]

    def _record(self, written: Record, wanted: AvroType | None, indent: int, path: str) -> str:
        target = counterpart(written, wanted)
        model = self._models.get(simple_name(target.name)) if isinstance(target, Record) else None
        sources: dict[str, tuple[str, AvroType | None]] = {entry.name: (entry.name, None) for entry in written.fields}
        if isinstance(target, Record):
            attributes = {wire: name for name, wire in wire_names(model).items()} if model is not None else {}
            sources = {
                source.name: (attributes.get(entry.name, entry.name), entry.type)
                for entry in target.fields
                if (source := source_field(written, entry)) is not None
            }
        held = []
        for entry in written.fields:
            within = f"{path}.{entry.name}"
            if entry.name in sources:
                attribute, want = sources[entry.name]
                held.append(f"{attribute!r}: {self._read(entry.type, want, indent, within)}")
            else:
                self._read(entry.type, _SKIPPED, indent, within)
        if wanted is _SKIPPED:
            return "None"
        found = f"{{{', '.join(held)}}}"
        if model is not None and chooses_record(wanted):
            self.source.line(indent, "if p > e: too_long(p, e)", path)  # or the class would be blamed for it
            return self._held(f"{self.source.constant(validator(model))}({found})", indent, path)
        return found

    def _union(self, written: Union, wanted: AvroType | None, indent: int, path: str) -> str:
        found = self.source.name()
        self._index(len(written.branches), "a union", indent, path)
        if len(written.branches) > MAX_CHAIN:
            branches = self.source.table([self._function(branch, wanted) for branch in written.branches])
            self.source.line(indent, f"{found}, p = {branches}[n >> 1](b, p, e, deep + 1)", path)
            return found
        for number, branch in enumerate(written.branches):
            self.source.line(indent, f"{'el' * bool(number)}if n == {number << 1}:", path)
            held = self._read(branch, wanted, indent + 1, path)
            self.source.line(indent + 1, f"{found} = {held}", path)
        return found

    def _array(self, written: Array, wanted: AvroType | None, indent: int, path: str) -> str:
        found = self.source.name()
        self.source.line(indent, f"{found} = []", path)
        self._blocks(indent, path)
        target = counterpart(written, wanted)
        want = target.items if isinstance(target, Array) else _skipped(wanted)
        item = self._read(written.items, want, indent + 2, f"{path}[]")
        if want is not _SKIPPED:
            self.source.line(indent + 2, f"{found}.append({item})", path)
        return found

    def _map(self, written: Map, wanted: AvroType | None, indent: int, path: str) -> str:
        found = self.source.name()
        self.source.line(indent, f"{found} = {{}}", path)
        self._blocks(indent, path)
        target = counterpart(written, wanted)
        want = target.values if isinstance(target, Map) else _skipped(wanted)
        key = self._read(_STRING, want if want is _SKIPPED else _STRING, indent + 2, f"{path}{{}}")
        entry = self._read(written.values, want, indent + 2, f"{path}{{}}")
        if want is not _SKIPPED:
            self.source.line(indent + 2, f"{found}[{key}] = {entry}", path)
        return found

    def _blocks(self, indent: int, path: str) -> None:
        """Open the loops over blocks and their entries; a negative count is followed by the block's length."""
        line = self.source.line
        line(indent, "while True:", path)
        self._varint(indent + 1, path)
        line(indent + 1, "if n == 0: break", path)
        count = self.source.name()
        line(indent + 1, f"{count} = (n + 1) >> 1", path)
        line(indent + 1, f"if {count} > e - p: too_long({count}, e - p)", path)
        line(indent + 1, "if n & 1:", path)
        self._varint(indent + 2, path)
        line(indent + 1, f"for _ in range({count}):", path)

    def _enum(self, written: Enumeration, wanted: AvroType | None, indent: int, path: str) -> str:
        self._index(len(written.symbols), written.name, indent, path)
        if wanted is _SKIPPED:
            return "None"
        target = counterpart(written, wanted)
        symbols = symbols_read(written, target)
        found = self._held(f"{self.source.constant(symbols)}[n >> 1]", indent, path)
        if None in symbols:
            known = self.source.constant((written, target))
            self.source.line(indent, f"if {found} is None: unknown_symbol(*{known}, n >> 1)", path)
        return found

    def _leaf(self, written: Primitive | Fixed, wanted: AvroType | None, indent: int, path: str) -> str:
        if isinstance(written, Fixed):
            self.source.line(indent, f"q = p + {written.size}", path)
            return self._part(written, wanted, indent, path)
        if written.kind in {"string", "bytes"}:
            self.source.line(indent, "n = b[p]; p += 1", path)
            self.source.line(indent, "if n < 128: q = p + HALF[n]", path)
            self.source.line(indent, "else: p, q = half(b, p, n)", path)
            return self._part(written, wanted, indent, path)
        logical = None if wanted is _SKIPPED else meaning(written, counterpart(written, wanted))
        if written.kind in {"int", "long"}:
            return self._integer(written.kind, logical, indent, path)
        if written.kind == "boolean":
            self._index(2, "boolean", indent, path, shift=0)
            return self._held("n == 1", indent, path)
        if written.kind == "null":
            return "None"
        unpack, size = ("double", 8) if written.kind == "double" else ("float_", 4)
        return self._held(f"{unpack}(b, p)[0]; p += {size}", indent, path)

    def _part(self, written: Primitive | Fixed, wanted: AvroType | None, indent: int, path: str) -> str:
        """Add what reads the bytes up to ``q``."""
        if self._careful:
            self.source.line(indent, "if q > e: too_long(q - p, e - p)", path)
        if wanted is _SKIPPED:
            self.source.line(indent, "p = q", path)
            return "None"
        if isinstance(written, Primitive) and written.kind == "string":
            return self._held("b[p:q].decode(); p = q", indent, path)
        logical = written.logical if isinstance(written, Fixed) else meaning(written, counterpart(written, wanted))
        if logical is not None and logical.name == "decimal":
            limit, unit = MAX_DECIMAL_BYTES, self.source.constant(Decimal((0, (1,), -logical.scale)))
            self.source.line(indent, f"if q - p > {limit}: too_long(q - p, {limit})", path)
            bound = self.source.constant(10**logical.precision)
            self.source.line(indent, "n = int_of(b[p:q], 'big', signed=True); p = q", path)
            self.source.line(indent, f"if not -{bound} < n < {bound}: too_many_digits({logical.precision})", path)
            return self._held(f"scaled(n, {unit})", indent, path)
        convert = value_reader("fixed" if isinstance(written, Fixed) else written.kind, logical)
        part = "b[p:q]" if convert is None else f"{self.source.constant(convert)}(b[p:q])"
        return self._held(f"{part}; p = q", indent, path)

    def _integer(self, kind: str, logical: Logical | None, indent: int, path: str) -> str:
        name = logical.name if logical is not None else ""
        convert = value_reader(kind, logical)
        rest_of = "rest32" if kind == "int" else "rest"
        if convert is None:
            found = self.source.name()
            self.source.line(indent, "n = b[p]; p += 1", path)
            self.source.line(indent, f"if n < 128: {found} = SIGNED[n]", path)
            self.source.line(indent, f"else: p, n = {rest_of}(b, p, n); {found} = {_SIGNED}", path)
            return found
        self._varint(indent, path, rest_of)
        if name == "timestamp-micros":
            return self._held(f"EPOCH + ({_SIGNED}) * MICROSECOND", indent, path)
        if name == "date":
            return self._held(f"day({_EPOCH_DAY} + ({_SIGNED}))", indent, path)
        return self._held(f"{self.source.constant(convert)}({_SIGNED})", indent, path)

    _READERS: ClassVar[Mapping[type, Callable[..., str]]] = {
        Record: _record,
        Array: _array,
        Map: _map,
        Enumeration: _enum,
        Fixed: _leaf,
        Primitive: _leaf,
    }

    def _index(self, count: int, of: str, indent: int, path: str, shift: int = 1) -> None:
        """Set ``n`` to an index as it stands, if there are so many."""
        if count < _ONE_BYTE:
            self.source.line(indent, "n = b[p]; p += 1", path)
        else:
            self._varint(indent, path)
        check = f"n & 1 or n >= {count << 1}" if shift else f"n >= {count}"
        self.source.line(indent, f"if {check}: bad_index(n, {self.source.constant(of)}, {count})", path)

    def _varint(self, indent: int, path: str, long: str = "rest") -> None:
        self.source.line(indent, "n = b[p]; p += 1", path)
        self.source.line(indent, f"if n > 127: p, n = {long}(b, p, n)", path)

    def _held(self, value: str, indent: int, path: str) -> str:
        found = self.source.name()
        self.source.line(indent, f"{found} = {value}", path)
        return found


def _skipped(wanted: AvroType | None) -> AvroType | None:
    """Nothing is wanted of the parts of what is not wanted."""
    return _SKIPPED if wanted is _SKIPPED else None
