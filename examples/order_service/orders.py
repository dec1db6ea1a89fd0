"""Where orders come from: a seeded generator in place of customers."""

import random
from collections.abc import Iterator

from examples.order_service.events import OrderCreated

CUSTOMERS = tuple(
    f"{name}@example.com"
    for name in (
        *("ada", "alan", "barbara", "bjarne", "brian", "claude", "dennis", "donald", "edsger", "frances"),
        *("grace", "guido", "hedy", "jean", "john", "katherine", "ken", "leslie", "linus", "lynn"),
        *("margaret", "niklaus", "radia", "tim", "tony"),
    )
)
PRICES_CENTS = {
    "assam": 450,
    "ceylon": 420,
    "darjeeling": 690,
    "earl-grey": 480,
    "genmaicha": 540,
    "lapsang": 720,
    "oolong": 850,
    "white-peony": 1250,
}


def generate_orders(seed: int, count: int) -> Iterator[OrderCreated]:
    """The same orders for the same seed, each of one to five packets of one tea."""
    draw = random.Random(seed)
    for number in range(1, count + 1):
        sku = draw.choice(sorted(PRICES_CENTS))
        quantity = draw.randint(1, 5)
        yield OrderCreated(
            order_id=f"order-{seed}-{number:05}",
            customer=draw.choice(CUSTOMERS),
            sku=sku,
            quantity=quantity,
            price_cents=quantity * PRICES_CENTS[sku],
        )
