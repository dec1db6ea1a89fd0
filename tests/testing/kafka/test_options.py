"""What kind of cluster can be asked for."""

import pytest

from eventhub.testing.kafka.options import DEFAULT_VERSION, KafkaOptions, Security, User, wanted_version


def test_the_version_comes_from_the_environment() -> None:
    """EVENTHUB_TEST_KAFKA_VERSION chooses; unset or empty it is the version eventhub is tested with."""
    assert "4.2.0" == wanted_version({"EVENTHUB_TEST_KAFKA_VERSION": "4.2.0"})
    assert DEFAULT_VERSION == wanted_version({})
    assert DEFAULT_VERSION == wanted_version({"EVENTHUB_TEST_KAFKA_VERSION": ""})


def test_a_cluster_of_two_is_refused() -> None:
    """Two nodes have no majority when one fails, so nobody wants them."""
    with pytest.raises(ValueError, match="1 or 3 nodes, not 2"):
        KafkaOptions(nodes=2)


def test_users_need_a_login() -> None:
    """Users are refused where nobody logs in."""
    with pytest.raises(ValueError, match=r"take Security\.SCRAM"):
        KafkaOptions(security=Security.TLS, users=(User("clerk", "secret"),))


@pytest.mark.parametrize(("name", "password"), [("", "secret"), ("a,b", "secret"), ("clerk", "sec]ret"), ("clerk", "")])
def test_a_name_that_kafkas_tool_would_misread_is_refused(name: str, password: str) -> None:
    """The separators of the tool's own syntax are no letters of names and passwords."""
    with pytest.raises(ValueError, match="letters, digits"):
        User(name, password)
