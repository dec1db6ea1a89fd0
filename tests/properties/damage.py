"""Good bytes with some damage."""

from __future__ import annotations

from random import Random


def mutated(random: Random, value: bytes) -> bytes:
    """The bytes with some damage."""
    changed = bytearray(value)
    for _ in range(random.choice((1, 1, 1, 5))):
        place = random.randrange(len(changed) + 1)
        damage = random.randrange(4)
        if damage == 0:
            changed[place : place + 1] = random.randbytes(1)
        elif damage == 1:
            del changed[place : place + random.randrange(10)]
        elif damage == 2:
            changed[place:place] = changed[place : place + random.randrange(20)]
        else:
            changed[place:place] = random.choice((b"\xff" * 9 + b"\x01", b"\x80", b"\xfe\xff\xff\xff\x0f", b"\x01"))
    return bytes(changed)
