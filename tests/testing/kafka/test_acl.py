"""Rights, as the nodes of a real cluster know them."""

import pytest

from eventhub.testing.kafka import Acl, KafkaOptions, Operation, Resource, Security, StartKafka
from eventhub.testing.kafka.acl import _knows

READ_ORDERS = Acl("clerk", Operation.READ, Resource.TOPIC, "orders")


def test_a_right_is_spelled_as_kafka_spells_it() -> None:
    """Topic, name, literal pattern, user, any host, read, allow."""
    expected = b"\x02" + b"\x00\x06orders" + b"\x03" + b"\x00\x0aUser:clerk" + b"\x00\x01*" + b"\x03" + b"\x03"

    assert expected == READ_ORDERS.encode()


def test_a_prefix_is_another_pattern() -> None:
    """A right for all names that begin so differs in the pattern alone."""
    prefixed = Acl("clerk", Operation.READ, Resource.TOPIC, "orders", prefixed=True)

    assert READ_ORDERS.encode().replace(b"orders\x03", b"orders\x04") == prefixed.encode()


@pytest.mark.kafka
async def test_every_node_knows_a_right_when_it_is_given(
    start_kafka: StartKafka,
) -> None:
    """No node has to catch up when giving a right, or taking it back, has returned."""
    rights = [Acl("clerk", Operation.READ, Resource.TOPIC, f"orders-{number}") for number in range(20)]
    async with start_kafka(KafkaOptions(nodes=3, security=Security.SCRAM)) as cluster:
        given, taken = [], []
        for right in rights:
            await cluster.allow(right)
            given += [await _knows(*node.internal, right) for node in cluster.nodes]
            await cluster.revoke(right)
            taken += [await _knows(*node.internal, right) for node in cluster.nodes]

    assert [True] * 60 == given
    assert [False] * 60 == taken
