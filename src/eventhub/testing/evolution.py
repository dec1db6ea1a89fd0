"""Whether what was ever written is still read: a test against the registry that services use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from eventhub.event import Event
from eventhub.registry.base import SchemaRegistry
from eventhub.schemas import declarations, opened, read_versions
from eventhub.service import Service


async def assert_reads_every_version(
    declared: Service[Any] | type[Event], registry: SchemaRegistry | str
) -> Mapping[str, Sequence[int]]:
    """Fail unless an event class, or each that a service reads, can read every version of its subject.

    Args:
        declared: The class, or the service with its upcasts.
        registry: Where the versions are, or its address.

    Returns:
        The versions that are read, by subject: a subject that nobody has written yet has none.

    Raises:
        AssertionError: Naming each version that cannot be read, and why.
        RegistryError: If the registry does not answer.
    """
    __tracebackhide__ = True
    read = [each for each in declarations(declared) if each.reads]
    found: dict[str, Sequence[int]] = {}
    problems: list[str] = []
    async with opened(registry) if isinstance(registry, str) else nullcontext(registry) as asked:
        for each in read:
            readings = await read_versions(asked, each, read)
            found[each.subject] = [reading.version.version for reading in readings]
            problems += [
                f"{each.subject}: {each.event.__name__} cannot read version {reading.version.version}: {problem}"
                for reading in readings
                for problem in reading.problems
            ]
    if problems:
        raise AssertionError("\n".join(problems))
    return found
