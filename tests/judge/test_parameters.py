"""The table of tightening, margins of gates, first weights, weights of indicators, recovery, and nonsense."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.judge import (
    Criticality,
    Dispersion,
    IndicatorSpec,
    first_weight_percent,
    freeze,
    gate_margin,
    parameters_from_dict,
    parameters_to_dict,
    tighten,
    tolerated_excess,
    tolerated_ratio,
)
from tests.judge.builders import parameters


@pytest.mark.parametrize(
    ("ai", "criticality", "alpha", "d", "r", "threshold"),
    [
        pytest.param(False, "Low", 0.01, 0.005, 1.25, 20.0, id="human on low"),
        pytest.param(False, "Medium", 0.01, 0.005, 1.25, 20.0, id="human on medium"),
        pytest.param(True, "Medium", 0.02, 0.005, 1.25, 40.0, id="AI on medium"),
        pytest.param(False, "High", 0.02, 0.0025, 1.1767767, 40.0, id="human on high"),
        pytest.param(True, "High", 0.04, 0.0025, 1.1767767, 80.0, id="AI on high"),
        pytest.param(False, "Critical", 0.04, 0.00125, 1.125, 80.0, id="human on critical"),
        pytest.param(True, "Critical", 0.05, 0.00125, 1.125, 160.0, id="AI on critical, alpha at its bound"),
    ],
)
def test_the_table_of_tightening_for_an_objective_of_99(
    ai: bool, criticality: Criticality, alpha: float, d: float, r: float, threshold: float
) -> None:
    frozen = parameters(ai=ai, criticality=criticality, objective=99.0)
    assert frozen.alpha == pytest.approx(alpha)
    assert frozen.indicators[0].d == pytest.approx(d)
    assert frozen.indicators[0].r == pytest.approx(r)
    assert frozen.safety_threshold == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("ai", "criticality", "proof"),
    [
        pytest.param(False, "Low", False, id="low without AI has no proof gate"),
        pytest.param(True, "Low", True, id="low with AI has"),
        pytest.param(False, "Medium", True, id="medium has"),
    ],
)
def test_who_must_prove(ai: bool, criticality: Criticality, proof: bool) -> None:
    assert tighten(ai, criticality).proof is proof


def test_the_tolerated_excess_has_a_floor() -> None:
    assert tolerated_excess(99.999, 4.0) == 1e-4
    assert tolerated_excess(100.0, 1.0) == 1e-4


def test_pods_that_differ_widen_the_ratio_and_more_canary_pods_narrow_it() -> None:
    assert tolerated_ratio(1.0, cv=0.8, canary_pods=4) == pytest.approx(1.25 * 1.8)
    assert tolerated_ratio(1.0, cv=0.8, canary_pods=16) < tolerated_ratio(1.0, cv=0.8, canary_pods=1)


@pytest.mark.parametrize(
    ("d", "next_weight", "margin"),
    [
        pytest.param(0.0025, 0.5, 0.005, id="half the traffic tolerates twice the excess"),
        pytest.param(0.0025, 1.0, 0.0025, id="the last gate tolerates d itself"),
        pytest.param(0.005, 0.05, 0.05, id="never more than 5 %"),
    ],
)
def test_a_gates_margin_depends_on_the_next_exposure(d: float, next_weight: float, margin: float) -> None:
    assert gate_margin(d, next_weight) == pytest.approx(margin)


@pytest.mark.parametrize(
    ("rps", "ai", "criticality", "least", "percent"),
    [
        pytest.param(1.0, False, "Low", 1.0, 5, id="little traffic: the maximum of 5 %"),
        pytest.param(1000.0, False, "Medium", 1.0, 3, id="1000 rps spend the budget at 3 %"),
        pytest.param(1000.0, True, "Critical", 1.0, 1, id="AI on critical: 1 %"),
        pytest.param(1000.0, True, "Critical", 7.2, 8, id="raised to what the first gate's proof needs"),
        pytest.param(0.0, True, "Critical", 1.0, 5, id="no traffic: the maximum"),
    ],
)
def test_first_weight(rps: float, ai: bool, criticality: Criticality, least: float, percent: int) -> None:
    assert first_weight_percent(rps, tighten(ai, criticality), least_percent=least) == percent


def test_weights_are_normalised_over_what_is_configured() -> None:
    assert [own.weight for own in parameters(kinds=("Errors",)).indicators] == [1.0]
    both = parameters(kinds=("Errors", "Latency")).indicators
    assert [own.weight for own in both] == pytest.approx([0.5625, 0.4375])


def test_recovery_tightens_for_nobody() -> None:
    frozen = parameters(ai=True, criticality="Critical", recovery=True)
    assert (frozen.alpha, frozen.safety_threshold, frozen.recovery) == (0.05, 20.0, True)
    assert frozen.indicators[0].d == pytest.approx(0.005)


def test_warm_up_is_for_latency_only() -> None:
    both = parameters(kinds=("Errors", "Latency"), warm_up_seconds=60.0).indicators
    assert [own.warm_up_seconds for own in both] == [0.0, 60.0]


@given(
    st.booleans(),
    st.sampled_from(["Low", "Medium", "High", "Critical"]),
    st.floats(90.0, 100.0),
    st.floats(1.0, 20.0),
    st.booleans(),
)
def test_parameters_survive_json(
    ai: bool, criticality: Criticality, objective: float, phi: float, recovery: bool
) -> None:
    frozen = parameters(
        ai=ai, criticality=criticality, objective=objective, phi=phi, kinds=("Errors", "Latency"), recovery=recovery
    )
    assert parameters_from_dict(json.loads(json.dumps(parameters_to_dict(frozen)))) == frozen


@given(st.sampled_from(["Low", "Medium", "High", "Critical"]), st.floats(90.0, 99.99))
def test_an_ai_origin_never_loosens(criticality: Criticality, objective: float) -> None:
    human, ai = (parameters(ai=ai, criticality=criticality, objective=objective) for ai in (False, True))
    assert ai.alpha >= human.alpha
    assert ai.safety_threshold > human.safety_threshold
    assert ai.indicators == human.indicators


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        pytest.param({"planned_seconds": 0.0}, "planned time", id="no planned time"),
        pytest.param({"tick_seconds": math.nan}, "tick", id="a NaN tick"),
        pytest.param({"objective": 0.0}, "objective of 0 %", id="an objective of nothing"),
        pytest.param({"objective": 101.0}, "objective of 101 %", id="an objective beyond everything"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(broken: dict[str, float], sentence: str) -> None:
    chosen = {"planned_seconds": 60.0, "tick_seconds": 5.0, "objective": 99.0} | broken
    with pytest.raises(ValueError, match=sentence):
        freeze(
            tighten(False, "Low"),
            [IndicatorSpec("errors", "Errors", chosen["objective"], dispersion=Dispersion(1.0))],
            planned_seconds=chosen["planned_seconds"],
            tick_seconds=chosen["tick_seconds"],
            canary_pods=1,
        )


def test_more_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 4"):
        tighten(True, "Low", ai_odds=9.0)
    spec = IndicatorSpec("errors", "Errors", 99.0)
    with pytest.raises(ValueError, match="same name"):
        freeze(tighten(False, "Low"), [spec, spec], planned_seconds=1.0, tick_seconds=1.0, canary_pods=1)
    with pytest.raises(ValueError, match="cannot be read"):
        parameters_from_dict({"alpha": "0.05"})
    with pytest.raises(ValueError, match="cannot be read"):
        parameters_from_dict(parameters_to_dict(parameters()) | {"kappa": "nan"})
