"""Whole changes by seeded simulation, few runs each; `python -m tests.perf.judge_simulation` has the figures."""

import random

import pytest

from rollwarden.judge import Dispersion, IndicatorSpec, freeze, tighten
from tests.judge.builders import parameters
from tests.judge.simulator import Fleet, Rate, Stage, constant, median, run, shares, step_at

RUNS = 20


@pytest.mark.parametrize(
    ("rate", "cluster", "phi", "rps"),
    [
        pytest.param(constant(0.005), 1.0, 1.0, 100.0, id="independent errors"),
        pytest.param(constant(0.005), 5.0, 9.0, 100.0, id="clusters of mean five with their dispersion"),
        pytest.param(step_at(152.0, 0.001, 0.05, 400.0), 1.0, 1.0, 1000.0, id="an incident common to both arms"),
    ],
)
def test_a_canary_as_good_as_stable_is_not_rolled_back(rate: Rate, cluster: float, phi: float, rps: float) -> None:
    chosen = parameters(objective=99.9, phi=phi)
    outcomes = []
    for seed in range(RUNS):
        fleet = Fleet(random.Random(seed), rps, 15.0, rate, rate, 3, cluster=cluster)
        outcomes.append(run(fleet, chosen, [Stage(0.25, 1.0, 1)], limit_seconds=600.0, stay=True))
    assert shares(outcomes)["Rollback"] == 0.0


def test_an_agents_change_that_fails_three_percent_is_rolled_back_in_about_a_minute() -> None:
    """Medium, objective 99, 80 rps, one canary of four pods, cold dispersion 3, 5 s ticks."""
    spec = IndicatorSpec("errors", "Errors", 99.0, dispersion=Dispersion(3.0))
    chosen = freeze(tighten(True, "Medium"), [spec], planned_seconds=600.0, tick_seconds=5.0, canary_pods=1)
    outcomes = []
    for seed in range(RUNS):
        fleet = Fleet(random.Random(seed), 80.0, 5.0, constant(0.03), constant(0.0), 3)
        outcomes.append(run(fleet, chosen, [Stage(0.25, 1.0, 1)], limit_seconds=600.0))
    assert shares(outcomes)["Rollback"] == 1.0
    assert median([outcome.seconds for outcome in outcomes]) <= 60.0
    assert median([outcome.verdict.harmed for outcome in outcomes]) <= 40.0


def test_a_canary_beyond_the_margin_is_hardly_ever_proved_safe() -> None:
    chosen = parameters(objective=98.0)
    own = chosen.indicators[0]
    canary = constant(own.r * 0.01 + 1.1 * own.d)
    outcomes = []
    for seed in range(RUNS):
        fleet = Fleet(random.Random(seed), 100.0, 15.0, canary, constant(0.01), 4)
        outcomes.append(run(fleet, chosen, [Stage(0.5, 1.0, 4)], limit_seconds=1200.0))
    assert shares(outcomes)["Promote"] <= 0.05
