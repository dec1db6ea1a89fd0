"""The routes that read schemas by id or guid, whatever their subjects."""

from __future__ import annotations

from eventhub.registry.base import SchemaType
from eventhub.registry.embedded.answers import Raw, schema_answer, version_answer
from eventhub.registry.embedded.refused import schema_not_found
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.state import Version, parse_subject
from eventhub.registry.embedded.store import Store
from eventhub.registry.embedded.subjects import wanted


def list_schemas(store: Store, request: Request) -> object:
    """GET /schemas."""
    found: list[Version] = []
    for subject in store.state.subjects():
        if wanted(subject, request):
            versions = store.state.versions(subject, deleted=request.flag("deleted"))
            found += versions[-1:] if request.flag("latestOnly") else versions
    return [version_answer(store, version, request) for version in request.page(found)]


def schema_types(_: Store, __: Request) -> object:
    """GET /schemas/types."""
    return [SchemaType.JSON.value, SchemaType.PROTOBUF.value, SchemaType.AVRO.value]


def get_schema(store: Store, request: Request) -> object:
    """GET /schemas/ids/{id}."""
    version = _places(store, request)[0]
    answer = schema_answer(store, version, request)
    if request.flag("fetchMaxId"):
        answer["maxId"] = store.state.last_id(version.subject.context)
    return {**answer, "guid": version.definition.guid}


def get_schema_text(store: Store, request: Request) -> object:
    """GET /schemas/ids/{id}/schema."""
    return Raw(_places(store, request)[0].definition.schema.text)


def get_schema_subjects(store: Store, request: Request) -> object:
    """GET /schemas/ids/{id}/subjects."""
    places = _places(store, request)
    return request.page(sorted({str(each.subject) for each in places if request.flag("deleted") or not each.deleted}))


def get_schema_versions(store: Store, request: Request) -> object:
    """GET /schemas/ids/{id}/versions."""
    places = _places(store, request)
    shown = [each for each in places if request.flag("deleted") or not each.deleted]
    return request.page([{"subject": str(each.subject), "version": each.version} for each in shown])


def _places(store: Store, request: Request) -> list[Version]:
    """The versions that have an id, in the context of ``subject`` or the default one."""
    text = request.captured[0]
    places = []
    if text.isdecimal() and len(text) < 11:  # noqa: PLR2004 - more digits than an id has
        subject = request.text("subject")
        places = store.state.places(parse_subject(subject).context if subject else request.context, int(text))
    if not places:
        raise schema_not_found(text)
    return places


def get_guid(store: Store, request: Request) -> object:
    """GET /schemas/guids/{guid}."""
    guid = request.captured[0].lower()
    for context, schema_id in store.state.ids_of(guid).items():
        return {**schema_answer(store, store.state.places(context, schema_id)[0], request), "guid": guid}
    raise schema_not_found(guid)


def get_guid_ids(store: Store, request: Request) -> object:
    """GET /schemas/guids/{guid}/ids."""
    guid = request.captured[0].lower()
    ids = store.state.ids_of(guid)
    if not ids:
        raise schema_not_found(guid)
    return [{"context": context, "id": schema_id} for context, schema_id in ids.items()]
