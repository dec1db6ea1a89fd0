"""What classes are called where their values are written."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

from eventhub import Event
from eventhub.codecs.names import event_name, record_name

T = TypeVar("T")


class Envelope(BaseModel, Generic[T]):
    """Around something else."""

    content: T


class Ordered(Event, topic="orders", name="com.example.shop.Order"):
    """An order."""


def test_a_class_goes_by_its_own_name_without_what_no_format_takes() -> None:
    """What a generic class is of stands in its name."""
    assert "Envelope_int" == record_name(Envelope[int]) == event_name(Envelope[int])


def test_an_event_goes_by_the_name_that_it_declares() -> None:
    """A record's name is without the namespace."""
    assert "com.example.shop.Order" == event_name(Ordered)
    assert "Order" == record_name(Ordered)
