"""What classes are called where their values are written."""

from __future__ import annotations

import re

from pydantic import BaseModel


def event_name(event: type[BaseModel]) -> str:
    """The name that an event class declares, or that of the record of a class that declares none."""
    declared = event.__dict__.get("__event__")
    return record_name(event) if declared is None else str(declared.name)


def record_name(model: type[BaseModel]) -> str:
    """The name of a class's record, without namespace: ``Envelope[Order]`` becomes ``Envelope_Order``."""
    declared = model.__dict__.get("__event__")
    if declared is not None:
        return str(declared.name).rpartition(".")[2]
    return re.sub(r"\W+", "_", model.__name__).strip("_")
