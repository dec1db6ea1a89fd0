"""What each service has done so far: a live table on a terminal, a line a second anywhere else."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.evidence import DeadLetter, Fact

ROWS = {
    "order": {"OrderCreated": "created", "OrderConfirmed": "confirmed", "OrderRejected": "rejected"},
    "inventory": {"StockReserved": "reserved", "StockShort": "short"},
    "notification": {"CustomerNotified": "mailed"},
}
"""The events that each service writes, and what they are called in its row."""
DEAD_LETTERS = "dead letters"

Counts = Mapping[str, Mapping[str, int]]
"""How many records each service has written, by service and word."""


class Screen:
    """Draws the counts, but not more often than anybody can read them."""

    def __init__(self, every: float, draw: Callable[[float, Counts], None], say: Callable[[str], None]) -> None:
        """Draw at most once in ``every`` seconds; ``draw`` is given the seconds since the start, and the counts."""
        self._every = every
        self._draw = draw
        self._say = say
        self._started = monotonic()
        self._next = 0.0

    def show(self, facts: Sequence[Fact], dead_letters: Sequence[DeadLetter], *, now: bool = False) -> None:
        """Draw what was read so far, if it is time or if it has to be ``now``."""
        passed = monotonic() - self._started
        if now or passed >= self._next:
            self._next = passed + self._every
            self._draw(passed, count(facts, dead_letters))

    def tell(self, what: str) -> None:
        """Say what happened just now, on a line that stays."""
        self._say(f"{monotonic() - self._started:5.1f} s  {what}")


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """A live table if the console is a terminal, a line a second otherwise."""

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    if not console.is_terminal:
        yield Screen(1.0, lambda passed, counts: say(line(passed, counts)), say)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield Screen(0.1, lambda passed, counts: live.update(table(passed, counts), refresh=True), say)


def count(facts: Sequence[Fact], dead_letters: Sequence[DeadLetter]) -> Counts:
    """How many records each service has written so far; a dead-letter topic carries the name of its service."""
    types = Counter(fact.type for fact in facts)
    services = Counter(letter.topic.split(".")[-2] for letter in dead_letters)
    return {
        service: {**{word: types[name] for name, word in words.items()}, DEAD_LETTERS: services[service]}
        for service, words in ROWS.items()
    }


def table(passed: float, counts: Counts) -> Table:
    """The counts after so many seconds, a row a service."""
    drawn = Table(title=f"{passed:.1f} s", title_justify="right")
    drawn.add_column("service")
    drawn.add_column("events written", min_width=46)  # wide enough for the last row, so that it never jumps
    drawn.add_column(DEAD_LETTERS, justify="right")
    for service, words in counts.items():
        written = ", ".join(f"{number:,} {word}" for word, number in words.items() if word != DEAD_LETTERS)
        drawn.add_row(service, written, f"{words[DEAD_LETTERS]:,}")
    return drawn


def line(passed: float, counts: Counts) -> str:
    """The counts after so many seconds, on one line."""
    services = (
        f"{service} " + ", ".join(f"{number:,} {word}" for word, number in words.items())
        for service, words in counts.items()
    )
    return f"{passed:5.1f} s  " + " | ".join(services)
