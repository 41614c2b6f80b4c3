"""A seeded world of two arms of pods: what a scraper sees of them every 15 s, and the harm nobody sees.

Requests come as a Poisson stream and fail alone, in clusters of geometric size, or as a self-exciting (Hawkes) stream.
Every pod is scraped at its own offset. The same rows go to every contender.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rollwarden.judge import PodCounter, Tick
from tests.judge.simulator import Rate, constant, geometric, poisson

TICK_SECONDS = 15.0
WATCHED_SECONDS = 3600.0
STABLE_PODS = 6
POINTS = 4
"""Rates are averaged over this many moments of a pod's scrape interval."""

BOUNDS = (0.25, 0.5, 1.0)
"""Upper bounds of the latency histogram, in seconds."""

OBJECTIVE_BOUND = 1
"""The index of the bound that the latency objective is about."""

MEDIAN_SECONDS = 0.1
SIGMA = 0.6
"""Latency is log-normal with this median on stable and this deviation of its logarithm."""

HAWKES_SECONDS = 20.0
"""Mean time from an error to one that it causes."""

USUAL_RATE = constant(0.005)
USUAL_LOAD = constant(1.0)


@dataclass(frozen=True)
class Step:
    """From `start` (seconds) on, `pods` canary pods get the share `weight`."""

    start: float
    weight: float
    pods: int


@dataclass(frozen=True)
class Scenario:
    """One kind of service and change. `stable` is the rate of failing requests that is nobody's fault, `excess` what
    the canary adds to it, as a function of time and load (1 is the usual). Without `slower` there is no latency."""

    key: str
    title: str
    stable: Rate = USUAL_RATE
    excess: Callable[[float, float], float] | None = None
    objective: float = 99.5
    rps: float = 100.0
    load: Rate = USUAL_LOAD
    steps: tuple[Step, ...] = (Step(0.0, 0.05, 2),)
    cluster: float = 1.0
    hawkes: float = 0.0
    cv: float = 0.0
    lost_scrapes: float = 0.0
    unanswered: float = 0.0
    restart_seconds: float = math.inf
    slower: float | None = None
    fault_at: float = 0.0
    cold: bool = False

    @property
    def good(self) -> bool:
        """Whether the canary should stay: no failures of its own, and at most a tenth slower."""
        return self.excess is None and (self.slower is None or self.slower <= 1.1)

    def step(self, time: float) -> Step:
        """The step in force at this time."""
        return next((step for step in reversed(self.steps) if step.start <= time), self.steps[0])


@dataclass(frozen=True, slots=True)
class Span:
    """Requests of one arm since the row before: all, bad, and those slower than each bound."""

    total: float = 0.0
    bad: float = 0.0
    over: tuple[float, ...] = (0.0,) * len(BOUNDS)

    def plus(self, other: "Span") -> "Span":
        """The sum."""
        over = tuple(mine + others for mine, others in zip(self.over, other.over, strict=True))
        return Span(self.total + other.total, self.bad + other.bad, over)

    def minus(self, other: "Span") -> "Span":
        """The difference."""
        over = tuple(mine - others for mine, others in zip(self.over, other.over, strict=True))
        return Span(self.total - other.total, self.bad - other.bad, over)


@dataclass(frozen=True, slots=True)
class Row:
    """One grid time: the judge's ticks, both arms' counters without resets, and the expected harm so far."""

    number: int
    time: float
    ticks: Mapping[str, Tick]
    canary: Span
    stable: Span
    harmed: float


@dataclass
class Pod:
    """A pod: its counters, what a scraper last saw of them, and what is still to fail."""

    name: str
    offset: float
    factor: float
    total: int = 0
    bad: int = 0
    over: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    seen: tuple[float, ...] = (0.0,) * (2 + len(BOUNDS))
    pending: float = 0.0


def factor(rng: random.Random, cv: float) -> float:
    """A pod's own log-normal factor on the rate, of mean 1 (about) and coefficient of variation `cv`."""
    return math.exp(rng.gauss(0.0, cv) - 0.5 * cv * cv) if cv > 0.0 else 1.0


@dataclass
class World:
    """Advance it row by row. `factors` are the stable pods' own, the same in a service's history and in its changes."""

    scenario: Scenario
    rng: random.Random
    factors: Sequence[float]
    number: int = 0
    harmed: float = 0.0
    canary: list[Pod] = field(default_factory=list)
    stable: list[Pod] = field(default_factory=list)
    canary_sum: Span = field(default_factory=Span)
    stable_sum: Span = field(default_factory=Span)

    def __post_init__(self) -> None:
        self.stable = [self._pod(f"stable-{index}", own) for index, own in enumerate(self.factors)]

    @property
    def time(self) -> float:
        """The current grid time in seconds."""
        return self.number * TICK_SECONDS

    def row(self) -> Row:
        """Advance by one tick; the first row is the baseline, before the canary."""
        if self.number:
            self._serve()
        asked = self.rng.random() >= self.scenario.unanswered or not self.number
        if asked:
            self.canary_sum = self.canary_sum.plus(self._scrape(self.canary))
            self.stable_sum = self.stable_sum.plus(self._scrape(self.stable))
        row = Row(self.number, self.time, self._ticks(asked), self.canary_sum, self.stable_sum, self.harmed)
        self.number += 1
        return row

    def _pod(self, name: str, own: float) -> Pod:
        return Pod(name, self.rng.random() * TICK_SECONDS, own)

    def _serve(self) -> None:
        pods = self.scenario.step(self.time - 0.5 * TICK_SECONDS).pods
        while len(self.canary) < pods:
            self.canary.append(self._pod(f"canary-{len(self.canary)}", factor(self.rng, self.scenario.cv)))
        for pod in self.canary:
            self._serve_pod(pod, canary=True)
        for pod in self.stable:
            self._serve_pod(pod, canary=False)

    def _serve_pod(self, pod: Pod, *, canary: bool) -> None:
        scenario, rng = self.scenario, self.rng
        load, stable, excess = self._rates(pod, canary=canary)
        total = poisson(rng, load * scenario.rps * TICK_SECONDS)
        bad = self._failures(pod, total, min(1.0, pod.factor * stable + excess))
        over = self._slow(total, scenario.slower if canary else 1.0) if scenario.slower is not None else (0, 0, 0)
        if canary:
            self.harmed += total * excess
            if scenario.slower is not None:
                slow = _share_over(BOUNDS[OBJECTIVE_BOUND], scenario.slower)
                self.harmed += total * (slow - _share_over(BOUNDS[OBJECTIVE_BOUND], 1.0))
        if rng.random() < TICK_SECONDS / scenario.restart_seconds:  # what came since the last scrape is lost
            pod.total, pod.bad, pod.over = 0, 0, [0] * len(BOUNDS)
            kept = rng.random()
            total, bad, over = round(total * kept), int(bad * kept), (0, 0, 0)
        pod.total += total
        pod.bad += bad
        pod.over = [mine + more for mine, more in zip(pod.over, over, strict=True)]

    def _rates(self, pod: Pod, *, canary: bool) -> tuple[float, float, float]:
        """This pod's share of the load, stable's rate and the canary's excess, averaged over the scrape interval."""
        scenario = self.scenario
        share = stable = excess = 0.0
        end = self.time - pod.offset
        for part in range(POINTS):
            moment = max(0.0, end - TICK_SECONDS * (part + 0.5) / POINTS)
            step, load = scenario.step(moment), scenario.load(moment)
            weight = step.weight / len(self.canary) if canary else (1.0 - step.weight) / len(self.stable)
            share += load * weight
            stable += scenario.stable(moment)
            if canary and scenario.excess is not None:
                excess += scenario.excess(moment, load)
        return share / POINTS, stable / POINTS, excess / POINTS

    def _failures(self, pod: Pod, total: int, share: float) -> int:
        scenario, rng = self.scenario, self.rng
        if scenario.hawkes > 0.0:
            due = pod.pending * (1.0 - math.exp(-TICK_SECONDS / HAWKES_SECONDS))
            bad = min(total, poisson(rng, total * share * (1.0 - scenario.hawkes) + due))
            pod.pending += scenario.hawkes * bad - due
            return bad
        if scenario.cluster <= 1.0:
            return min(total, poisson(rng, total * share))
        clusters = poisson(rng, total * share / scenario.cluster)
        pod.pending += sum(geometric(rng, scenario.cluster) for _ in range(clusters))
        bad = min(total, int(pod.pending))  # a cluster larger than the tick's requests goes on into the next tick
        pod.pending -= bad
        return bad

    def _slow(self, total: int, slower: float) -> tuple[int, ...]:
        """Requests slower than each bound: each bound's is a part of the one before."""
        over: list[int] = []
        left, before = total, 1.0
        for bound in BOUNDS:
            share = _share_over(bound, slower)
            left = min(left, poisson(self.rng, left * share / before))
            over.append(left)
            before = share
        return tuple(over)

    def _scrape(self, pods: Sequence[Pod]) -> Span:
        """What a scraper sees more than the time before, resets taken as `increase()` takes them."""
        gained = Span()
        for pod in pods:
            if self.rng.random() < self.scenario.lost_scrapes:
                continue
            now = (float(pod.total), float(pod.bad), *map(float, pod.over))
            moved = [after - before if after >= before else after for before, after in zip(pod.seen, now, strict=True)]
            gained = gained.plus(Span(moved[0], moved[1], tuple(moved[2:])))
            pod.seen = now
        return gained

    def _ticks(self, asked: bool) -> Mapping[str, Tick]:
        names = ("errors",) if self.scenario.slower is None else ("errors", "latency")
        if not asked:
            return {name: Tick.unanswered(self.number, self.time) for name in names}
        return {name: self._tick(1 if name == "errors" else 2 + OBJECTIVE_BOUND) for name in names}

    def _tick(self, bad: int) -> Tick:
        """A lost scrape leaves the pod's last value: an instant query looks back further than one scrape."""
        canary, stable = (
            tuple(PodCounter(pod.name, pod.seen[0], pod.seen[bad] or None) for pod in arm if pod.seen[0] > 0.0)
            for arm in (self.canary, self.stable)
        )
        return Tick(self.number, self.time, canary, stable)


def rows_of(scenario: Scenario, rng: random.Random, factors: Sequence[float]) -> list[Row]:
    """A change watched for an hour, the baseline first."""
    world = World(scenario, rng, factors)
    return [world.row() for _ in range(1 + int(WATCHED_SECONDS / TICK_SECONDS))]


def _share_over(bound: float, slower: float) -> float:
    """The share of requests slower than the bound where the median is `slower` times the usual."""
    return 0.5 * math.erfc(math.log(bound / (MEDIAN_SECONDS * slower)) / SIGMA / math.sqrt(2.0))
