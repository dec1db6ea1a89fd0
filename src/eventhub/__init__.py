"""The event backbone for Python services on Apache Kafka."""

from eventhub.codecs.upcast import upcast
from eventhub.errors import (
    BatchFailed,
    BrokerError,
    DeclarationError,
    DecodeError,
    EventHubError,
    HandlerTimeout,
    IncompatibleSchema,
    InfrastructureError,
    PublishUncertain,
    RecordError,
    RegistryError,
    SchemaMismatch,
)
from eventhub.event import Event, Format, Frame, Occurrence, Stamp, SubjectName, Tombstone
from eventhub.handler import BatchContext, Context, Handler, Middleware
from eventhub.hub import Hub
from eventhub.retry import Exhausted, Retry
from eventhub.run import run
from eventhub.runtime.options import Options, Start
from eventhub.service import Limits, Service
from eventhub.settings import Security, Settings, Token
from eventhub.source import SourceContext, produces
from eventhub.subscription import Ordering, subscribe, subscribe_batch

__all__ = [
    "BatchContext",
    "BatchFailed",
    "BrokerError",
    "Context",
    "DeclarationError",
    "DecodeError",
    "Event",
    "EventHubError",
    "Exhausted",
    "Format",
    "Frame",
    "Handler",
    "HandlerTimeout",
    "Hub",
    "IncompatibleSchema",
    "InfrastructureError",
    "Limits",
    "Middleware",
    "Occurrence",
    "Options",
    "Ordering",
    "PublishUncertain",
    "RecordError",
    "RegistryError",
    "Retry",
    "SchemaMismatch",
    "Security",
    "Service",
    "Settings",
    "SourceContext",
    "Stamp",
    "Start",
    "SubjectName",
    "Token",
    "Tombstone",
    "produces",
    "run",
    "subscribe",
    "subscribe_batch",
    "upcast",
]
