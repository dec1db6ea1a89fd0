"""What clients send, as far as the registry looks into it; unknown properties are ignored."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventhub.registry.base import Reference, Schema, SchemaType
from eventhub.registry.embedded.refused import Refused, invalid_schema
from eventhub.registry.embedded.store import Proposal

_Number = Annotated[int, Field(strict=True, ge=-1, lt=1 << 31)]


class _Body(BaseModel):
    """JSON that is read strictly: a number is no text."""

    model_config = ConfigDict(strict=True)


class _Verbatim(_Body):
    """JSON that is handed back as it came, whatever else is in it."""

    model_config = ConfigDict(extra="allow")


class _Metadata(_Verbatim):
    """What is known about a schema apart from its text."""

    tags: dict[str, list[str]] | None = None
    properties: dict[str, str] | None = None
    sensitive: list[str] | None = None


class _Rule(_Verbatim):
    """One rule; what it means is the clients' business."""

    name: str | None = None
    doc: str | None = None
    kind: str | None = None
    mode: str | None = None
    type: str | None = None
    tags: list[str] | None = None
    params: dict[str, str] | None = None
    expr: str | None = None
    on_success: str | None = Field(None, alias="onSuccess")
    on_failure: str | None = Field(None, alias="onFailure")
    disabled: bool | None = None


class _RuleSet(_Verbatim):
    """The rules that go with a schema."""

    migration_rules: list[_Rule] | None = Field(None, alias="migrationRules")
    domain_rules: list[_Rule] | None = Field(None, alias="domainRules")
    encoding_rules: list[_Rule] | None = Field(None, alias="encodingRules")
    enable_at: str | None = Field(None, alias="enableAt")


class _Reference(_Body):
    """A schema of another subject."""

    name: str
    subject: str
    version: _Number


class SchemaBody(_Body):
    """A schema to register, look up or check."""

    text: str | None = Field(None, alias="schema")
    type: str | None = Field(None, alias="schemaType")
    references: list[_Reference] | None = None
    metadata: _Metadata | None = None
    rule_set: _RuleSet | None = Field(None, alias="ruleSet")
    id: _Number | None = None
    version: _Number | None = None

    @property
    def proposal(self) -> Proposal:
        """The body as the store takes it; numbers below 1 mean none."""
        if not self.text:
            raise Refused(42201, "Empty schema")
        type_ = self.type or SchemaType.AVRO
        if type_ not in set(SchemaType):
            reason = f"unknown schemaType {type_!r}; known are {', '.join(SchemaType)}"
            raise invalid_schema(reason)
        references = tuple(Reference(each.name, each.subject, each.version) for each in self.references or ())
        return Proposal(
            Schema(self.text, SchemaType(type_), references),
            _as_sent(self.metadata),
            _as_sent(self.rule_set),
            self.id if self.id and self.id > 0 else None,
            self.version if self.version and self.version > 0 else None,
        )


class ConfigBody(_Verbatim):
    """A compatibility level, and whatever else a config may hold."""

    compatibility: str | None = None
    normalize: bool | None = None


class ModeBody(_Body):
    """A mode."""

    mode: str | None = None


Body = TypeVar("Body", bound=BaseModel)


def read(model: type[Body], body: bytes) -> Body:
    """A body as one of the models above; an empty one is an empty object.

    Raises:
        Refused: If it is no JSON, or JSON of another kind.
    """
    try:
        found = model.model_validate_json(body.strip() or b"{}")
        json.dumps(found.model_dump(), allow_nan=False)  # what is handed back verbatim has to be JSON
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        code = 400 if first["type"] == "json_invalid" else 422
        raise Refused(code, f"request is not as it should be{where and ' at ' + where}: {first['msg']}") from error
    except ValueError as error:
        raise Refused(400, "request is not as it should be: NaN and Infinity are no JSON") from error
    return found


def _as_sent(value: BaseModel | None) -> dict[str, Any] | None:
    return None if value is None else value.model_dump(by_alias=True, exclude_unset=True)
