"""The common-cause guard: many changes that would roll back at once share a cause that is none of them."""

from collections.abc import Iterable
from dataclasses import dataclass

GUARD_SECONDS = 120.0
GUARD_LEAST = 2
GUARD_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class RollbackIntent:
    """A live change whose evidence first asked for a rollback at `at` (seconds); `hard` by a hard rule."""

    change: str
    at: float
    hard: bool


def held_by_common_cause(intents: Iterable[RollbackIntent], live: int, now: float) -> frozenset[str]:
    """The changes whose rollback waits for a person: all but the hard ones, where more than max(2, 20 %) of the `live`
    changes would roll back within two minutes. Give it the intents of the last minutes, those carried out included."""
    latest = [intent for intent in intents if now - GUARD_SECONDS < intent.at <= now]
    if len({intent.change for intent in latest}) <= max(GUARD_LEAST, GUARD_SHARE * live):
        return frozenset()
    return frozenset(intent.change for intent in latest if not intent.hard)
