"""Which function answers which path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from unicodedata import category
from urllib.parse import unquote

from eventhub.registry.embedded import schemas, settings, subjects
from eventhub.registry.embedded.refused import Refused, invalid_subject
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.state import DEFAULT_CONTEXT
from eventhub.registry.embedded.store import Store

Route = Callable[[Store, Request], object]
"""Answers a request with JSON, or raises ``Refused``."""


def _nothing(_: Store, __: Request) -> object:
    """The root: some clients ask it whether anybody is there."""
    return {}


def _no_associations(_: Store, __: Request) -> object:
    """Confluent's clients ask this before the first record; an empty list sends them to the usual subject."""
    return []


def _identity(_: Store, __: Request) -> object:
    return {"scope": {"path": [], "clusters": {}}, "id": ""}


def _release(_: Store, __: Request) -> object:
    return {"version": "eventhub", "commitId": ""}


_TABLE: Final[Mapping[str, Mapping[str, Route]]] = {
    "/": {"GET": _nothing, "POST": _nothing},
    "/subjects": {"GET": subjects.list_subjects},
    "/subjects/*": {"POST": subjects.lookup, "DELETE": subjects.delete_subject},
    "/subjects/*/metadata": {"GET": subjects.get_by_metadata},
    "/subjects/*/versions": {"GET": subjects.list_versions, "POST": subjects.register},
    "/subjects/*/versions/*": {"GET": subjects.get_version, "DELETE": subjects.delete_version},
    "/subjects/*/versions/*/schema": {"GET": subjects.get_version_schema},
    "/subjects/*/versions/*/referencedby": {"GET": subjects.referenced_by},
    "/schemas": {"GET": schemas.list_schemas},
    "/schemas/types": {"GET": schemas.schema_types},
    "/schemas/ids/*": {"GET": schemas.get_schema},
    "/schemas/ids/*/schema": {"GET": schemas.get_schema_text},
    "/schemas/ids/*/subjects": {"GET": schemas.get_schema_subjects},
    "/schemas/ids/*/versions": {"GET": schemas.get_schema_versions},
    "/schemas/guids/*": {"GET": schemas.get_guid},
    "/schemas/guids/*/ids": {"GET": schemas.get_guid_ids},
    "/compatibility/subjects/*/versions": {"POST": subjects.check_subject},
    "/compatibility/subjects/*/versions/*": {"POST": subjects.check_version},
    "/config": {"GET": settings.get_config, "PUT": settings.put_config, "DELETE": settings.delete_config},
    "/config/*": {
        "GET": settings.get_subject_config,
        "PUT": settings.put_subject_config,
        "DELETE": settings.delete_subject_config,
    },
    "/mode": {"GET": settings.get_mode, "PUT": settings.put_mode, "DELETE": settings.delete_mode},
    "/mode/*": {
        "GET": settings.get_subject_mode,
        "PUT": settings.put_subject_mode,
        "DELETE": settings.delete_subject_mode,
    },
    "/contexts": {"GET": settings.list_contexts},
    "/contexts/*": {"DELETE": settings.delete_context},
    "/associations/resources/*/*": {"GET": _no_associations},
    "/v1/metadata/id": {"GET": _identity},
    "/v1/metadata/version": {"GET": _release},
}
_BY_PARTS: Final = [(tuple(path.strip("/").split("/")), methods) for path, methods in _TABLE.items()]


def find(method: str, raw_path: str) -> tuple[Route, tuple[str, ...], str]:
    """The function for a path, still percent-encoded, the parts that the route leaves open, and the context.

    A subject may hold slashes, so the path is taken apart before it is decoded. Clients of one context have
    ``/contexts/.ctx`` in their URL.

    Raises:
        Refused: 404 or 405 in Confluent's shape.
    """
    parts = tuple(raw_path.strip("/").split("/"))
    context = DEFAULT_CONTEXT
    if parts[0] == "contexts" and len(parts) > 2:  # noqa: PLR2004 - more than the context itself
        context, parts = _context(unquote(parts[1])), parts[2:]
    for pattern, methods in _BY_PARTS:
        if len(pattern) == len(parts) and all(want in {"*", part} for want, part in zip(pattern, parts, strict=True)):
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                raise Refused(405, "HTTP 405 Method Not Allowed")
            captured = tuple(unquote(part) for want, part in zip(pattern, parts, strict=True) if want == "*")
            return route, captured, context
    raise Refused(404, "HTTP 404 Not Found")


def _context(text: str) -> str:
    """A context as it stands in the names of its subjects, ``:.context:name``, or they would be read as others."""
    context = text.strip(":")
    if not context.startswith(".") or ":" in context or any(category(letter) == "Cc" for letter in context):
        raise invalid_subject(text)
    return context
