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
from pydantic import BaseModel

from eventhub.codecs.avro.binary import left_over
from eventhub.codecs.avro.resolution import (
    chooses_record,
    chosen,
    counterpart,
    meaning,
    source_field,
    symbols_read,
    validator,
)
from eventhub.codecs.avro.text import BOXED, strip_logical, text
from eventhub.codecs.avro.types import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union, simple_name
from eventhub.codecs.avro.unions import branch_index
from eventhub.codecs.avro.values import (
    Misfit,
    UnknownSymbol,
    as_mapping,
    as_model,
    as_sequence,
    misfit,
    unwrapped,
    value_reader,
    value_writer,
    write_fixed,
    write_text,
)
from eventhub.codecs.base import Decode, Encode
from eventhub.codecs.models import Refused, mismatch, models, wire_names
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
    validate = validator(event)

    def decode(value: bytes, start: int) -> Event:
        body = BytesIO(value)
        body.seek(start)
        try:
            datum = fastavro.schemaless_reader(body, plain, None, return_named_type=True)
            if body.tell() != len(value):
                left_over(len(value) - body.tell())
            return cast("Event", validate(datum if convert is None else convert(datum)))
        except Refused as error:
            raise mismatch(event.__name__, error) from error.__cause__
        except UnknownSymbol as error:
            msg = f"{event.__name__}.{error}"
            raise SchemaMismatch(msg) from error
        except Misfit as error:
            msg = f"{event.__name__}{'.' if error.path else ': '}{error}"
            raise DecodeError(msg) from error
        except (ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError) as error:
            msg = f"{event.__name__}: bytes are not what their schema promises: {str(error) or type(error).__name__}"
            raise DecodeError(msg) from error

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
        return lambda value: [_at(f"[{place}]", items, entry) for place, entry in enumerate(as_sequence(value))]
    if isinstance(declared, Map):
        values = _writer(declared.values, made)
        return lambda value: {
            write_text(key): _at(f"[{key!r:.50}]", values, entry) for key, entry in as_mapping(value).items()
        }
    if isinstance(declared, Union):
        return _union_writer(declared, [_writer(branch, made) for branch in declared.branches])
    if isinstance(declared, Enumeration):
        return _enum_writer(declared)
    if isinstance(declared, Fixed):
        return lambda value: write_fixed(unwrapped(value), declared.name, declared.size, declared.logical)
    if declared.kind == "null":
        return _null
    write = value_writer(declared.kind, declared.logical)
    return lambda value: write(unwrapped(value))


def _record_writer(record: Record, made: dict[str, Convert]) -> Convert:
    if record.name in made:
        return lambda value: made[record.name](value)  # noqa: PLW0108 - not made yet where a record contains itself
    fields: list[tuple[str, Convert]] = []
    made[record.name] = write = lambda value: _fields_of(as_model(value), fields)
    fields.extend((entry.name, _writer(entry.type, made)) for entry in record.fields)
    return write


def _fields_of(value: BaseModel, fields: Sequence[tuple[str, Convert]]) -> dict[str, Any]:
    names, held = _names_on_wire(type(value)), value.__dict__
    written = {}
    for name, write in fields:
        attribute = names.get(name)
        if attribute is not None and attribute in held:
            written[name] = _at(name, write, held[attribute])
        else:
            msg = f"{type(value).__name__} has no field {name!r}"
            raise Misfit(msg)
    return written


@lru_cache(maxsize=1000)
def _names_on_wire(model: type[BaseModel]) -> Mapping[str, str]:
    return {wire: name for name, wire in wire_names(model).items()}


def _union_writer(union: Union, writers: Sequence[Convert]) -> Convert:
    """Write the branch of a value's class; fastavro is told which, and would try them in turn otherwise."""
    kinds = [_branch_kind(branch) for branch in union.branches]

    def write(value: object) -> tuple[str, Any]:
        index = branch_index(union, value)
        written = writers[index](value)
        return kinds[index], {BOXED: written} if kinds[index] == BOXED else written

    return write


def _branch_kind(branch: AvroType) -> str:
    """What fastavro calls a branch of a union; no two have the same."""
    if isinstance(branch, (Record, Enumeration, Fixed)):
        return branch.name
    if isinstance(branch, Primitive) and branch.kind == "int":
        return BOXED
    return branch.kind if isinstance(branch, Primitive) else type(branch).__name__.lower()


def _enum_writer(declared: Enumeration) -> Convert:
    def write(value: object) -> str:
        symbol = write_text(unwrapped(value))
        if symbol not in declared.symbols:
            msg = f"{symbol!r:.100} is no symbol of {declared.name}: {', '.join(declared.symbols)}"
            raise Misfit(msg)
        return symbol

    return write


def _null(value: object) -> None:
    if unwrapped(value) is not None:
        raise misfit(value, "None")


def _at(step: str, convert: Convert, value: object) -> Any:
    try:
        return convert(value)
    except Misfit as error:
        raise error.within(step) from error.__cause__


def _reader(written: AvroType, wanted: AvroType | None, known: Models) -> Convert | None:
    """The function that makes what fastavro read a value for pydantic, or None where it is one.

    What the class does not want is dropped; what it wants as another logical type is read as that.
    """
    if isinstance(written, Union):
        return _union_reader(written, wanted, known)
    convert = _READERS[type(written)](written, wanted, known)
    choose = chosen(counterpart(written, wanted)) if isinstance(wanted, Union) else None
    if convert is None or choose is None:
        return convert or choose
    return lambda datum: choose(convert(datum))


def _array_reader(written: Array, wanted: AvroType | None, known: Models) -> Convert | None:
    target = counterpart(written, wanted)
    items = _reader(written.items, target.items if isinstance(target, Array) else None, known)
    if items is None:
        return None
    return lambda datum: [_at(f"[{place}]", items, entry) for place, entry in enumerate(datum)]


def _map_reader(written: Map, wanted: AvroType | None, known: Models) -> Convert | None:
    target = counterpart(written, wanted)
    values = _reader(written.values, target.values if isinstance(target, Map) else None, known)
    if values is None:
        return None
    return lambda datum: {key: _at(f"[{key!r:.50}]", values, entry) for key, entry in datum.items()}


def _leaf_reader(written: Primitive | Fixed, wanted: AvroType | None, known: Models) -> Convert | None:
    del known  # leaves hold no models
    if isinstance(written, Fixed):
        return value_reader("fixed", written.logical)
    return value_reader(written.kind, meaning(written, counterpart(written, wanted)))


def _record_reader(written: Record, wanted: AvroType | None, known: Models) -> Convert:
    target = counterpart(written, wanted)
    if not isinstance(target, Record):
        fields = [(entry.name, entry.name, _reader(entry.type, None, known)) for entry in written.fields]
        return lambda datum: {key: _read_at(key, convert, datum[name]) for name, key, convert in fields}
    model = known.get(simple_name(target.name))
    choose = validator(model) if model is not None and chooses_record(wanted) else None
    attributes = {wire: name for name, wire in wire_names(model).items()} if model is not None else {}
    fields = [
        (source.name, attributes.get(entry.name, entry.name), _reader(source.type, entry.type, known))
        for entry in target.fields
        if (source := source_field(written, entry)) is not None
    ]

    def read(datum: Mapping[str, Any]) -> Any:
        found = {key: _read_at(key, convert, datum[name]) for name, key, convert in fields}
        return choose(found) if choose is not None else found

    return read


def _union_reader(written: Union, wanted: AvroType | None, known: Models) -> Convert:
    named: dict[str, Convert | None] = {}
    plain: dict[type, Convert | None] = {}
    for branch in written.branches:
        kind = _branch_kind(branch)
        if kind in _DATUM_CLASSES:
            plain[_DATUM_CLASSES[kind]] = _reader(branch, wanted, known)
        else:
            named[kind] = _reader(branch, wanted, known)

    def read(datum: Any) -> Any:
        if type(datum) is tuple:
            name, datum = datum
            datum = datum[BOXED] if name == BOXED else datum
            convert = named[name]
        else:
            convert = plain[type(datum)]
        return datum if convert is None else convert(datum)

    return read


_DATUM_CLASSES = {
    "null": type(None),
    "boolean": bool,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "bytes": bytes,
    "array": list,
    "map": dict,
}


def _enum_reader(written: Enumeration, wanted: AvroType | None, known: Models) -> Convert | None:
    del known  # enums hold no models
    wanted = counterpart(written, wanted)
    if not isinstance(wanted, Enumeration) or set(written.symbols) <= set(wanted.symbols):
        return None
    read_as = dict(zip(written.symbols, symbols_read(written, wanted), strict=True))

    def read(symbol: str) -> str:
        found = read_as[symbol]
        if found is None:
            raise UnknownSymbol(symbol, simple_name(wanted.name), wanted.symbols)
        return found

    return read


def _read_at(step: str, convert: Convert | None, datum: object) -> Any:
    return datum if convert is None else _at(step, convert, datum)


_READERS: Mapping[type, Callable[[Any, AvroType | None, Models], Convert | None]] = {
    Record: _record_reader,
    Array: _array_reader,
    Map: _map_reader,
    Enumeration: _enum_reader,
    Fixed: _leaf_reader,
    Primitive: _leaf_reader,
}
