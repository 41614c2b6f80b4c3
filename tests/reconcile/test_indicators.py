"""Which indicators judge a change."""

from __future__ import annotations

from rollwarden.api.change import Requirements
from rollwarden.api.enums import IndicatorType
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.profile import Indicator, IndicatorQuery, Objective, ServiceProfile, ServiceProfileSpec
from rollwarden.reconcile.estimates import frozen_indicators, is_required
from rollwarden.reconcile.indicators import prometheus_indicator

LATENCY = Indicator(
    name="fast", type=IndicatorType.LATENCY, objective=Objective(target_percent="95", threshold="300ms")
)
ERRORS = Indicator(
    name="paid",
    type=IndicatorType.ERRORS,
    objective=Objective(target_percent="99.9"),
    query=IndicatorQuery(total="pay_total", bad='pay_total{result="failed"}'),
)


def profile(*indicators: Indicator) -> ServiceProfile:
    return ServiceProfile(metadata=ObjectMeta(name="p"), spec=ServiceProfileSpec(indicators=indicators))


def test_without_a_profile_errors_are_judged_by_the_default_objective() -> None:
    (only,) = frozen_indicators([], Requirements())
    assert (only.name, only.type, only.target_percent) == ("errors", IndicatorType.ERRORS, "99")


def test_a_floor_raises_an_objective_and_never_lowers_it() -> None:
    raised, kept = frozen_indicators([profile(LATENCY, ERRORS)], Requirements(objective_floor="98"))
    assert (raised.target_percent, kept.target_percent) == ("98", "99.9")


def test_a_profile_without_errors_is_judged_by_errors_too() -> None:
    names = [one.name for one in frozen_indicators([profile(LATENCY)], Requirements())]
    assert names == ["errors", "fast"]


def test_the_oldest_profile_that_names_indicators_wins() -> None:
    (only,) = frozen_indicators([profile(), profile(ERRORS), profile(LATENCY)], Requirements())
    assert only.name == "paid"


def test_errors_must_always_be_shown_and_latency_where_policy_says_so() -> None:
    latency, errors = frozen_indicators([profile(LATENCY, ERRORS)], Requirements())
    needs = Requirements(required_indicators=(IndicatorType.LATENCY,))
    assert [is_required(one, Requirements()) for one in (latency, errors)] == [False, True]
    assert is_required(latency, needs)


def test_a_threshold_reaches_prometheus_in_seconds() -> None:
    (latency,) = [one for one in frozen_indicators([profile(LATENCY)], Requirements()) if one.name == "fast"]
    assert prometheus_indicator(latency).threshold_seconds == 0.3
