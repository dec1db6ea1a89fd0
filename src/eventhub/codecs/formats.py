"""Which codec is for which format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.base import Codec
from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.errors import DeclarationError
from eventhub.event import Event, Format, event_info
from eventhub.registry.base import SchemaType

FORMATS: Mapping[SchemaType, Format] = {
    SchemaType.AVRO: Format.AVRO,
    SchemaType.JSON: Format.JSON_SCHEMA,
    SchemaType.PROTOBUF: Format.PROTOBUF,
}
CODECS: Mapping[Format, Codec] = {Format.AVRO: AvroCodec(), Format.JSON_SCHEMA: JsonSchemaCodec()}
"""The codecs that need no extra."""


def codecs_for(events: Iterable[type[Event]]) -> Mapping[Format, Codec]:
    """The codecs that a hub of these events has: that of Protobuf only if one of them asks for it.

    Raises:
        DeclarationError: If an event needs an extra that is not installed.
    """
    found = dict(CODECS)
    for event in events:
        if event_info(event).format is Format.PROTOBUF and Format.PROTOBUF not in found:
            found[Format.PROTOBUF] = protobuf_codec(event)
    return found


def protobuf_codec(event: type[Event]) -> Codec:
    """The codec of an extra, imported where an event asks for it.

    Raises:
        DeclarationError: If the extra is not installed.
    """
    try:
        from eventhub.codecs.protobuf import ProtobufCodec  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"{event.__name__}: Protobuf needs an extra: pip install 'eventhub[protobuf]'"
        raise DeclarationError(msg) from error
    return ProtobufCodec()
