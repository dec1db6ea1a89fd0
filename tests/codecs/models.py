"""The twelve models of the tests: what events of real services look like, each with a value."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Generic, Literal, NewType, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, computed_field
from pydantic.alias_generators import to_camel

from eventhub.event import Event

T = TypeVar("T")

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
CustomerId = NewType("CustomerId", UUID)

SOME_ID = UUID("0190d9a0-7c2b-7cc1-8a53-6f1f0c5b7a10")
SOME_TIME = datetime(2026, 11, 23, 12, 34, 56, 789012, tzinfo=UTC)


class Channel(StrEnum):
    """Where an order came from."""

    WEB = "web"
    APP = "app"
    __default__ = "web"


class LineItem(BaseModel):
    """One line of an order."""

    sku: str
    quantity: int = Field(gt=0)
    unit_price: Money


class OrderCreated(Event, topic="orders", key="order_id", name="shop.orders.OrderCreated"):
    """An order, with most of what an event may hold."""

    order_id: UUID
    customer_id: CustomerId
    created_at: datetime
    total: Money
    currency: str = "EUR"
    channel: Channel = Channel.WEB
    lines: list[LineItem]
    note: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        """How many lines there are; computed, so not written."""
        return len(self.lines)


class Payment(Event, topic="payments"):
    """Bounds are for validation, and change nothing on the wire."""

    method: Literal["card", "transfer"]
    amount: Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=3)]
    attempts: Annotated[int, Field(ge=1, le=5)] = 1
    reference: Annotated[str, Field(min_length=1, max_length=35)]


class Address(BaseModel):
    """Where a customer lives."""

    street: str
    city: str
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "DE"


class Customer(Event, topic="customers"):
    """Dates, times and spans."""

    born: date
    call_at: time
    patience: timedelta
    address: Address
    former: list[Address] = Field(default_factory=list)
    spouse: str | None = None


class TreeNode(Event, topic="trees"):
    """A class that contains itself."""

    label: str
    children: list[TreeNode] = Field(default_factory=list)


class Team(BaseModel):
    """A class that contains the one that contains it."""

    name: str
    members: list[Employee] = Field(default_factory=list)


class Employee(Event, topic="employees"):
    """One of two classes that contain each other."""

    name: str
    boss: Employee | None = None
    team: Team | None = None


class Card(BaseModel):
    """One way to pay."""

    kind: Literal["card"] = "card"
    number: str


class Transfer(BaseModel):
    """Another way to pay."""

    kind: Literal["transfer"] = "transfer"
    iban: str


class Charge(Event, topic="charges"):
    """A union told apart by a field."""

    by: Annotated[Card | Transfer, Field(discriminator="kind")]


class Mixed(Event, topic="mixed"):
    """Unions of simple types, with and without defaults."""

    measured: int | float | None
    called: int | str = "nothing"
    limit: int | None = 10


class Envelope(BaseModel, Generic[T]):
    """Something, and when it was sent."""

    payload: T
    sent_at: datetime


class OrderSent(Event, topic="sent"):
    """A generic model with an event in it."""

    envelope: Envelope[OrderCreated]


class CamelCase(Event, topic="camels"):
    """Aliases are for JSON; the wire has the names of the fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    first_name: str
    last_name: str = Field(validation_alias="familyName")


class Collections(Event, topic="collections"):
    """Everything that holds several."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    names: set[str]
    pair: tuple[int, ...]
    raw: bytes = b"\x00\xff"
    nested: dict[str, list[int]]


class Priority(IntEnum):
    """An enum of ints."""

    LOW = 1
    HIGH = 9


class Status(Enum):
    """An enum of values that are no Avro names."""

    IN_PROGRESS = "in-progress"
    DONE = "done"


class Enums(Event, topic="enums"):
    """The three kinds of enums."""

    priority: Priority
    status: Status = Status.IN_PROGRESS
    channel: Channel


class Defaults(Event, topic="defaults"):
    """Defaults of types that JSON does not have."""

    since: AwareDatetime = datetime(2020, 1, 1, tzinfo=UTC)
    owner: CustomerId = CustomerId(SOME_ID)
    site: HttpUrl = HttpUrl("https://example.org/")
    price: Money = Decimal("9.99")
    address: Address = Address(street="1 High Street", city="Leeds", country="GB")
    wait: timedelta = timedelta(seconds=30)


ORDER = OrderCreated(
    order_id=SOME_ID,
    customer_id=CustomerId(SOME_ID),
    created_at=SOME_TIME,
    total=Decimal("47.48"),
    channel=Channel.APP,
    lines=[LineItem(sku="tea", quantity=2, unit_price=Decimal("19.99"))],
    tags={"campaign": "autumn"},
)
HOME = Address(street="Hauptstraße 1", city="Köln")

EVENTS: tuple[Event, ...] = (
    ORDER,
    Payment(method="card", amount=Decimal("12.345"), reference="R1"),
    Customer(
        born=date(1969, 7, 20), call_at=time(9, 30), patience=timedelta(days=-1, hours=5), address=HOME, former=[HOME]
    ),
    TreeNode(label="root", children=[TreeNode(label="leaf"), TreeNode(label="twig", children=[TreeNode(label="bud")])]),
    Employee(name="Ada", boss=Employee(name="Bob"), team=Team(name="core", members=[Employee(name="Eve")])),
    Charge(by=Transfer(iban="DE02120300000000202051")),
    Mixed(measured=2.5, called=7, limit=None),
    OrderSent(envelope=Envelope[OrderCreated](payload=ORDER, sent_at=SOME_TIME)),
    CamelCase.model_validate({"firstName": "Ada", "familyName": "Lovelace"}),
    Collections(names={"a", "b"}, pair=(1, 2, 3), nested={"x": [1], "y": []}),
    Enums(priority=Priority.HIGH, channel=Channel.WEB),
    Defaults(),
)
"""One event of each of the twelve models."""
