"""From raw cumulative counters per pod to increments per tick.

No rate() and no extrapolation: a counter's value now minus its value before is a whole number of requests. A drop is a
restart, an absent bad-series beside a total is 0, a pod that is gone keeps its last value, a pod born after the first
tick counts from 0, and a tick without an answer leaves its requests to the next one. Counters that cannot be true are a
named fault: the tick is not consumed and its requests merge into the next good one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from rollwarden.judge import reasons

Arm = Literal["canary", "stable"]


@dataclass(frozen=True, slots=True)
class PodCounter:
    """One pod's cumulative counters at one instant.

    `bad` is None where the pod has no bad-series yet. `started` is the pod's start on the clock of `Tick.time`, where
    known: it tells a pod that was only missed by the first scrape from one that was born later.
    """

    pod: str
    total: float
    bad: float | None
    started: float | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """What one indicator's query answered at grid time `time` (seconds). `partial`: the answer came with warnings."""

    number: int
    time: float
    canary: tuple[PodCounter, ...]
    stable: tuple[PodCounter, ...]
    answered: bool = True
    partial: bool = False

    @classmethod
    def unanswered(cls, number: int, time: float) -> "Tick":
        """A tick whose query failed: its requests merge into the next."""
        return cls(number, time, (), (), answered=False)


@dataclass(frozen=True, slots=True)
class DataFault:
    """Counters that cannot be true. `reason` is one of reasons.py; `detail` is a sentence naming pod and values."""

    reason: str
    arm: str
    pod: str
    detail: str


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod's last values. `born` (seconds) is None where the pod was already running at the first tick."""

    total: float
    bad: float
    born: float | None


@dataclass(frozen=True, slots=True)
class CounterState:
    """Every pod ever seen, with its last values; `origin` and `time` are the first and the last consumed tick's."""

    number: int | None = None
    origin: float = 0.0
    time: float = 0.0
    unanswered: int = 0
    canary: Mapping[str, PodState] = field(default_factory=dict)
    stable: Mapping[str, PodState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodIncrement:
    """Requests and bad requests of one pod between two ticks."""

    pod: str
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Increment:
    """What happened in the `seconds` up to `time`, per pod; merged ticks make it longer than one tick."""

    number: int
    time: float
    seconds: float
    partial: bool
    canary: tuple[PodIncrement, ...]
    stable: tuple[PodIncrement, ...]

    @property
    def canary_total(self) -> float:
        """Requests of all canary pods."""
        return math.fsum(pod.total for pod in self.canary)

    @property
    def canary_bad(self) -> float:
        """Bad requests of all canary pods."""
        return math.fsum(pod.bad for pod in self.canary)

    @property
    def stable_total(self) -> float:
        """Requests of all stable pods."""
        return math.fsum(pod.total for pod in self.stable)

    @property
    def stable_bad(self) -> float:
        """Bad requests of all stable pods."""
        return math.fsum(pod.bad for pod in self.stable)


@dataclass(frozen=True, slots=True)
class Reading:
    """The state after a tick and what the tick gave: an increment, a fault, or neither (first, unanswered or empty)."""

    state: CounterState
    increment: Increment | None = None
    fault: DataFault | None = None


def read(state: CounterState, tick: Tick, *, warm_up_seconds: float = 0.0) -> Reading:
    """Consume one tick. A number that was consumed before changes nothing; the first answered tick is the baseline."""
    if state.number is not None and tick.number <= state.number:
        return Reading(state)
    if not tick.answered:
        return Reading(replace(state, unanswered=state.unanswered + 1))
    if not (tick.canary or tick.stable):  # an empty answer is no baseline, and nothing to take a difference from
        return Reading(replace(state, unanswered=0))
    fault = _fault(state, tick)
    if fault is not None:
        return Reading(state, fault=fault)
    if state.number is None:
        baseline = CounterState(tick.number, tick.time, tick.time, 0, _baseline(tick.canary), _baseline(tick.stable))
        return Reading(baseline)
    moved: list[tuple[dict[str, PodState], tuple[PodIncrement, ...]]] = []
    for arm, known, seen in (("canary", state.canary, tick.canary), ("stable", state.stable, tick.stable)):
        pods, increments = _advance(state, known, seen, tick.time, warm_up_seconds)
        for pod in increments:
            if pod.bad > pod.total:
                return Reading(state, fault=_bad_exceeds_total(arm, pod.pod, pod.bad, pod.total))
        moved.append((pods, increments))
    (canary, canary_increments), (stable, stable_increments) = moved
    increment = Increment(
        tick.number, tick.time, tick.time - state.time, tick.partial, canary_increments, stable_increments
    )
    return Reading(CounterState(tick.number, state.origin, tick.time, 0, canary, stable), increment)


def _baseline(pods: tuple[PodCounter, ...]) -> dict[str, PodState]:
    return {pod.pod: PodState(pod.total, pod.bad or 0.0, pod.started) for pod in pods}


def _advance(
    state: CounterState,
    known: Mapping[str, PodState],
    seen: tuple[PodCounter, ...],
    now: float,
    warm_up_seconds: float,
) -> tuple[dict[str, PodState], tuple[PodIncrement, ...]]:
    pods = dict(known)
    increments: list[PodIncrement] = []
    for pod in sorted(seen, key=lambda counter: counter.pod):
        before = known.get(pod.pod) or _unseen(pod, state.origin, now)
        after, increment = _move(before, pod, now)
        pods[pod.pod] = after
        # The interval began at the tick before: it is past the warm-up only if that tick was.
        if after.born is None or state.time >= after.born + warm_up_seconds or warm_up_seconds == 0.0:
            increments.append(increment)
    return pods, tuple(increments)


def _unseen(pod: PodCounter, origin: float, now: float) -> PodState:
    if pod.started is not None and pod.started < origin:
        return PodState(pod.total, pod.bad or 0.0, pod.started)
    return PodState(0.0, 0.0, now if pod.started is None else pod.started)


def _move(before: PodState, pod: PodCounter, now: float) -> tuple[PodState, PodIncrement]:
    bad = pod.bad or 0.0
    if pod.total < before.total:  # the process restarted: everything it shows is new
        return PodState(pod.total, bad, now), PodIncrement(pod.pod, pod.total, bad)
    total = pod.total - before.total
    if bad >= before.bad:
        return PodState(pod.total, bad, before.born), PodIncrement(pod.pod, total, bad - before.bad)
    # Bad went down alone. A vanished series or a histogram read between two of its updates lost nothing and comes
    # back; a fall by more than half is a restart that the total has already overtaken.
    if pod.bad is None or 2.0 * bad > before.bad:
        return PodState(pod.total, before.bad, before.born), PodIncrement(pod.pod, total, 0.0)
    return PodState(pod.total, bad, now), PodIncrement(pod.pod, total, min(bad, total))


def _fault(state: CounterState, tick: Tick) -> DataFault | None:
    if not math.isfinite(tick.time):
        return DataFault(reasons.NOT_FINITE, "", "", f"tick {tick.number} has no finite time")
    if state.number is not None and tick.time <= state.time:
        detail = f"tick {tick.number} at {tick.time:g} s is not after tick {state.number} at {state.time:g} s"
        return DataFault(reasons.TIME_NOT_INCREASING, "", "", detail)
    arms = [("canary", pod) for pod in tick.canary] + [("stable", pod) for pod in tick.stable]
    names: set[str] = set()
    for arm, pod in sorted(arms, key=lambda entry: (entry[1].pod, entry[0])):
        if pod.pod in names:
            detail = f"pod {pod.pod} is there twice; the query must give one series per pod and arm"
            return DataFault(reasons.DUPLICATE_POD, arm, pod.pod, detail)
        names.add(pod.pod)
        fault = _pod_fault(arm, pod)
        if fault is not None:
            return fault
    return None


def _pod_fault(arm: str, pod: PodCounter) -> DataFault | None:
    bad = 0.0 if pod.bad is None else pod.bad
    if not (math.isfinite(pod.total) and math.isfinite(bad)):
        detail = f"{arm} pod {pod.pod} counts total {pod.total} and bad {bad}; counters must be finite"
        return DataFault(reasons.NOT_FINITE, arm, pod.pod, detail)
    if pod.total < 0.0 or bad < 0.0:
        detail = f"{arm} pod {pod.pod} counts total {pod.total:g} and bad {bad:g}; counters are never negative"
        return DataFault(reasons.NEGATIVE, arm, pod.pod, detail)
    if bad > pod.total:
        return _bad_exceeds_total(arm, pod.pod, bad, pod.total)
    return None


def _bad_exceeds_total(arm: str, pod: str, bad: float, total: float) -> DataFault:
    detail = f"{arm} pod {pod} counts {bad:g} bad of {total:g} requests; check that bad is a part of total"
    return DataFault(reasons.BAD_EXCEEDS_TOTAL, arm, pod, detail)
