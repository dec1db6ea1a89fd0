"""The table of changes in the documentation of schemas: what it says of each change is what happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import AliasChoices, Field, NaiveDatetime, create_model

from eventhub import Event, IncompatibleSchema, SchemaMismatch
from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.serde import Serde
from eventhub.registry.client import embedded_registry
from eventhub.schemas import declarations, read_versions

PAGE = (Path(__file__).parent.parent.parent / "docs" / "schemas.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## What may change")[2].partition("\n\n|")[2].partition("\n\n")[0]
ROWS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in TABLE.splitlines()[2:]]


class Change(NamedTuple):
    """Two versions of an event, and a value of each that shows the difference."""

    old: type[Event]
    new: type[Event]
    written_before: dict[str, Any]
    written_after: dict[str, Any]


def order(name: str = "OrderCreated", /, *, avro_name: str = "OrderCreated", **fields: Any) -> type[Event]:
    """A version of the event."""
    made: Any = create_model(
        name, __base__=Event, __cls_kwargs__={"topic": "orders", "name": avro_name}, order_id=(str, ...), **fields
    )
    return made  # type: ignore[no-any-return]


def way(*symbols: str, default: str | None = None) -> Any:
    """A version of an enum."""
    functional: Any = Enum  # whose members no type checker knows
    made = functional("Way", {symbol: symbol for symbol in symbols})
    if default is not None:
        made.__default__ = default
    return made


NOTE, NO_NOTE = {"note": "by noon"}, dict[str, Any]()
COUNT = Field(validation_alias=AliasChoices("count", "quantity"))
CARD, BOTH, WITH_DEFAULT = way("CARD"), way("CARD", "CASH"), way("CARD", "CASH", default="CASH")
MORE, MORE_WITH_DEFAULT, CARD_WITH_DEFAULT = (
    way("CARD", "CASH", "GIFT"),
    way("CARD", "CASH", "GIFT", default="CASH"),
    way("CARD", default="CARD"),
)
REQUIRED, DEFAULTED = order(note=(str, ...)), order(note=(str, ""))
INT, FLOAT, TEXT = order(quantity=(int, ...)), order(quantity=(float, ...)), order(quantity=(str, ...))
OPTIONAL = order(quantity=(int | None, ...))

CHANGES = {
    "add a field with a default": Change(order(), DEFAULTED, NO_NOTE, NOTE),
    "add a field without a default": Change(order(), REQUIRED, NO_NOTE, NOTE),
    "remove a field that had a default": Change(DEFAULTED, order(), NOTE, NO_NOTE),
    "remove a field that had none": Change(REQUIRED, order(), NOTE, NO_NOTE),
    "rename a field": Change(INT, order(count=(int, ...)), {"quantity": 2}, {"count": 2}),
    "rename a field, its old name an alias": Change(INT, order(count=(int, COUNT)), {"quantity": 2}, {"count": 2}),
    "`int` becomes `float`": Change(INT, FLOAT, {"quantity": 2}, {"quantity": 2.5}),
    "`float` becomes `int`": Change(FLOAT, INT, {"quantity": 2.5}, {"quantity": 2}),
    "`int` becomes `str`": Change(INT, TEXT, {"quantity": 2}, {"quantity": "two"}),
    "`str` becomes `UUID`": Change(
        order(ref=(str, ...)), order(ref=(UUID, ...)), {"ref": "o-1"}, {"ref": "01890a5d-ac96-774b-bcce-b302099a8057"}
    ),
    "`datetime` becomes `NaiveDatetime`": Change(
        order(at=(datetime, ...)),
        order(at=(NaiveDatetime, ...)),
        {"at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point of the row
    ),
    "a field gets a constraint, such as `max_length`": Change(
        order(ref=(str, ...)), order(ref=(str, Field(max_length=2))), {"ref": "o-1"}, {"ref": "o1"}
    ),
    "a field becomes optional": Change(INT, OPTIONAL, {"quantity": 2}, {"quantity": None}),
    "an optional field becomes required": Change(OPTIONAL, INT, {"quantity": None}, {"quantity": 2}),
    "add a symbol to an enum": Change(
        order(way=(BOTH, ...)), order(way=(MORE, ...)), {"way": BOTH.CASH}, {"way": MORE.GIFT}
    ),
    "add a symbol to an enum with a `__default__`": Change(
        order(way=(WITH_DEFAULT, ...)),
        order(way=(MORE_WITH_DEFAULT, ...)),
        {"way": WITH_DEFAULT.CASH},
        {"way": MORE_WITH_DEFAULT.GIFT},
    ),
    "remove a symbol from an enum": Change(
        order(way=(BOTH, ...)), order(way=(CARD, ...)), {"way": BOTH.CASH}, {"way": CARD.CARD}
    ),
    "remove a symbol from an enum with a `__default__`": Change(
        order(way=(BOTH, ...)),
        order(way=(CARD_WITH_DEFAULT, ...)),
        {"way": BOTH.CASH},
        {"way": CARD_WITH_DEFAULT.CARD},
    ),
    "change a default": Change(DEFAULTED, order(note=(str, "none")), NOTE, NOTE),
    "change the order of fields": Change(
        order(a=(int, ...), b=(str, ...)), order(b=(str, ...), a=(int, ...)), {"a": 1, "b": "b"}, {"a": 1, "b": "b"}
    ),
    "rename the class": Change(order(), order("OrderPlaced", avro_name="OrderPlaced"), NO_NOTE, NO_NOTE),
    "rename the class, its old name in `name=`": Change(order(), order("OrderPlaced"), NO_NOTE, NO_NOTE),
    "change docstrings and descriptions": Change(order(note=(str, Field(description="For us."))), REQUIRED, NOTE, NOTE),
}


def test_every_change_of_the_table_is_tried() -> None:
    """The rows and the changes above are the same."""
    assert list(CHANGES) == [row[0] for row in ROWS]


@pytest.mark.parametrize(("change", "registered", "forward", "backward"), ROWS, ids=lambda cell: cell)
async def test_the_table_is_true(change: str, registered: str, forward: str, backward: str) -> None:
    """The registry's verdict, and what either class makes of the other's events."""
    old, new, before, after = CHANGES[change]
    versions = await versions_after(old, new)

    assert {"yes: nothing changes": 1, "yes": 2, "no": None}[registered] == versions
    assert forward.startswith("yes") is reads(new, old.model_validate({"order_id": "o-1"} | before))
    assert backward.startswith("yes") is reads(old, new.model_validate({"order_id": "o-1"} | after))


@pytest.mark.parametrize(("change", "registered", "forward", "backward"), ROWS, ids=lambda cell: cell)
async def test_the_check_says_what_the_table_says(change: str, registered: str, forward: str, backward: str) -> None:
    """What is always read is no problem, and what is never read is one; only records tell about the rest."""
    del registered
    old, new, _, _ = CHANGES[change]

    for reader, writer, told in ((new, old, forward), (old, new, backward)):
        registry = embedded_registry()
        await registry.register("orders-value", declarations(writer)[0].schema)
        [reading] = await read_versions(registry, declarations(reader)[0])
        if "unless" not in told:
            assert told.startswith("yes") is (reading.problems == ())


async def versions_after(old: type[Event], new: type[Event]) -> int | None:
    """How many versions a subject has after both were registered, or None if the second was refused."""
    registry = embedded_registry()
    await registry.start()
    try:
        await Serde(registry, auto_register=True).prepare(writes=[old])
        await Serde(registry, auto_register=True).prepare(writes=[new])
        return len(await registry.versions("orders-value"))
    except IncompatibleSchema:
        return None
    finally:
        await registry.stop()


def reads(reader: type[Event], event: Event) -> bool:
    """Whether a class takes what another version of it wrote."""
    codec = AvroCodec()
    schema = codec.schema(type(event))
    data = codec.encoder(type(event), schema, b"")(event)
    try:
        read = codec.decoder(reader, schema)(data, 0)
    except SchemaMismatch:
        return False
    return isinstance(read, reader)


def test_the_refusal_is_worded_as_shown() -> None:
    """The message in the page is the message."""
    [problem] = AvroCodec().problems(REQUIRED_AFTER_TWO, AvroCodec().schema(TWO))

    assert re.search(rf"- {re.escape(str(problem))} \(new schema reading version 1\)", PAGE)


TWO = order(quantity=(int, ...))
REQUIRED_AFTER_TWO = order(quantity=(int, ...), note=(str, ...))
