"""Avro schemas that speak of types other subjects define: made whole, so that one text says all.

Source: Confluent Schema Registry, "Schema References": a reference's name is the full name of the type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eventhub.codecs.avro.types import MAX_DEPTH, PRIMITIVES, full_name
from eventhub.errors import InvalidSchema

_NAMED = frozenset({"record", "error", "enum", "fixed"})


def made_whole(text: str, definitions: Mapping[str, str]) -> str:
    """A schema in which each type is defined where it is first spoken of.

    Args:
        text: The schema.
        definitions: The schemas of the types that it refers to, directly or not, by their full names.

    Raises:
        InvalidSchema: If one of them is no JSON, or nests too deeply.
    """
    return json.dumps(_Whole(definitions).type(_loaded(text), "", 0), separators=(",", ":"), ensure_ascii=False)


class _Whole:
    """Puts definitions where they are needed; keeps the names that are defined so far."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._definitions = definitions
        self._defined: set[str] = set()

    def type(self, declared: Any, namespace: str, depth: int) -> Any:
        """A type with the definitions that are missing in it."""
        if depth > MAX_DEPTH:
            msg = f"schema nests deeper than {MAX_DEPTH}"
            raise InvalidSchema(msg)
        if isinstance(declared, str):
            return self._reference(declared, namespace, depth)
        if isinstance(declared, list):
            return [self.type(branch, namespace, depth + 1) for branch in declared]
        if not isinstance(declared, dict):
            return declared
        kind = declared.get("type")
        if isinstance(kind, str) and kind in _NAMED:
            return self._definition(declared, namespace, depth)
        parts = {key: self.type(declared[key], namespace, depth + 1) for key in ("items", "values") if key in declared}
        return {**declared, **parts, "type": kind if parts else self.type(kind, namespace, depth + 1)}

    def _reference(self, name: str, namespace: str, depth: int) -> Any:
        if name in PRIMITIVES or name in {"array", "map"}:
            return name
        full = next((each for each in (full_name(name, namespace), name) if each in self._definitions), None)
        if full is None or full in self._defined:
            return name
        self._defined.add(full)  # once, even if what stands under the name defines something else
        return self.type(_loaded(self._definitions[full]), "", depth + 1)

    def _definition(self, declared: dict[str, Any], namespace: str, depth: int) -> Any:
        own = declared.get("namespace", namespace)
        full = full_name(str(declared.get("name")), own if isinstance(own, str) else "")
        self._defined.add(full)
        inner = full.rpartition(".")[0]
        whole = {**declared, "name": full.rpartition(".")[2], "namespace": inner}
        if isinstance(declared.get("fields"), list):
            whole["fields"] = [
                {**entry, "type": self.type(entry.get("type"), inner, depth + 1)} if isinstance(entry, dict) else entry
                for entry in declared["fields"]
            ]
        return whole


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"schema is no JSON: {error}"
        raise InvalidSchema(msg) from error
