"""The judge's numbers, frozen when a change is released: how sure, how much worse is tolerated, how much proof.

Two facts set them: `kappa`, how much likelier a defect is for this origin, and `cost`, what a missed one costs at this
criticality. An AI origin does not change how much harm is tolerable, only the odds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from rollwarden.judge.eprocess import Margin
from rollwarden.judge.numbers import decode, encode
from rollwarden.judge.phi import COLD, Dispersion

IndicatorKind = Literal["Errors", "Latency"]
Criticality = Literal["Low", "Medium", "High", "Critical"]

COST: Mapping[Criticality, float] = {"Low": 1.0, "Medium": 1.0, "High": 2.0, "Critical": 4.0}
WEIGHTS: Mapping[IndicatorKind, float] = {"Errors": 0.45, "Latency": 0.35}
BETA = 0.05
LARGEST_ALPHA = 0.05
LARGEST_GATE_MARGIN = 0.05
LEAST_EXCESS = 1e-4
AI_ODDS = 2.0
LARGEST_FIRST_WEIGHT = 0.05
FIRST_TICKS_SECONDS = 30.0
"""Exposure before the first judged tick can act."""


@dataclass(frozen=True, slots=True)
class Tightening:
    """What origin and criticality set alone. `proof`: whether gates ask for proof of safety at all."""

    alpha: float
    kappa: float
    cost: float
    beta: float
    proof: bool


@dataclass(frozen=True, slots=True)
class IndicatorSpec:
    """One indicator as configured, with what is known of stable's scatter (cold without history)."""

    name: str
    kind: IndicatorKind
    objective_percent: float
    required: bool = True
    dispersion: Dispersion = COLD
    warm_up_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class IndicatorParameters:
    """One indicator's frozen numbers. `objective` is a share (0.99), `weight` is normalised over all indicators, `p0`
    is stable's own high rate for the one-arm test."""

    name: str
    kind: IndicatorKind
    required: bool
    weight: float
    objective: float
    d: float
    r: float
    phi: float
    high_rate: float
    warm_up_seconds: float

    @property
    def margin(self) -> Margin:
        """The margin of the rollback process."""
        return Margin(self.r, self.d, self.phi)

    def gate_margin(self, next_weight: float) -> Margin:
        """The margin of a gate's proof: what the next exposure tolerates."""
        return Margin(self.r, gate_margin(self.d, next_weight), self.phi)


@dataclass(frozen=True, slots=True)
class JudgeParameters:
    """Everything the judge needs to know of a change; never changed after its release."""

    alpha: float
    kappa: float
    cost: float
    beta: float
    planned_ticks: int
    tick_seconds: float
    proof: bool
    recovery: bool
    indicators: tuple[IndicatorParameters, ...]

    @property
    def safety_threshold(self) -> float:
        """E_safe that a gate needs."""
        return self.kappa * self.cost / self.beta

    @property
    def must_prove(self) -> tuple[IndicatorParameters, ...]:
        """The indicators whose proof a gate needs: the required ones, or all where none is marked."""
        return tuple(indicator for indicator in self.indicators if indicator.required) or self.indicators


def tighten(origin_is_ai: bool, criticality: Criticality, *, ai_odds: float = AI_ODDS) -> Tightening:
    """The two numbers and what follows from them alone. Raises ValueError for odds outside 1 to 4."""
    if not 1.0 <= ai_odds <= 4.0:
        raise ValueError(f"the odds multiplier for AI is {ai_odds:g}; it must be between 1 and 4")
    if criticality not in COST:
        raise ValueError(f"criticality {criticality!r} is unknown; use one of {', '.join(COST)}")
    kappa, cost = (ai_odds if origin_is_ai else 1.0), COST[criticality]
    proof = origin_is_ai or criticality != "Low"
    return Tightening(min(LARGEST_ALPHA, 0.01 * kappa * cost), kappa, cost, BETA, proof)


def tolerated_excess(objective_percent: float, cost: float) -> float:
    """d: half the error budget, divided by the cost of a miss; at least 0.0001."""
    if not 0.0 < objective_percent <= 100.0:
        raise ValueError(f"an objective of {objective_percent:g} % cannot be; it must be above 0 and at most 100")
    return max(LEAST_EXCESS, 0.5 * (1.0 - objective_percent / 100.0) / cost)


def tolerated_ratio(cost: float, *, cv: float = 0.0, canary_pods: int = 1) -> float:
    """r: 1 + 0.25/sqrt(cost), wider where pods differ and the canary has few of them."""
    return (1.0 + 0.25 / math.sqrt(cost)) * (1.0 + 2.0 * cv / math.sqrt(max(1, canary_pods)))


def gate_margin(d: float, next_weight: float) -> float:
    """d of a gate: the excess that leaves the service-wide one tolerable at the next weight; at most 5 %."""
    return min(LARGEST_GATE_MARGIN, d / next_weight) if next_weight > 0.0 else LARGEST_GATE_MARGIN


def first_weight_percent(
    rps: float, tightening: Tightening, *, exposed_requests: float = 1000.0, least_percent: float = 1.0
) -> int:
    """The first weight in whole percent: an exposure budget, at most 5 %, at least what the planner needs (and 1)."""
    budget = LARGEST_FIRST_WEIGHT
    if rps > 0.0:
        spent_per_weight = rps * FIRST_TICKS_SECONDS * tightening.kappa * tightening.cost
        budget = min(budget, exposed_requests / spent_per_weight)
    return max(1, math.ceil(least_percent - 1e-9), math.floor(100.0 * budget + 1e-9))


def freeze(
    tightening: Tightening,
    indicators: Sequence[IndicatorSpec],
    *,
    planned_seconds: float,
    tick_seconds: float,
    canary_pods: int,
    recovery: bool = False,
) -> JudgeParameters:
    """The numbers of one change, at its release. Raises ValueError with a sentence where they make no sense.

    `canary_pods` is the number at the first weight: fewer pods give a wider tolerated ratio. In `recovery` stable is
    the broken one and the question is only whether the canary is no worse: neither origin nor criticality tightens.
    """
    for label, value in (("planned time", planned_seconds), ("tick", tick_seconds)):
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"the {label} is {value:g} s; it must be a positive number of seconds")
    names = [spec.name for spec in indicators]
    if len(set(names)) != len(names):
        raise ValueError(f"two indicators have the same name: {', '.join(sorted(names))}")
    if recovery:
        tightening = Tightening(LARGEST_ALPHA, 1.0, 1.0, BETA, True)
    weights = math.fsum(WEIGHTS[spec.kind] for spec in indicators)
    return JudgeParameters(
        tightening.alpha,
        tightening.kappa,
        tightening.cost,
        tightening.beta,
        max(1, round(planned_seconds / tick_seconds)),
        tick_seconds,
        tightening.proof,
        recovery,
        tuple(_indicator(spec, tightening.cost, weights, canary_pods) for spec in indicators),
    )


def _indicator(spec: IndicatorSpec, cost: float, weights: float, canary_pods: int) -> IndicatorParameters:
    return IndicatorParameters(
        spec.name,
        spec.kind,
        spec.required,
        WEIGHTS[spec.kind] / weights,
        spec.objective_percent / 100.0,
        tolerated_excess(spec.objective_percent, cost),
        tolerated_ratio(cost, cv=spec.dispersion.cv, canary_pods=canary_pods),
        max(1.0, spec.dispersion.phi),
        spec.dispersion.high_rate,
        spec.warm_up_seconds if spec.kind == "Latency" else 0.0,
    )


def parameters_to_dict(parameters: JudgeParameters) -> dict[str, Any]:
    """As JSON values; numbers are strings, so that no client of the API server rounds them."""
    return {
        "alpha": encode(parameters.alpha),
        "kappa": encode(parameters.kappa),
        "cost": encode(parameters.cost),
        "beta": encode(parameters.beta),
        "plannedTicks": parameters.planned_ticks,
        "tickSeconds": encode(parameters.tick_seconds),
        "proof": parameters.proof,
        "recovery": parameters.recovery,
        "indicators": [
            {
                "name": indicator.name,
                "kind": indicator.kind,
                "required": indicator.required,
                "weight": encode(indicator.weight),
                "objective": encode(indicator.objective),
                "d": encode(indicator.d),
                "r": encode(indicator.r),
                "phi": encode(indicator.phi),
                "highRate": encode(indicator.high_rate),
                "warmUpSeconds": encode(indicator.warm_up_seconds),
            }
            for indicator in parameters.indicators
        ],
    }


def parameters_from_dict(stored: Mapping[str, Any]) -> JudgeParameters:
    """What `parameters_to_dict` wrote. Raises ValueError naming what is missing or malformed."""
    try:
        return JudgeParameters(
            decode(stored["alpha"]),
            decode(stored["kappa"]),
            decode(stored["cost"]),
            decode(stored["beta"]),
            int(stored["plannedTicks"]),
            decode(stored["tickSeconds"]),
            bool(stored["proof"]),
            bool(stored["recovery"]),
            tuple(_indicator_from_dict(indicator) for indicator in stored["indicators"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the judge's parameters cannot be read: {error!r}") from error


def _indicator_from_dict(stored: Mapping[str, Any]) -> IndicatorParameters:
    if stored["kind"] not in get_args(IndicatorKind):
        raise ValueError(f"indicator kind {stored['kind']!r} is unknown")
    return IndicatorParameters(
        str(stored["name"]),
        cast(IndicatorKind, stored["kind"]),
        bool(stored["required"]),
        decode(stored["weight"]),
        decode(stored["objective"]),
        decode(stored["d"]),
        decode(stored["r"]),
        decode(stored["phi"]),
        decode(stored["highRate"]),
        decode(stored["warmUpSeconds"]),
    )
