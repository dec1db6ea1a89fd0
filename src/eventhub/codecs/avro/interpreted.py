"""Events by way of fastavro, which walks the schema for each value: any schema, at half the speed.

fastavro sees the schema without logical types. What a value means (moments, decimals, identifiers)
is converted here: fastavro's own conversions take naive datetimes for local time and round decimals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, cast

import fastavro
from pydantic import BaseModel, RootModel

from eventhub.codecs.avro.resolution import counterpart, meaning, source_field, validated
from eventhub.codecs.avro.text import strip_logical, text
from eventhub.codecs.avro.types import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union, simple_name
from eventhub.codecs.avro.unions import branch_index
from eventhub.codecs.avro.values import Misfit, UnknownSymbol, value_reader, value_writer, write_text
from eventhub.codecs.base import Decode, Encode
from eventhub.codecs.models import models, wire_names
from eventhub.errors import DecodeError, InvalidSchema, SchemaMismatch
from eventhub.event import Event

Convert = Callable[[Any], Any]
Models = Mapping[str, type[BaseModel]]


def interpreted_encoder(event: type[Event], declared: AvroType, prefix: bytes) -> Encode:
    """A function that writes events of a class as a type, after a fixed prefix."""
    datum = _writer(declared)
    plain = fastavro.parse_schema(json.loads(text(strip_logical(declared))))

    def encode(value: Event) -> bytes:
        out = BytesIO()
        out.write(prefix)
        try:
            fastavro.schemaless_writer(out, plain, datum(value))
        except Misfit as error:
            msg = f"{event.__name__}.{error}"
            raise SchemaMismatch(msg) from error
        except (ValueError, TypeError, OverflowError, RecursionError, KeyError, AttributeError) as error:
            msg = f"{event.__name__}: {error}"
            raise SchemaMismatch(msg) from error
        return out.getvalue()

    return encode


def interpreted_decoder(event: type[Event], written: AvroType, wanted: AvroType) -> Decode:
    """A function that reads values of a type into an event of a class.

    Raises:
        InvalidSchema: If the type contains itself: values nested deeply enough exhaust the C stack.
    """
    if _is_recursive(written, ()):
        msg = f"{event.__name__}: fastavro is not given recursive schemas, which can exhaust the C stack"
        raise InvalidSchema(msg)
    convert = _reader(written, wanted, models(event))
    plain = fastavro.parse_schema(json.loads(text(strip_logical(written))))

    def decode(value: bytes, start: int) -> Event:
        body = BytesIO(value)
        body.seek(start)
        try:
            datum = fastavro.schemaless_reader(body, plain, None, return_named_type=True)
            found = datum if convert is None else convert(datum)
        except UnknownSymbol as error:
            msg = f"{event.__name__}.{error}"
            raise SchemaMismatch(msg) from error
        except Misfit as error:
            msg = f"{event.__name__}.{error}"
            raise DecodeError(msg) from error
        except (ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError) as error:
            msg = f"{event.__name__}: bytes are not what their schema promises: {str(error) or type(error).__name__}"
            raise DecodeError(msg) from error
        if body.tell() != len(value):
            msg = f"{event.__name__}: {len(value) - body.tell()} bytes are left after the event"
            raise DecodeError(msg)
        return cast("Event", validated(event, found))

    return decode


def _is_recursive(declared: AvroType, within: tuple[AvroType, ...]) -> bool:
    if isinstance(declared, Record):
        if declared in within:
            return True
        return any(_is_recursive(entry.type, (*within, declared)) for entry in declared.fields)
    if isinstance(declared, Union):
        return any(_is_recursive(branch, within) for branch in declared.branches)
    if isinstance(declared, Array):
        return _is_recursive(declared.items, within)
    return isinstance(declared, Map) and _is_recursive(declared.values, within)


def _writer(declared: AvroType, made: dict[str, Convert] | None = None) -> Convert:
    """The function that makes an event's value one that fastavro writes without logical types."""
    made = {} if made is None else made
    if isinstance(declared, Record):
        return _record_writer(declared, made)
    if isinstance(declared, Array):
        items = _writer(declared.items, made)
        return lambda value: [_at(f"[{place}]", items, entry) for place, entry in enumerate(_root(value))]
    if isinstance(declared, Map):
        values = _writer(declared.values, made)
        return lambda value: {
            write_text(key): _at(f"[{key!r:.50}]", values, entry) for key, entry in _root(value).items()
        }
    if isinstance(declared, Union):
        return _union_writer(declared, [_writer(branch, made) for branch in declared.branches])
    if isinstance(declared, Enumeration):
        return _enum_writer(declared)
    if isinstance(declared, Fixed):
        return _fixed_writer(declared)
    if declared.kind == "null":
        return _null
    write = value_writer(declared.kind, declared.logical)
    return lambda value: write(_root(value))


def _record_writer(record: Record, made: dict[str, Convert]) -> Convert:
    if record.name in made:
        return lambda value: made[record.name](value)  # noqa: PLW0108 - not made yet where a record contains itself
    fields: list[tuple[str, Convert]] = []
    made[record.name] = write = lambda value: _fields_of(_root(value), fields, record)
    fields.extend((entry.name, _writer(entry.type, made)) for entry in record.fields)
    return write


def _fields_of(value: object, fields: Sequence[tuple[str, Convert]], record: Record) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        msg = f"{type(value).__name__} is no {simple_name(record.name)}"
        raise Misfit(msg)
    names, held = _names_on_wire(type(value)), value.__dict__
    written = {}
    defaults = {entry.name for entry in record.fields if entry.has_default}
    for name, write in fields:
        attribute = names.get(name)
        if attribute is not None and attribute in held:
            written[name] = _at(name, write, held[attribute])
        elif name not in defaults:
            msg = f"{type(value).__name__} has no field {name!r}"
            raise Misfit(msg)
    return written


@lru_cache(maxsize=1000)
def _names_on_wire(model: type[BaseModel]) -> Mapping[str, str]:
    return {wire: name for name, wire in wire_names(model).items()}


def _union_writer(union: Union, writers: Sequence[Convert]) -> Convert:
    """Write a branch chosen by class; named types are told to fastavro, which would try them in turn."""
    names = [getattr(branch, "name", None) for branch in union.branches]

    def write(value: object) -> Any:
        index = branch_index(union, value)
        name = names[index]
        return writers[index](value) if name is None else (name, writers[index](value))

    return write


def _enum_writer(declared: Enumeration) -> Convert:
    def write(value: object) -> str:
        symbol = write_text(_root(value))
        if symbol not in declared.symbols:
            msg = f"{symbol!r:.100} is no symbol of {declared.name}: {', '.join(declared.symbols)}"
            raise Misfit(msg)
        return symbol

    return write


def _fixed_writer(declared: Fixed) -> Convert:
    convert = value_writer("fixed", declared.logical)
    is_decimal = declared.logical is not None and declared.logical.name == "decimal"

    def write(value: object) -> bytes:
        raw: bytes = convert(_root(value))
        if is_decimal and len(raw) < declared.size:
            raw = (b"\xff" if raw[0] & 0x80 else b"\x00") * (declared.size - len(raw)) + raw
        if len(raw) != declared.size:
            msg = f"{len(raw)} bytes where {declared.name} takes {declared.size}"
            raise Misfit(msg)
        return raw

    return write


def _null(value: object) -> None:
    if _root(value) is not None:
        msg = f"{type(value).__name__} is no None"
        raise Misfit(msg)


def _root(value: Any) -> Any:
    while isinstance(value, RootModel):
        value = value.root
    return value


def _at(step: str, convert: Convert, value: object) -> Any:
    try:
        return convert(value)
    except Misfit as error:
        raise error.within(step) from error.__cause__


def _reader(written: AvroType, wanted: AvroType | None, known: Models) -> Convert | None:
    """The function that makes what fastavro read a value for pydantic, or None where it is one.

    What the class does not want is dropped; what it wants as another logical type is read as that.
    """
    if isinstance(written, Record):
        return _record_reader(written, wanted, known)
    if isinstance(written, Union):
        return _union_reader(written, wanted, known)
    if isinstance(written, Array):
        items = _reader(written.items, wanted.items if isinstance(wanted, Array) else None, known)
        if items is None:
            return None
        return lambda datum: [_at(f"[{place}]", items, entry) for place, entry in enumerate(datum)]
    if isinstance(written, Map):
        values = _reader(written.values, wanted.values if isinstance(wanted, Map) else None, known)
        if values is None:
            return None
        return lambda datum: {key: _at(f"[{key!r:.50}]", values, entry) for key, entry in datum.items()}
    return _leaf_reader(written, counterpart(written, wanted))


def _leaf_reader(written: Primitive | Fixed | Enumeration, wanted: AvroType | None) -> Convert | None:
    if isinstance(written, Enumeration):
        return _enum_reader(written, wanted)
    if isinstance(written, Fixed):
        return value_reader("fixed", written.logical)
    return value_reader(written.kind, meaning(written, wanted))


def _record_reader(written: Record, wanted: AvroType | None, known: Models) -> Convert:
    several = isinstance(wanted, Union) and sum(isinstance(branch, Record) for branch in wanted.branches) > 1
    target = counterpart(written, wanted)
    if not isinstance(target, Record):
        fields = [(entry.name, entry.name, _reader(entry.type, None, known)) for entry in written.fields]
        return lambda datum: {key: _read_at(key, convert, datum[name]) for name, key, convert in fields}
    model = known.get(simple_name(target.name))
    attributes = {wire: name for name, wire in wire_names(model).items()} if model is not None else {}
    fields = [
        (source.name, attributes.get(entry.name, entry.name), _reader(source.type, entry.type, known))
        for entry in target.fields
        if (source := source_field(written, entry)) is not None
    ]

    def read(datum: Mapping[str, Any]) -> Any:
        found = {key: _read_at(key, convert, datum[name]) for name, key, convert in fields}
        return validated(model, found) if several and model is not None else found

    return read


def _union_reader(written: Union, wanted: AvroType | None, known: Models) -> Convert:
    named: dict[str, Convert | None] = {}
    plain: dict[type, Convert | None] = {}
    for branch in written.branches:
        convert = _reader(branch, wanted, known)
        if isinstance(branch, (Record, Enumeration, Fixed)):
            named[branch.name] = convert
        else:
            plain[_DATUM_CLASSES[branch.kind if isinstance(branch, Primitive) else type(branch).__name__]] = convert
    several = len(named) > 1 or any(isinstance(branch, (Record, Enumeration, Fixed)) for branch in written.branches)

    def read(datum: Any) -> Any:
        if several and type(datum) is tuple:
            name, datum = datum
            convert = named[name]
        else:
            convert = plain[type(datum)]
        return datum if convert is None else convert(datum)

    return read


_DATUM_CLASSES = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "bytes": bytes,
    "Array": list,
    "Map": dict,
}


def _enum_reader(written: Enumeration, wanted: AvroType | None) -> Convert | None:
    if not isinstance(wanted, Enumeration) or set(written.symbols) <= set(wanted.symbols):
        return None

    def read(symbol: str) -> str:
        if symbol in wanted.symbols:
            return symbol
        if wanted.default is None:
            raise UnknownSymbol(symbol, simple_name(wanted.name), wanted.symbols)
        return wanted.default

    return read


def _read_at(step: str, convert: Convert | None, datum: object) -> Any:
    return datum if convert is None else _at(step, convert, datum)
