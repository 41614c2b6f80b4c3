"""What a gate asks for, and how long that will take: said before release, in the hold message and to approvers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rollwarden.judge.eprocess import SAFETY_RATIOS, Margin, log_uniform_mixture
from rollwarden.judge.parameters import IndicatorParameters, JudgeParameters

GateKind = Literal["Proof", "Watch", "Bake"]

LEAST_RECENT_SECONDS = 300.0
"""A gate looks at the last five minutes alone, or at its minimum soak where that is longer."""

CONTRARY_EVIDENCE = 10.0
"""Rollback evidence from which no gate passes, far below what a rollback needs."""

LARGEST_REQUESTS = 1e12
"""A proof that needs more canary requests than this is called impossible."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, entered when its weight is reached and its pods are ready.

    Weights are shares (0.33). `Proof` needs evidence of safety, `Watch` only its soak, `Bake` its soak and the one-arm
    test at weight 1. `router_weighted` False means that shares come from replica counts and kept-alive connections: a
    canary without requests is then no proof of a fault.
    """

    index: int
    kind: GateKind
    weight: float
    next_weight: float
    started_tick: int
    started_at: float
    soak_seconds: float = 0.0
    router_weighted: bool = True

    @property
    def recent_seconds(self) -> float:
        """The stretch that alone must not point the other way."""
        return max(self.soak_seconds, LEAST_RECENT_SECONDS)


@dataclass(frozen=True, slots=True)
class GateEstimate:
    """Canary requests a clean canary needs at this gate, and the time they take from the gate's start."""

    requests: float
    seconds: float


def estimate_gate(
    parameters: JudgeParameters,
    *,
    weight: float,
    next_weight: float,
    rps: float,
    stable_rates: Mapping[str, float],
) -> GateEstimate | None:
    """What a canary as good as stable needs, for the slowest required indicator; None where it cannot be shown.

    `rps` is both arms' requests per second; an indicator missing in `stable_rates` is taken as clean. The time is in
    whole ticks plus the one by which judging lags.
    """
    if not parameters.proof:
        return GateEstimate(0.0, 0.0)
    needed = 0.0
    for indicator in parameters.must_prove:
        rate = stable_rates.get(indicator.name, 0.0)
        steps = safety_steps(indicator, weight, next_weight, rate, rate)
        requests = requests_to_reach(math.log(parameters.safety_threshold), (0.0,) * len(SAFETY_RATIOS), steps)
        if requests is None:
            return None
        needed = max(needed, requests)
    if rps * weight <= 0.0:
        return None
    ticks = math.ceil(needed / (rps * weight) / parameters.tick_seconds)
    return GateEstimate(needed, (ticks + 1) * parameters.tick_seconds)


def safety_steps(
    indicator: IndicatorParameters,
    weight: float,
    next_weight: float,
    canary_rate: float,
    stable_rate: float,
) -> tuple[float, ...]:
    """The expected growth of each log L_g per canary request; minus infinity where one arm has no traffic."""
    if not 0.0 < weight < 1.0:
        return (-math.inf,) * len(SAFETY_RATIOS)
    margin: Margin = indicator.gate_margin(next_weight)
    canary, stable = margin.r * weight, 1.0 - weight
    steps: list[float] = []
    for ratio in SAFETY_RATIOS:
        tilted = ratio * canary + stable
        grown = ratio * (canary + stable) / tilted
        stable_bad = stable / weight * stable_rate
        log_likelihood = canary_rate * math.log(grown) + stable_bad * math.log((canary + stable) / tilted)
        steps.append((log_likelihood - margin.d * (grown - 1.0)) / margin.phi)
    return tuple(steps)


def requests_to_reach(log_threshold: float, log_l: tuple[float, ...], steps: tuple[float, ...]) -> float | None:
    """Further canary requests until the mixture reaches the threshold at these steps; None where it never does."""
    if log_uniform_mixture(log_l) >= log_threshold:
        return 0.0
    alone = log_threshold + math.log(len(log_l))
    growing = [(alone - value) / step for value, step in zip(log_l, steps, strict=True) if step > 0.0]
    # One term alone reaches it at the smallest of these. The mixture is convex in the requests, so that Newton's method
    # comes down from there to the one crossing and never falls below it.
    requests = min(growing, default=math.inf)
    if requests > LARGEST_REQUESTS:
        return None
    move = math.inf
    while move > 0.25:
        grown = [value + requests * step for value, step in zip(log_l, steps, strict=True)]
        largest = max(grown)
        parts = [math.exp(value - largest) for value in grown]
        total = math.fsum(parts)
        slope = math.fsum(part * step for part, step in zip(parts, steps, strict=True)) / total
        move = (largest + math.log(total / len(parts)) - log_threshold) / slope
        requests -= move
    return requests
