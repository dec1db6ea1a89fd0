"""How what a writer wrote finds its place in the class that reads it.

Only three things are decided here, once a schema: which field fills which (its name, else an alias
that the class declares), which branch of a union is meant (its name, else its type), and what a
number means. Defaults, unknown fields and conversions are pydantic's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, TypeAdapter

from eventhub.codecs.avro.digits import validator_of_the_rest
from eventhub.codecs.avro.types import AvroType, Enumeration, Field, Logical, Map, Primitive, Record, Union, simple_name
from eventhub.codecs.models import refusing


def source_field(written: Record, wanted: Field) -> Field | None:
    """The writer's field that a reader's field is filled from: of its name, else of an alias."""
    by_name = {entry.name: entry for entry in written.fields}
    for name in (wanted.name, *wanted.aliases):
        if name in by_name:
            return by_name[name]
    return None


def counterpart(written: AvroType, wanted: AvroType | None) -> AvroType | None:
    """The type in which a reader wants what was written: itself, or the branch of its union that suits."""
    if not isinstance(wanted, Union):
        return wanted if type(wanted) is type(written) else None
    same = [branch for branch in wanted.branches if type(branch) is type(written)]
    if isinstance(written, Primitive):
        fitting = [branch for branch in same if _rank(written, branch) < _NEVER]
        return min(fitting, key=partial(_rank, written), default=None)
    if isinstance(written, (Record, Enumeration)):
        name = simple_name(written.name)
        for branch in same:
            if name in {simple_name(known) for known in (branch.name, *branch.aliases)}:  # type: ignore[union-attr]
                return branch
        return same[0] if len(same) == 1 else None
    return same[0] if same else None


_NEVER = 3
_WIDER = {"int": ("long", "float", "double"), "long": ("float", "double"), "float": ("double",), "string": ("bytes",)}


def _rank(written: Primitive, wanted: AvroType) -> int:
    """How well a branch suits what was written: its like, a wider type, or its kind with another meaning."""
    if not isinstance(wanted, Primitive):
        return _NEVER
    if wanted.kind == written.kind:
        return 0 if wanted.logical == written.logical or wanted.kind == "string" else 2
    is_wider = wanted.kind in _WIDER.get(written.kind, ()) and not (written.logical or wanted.logical)
    return 1 if is_wider else _NEVER


def meaning(written: Primitive, wanted: AvroType | None) -> Logical | None:
    """What a value means: what its writer says, unless only one side says anything and the reader has a say.

    A bare long that the class wants as a moment is one, and a moment that it wants as an int is its number.
    """
    if isinstance(wanted, Primitive) and wanted.kind == written.kind and not (written.logical and wanted.logical):
        return wanted.logical
    return written.logical


def chosen(wanted: AvroType | None) -> Callable[[Any], Any] | None:
    """What makes a value the one class of a union that its branch stands for, or None where its class says so already.

    Pydantic would try the classes in turn, and take the text of a UUID for bytes.
    """
    python = wanted.python if isinstance(wanted, (Primitive, Enumeration)) else None
    return None if python is None else refusing(TypeAdapter(python).validate_python)


def chooses_record(wanted: AvroType | None) -> bool:
    """Whether a dict could be one of several models or a dict to the class, so that the writer's name has to choose."""
    return isinstance(wanted, Union) and sum(isinstance(branch, (Record, Map)) for branch in wanted.branches) > 1


def symbols_read(written: Enumeration, wanted: AvroType | None) -> tuple[str | None, ...]:
    """What each symbol of the writer is to the reader: itself, the reader's default, or None for an error."""
    if not isinstance(wanted, Enumeration):
        return written.symbols
    return tuple(symbol if symbol in wanted.symbols else wanted.default for symbol in written.symbols)


def validator(model: type[BaseModel], *, counts_digits: bool = True) -> Callable[[Any], Any]:
    """The function that makes an instance of the values that were read; it raises ``Refused``.

    Fields go by their names, their declared aliases count too, and a model that is strict about its
    arguments is not strict about the wire, where a UUID is text.
    """
    validate = model.__pydantic_validator__.validate_python if counts_digits else validator_of_the_rest(model)
    if not _is_particular(model.__pydantic_core_schema__):
        return refusing(validate)
    return refusing(partial(validate, strict=False, by_alias=True, by_name=True))


def _is_particular(core_schema: Any) -> bool:
    """Whether a class asks somewhere for strictness or other names; leaving that out saves a tenth of the time."""
    if isinstance(core_schema, Mapping):
        return any(
            (key == "strict" and entry is True) or key == "validation_alias" or _is_particular(entry)
            for key, entry in core_schema.items()
        )
    return isinstance(core_schema, list) and any(map(_is_particular, core_schema))
