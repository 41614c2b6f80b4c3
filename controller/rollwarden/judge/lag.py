"""Judging one tick late, because the two arms are not the same seconds.

`time=` aligns the query and not the pods' scrape offsets: at the onset of an incident common to both arms one canary
pod may show 15 s of it while stable shows 7 s. Evidence for a rollback therefore sets the canary's tick k against the
*highest* stable rate of k-1, k, k+1, evidence for safety against the *lowest* of the three.
"""

from dataclasses import dataclass

from rollwarden.judge.counters import Increment


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
    """Stable's rate one tick before the pending one (None: stable had no requests) and the tick that waits."""

    previous_rate: float | None = None
    pending: Pending | None = None


def push(state: LagState, increment: Increment) -> tuple[LagState, TickEvidence | None]:
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
        return LagState(state.previous_rate, newest), None
    judged = state.pending
    rates = [rate for rate in (state.previous_rate, _rate(judged), _rate(newest)) if rate is not None]
    evidence = TickEvidence(
        judged.number,
        judged.time,
        judged.seconds,
        judged.canary_total,
        judged.canary_bad,
        judged.stable_total,
        judged.stable_bad,
        judged.stable_total * max(rates, default=0.0),
        judged.stable_total * min(rates, default=0.0),
        judged.partial,
    )
    return LagState(_rate(judged), newest), evidence


def _rate(tick: Pending) -> float | None:
    return tick.stable_bad / tick.stable_total if tick.stable_total > 0.0 else None
