"""A change's indicators in the form that the Prometheus adapter takes them in."""

from __future__ import annotations

from ..api.change import FrozenIndicator
from ..prometheus import Indicator
from .estimates import judge_kind


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
