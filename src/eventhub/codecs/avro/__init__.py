"""Events as Avro: a schema derived from the class, or written by hand, and a codec for it."""

from eventhub.codecs.avro.codec import AvroCodec

__all__ = ["AvroCodec"]
