"""The split e-process: its formula by hand, its bound exactly and by simulation, and its directions."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.judge.eprocess import (
    ROLLBACK_RATIOS,
    SAFETY_RATIOS,
    Exposure,
    Margin,
    Mixture,
    advance,
    log_evidence,
    log_increments,
    log_uniform_mixture,
    new_mixture,
)
from tests.judge.simulator import poisson

margins = st.builds(Margin, st.floats(1.0, 2.0), st.floats(1e-4, 0.05), st.just(1.0))
requests = st.integers(1, 400)


def expected_growth(ratio: float, canary: int, stable: int, p_c: float, p_s: float, margin: Margin) -> float:
    """log E exp(l_g) for independent requests with these probabilities, exactly."""
    both = margin.r * canary + stable
    tilted = ratio * margin.r * canary + stable
    grown, shrunk = ratio * both / tilted, both / tilted
    return (
        canary * math.log1p(p_c * (grown - 1.0))
        + stable * math.log1p(p_s * (shrunk - 1.0))
        - margin.d * canary * (grown - 1.0)
    )


@given(requests, requests, st.floats(0.0, 0.5), st.floats(0.0, 1.0), margins)
def test_a_canary_within_the_margin_never_grows_the_rollback_process_in_expectation(
    canary: int, stable: int, p_s: float, part: float, margin: Margin
) -> None:
    p_c = min(1.0, (margin.r * p_s + margin.d) * part)
    for ratio in ROLLBACK_RATIOS:
        assert expected_growth(ratio, canary, stable, p_c, p_s, margin) <= 1e-9


@given(requests, requests, st.floats(0.0, 0.4), st.floats(1.0, 3.0), margins)
def test_a_canary_beyond_the_margin_never_grows_the_safety_process_in_expectation(
    canary: int, stable: int, p_s: float, factor: float, margin: Margin
) -> None:
    p_c = min(1.0, (margin.r * p_s + margin.d) * factor)
    for ratio in SAFETY_RATIOS:
        assert expected_growth(ratio, canary, stable, p_c, p_s, margin) <= 1e-9


@pytest.mark.parametrize("part", [1.0, 0.5], ids=["at the edge of the margin", "as good as stable"])
def test_the_mean_of_the_whole_process_is_at_most_one(part: float) -> None:
    """Over 3000 seeded runs of 12 ticks with drifting rates; the standard error is about 0.02."""
    rng = random.Random(7)
    margin = Margin(1.25, 0.01, 1.0)
    values = []
    for _ in range(3000):
        mixture = new_mixture()
        for number in range(12):
            p_s = 0.02 if number < 6 else 0.06
            p_c = margin.r * p_s + margin.d if part == 1.0 else p_s
            seen = Exposure(40.0, poisson(rng, 40.0 * p_c), 60.0, poisson(rng, 60.0 * p_s))
            mixture = advance(mixture, log_increments(ROLLBACK_RATIOS, seen, margin), 10)
        values.append(math.exp(log_evidence(mixture, 10)))
    assert sum(values) / len(values) <= 1.06


def test_one_tick_by_hand() -> None:
    """g = 2, r = 1.25, n_c = 80, n_s = 100: A = B = 100, e^a = 4/3, e^b = 2/3."""
    seen = Exposure(80.0, 6.0, 100.0, 3.0)
    steps = log_increments((2.0,), seen, Margin(1.25, 0.005, 1.0))
    assert steps[0] == pytest.approx(6 * math.log(4 / 3) + 3 * math.log(2 / 3) - 0.005 * 80 / 3)
    assert log_increments((2.0,), seen, Margin(1.25, 0.005, 4.0))[0] == pytest.approx(steps[0] / 4)


@pytest.mark.parametrize("seen", [Exposure(0, 0, 50, 5), Exposure(50, 5, 0, 0), Exposure(0, 0, 0, 0)])
def test_one_arm_alone_is_no_information(seen: Exposure) -> None:
    assert log_increments(ROLLBACK_RATIOS, seen, Margin(1.25, 0.01, 1.0)) == (0.0,) * len(ROLLBACK_RATIOS)


def test_without_any_evidence_the_process_stays_at_one_before_and_after_the_planned_time() -> None:
    mixture = new_mixture()
    for _ in range(50):
        assert log_evidence(mixture, 20) == pytest.approx(0.0, abs=1e-12)
        mixture = advance(mixture, (0.0,) * len(ROLLBACK_RATIOS), 20)


def test_a_late_fault_is_not_masked_by_hours_of_good_data() -> None:
    """After 200 good ticks the process since the start needs far longer than the restarted one."""
    margin = Margin(1.25, 0.005, 1.0)
    mixture = new_mixture()
    good = log_increments(ROLLBACK_RATIOS, Exposure(100.0, 0.0, 900.0, 0.0), margin)
    for _ in range(200):
        mixture = advance(mixture, good, 240)
    bad = log_increments(ROLLBACK_RATIOS, Exposure(100.0, 5.0, 900.0, 0.0), margin)
    ticks = 0
    while log_evidence(mixture, 240) < math.log(100.0):
        mixture = advance(mixture, bad, 240)
        ticks += 1
    assert ticks <= 3
    assert log_uniform_mixture(mixture.log_l) < 0.0


@given(st.integers(1, 500), st.integers(1, 500), st.data(), margins, st.sampled_from([ROLLBACK_RATIOS, SAFETY_RATIOS]))
def test_one_more_canary_failure_is_more_evidence_for_a_rollback_and_less_for_safety(
    canary: int, stable: int, data: st.DataObject, margin: Margin, ratios: tuple[float, ...]
) -> None:
    bad = data.draw(st.integers(0, canary - 1))
    stable_bad = data.draw(st.integers(0, stable))
    less = log_increments(ratios, Exposure(canary, bad, stable, stable_bad), margin)
    more = log_increments(ratios, Exposure(canary, bad + 1, stable, stable_bad), margin)
    pairs = zip(less, more, strict=True)
    assert all(after > before if ratios is ROLLBACK_RATIOS else after < before for before, after in pairs)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_evidence_is_a_number_for_any_counts(counts: list[tuple[int, int]]) -> None:
    mixture: Mixture = new_mixture()
    for canary_bad, stable_bad in counts:
        seen = Exposure(50.0, canary_bad, 50.0, stable_bad)
        mixture = advance(mixture, log_increments(ROLLBACK_RATIOS, seen, Margin(1.25, 0.01, 1.0)), 10)
    assert math.isfinite(log_evidence(mixture, 10))
