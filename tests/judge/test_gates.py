"""What gates ask for: requests and times by hand, what grows them, and the estimate against simulation."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.judge import Dispersion, IndicatorSpec, JudgeParameters, estimate_gate, freeze, tighten
from rollwarden.judge.gates import requests_to_reach, safety_steps
from tests.judge.builders import parameters
from tests.judge.simulator import Fleet, Stage, constant, median, run


def demo_parameters(phi: float = 3.0) -> JudgeParameters:
    """An AI change to a critical service with objective 98 and 5 s ticks."""
    spec = IndicatorSpec("errors", "Errors", 98.0, dispersion=Dispersion(phi))
    return freeze(tighten(True, "Critical"), [spec], planned_seconds=600.0, tick_seconds=5.0, canary_pods=2)


@pytest.mark.parametrize(
    ("rps", "first", "second"),
    [
        pytest.param(240.0, 55.0, 70.0, id="240 rps: about two minutes in all"),
        pytest.param(160.0, 80.0, 105.0, id="160 rps: about three"),
    ],
)
def test_two_gates_of_a_clean_critical_service(rps: float, first: float, second: float) -> None:
    chosen = demo_parameters()
    one = estimate_gate(chosen, weight=0.33, next_weight=0.5, rps=rps, stable_rates={})
    two = estimate_gate(chosen, weight=0.5, next_weight=1.0, rps=rps, stable_rates={})
    assert one is not None
    assert two is not None
    assert (one.seconds, two.seconds) == (first, second)


def test_a_stricter_objective_at_low_traffic_takes_hours() -> None:
    spec = IndicatorSpec("errors", "Errors", 99.9, dispersion=Dispersion(1.0))
    chosen = freeze(tighten(True, "Critical"), [spec], planned_seconds=3600.0, tick_seconds=15.0, canary_pods=2)
    found = estimate_gate(chosen, weight=0.5, next_weight=1.0, rps=100.0, stable_rates={"errors": 0.0005})
    assert found is not None
    assert found.seconds > 3600.0


def test_no_proof_needs_no_requests() -> None:
    found = estimate_gate(parameters(criticality="Low"), weight=0.5, next_weight=1.0, rps=0.0, stable_rates={})
    assert found is not None
    assert (found.requests, found.seconds) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("weight", "rps"),
    [
        pytest.param(1.0, 100.0, id="nothing to compare with at weight 1"),
        pytest.param(0.5, 0.0, id="no traffic"),
    ],
)
def test_a_gate_that_cannot_be_shown_has_no_estimate(weight: float, rps: float) -> None:
    assert estimate_gate(parameters(), weight=weight, next_weight=1.0, rps=rps, stable_rates={}) is None


@given(st.floats(0.05, 0.9), st.floats(0.0, 0.05), st.floats(1.0, 9.0))
def test_less_exposure_next_never_needs_more_requests(weight: float, rate: float, phi: float) -> None:
    chosen = parameters(phi=phi)
    low, high = (
        estimate_gate(chosen, weight=weight, next_weight=next_weight, rps=100.0, stable_rates={"errors": rate})
        for next_weight in (max(weight, 0.5), 1.0)
    )
    assert high is None or (low is not None and low.requests <= high.requests)


def test_a_worse_canary_is_never_foreseen_to_pass() -> None:
    steps = safety_steps(parameters().indicators[0], 0.5, 1.0, canary_rate=0.05, stable_rate=0.001)
    assert requests_to_reach(math.log(20.0), (0.0,) * len(steps), steps) is None
    assert requests_to_reach(math.log(20.0), (5.0,) * len(steps), steps) == 0.0


@pytest.mark.parametrize(
    ("rps", "rate", "phi"),
    [
        pytest.param(240.0, 0.0, 3.0, id="clean"),
        pytest.param(240.0, 0.001, 1.0, id="one in a thousand fails in both arms"),
        pytest.param(400.0, 0.005, 1.0, id="five in a thousand fail in both arms"),
    ],
)
def test_the_estimate_is_within_30_percent_of_the_median_simulated_time(rps: float, rate: float, phi: float) -> None:
    chosen = demo_parameters(phi)
    found = estimate_gate(chosen, weight=0.5, next_weight=1.0, rps=rps, stable_rates={"errors": rate})
    assert found is not None
    times = []
    for seed in range(25):
        fleet = Fleet(random.Random(seed), rps, 5.0, constant(rate), constant(rate), 3)
        times.append(run(fleet, chosen, [Stage(0.5, 1.0, 3)], limit_seconds=3600.0).seconds)
    assert found.seconds == pytest.approx(median(times), rel=0.3)


@given(
    st.lists(st.tuples(st.floats(-50.0, 2.0), st.floats(-0.1, 0.1)), min_size=5, max_size=5),
    st.floats(1e-5, 0.1),
)
def test_the_requests_reach_the_threshold_and_no_fewer_do(pairs: list[tuple[float, float]], growing: float) -> None:
    """Whatever the terms: the crossing that is found is one, and the only one."""
    log_l = tuple(value for value, _ in pairs)
    steps = (growing, *(step for _, step in pairs[1:]))
    found = requests_to_reach(math.log(160.0), log_l, steps)

    def mixture(requests: float) -> float:
        grown = [value + requests * step for value, step in zip(log_l, steps, strict=True)]
        return math.log(math.fsum(math.exp(value) for value in grown) / len(grown))

    assert found is not None
    assert mixture(found) >= math.log(160.0) - 1e-9
    assert found == 0.0 or mixture(max(0.0, found - 1.0)) < math.log(160.0)
