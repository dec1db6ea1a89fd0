"""The codecs of eventhub keep the laws of codecs."""

from __future__ import annotations

import pytest

from eventhub.codecs.avro import AvroCodec
from eventhub.codecs.base import Codec
from eventhub.codecs.json_schema import JsonSchemaCodec
from eventhub.codecs.protobuf import ProtobufCodec
from eventhub.testing.conformance.codecs import CodecConformance


class TestAvro(CodecConformance):
    """By generated functions."""

    @pytest.fixture
    def codec(self) -> Codec:
        """The codec of ``Format.AVRO``."""
        return AvroCodec()


class TestJsonSchema(CodecConformance):
    """By pydantic."""

    @pytest.fixture
    def codec(self) -> Codec:
        """The codec of ``Format.JSON_SCHEMA``."""
        return JsonSchemaCodec()


class TestProtobuf(CodecConformance):
    """By Google's library."""

    @pytest.fixture
    def codec(self) -> Codec:
        """The codec of ``Format.PROTOBUF``."""
        return ProtobufCodec()
