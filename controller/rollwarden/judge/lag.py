"""Judging one tick late, because the two arms are not the same seconds.

`time=` aligns the query and not the pods' scrape offsets: at the onset of an incident common to both arms one canary
pod may show 15 s of it while stable shows 7 s. Evidence for a rollback therefore sets the canary's tick k against the
*highest* stable rate of k-1, k, k+1, evidence for safety against the *lowest* of the three. The two neighbours count
only by as much as their scatter does not explain: the plain extreme of three noisy rates would double a rare rate and
cost more detection than it protects. Either way the evidence only shrinks, so the bounds on error stay.
"""

import math
from dataclasses import dataclass

from rollwarden.judge.counters import Increment

NOISE_DEVIATIONS = 2.0
"""How many standard deviations of a neighbour's bad requests count as its scatter."""


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """One judged tick: requests and bad requests per arm. `stable_high` and `stable_low` are stable's bad requests had
    they come at the highest and the lowest rate of the three ticks around."""

    number: int
    time: float
    seconds: float
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    stable_high: float
    stable_low: float
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """An increment that waits for its successor, summed over pods."""

    number: int
    time: float
    seconds: float
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    partial: bool


@dataclass(frozen=True, slots=True)
class LagState:
    """The tick before the one that waits, and the one that waits."""

    previous: Pending | None = None
    pending: Pending | None = None


def push(state: LagState, increment: Increment, phi: float) -> tuple[LagState, TickEvidence | None]:
    """Take in tick k+1 and give out tick k, or nothing where there is no tick k yet."""
    newest = Pending(
        increment.number,
        increment.time,
        increment.seconds,
        increment.canary_total,
        increment.canary_bad,
        increment.stable_total,
        increment.stable_bad,
        increment.partial,
    )
    if state.pending is None:
        return LagState(None, newest), None
    judged = state.pending
    own = judged.stable_bad / judged.stable_total if judged.stable_total > 0.0 else 0.0
    around = [tick for tick in (state.previous, newest) if tick is not None and tick.stable_total > 0.0]
    highest = max([own, *(_surely_above(tick, phi) for tick in around)])
    lowest = min([own, *(_surely_below(tick, phi) for tick in around)])
    evidence = TickEvidence(
        judged.number,
        judged.time,
        judged.seconds,
        judged.canary_total,
        judged.canary_bad,
        judged.stable_total,
        judged.stable_bad,
        judged.stable_total * highest,
        judged.stable_total * lowest,
        judged.partial,
    )
    return LagState(judged, newest), evidence


def _surely_above(tick: Pending, phi: float) -> float:
    """Stable's rate in a neighbouring tick, less what scatter may have added."""
    return max(0.0, tick.stable_bad - NOISE_DEVIATIONS * math.sqrt(phi * tick.stable_bad)) / tick.stable_total


def _surely_below(tick: Pending, phi: float) -> float:
    """Stable's rate in a neighbouring tick, plus what scatter may have taken."""
    return (tick.stable_bad + NOISE_DEVIATIONS * math.sqrt(phi * (tick.stable_bad + 1.0))) / tick.stable_total
