"""Keep what was worked out of schemas for the next time, as much as fits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from eventhub.registry.compatibility import Parsed


class KeptSchemas:
    """Parsed schemas, those used last, bounded by the letters of their texts.

    Letters and not a number of schemas, since one may have a million: what they say takes up to some 25 bytes a letter.
    """

    def __init__(self, letters: int) -> None:
        """Begin empty.

        Args:
            letters: How many letters all texts may have together, with those of the schemas that they lean on.
        """
        self._most = letters
        self._letters = 0
        self._schemas: OrderedDict[Hashable, Parsed] = OrderedDict()

    def get(self, key: Hashable, parse: Callable[[], Parsed]) -> Parsed:
        """The schema under a key, parsed unless it is kept; those used longest ago make room for it."""
        if key in self._schemas:
            self._schemas.move_to_end(key)
            return self._schemas[key]
        schema = parse()
        if _letters(schema) <= self._most:
            self._schemas[key] = schema
            self._letters += _letters(schema)
        while self._letters > self._most:
            _, oldest = self._schemas.popitem(last=False)
            self._letters -= _letters(oldest)
        return schema


def _letters(schema: Parsed) -> int:
    return len(schema.text) + sum(map(len, schema.referenced))
