"""Topics that a group keeps beside others."""

from eventhub.brokers.beside import beside


def test_a_groups_own_topics_are_known_by_their_names() -> None:
    """Those of another group, or beside a topic that is not read, are topics like any other."""
    own = ["orders.inventory.retry.replay", "orders.inventory.retry.10m"]
    others = ["orders", "orders.stock.retry.10m", "receipts.inventory.retry.10m", "orders.inventory"]

    assert dict.fromkeys(own, "orders") == beside("inventory", [*own, *others])
