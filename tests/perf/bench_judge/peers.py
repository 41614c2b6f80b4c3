"""What Argo Rollouts, Flagger and Kayenta do with the same data, written from their published rules.

Each sees increases over its own window without extrapolation (kinder than `increase()`), and both metrics where there
is latency: share of failing requests and 99th percentile. `tuned` settings know the service's usual failing rate, which
their users would have to find out for every service.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from tests.perf.bench_judge.world import BOUNDS, TICK_SECONDS, Row, Scenario, Span

LATENCY_LIMIT_SECONDS = 0.5


@dataclass(frozen=True)
class Decision:
    """When it rolled back, and when it would have promoted (seconds; None where it did not)."""

    rolled_back_at: float | None
    promoted_at: float | None


def increase(rows: Sequence[Row], end: float, seconds: float, *, canary: bool) -> Span:
    """One arm's requests in the window that ends at `end`."""
    last = round(end / TICK_SECONDS)
    first = max(0, last - round(seconds / TICK_SECONDS))
    after, before = rows[last], rows[first]
    return after.canary.minus(before.canary) if canary else after.stable.minus(before.stable)


def failing(span: Span) -> float:
    """The share of failing requests; NaN without requests, as PromQL divides."""
    return span.bad / span.total if span.total > 0.0 else math.nan


def p99(span: Span) -> float:
    """The 99th percentile as `histogram_quantile` interpolates it; NaN without requests."""
    if span.total <= 0.0:
        return math.nan
    rank = 0.99 * span.total
    lower, below = 0.0, 0.0
    for bound, over in zip(BOUNDS, span.over, strict=True):
        cumulative = span.total - over
        if cumulative >= rank:
            return lower + (bound - lower) * (rank - below) / (cumulative - below)
        lower, below = bound, cumulative
    return BOUNDS[-1]


def has_latency(scenario: Scenario) -> bool:
    """Whether the service has a latency histogram."""
    return scenario.slower is not None


@dataclass(frozen=True)
class Threshold:
    """Argo and Flagger: bad samples of the canary alone, counted and never forgotten.

    `limit` 0 means a fixed share of failing requests (`failing_limit`), else so many times the usual share.
    `failures` is the number of bad samples at which it acts.
    """

    name: str
    interval: float
    window: float
    failures: int
    failing_limit: float
    usual_times: float = 0.0
    latency: bool = True

    def judge(self, scenario: Scenario, rows: Sequence[Row]) -> Decision:
        """Count bad samples of every metric, each metric for itself, to the end."""
        limit = self.usual_times * scenario.stable(0.0) if self.usual_times else self.failing_limit
        metrics: list[Callable[[Span], bool]] = [lambda span: not failing(span) <= limit]
        if self.latency and has_latency(scenario):
            metrics.append(lambda span: not p99(span) <= LATENCY_LIMIT_SECONDS)
        counts = [0] * len(metrics)
        end = rows[-1].time
        for number in range(1, int(end / self.interval) + 1):
            span = increase(rows, number * self.interval, self.window, canary=True)
            counts = [count + bad(span) for count, bad in zip(counts, metrics, strict=True)]
            if max(counts) >= self.failures:
                return Decision(number * self.interval, None)
        return Decision(None, end)


@dataclass(frozen=True)
class Kayenta:
    """NetflixACAJudge: Mann-Whitney at 98 % on per-minute values, High where the lower bound of the Hodges-Lehmann
    interval is above a quarter of the estimate. Marginal score 75, pass 95; half without data is a score of 0."""

    name: str
    interval: float
    tolerance: float = 0.25
    confidence: float = 0.98
    marginal: float = 75.0
    passing: float = 95.0

    def judge(self, scenario: Scenario, rows: Sequence[Row]) -> Decision:
        """All minutes so far at each interval; a score below marginal ends it, one below pass at the end too."""
        metrics = [failing, p99] if has_latency(scenario) else [failing]
        end = rows[-1].time
        minutes = range(1, int(end / 60.0) + 1)
        canary = [increase(rows, minute * 60.0, 60.0, canary=True) for minute in minutes]
        stable = [increase(rows, minute * 60.0, 60.0, canary=False) for minute in minutes]
        for number in range(1, int(end / self.interval) + 1):
            taken = int(number * self.interval / 60.0)
            score = self._score(metrics, canary[:taken], stable[:taken])
            last = taken == len(canary)
            if score < (self.passing if last else self.marginal):
                return Decision(number * self.interval, None)
        return Decision(None, end)

    def _score(
        self, metrics: Sequence[Callable[[Span], float]], canary: Sequence[Span], stable: Sequence[Span]
    ) -> float:
        passed = missing = 0
        for metric in metrics:
            experiment = [value for value in map(metric, canary) if not math.isnan(value)]
            control = [value for value in map(metric, stable) if not math.isnan(value)]
            if not experiment or not control:
                missing += 1
            elif not self._high(experiment, control):
                passed += 1
        if 2 * missing >= len(metrics):
            return 0.0
        return 100.0 * passed / (len(metrics) - missing)

    def _high(self, experiment: Sequence[float], control: Sequence[float]) -> bool:
        """Whether the canary's metric is High; values that are all the same pass."""
        if len(set(experiment) | set(control)) == 1:
            return False
        differences = sorted(one - other for one in experiment for other in control)
        size, sum_size = len(differences), len(experiment) + len(control) + 1
        z = NormalDist().inv_cdf(0.5 + 0.5 * self.confidence)
        index = max(0, math.floor(0.5 * size - z * math.sqrt(size * sum_size / 12.0)))
        estimate = 0.5 * (differences[(size - 1) // 2] + differences[size // 2])
        return differences[index] > self.tolerance * abs(estimate)


PEERS: tuple[Threshold | Kayenta, ...] = (
    Threshold("Argo, documented", 300.0, 300.0, 4, 0.05, latency=False),
    Threshold("Argo, tuned", 60.0, 120.0, 3, 0.0, usual_times=4.0),
    Threshold("Flagger, documented", 60.0, 60.0, 10, 0.01),
    Threshold("Flagger, tuned", 60.0, 60.0, 5, 0.0, usual_times=4.0),
    Kayenta("Kayenta, documented", 3600.0),
    Kayenta("Kayenta, tuned", 600.0),
)
