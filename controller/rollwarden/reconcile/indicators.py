"""Which indicators judge a change, in the three forms that the profile, Prometheus and the judge take them in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ..api.change import FrozenIndicator, Requirements
from ..api.enums import IndicatorType
from ..api.profile import ServiceProfile
from ..core.times import seconds
from ..prometheus import Indicator

DEFAULT_TARGET_PERCENT = "99"
"""The objective of a service that names none; a policy's floor may raise it."""


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


def prometheus_indicator(one: FrozenIndicator) -> Indicator:
    return Indicator(
        name=one.name,
        type=judge_kind(one),
        total=one.total,
        bad=one.bad,
        histogram=one.histogram,
        threshold_seconds=one.threshold_ms / 1000 if one.threshold_ms else None,
        target_percent=float(one.target_percent),
    )


def judge_kind(one: FrozenIndicator) -> Literal["Errors", "Latency"]:
    return "Latency" if one.type is IndicatorType.LATENCY else "Errors"


def is_required(one: FrozenIndicator, needs: Requirements) -> bool:
    """Errors must always be shown safe; others where the policy requires them. The rest can hold or roll back."""
    return one.type is IndicatorType.ERRORS or one.type in needs.required_indicators


def _floored(target: str, needs: Requirements) -> str:
    return max(target, needs.objective_floor or "0", key=float)
