"""The generator of orders."""

from examples.order_service.orders import CUSTOMERS, PRICES_CENTS, generate_orders


def test_a_seed_decides_the_orders() -> None:
    """The same seed gives the same orders."""
    assert list(generate_orders(seed=7, count=50)) == list(generate_orders(seed=7, count=50))


def test_another_seed_gives_other_orders() -> None:
    """No order of one seed appears under another."""
    one, other = ({order.order_id for order in generate_orders(seed, count=50)} for seed in (1, 2))

    assert one.isdisjoint(other)


def test_fewer_orders_are_the_first_of_more() -> None:
    """The number of orders does not change what the first of them are."""
    assert list(generate_orders(seed=7, count=50))[:10] == list(generate_orders(seed=7, count=10))


def test_each_order_has_an_id_of_its_own() -> None:
    """No two orders share an id."""
    assert 1000 == len({order.order_id for order in generate_orders(seed=1, count=1000)})


def test_a_thousand_orders_touch_every_customer_and_every_tea() -> None:
    """Nobody and nothing is left out of the demo, least of all the customer whose mails fail."""
    orders = list(generate_orders(seed=1, count=1000))

    assert set(CUSTOMERS) == {order.customer for order in orders}
    assert set(PRICES_CENTS) == {order.sku for order in orders}
