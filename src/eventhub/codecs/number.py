"""The numbers of fields, for formats that go by them; here, so that no event needs the library of such a format."""

from __future__ import annotations

from typing import NamedTuple


class Number(NamedTuple):
    """The number of a field in Protobuf, as in ``Annotated[str, Number(1)]``: once a field's, never another's."""

    number: int
