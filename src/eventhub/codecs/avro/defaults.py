"""The default of a field as Avro says it: JSON of the value on the wire, so moments are numbers and bytes are text."""

from __future__ import annotations

import math
from typing import Any

from pydantic import RootModel

from eventhub.codecs.avro.types import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from eventhub.codecs.avro.unions import branch_index
from eventhub.codecs.avro.values import Misfit, value_writer, write_text
from eventhub.codecs.models import wire_names


def default_json(declared: AvroType, value: Any) -> Any:
    """A default as Avro JSON.

    Raises:
        Misfit: If the type cannot hold it, or JSON cannot say it.
    """
    if isinstance(value, RootModel):
        value = value.root
    if isinstance(declared, Union):
        return default_json(declared.branches[branch_index(declared, value)], value)
    if isinstance(declared, Array):
        return [default_json(declared.items, entry) for entry in value]
    if isinstance(declared, Map):
        return {write_text(key): default_json(declared.values, entry) for key, entry in value.items()}
    if isinstance(declared, Record):
        names = {wire: name for name, wire in wire_names(type(value)).items()}
        return {entry.name: default_json(entry.type, getattr(value, names[entry.name])) for entry in declared.fields}
    return write_text(value) if isinstance(declared, Enumeration) else _leaf_json(declared, value)


def _leaf_json(declared: Primitive | Fixed, value: Any) -> Any:
    if isinstance(declared, Fixed) or declared.kind == "bytes":
        return value_writer("bytes", declared.logical)(value).decode("latin-1")
    if declared.kind == "null":
        return None
    written = value_writer(declared.kind, declared.logical)(value)
    if isinstance(written, float) and not math.isfinite(written):
        msg = f"{written} is nothing that JSON can say"
        raise Misfit(msg)
    return written
