"""The routes of compatibility levels, modes and contexts."""

from __future__ import annotations

from collections.abc import Iterable

from eventhub.registry.base import Compatibility
from eventhub.registry.embedded.answers import Nothing
from eventhub.registry.embedded.bodies import ConfigBody, ModeBody, read
from eventhub.registry.embedded.refused import Refused, not_permitted, subject_not_found
from eventhub.registry.embedded.request import Request
from eventhub.registry.embedded.state import MODES, Subject
from eventhub.registry.embedded.store import Store


def _setting_place(request: Request) -> Subject:
    """What a setting is for: a whole context, or a subject, which has to be a valid one."""
    return request.subject if request.place.name else request.place


def get_config(store: Store, request: Request) -> object:
    """GET /config."""
    return {
        "compatibilityLevel": store.level(request.root).value,
        **(store.state.setting("config", request.root) or {}),
    }


def put_config(store: Store, request: Request) -> object:
    """PUT /config."""
    return _put_config(store, request.root, request)


def delete_config(store: Store, request: Request) -> object:
    """DELETE /config."""
    old = store.level(request.root)
    store.set("config", request.root, None)
    return {"compatibilityLevel": old.value}


def get_subject_config(store: Store, request: Request) -> object:
    """GET /config/{subject}."""
    subject = _setting_place(request)
    own = store.state.setting("config", subject)
    if own is None and not request.flag("defaultToGlobal"):
        message = f"Subject '{subject}' does not have subject-level compatibility configured"
        raise Refused(40408, message)
    return {"compatibilityLevel": store.level(subject).value, **(own or {})}


def put_subject_config(store: Store, request: Request) -> object:
    """PUT /config/{subject}."""
    return _put_config(store, _setting_place(request), request)


def _put_config(store: Store, subject: Subject, request: Request) -> object:
    """Keep a level and whatever else a config holds, and answer with what was sent."""
    sent = read(ConfigBody, request.body).model_dump(exclude_unset=True)
    kept = {key: value for key, value in sent.items() if key not in {"compatibility", "compatibilityLevel"}}
    level = (sent.get("compatibility") or "").upper()
    if level or not kept:
        if level not in set(Compatibility):
            raise Refused(42203, "Invalid compatibility level. Valid values are " + _listed(Compatibility))
        kept["compatibilityLevel"] = level
    store.set("config", subject, {**(store.state.setting("config", subject) or {}), **kept})
    return sent


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)


def delete_subject_config(store: Store, request: Request) -> object:
    """DELETE /config/{subject}."""
    subject = _setting_place(request)
    own = store.state.setting("config", subject)
    if own is None:
        raise subject_not_found(str(subject))
    old = store.level(subject)
    store.set("config", subject, None)
    return {"compatibilityLevel": old.value, **own}


def get_mode(store: Store, request: Request) -> object:
    """GET /mode."""
    return {"mode": store.mode(request.root)}


def put_mode(store: Store, request: Request) -> object:
    """PUT /mode."""
    return _put_mode(store, request.root, request)


def delete_mode(store: Store, request: Request) -> object:
    """DELETE /mode."""
    old = store.mode(request.root)
    store.set("mode", request.root, None)
    return {"mode": old}


def get_subject_mode(store: Store, request: Request) -> object:
    """GET /mode/{subject}."""
    subject = _setting_place(request)
    if store.state.setting("mode", subject) is None and not request.flag("defaultToGlobal"):
        message = f"Subject '{subject}' does not have subject-level mode configured"
        raise Refused(40409, message)
    return {"mode": store.mode(subject)}


def put_subject_mode(store: Store, request: Request) -> object:
    """PUT /mode/{subject}."""
    return _put_mode(store, _setting_place(request), request)


def _put_mode(store: Store, subject: Subject, request: Request) -> object:
    mode = read(ModeBody, request.body).mode
    if mode not in MODES:
        raise Refused(42204, "Invalid mode. Valid values are " + _listed(sorted(MODES)))
    if mode == "IMPORT" and not request.flag("force") and _holds_schemas(store, subject):
        reason = f"Cannot import since found existing subjects{f' in {subject}' if subject.name else ''}"
        raise not_permitted(reason)
    store.set("mode", subject, {"mode": mode})
    return {"mode": mode}


def _holds_schemas(store: Store, subject: Subject) -> bool:
    if subject.name:
        return bool(store.state.versions(subject))
    return any(each.context == subject.context for each in store.state.subjects())


def delete_subject_mode(store: Store, request: Request) -> object:
    """DELETE /mode/{subject}."""
    subject = _setting_place(request)
    if store.state.setting("mode", subject) is None:
        raise subject_not_found(str(subject))
    old = store.mode(subject)
    store.set("mode", subject, None)
    return {"mode": old}


def delete_context(store: Store, request: Request) -> object:
    """DELETE /contexts/{context}: its settings, once it has no subjects."""
    context = Subject(request.captured[0].strip(":"), "")
    if _holds_schemas(store, context):
        raise Refused(42211, f"The specified context '{context.context}' is not empty.")
    for table in ("config", "mode"):
        if store.state.setting(table, context) is not None:
            store.set(table, context, None)
    return Nothing()


def list_contexts(store: Store, _: Request) -> object:
    """GET /contexts."""
    return store.state.contexts()
