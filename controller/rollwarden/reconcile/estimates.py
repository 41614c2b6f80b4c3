"""What a service is judged by, the judge's parameters for one change, and how long its gates will take.

Pure, and light to import: the operator and ``explain`` say the same before a release because they ask the same here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ..api.change import Classification, FrozenIndicator, Requirements
from ..api.enums import IndicatorType, Origin
from ..api.profile import ServiceProfile
from ..core.plan import Estimate, Estimator
from ..core.times import seconds
from ..judge import Dispersion, IndicatorSpec, JudgeParameters, estimate_gate, freeze, tighten

DEFAULT_TARGET_PERCENT = "99"
"""The objective of a service that names none; a policy's floor may raise it."""
TICK_SECONDS = 15.0
LEAST_PLANNED_SECONDS = 900
SHARE_OF_CANARY_PODS = 4
"""One pod in so many is taken for the canary's first ones: fewer pods make the tolerated ratio wider."""


def frozen_indicators(profiles: Iterable[ServiceProfile], needs: Requirements) -> tuple[FrozenIndicator, ...]:
    """The oldest profile's indicators, else errors from common metric families; targets at least at the floor."""
    declared = next((p.spec.indicators for p in profiles if p.spec.indicators), ())
    found = [
        FrozenIndicator(
            name=one.name,
            type=one.type,
            target_percent=_floored(one.objective.target_percent, needs),
            total=one.query.total,
            bad=one.query.bad,
            histogram=one.query.histogram,
            threshold_ms=round(1000 * seconds(one.objective.threshold)) if one.objective.threshold else 0,
        )
        for one in declared
    ]
    if not any(one.type is IndicatorType.ERRORS for one in found):
        target = _floored(DEFAULT_TARGET_PERCENT, needs)
        found.insert(0, FrozenIndicator(name="errors", type=IndicatorType.ERRORS, target_percent=target))
    return tuple(found)


def judge_kind(one: FrozenIndicator) -> Literal["Errors", "Latency"]:
    return "Latency" if one.type is IndicatorType.LATENCY else "Errors"


def is_required(one: FrozenIndicator, needs: Requirements) -> bool:
    """Errors must always be shown safe; others where the policy requires them. The rest can hold or roll back."""
    return one.type is IndicatorType.ERRORS or one.type in needs.required_indicators


def judge_parameters(
    classification: Classification,
    needs: Requirements,
    indicators: Sequence[FrozenIndicator],
    *,
    replicas: int,
    dispersion: Mapping[str, Dispersion] | None = None,
    planned_seconds: float | None = None,
    tick_seconds: float = TICK_SECONDS,
    recovery: bool = False,
) -> JudgeParameters:
    """The judge's numbers for a change; an indicator without measured dispersion has the profile's cold one.

    Raises ValueError with a sentence where the indicators make no sense together.
    """
    cold = Dispersion(float(needs.pace.cold_phi))
    specs = [
        IndicatorSpec(
            one.name,
            judge_kind(one),
            float(one.target_percent),
            required=is_required(one, needs),
            dispersion=(dispersion or {}).get(one.name, cold),
            warm_up_seconds=float(needs.pace.warm_up),
        )
        for one in indicators
    ]
    return freeze(
        tighten(classification.origin is Origin.AI, classification.criticality.value),
        specs,
        planned_seconds=max(needs.pace.max_step, LEAST_PLANNED_SECONDS) if planned_seconds is None else planned_seconds,
        tick_seconds=tick_seconds,
        canary_pods=max(1, replicas // SHARE_OF_CANARY_PODS),
        recovery=recovery,
    )


def estimator(parameters: JudgeParameters, *, rps: float, stable_rates: Mapping[str, float]) -> Estimator:
    """What each gate takes for a canary as good as stable, at ``rps`` requests per second of both arms together.

    ``stable_rates``: stable's share of bad requests by indicator; clean where it is missing.
    """

    def estimate(share: float, next_share: float) -> Estimate | None:
        if rps <= 0 or not 0 < share <= 1:
            return None
        found = estimate_gate(parameters, weight=share, next_weight=next_share, rps=rps, stable_rates=stable_rates)
        return Estimate(found.requests, found.seconds) if found else None

    return estimate


def _floored(target: str, needs: Requirements) -> str:
    return max(target, needs.objective_floor or "0", key=float)
