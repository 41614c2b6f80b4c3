"""How much more stable's errors scatter than independent requests would: clusters (phi) and pods that differ (cv).

phi is the within-block Pearson chi-square per degree of freedom of stable's pods against their pooled rate, not the
variance over time: common drift cancels in the split test and would only blind it. What a pod fails more than the
others all the time is in cv and not in phi too: counted twice, it would make a service with one odd pod unjudgeable.
Both numbers come from ticks before the change and are frozen with it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rollwarden.judge.counters import CounterState, Increment, Tick, read

BLOCKS_SECONDS = (15.0, 60.0, 300.0)
PRIOR_BAD_EVENTS = 50.0
"""The prior weighs as much as this many bad events of history."""

COLD_PHI = 6.0
"""phi without any history, unless a profile says otherwise (`coldPhi`)."""

DAY_SECONDS = 86400.0
LEAST_BLOCKS = 8
"""Pods' own factors are fitted to no fewer blocks than this."""

LEAST_BLOCK_REQUESTS = 50.0
"""Smaller blocks say nothing about a rate."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Of one indicator: `phi` >= 1, `cv` the excess relative variation between pods, `high_rate` the upper 95 % of
    stable's rate in 5-minute blocks (0 without history), and what they rest on."""

    phi: float
    cv: float = 0.0
    high_rate: float = 0.0
    requests: float = 0.0
    bad_events: float = 0.0


COLD = Dispersion(COLD_PHI)
"""What is assumed without any history."""


@dataclass(frozen=True, slots=True)
class _PodCount:
    total: float
    bad: float


_Block = Mapping[str, _PodCount]


def history(ticks: Iterable[Tick], *, warm_up_seconds: float = 0.0) -> tuple[Increment, ...]:
    """The increments of past ticks; faulty and unanswered ones merge into the next as always."""
    state = CounterState()
    increments: list[Increment] = []
    for tick in ticks:
        reading = read(state, tick, warm_up_seconds=warm_up_seconds)
        state = reading.state
        if reading.increment is not None:
            increments.append(reading.increment)
    return tuple(increments)


def estimate(increments: Sequence[Increment], *, prior: float = COLD_PHI) -> Dispersion:
    """phi, cv and the high rate of stable; the prior where there is no history. Total: any history gives an answer."""
    if not increments:
        return Dispersion(max(1.0, prior))
    origin = increments[0].time - increments[0].seconds
    pods = _pods(increments)
    requests = math.fsum(pod.total for pod in pods.values())
    bad = math.fsum(pod.bad for pod in pods.values())
    measured = _quantile([_phi_of_day(day, origin) for day in _days(increments, origin)], 0.75)
    phi = (bad * measured + PRIOR_BAD_EVENTS * prior) / (bad + PRIOR_BAD_EVENTS)
    shortest = _phi_in_blocks(increments, origin, BLOCKS_SECONDS[0])
    variation = _excess_variation(pods, shortest) * math.sqrt(bad / (bad + PRIOR_BAD_EVENTS))
    return Dispersion(max(1.0, phi), variation, _high_rate(increments, origin), requests, bad)


def _phi_of_day(increments: Sequence[Increment], origin: float) -> float:
    return max(_phi_in_blocks(increments, origin, seconds) for seconds in BLOCKS_SECONDS)


def _phi_in_blocks(increments: Sequence[Increment], origin: float, seconds: float) -> float:
    blocks = _blocks(increments, origin, seconds)
    factors = _factors(_pods(increments)) if len(blocks) >= LEAST_BLOCKS else {}
    counted = [_pearson(block, factors) for block in blocks]
    # Each pod's own factor was fitted to the same blocks: that took one block's degrees of freedom.
    freedom = sum(degrees for _, degrees in counted) * (1.0 - 1.0 / len(blocks) if factors else 1.0)
    return math.fsum(square for square, _ in counted) / freedom if freedom else 1.0


def _factors(pods: _Block) -> Mapping[str, float]:
    """How much more each pod fails than all of them; empty where there are too few bad events to know."""
    total = math.fsum(pod.total for pod in pods.values())
    bad = math.fsum(pod.bad for pod in pods.values())
    if bad < PRIOR_BAD_EVENTS * len(pods):
        return {}
    return {name: max(0.01, pod.bad / pod.total / (bad / total)) for name, pod in pods.items() if pod.total > 0.0}


def _pearson(block: _Block, factors: Mapping[str, float]) -> tuple[float, int]:
    """Chi-square of a block's pods against their pooled rate times their own factors, and its degrees of freedom.

    (0, 0) says nothing: fewer than two pods, or a rate of 0 or 1.
    """
    counted = {name: pod for name, pod in block.items() if pod.total > 0.0}
    total = math.fsum(pod.total for pod in counted.values())
    bad = math.fsum(pod.bad for pod in counted.values())
    if len(counted) < 2 or bad <= 0.0 or bad >= total:
        return 0.0, 0
    rate = bad / math.fsum(pod.total * factors.get(name, 1.0) for name, pod in counted.items())
    square = 0.0
    for name, pod in counted.items():
        own = min(0.99, rate * factors.get(name, 1.0))
        square += (pod.bad - pod.total * own) ** 2 / (pod.total * own * (1.0 - own))
    return square, len(counted) - 1


def _excess_variation(pods: _Block, phi: float) -> float:
    """The standard deviation of the pods' own rates, relative to the pooled one, beyond what phi explains."""
    chi_square, degrees = _pearson(pods, {})
    if degrees == 0:
        return 0.0
    total = math.fsum(pod.total for pod in pods.values())
    rate = math.fsum(pod.bad for pod in pods.values()) / total
    expected = [pod.total * rate / (1.0 - rate) for pod in pods.values() if pod.total > 0.0]
    weight = math.fsum(expected) - math.fsum(value * value for value in expected) / math.fsum(expected)
    excess = chi_square - max(1.0, phi) * degrees
    return math.sqrt(max(0.0, excess) / weight)


def _high_rate(increments: Sequence[Increment], origin: float) -> float:
    rates = []
    for block in _blocks(increments, origin, BLOCKS_SECONDS[-1]):
        total = math.fsum(pod.total for pod in block.values())
        if total >= LEAST_BLOCK_REQUESTS:
            rates.append(math.fsum(pod.bad for pod in block.values()) / total)
    return _quantile(rates, 0.95) if rates else 0.0


def _blocks(increments: Sequence[Increment], origin: float, seconds: float) -> tuple[_Block, ...]:
    grouped: dict[int, list[Increment]] = {}
    for increment in increments:
        # A tick belongs to the block in which it ends; the end of a block is part of it.
        grouped.setdefault(math.ceil((increment.time - origin) / seconds - 1e-9), []).append(increment)
    return tuple(_pods(members) for _, members in sorted(grouped.items()))


def _pods(increments: Iterable[Increment]) -> dict[str, _PodCount]:
    pods: dict[str, _PodCount] = {}
    for increment in increments:
        for pod in increment.stable:
            before = pods.get(pod.pod, _PodCount(0.0, 0.0))
            pods[pod.pod] = _PodCount(before.total + pod.total, before.bad + pod.bad)
    return pods


def _days(increments: Sequence[Increment], origin: float) -> tuple[Sequence[Increment], ...]:
    days: dict[int, list[Increment]] = {}
    for increment in increments:
        days.setdefault(math.ceil((increment.time - origin) / DAY_SECONDS - 1e-9), []).append(increment)
    return tuple(days.values())


def _quantile(values: Sequence[float], level: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(level * len(ordered)) - 1)]
