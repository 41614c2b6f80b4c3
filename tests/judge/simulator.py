"""A seeded model of two arms of pods under traffic, seen as a scraper sees them: raw counters, each pod at its offset.

Not here: any judging beyond running a change through its gates. Rates are functions of time, so that incidents and late
faults are one line each. Bad requests come alone or in clusters of geometric size on one pod.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rollwarden.judge import (
    Facts,
    Gate,
    GateKind,
    JudgeParameters,
    PodCounter,
    Tick,
    Verdict,
    begin,
    decide,
    enter_gate,
    observe,
)

Rate = Callable[[float], float]


def constant(rate: float) -> Rate:
    """A rate that does not change."""
    return lambda _: rate


def step_at(when: float, before: float, after: float, until: float = math.inf) -> Rate:
    """A rate that changes at `when` and changes back at `until`."""
    return lambda time: after if when <= time < until else before


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number; by the normal approximation from a mean of 60 on."""
    if mean <= 0.0:
        return 0
    if mean > 60.0:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def geometric(rng: random.Random, mean: float) -> int:
    """A cluster's size: geometric from 1 on with this mean."""
    if mean <= 1.0:
        return 1
    return 1 + int(math.log(1.0 - rng.random()) / math.log(1.0 - 1.0 / mean))


@dataclass
class Pod:
    """A pod with its counters, scrape offset (seconds before the grid time) and own factor on the rate."""

    name: str
    offset: float
    factor: float
    total: int = 0
    bad: int = 0
    pending: int = 0


@dataclass
class Fleet:
    """Two arms that share `rps` by `weight`. Advance it tick by tick."""

    rng: random.Random
    rps: float
    tick_seconds: float
    canary_rate: Rate
    stable_rate: Rate
    stable_pods: int
    cluster: float = 1.0
    cv: float = 0.0
    offsets: bool = True
    weight: float = 0.0
    number: int = 0
    canary: list[Pod] = field(default_factory=list)
    stable: list[Pod] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stable = [self._pod(f"stable-{index}") for index in range(self.stable_pods)]

    @property
    def time(self) -> float:
        """The current grid time in seconds."""
        return self.number * self.tick_seconds

    def shift(self, weight: float, canary_pods: int) -> None:
        """Move the traffic to this weight with this many canary pods."""
        self.weight = weight
        while len(self.canary) < canary_pods:
            self.canary.append(self._pod(f"canary-{len(self.canary)}"))

    def tick(self) -> Tick:
        """Advance by one tick and scrape."""
        self.number += 1
        self._serve(self.canary, self.rps * self.weight, self.canary_rate)
        self._serve(self.stable, self.rps * (1.0 - self.weight), self.stable_rate)
        return self.scrape()

    def scrape(self) -> Tick:
        """The counters now, errors first seen as an absent series."""
        canary, stable = (
            tuple(PodCounter(pod.name, float(pod.total), float(pod.bad) if pod.bad else None) for pod in arm)
            for arm in (self.canary, self.stable)
        )
        return Tick(self.number, self.time, canary, stable)

    def _pod(self, name: str) -> Pod:
        offset = self.rng.random() * self.tick_seconds if self.offsets else 0.0
        factor = math.exp(self.rng.gauss(0.0, self.cv) - 0.5 * self.cv * self.cv) if self.cv > 0.0 else 1.0
        return Pod(name, offset, factor)

    def _serve(self, pods: Sequence[Pod], rps: float, rate: Rate) -> None:
        for pod in pods:
            total = poisson(self.rng, rps * self.tick_seconds / len(pods))
            end = self.time - pod.offset
            points = [rate(end - self.tick_seconds * (part + 0.5) / 8.0) for part in range(8)]
            share = min(1.0, pod.factor * sum(points) / len(points))
            clusters = poisson(self.rng, total * share / self.cluster)
            pod.pending += sum(geometric(self.rng, self.cluster) for _ in range(clusters))
            # A cluster larger than the tick's requests goes on into the next tick.
            bad = min(total, pod.pending)
            pod.pending -= bad
            pod.total += total
            pod.bad += bad


@dataclass(frozen=True)
class Stage:
    """A weight (share) of a change's plan, with the canary pods it has and what its gate asks."""

    weight: float
    next_weight: float
    canary_pods: int
    kind: GateKind = "Proof"
    soak_seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a simulated change ended; `seconds` since the first weight, `gate_seconds` of each gate passed."""

    verdict: Verdict
    seconds: float
    gate_seconds: tuple[float, ...]


def run(
    fleet: Fleet, parameters: JudgeParameters, stages: Sequence[Stage], *, limit_seconds: float, stay: bool = False
) -> Outcome:
    """Judge one change: stage after stage as its gates pass, until rollback, the last gate, or the limit.

    With `stay` the first stage's gate never opens, as for a canary that is only watched.
    """
    name = parameters.indicators[0].name
    state = observe(begin(parameters), {name: fleet.scrape()}, parameters)
    started = fleet.time
    passed: list[float] = []
    verdict = decide(state, parameters, Facts())
    for index, stage in enumerate(stages):
        fleet.shift(stage.weight, stage.canary_pods)
        gate = Gate(index, stage.kind, stage.weight, stage.next_weight, fleet.number, fleet.time, stage.soak_seconds)
        state = enter_gate(state, gate)
        while fleet.time - started < limit_seconds:
            state = observe(state, {name: fleet.tick()}, parameters)
            verdict = decide(state, parameters, Facts())
            if verdict.result == "Rollback":
                return Outcome(verdict, fleet.time - started, tuple(passed))
            if verdict.result == "Promote" and not stay:
                passed.append(fleet.time - gate.started_at)
                break
        else:
            break
    return Outcome(verdict, fleet.time - started, tuple(passed))


def median(values: Sequence[float]) -> float:
    """The middle value (the lower of two)."""
    return sorted(values)[(len(values) - 1) // 2]


def shares(outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """The share of each result."""
    results = [outcome.verdict.result for outcome in outcomes]
    return {result: results.count(result) / len(results) for result in ("Rollback", "Promote", "Hold")}
