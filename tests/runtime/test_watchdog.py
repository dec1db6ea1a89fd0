"""The watchdog: what a silent client looks like, and what is still sound."""

import pytest

from eventhub.runtime.watchdog import Patience, Signs, diagnosis

SOUND = Signs(heartbeat_age=0.2, unjoined_for=0.0, silence=0.5, commits_failed=0)


def test_a_sound_worker_has_no_diagnosis() -> None:
    """Ordinary ages are no sign of anything."""
    assert diagnosis(SOUND, Patience()) is None


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        (Signs(61.0, 0.0, 0.0, 0), "the poll task has not come back for 61 s"),
        (Signs(0.0, 91.0, 0.0, 0), "the group has given no partitions for 91 s"),
        (Signs(0.0, 0.0, 31.0, 0), "the broker has not answered a fetch for 31 s"),
        (Signs(0.0, 0.0, 0.0, 6), "6 commits in a row have failed"),
    ],
)
def test_each_sign_of_a_dead_client_is_named(signs: Signs, words: str) -> None:
    """One sign is enough, and the diagnosis says which."""
    assert words == diagnosis(signs, Patience())
