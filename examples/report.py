"""The verdict as text."""

from collections import Counter
from collections.abc import Iterator, Sequence

from examples.evidence import Evidence
from examples.verdict import Check, repeats

SHOWN_PROBLEMS = 3  # of each check; a thousand would hide the next check


def report(evidence: Evidence, checks: Sequence[Check]) -> Iterator[str]:
    """The lines to print after a run."""
    yield f"{len(evidence.facts):,} events on the topics, {repeats(evidence):,} of them repeated deliveries"
    if evidence.survived is not None:
        killed = ", ".join(f"{name} {times}" for name, times in evidence.survived.killed.items())
        yield f"{sum(evidence.survived.killed.values())} times kill -9: {killed}"
    for (topic, stage, reason), number in sorted(_reasons(evidence).items()):
        yield f"{number:,} in {topic}: {stage}: {reason}"
    yield ""
    for check in checks:
        yield f"  {'ok    ' if check.passed else 'FAILED'}  {check.claim}"
        yield from (f"            {problem}" for problem in check.problems[:SHOWN_PROBLEMS])
        if (more := len(check.problems) - SHOWN_PROBLEMS) > 0:
            yield f"            and {more:,} more"
    yield ""
    yield f"{sum(check.passed for check in checks)} of {len(checks)} checks passed"


def _reasons(evidence: Evidence) -> Counter[tuple[str, str, str]]:
    return Counter((letter.topic, letter.stage, letter.reason) for letter in evidence.dead_letters)
