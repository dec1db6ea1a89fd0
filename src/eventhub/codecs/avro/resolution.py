"""How what a writer wrote finds its place in the class that reads it.

Only three things are decided here, once a schema: which field fills which (its name, else an alias
that the class declares), which branch of a union is meant (its name, else its type), and what a
number means. Defaults, unknown fields and conversions are pydantic's.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from eventhub.codecs.avro.types import AvroType, Enumeration, Field, Logical, Primitive, Record, Union, simple_name
from eventhub.errors import SchemaMismatch


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
        return wanted
    same = [branch for branch in wanted.branches if type(branch) is type(written)]
    if isinstance(written, Primitive):
        return next((branch for branch in same if branch.kind == written.kind), None)  # type: ignore[union-attr]
    if isinstance(written, (Record, Enumeration)):
        name = simple_name(written.name)
        for branch in same:
            if name in {simple_name(known) for known in (branch.name, *branch.aliases)}:  # type: ignore[union-attr]
                return branch
        return same[0] if len(same) == 1 else None
    return same[0] if same else None


def meaning(written: Primitive, wanted: AvroType | None) -> Logical | None:
    """What a value means: what its writer says, unless only one side says anything and the reader has a say.

    A bare long that the class wants as a moment is one, and a moment that it wants as an int is its number.
    """
    if isinstance(wanted, Primitive) and wanted.kind == written.kind and not (written.logical and wanted.logical):
        return wanted.logical
    return written.logical


def validated(event: type[BaseModel], found: object) -> Any:
    """An event of the values that were read.

    Raises:
        SchemaMismatch: If the class does not take them.
    """
    try:
        return event.__pydantic_validator__.validate_python(found, strict=False, by_alias=True, by_name=True)
    except ValidationError as error:
        raise SchemaMismatch(_reasons(event, error)) from error


def _reasons(event: type[BaseModel], error: ValidationError) -> str:
    """What pydantic found, a line a field, without the values."""
    lines = (
        f"{event.__name__}{''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in entry['loc'])}"
        f": {entry['msg']}"
        for entry in error.errors(include_url=False, include_input=False, include_context=False)
    )
    return "; ".join(lines)
