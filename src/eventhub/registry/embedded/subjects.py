"""The routes of subjects, their versions, and compatibility."""

from __future__ import annotations

from collections.abc import Sequence

from eventhub.registry.embedded.answers import Raw, version_answer
from eventhub.registry.embedded.refused import Refused, read_only, subject_not_found, version_not_found
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.state import DEFAULT_CONTEXT, State, Subject, Version, parse_subject
from eventhub.registry.embedded.store import Store


def list_subjects(store: Store, request: Request) -> object:
    """GET /subjects."""
    shown = (subject for subject in store.state.subjects() if _is_shown(store.state, subject, request))
    return request.page([str(subject) for subject in shown if wanted(subject, request)])


def wanted(subject: Subject, request: Request) -> bool:
    """Whether a subject is asked for by its prefix.

    ``:*:`` means every context, and so does no prefix, unless the path names a context.
    """
    prefix = request.text("subjectPrefix")
    if request.context != DEFAULT_CONTEXT and not prefix.startswith(":"):
        return subject.context == request.context and subject.name.startswith(prefix)
    if not prefix or prefix.startswith(":*:"):
        return subject.name.startswith(prefix.removeprefix(":*:"))
    context, name = parse_subject(prefix)
    return subject.context == context and subject.name.startswith(name)


def _is_shown(state: State, subject: Subject, request: Request) -> bool:
    """Whether a subject is asked for: the living ones, all with ``deleted``, the dead with ``deletedOnly``."""
    alive = bool(state.versions(subject))
    return not alive if request.flag("deletedOnly") else alive or request.flag("deleted")


def lookup(store: Store, request: Request) -> object:
    """POST /subjects/{subject}."""
    return version_answer(
        store, store.lookup(request.subject, request.proposal, deleted=request.flag("deleted")), request
    )


def delete_subject(store: Store, request: Request) -> object:
    """DELETE /subjects/{subject}."""
    subject, permanent = request.subject, request.flag("permanent")
    everything, alive = store.state.versions(subject, deleted=True), store.state.versions(subject)
    if not everything:
        raise subject_not_found(str(subject))
    if not alive and not permanent:
        message = f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"
        raise Refused(40404, message)
    if alive and permanent:
        raise Refused(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
    victims = everything if permanent else alive
    _delete(store, victims, permanent=permanent)
    return [version.version for version in victims]


def list_versions(store: Store, request: Request) -> object:
    """GET /subjects/{subject}/versions."""
    subject = request.subject
    only = request.flag("deletedOnly")
    found = store.state.versions(subject, deleted=only or request.flag("deleted"))
    numbers = [version.version for version in found if version.deleted or not only]
    if not numbers:
        raise subject_not_found(str(subject))
    return request.page(numbers)


def register(store: Store, request: Request) -> object:
    """POST /subjects/{subject}/versions."""
    version = store.register(request.subject, request.proposal)
    answer = version_answer(store, version, request)
    del answer["subject"]
    return answer


def get_version(store: Store, request: Request) -> object:
    """GET /subjects/{subject}/versions/{version}."""
    return version_answer(store, _version(store, request), request)


def get_by_metadata(store: Store, request: Request) -> object:
    """GET /subjects/{subject}/metadata: the latest version with all the properties asked for."""
    wanted = dict(zip(request.texts("key"), request.texts("value"), strict=False))
    subject = request.subject
    versions = store.state.versions(subject, deleted=request.flag("deleted"))
    if not versions:
        raise subject_not_found(str(subject))
    for version in reversed(versions):
        properties = (version.definition.metadata or {}).get("properties") or {}
        if wanted.items() <= properties.items():
            return version_answer(store, version, request)
    raise version_not_found()


def get_version_schema(store: Store, request: Request) -> object:
    """GET /subjects/{subject}/versions/{version}/schema."""
    return Raw(_version(store, request).definition.schema.text)


def _version(store: Store, request: Request) -> Version:
    return store.version(request.subject, request.version, deleted=request.flag("deleted"))


def delete_version(store: Store, request: Request) -> object:
    """DELETE /subjects/{subject}/versions/{version}."""
    subject, number, permanent = request.subject, request.version, request.flag("permanent")
    version = store.version(subject, number, deleted=number is not None)
    place = f"Subject '{subject}' Version {version.version}"
    if version.deleted and not permanent:
        raise Refused(40406, f"{place} was soft deleted. Set permanent=true to delete permanently")
    if permanent and not version.deleted:
        raise Refused(40407, f"{place} was not deleted first before being permanently deleted")
    _delete(store, [version], permanent=permanent)
    return version.version


def _delete(store: Store, versions: Sequence[Version], *, permanent: bool) -> None:
    """Delete versions that nothing refers to."""
    subject = versions[0].subject
    if store.mode(subject).startswith("READONLY"):
        raise read_only(str(subject))
    for version in versions:
        if store.state.referrers(version):
            raise Refused(
                42206, f"One or more references exist to the schema of subject {subject} version {version.version}"
            )
    store.delete(versions, permanent=permanent)


def referenced_by(store: Store, request: Request) -> object:
    """GET /subjects/{subject}/versions/{version}/referencedby."""
    version = _version(store, request)
    return request.page(sorted(each.id for each in store.state.referrers(version) if not each.deleted))


def check_version(store: Store, request: Request) -> object:
    """POST /compatibility/subjects/{subject}/versions/{version}."""
    subject, number = request.subject, request.version
    if number is None:
        return _checked(store, request, store.state.versions(subject)[-1:])
    return _checked(store, request, [store.version(subject, number)])


def check_subject(store: Store, request: Request) -> object:
    """POST /compatibility/subjects/{subject}/versions: what registering would say."""
    return _checked(store, request, store.state.versions(request.subject))


def _checked(store: Store, request: Request, against: Sequence[Version]) -> object:
    verbose = request.flag("verbose")
    try:
        messages = [str(conflict) for conflict in store.conflicts(request.subject, request.proposal, against)]
    except Refused as refused:
        if not verbose:
            raise
        messages = [refused.message]
    return {"is_compatible": not messages, **({"messages": messages} if verbose else {})}
