"""The benchmark's own parts: peers' rules on rows made by hand, intervals, and a world that is the same each time."""

import random
from collections.abc import Mapping, Sequence

import pytest

from tests.perf.bench_judge.peers import Kayenta, Threshold, p99
from tests.perf.bench_judge.scenarios import ALL
from tests.perf.bench_judge.summary import Run, figures, wilson
from tests.perf.bench_judge.world import Row, Scenario, Span, rows_of

ARGO = Threshold("Argo", 300.0, 300.0, 4, 0.05, latency=False)
FLAGGER = Threshold("Flagger", 60.0, 60.0, 10, 0.01)
PLAIN = Scenario("plain", "plain")


def rows(per_minute: Sequence[tuple[float, float]], stable: float = 0.001) -> list[Row]:
    """An hour of 15 s rows from (requests, share failing) of the canary per minute; stable has 1,000 a minute."""
    canary, other = Span(), Span()
    found = [Row(0, 0.0, {}, canary, other, 0.0)]
    for number in range(1, 241):
        total, share = per_minute[(number - 1) // 4]
        canary = canary.plus(Span(total / 4.0, total * share / 4.0))
        other = other.plus(Span(250.0, 250.0 * stable))
        found.append(Row(number, number * 15.0, {}, canary, other, 0.0))
    return found


def test_argo_acts_on_the_fourth_bad_sample() -> None:
    assert ARGO.judge(PLAIN, rows([(300.0, 0.06)] * 60)).rolled_back_at == 1200.0
    assert ARGO.judge(PLAIN, rows([(300.0, 0.05)] * 60)).promoted_at == 3600.0


def test_flagger_acts_on_the_tenth_bad_minute_and_never_forgets() -> None:
    assert FLAGGER.judge(PLAIN, rows([(300.0, 0.02)] * 60)).rolled_back_at == 600.0
    assert FLAGGER.judge(PLAIN, rows([(300.0, 0.02), (300.0, 0.0)] * 30)).rolled_back_at == 1140.0


def test_a_minute_without_requests_is_a_bad_one() -> None:
    assert FLAGGER.judge(PLAIN, rows([(0.0, 0.0)] * 60)).rolled_back_at == 600.0


def test_kayenta_finds_a_shift_beyond_a_quarter_of_itself_and_passes_none() -> None:
    kayenta = Kayenta("Kayenta", 600.0)
    assert kayenta.judge(PLAIN, rows([(300.0, 0.02), (300.0, 0.03)] * 30)).rolled_back_at == 600.0
    assert kayenta.judge(PLAIN, rows([(300.0, 0.001)] * 60)).promoted_at == 3600.0
    assert kayenta.judge(PLAIN, rows([(0.0, 0.0)] * 60)).rolled_back_at == 600.0


def test_the_percentile_is_interpolated_in_its_bucket() -> None:
    assert p99(Span(1000.0, 0.0, (20.0, 0.0, 0.0))) == pytest.approx(0.375)
    assert p99(Span(1000.0, 0.0, (500.0, 400.0, 300.0))) == 1.0


@pytest.mark.parametrize(
    ("count", "runs", "low", "high"), [(0, 500, 0.0, 0.0076), (5, 500, 0.0043, 0.0232), (10, 10, 0.7225, 1.0)]
)
def test_wilson_intervals(count: int, runs: int, low: float, high: float) -> None:
    assert wilson(count, runs) == pytest.approx((low, high), abs=1e-4)


def test_figures_count_each_run_once() -> None:
    found: Mapping[str, object] = figures([Run(True, False, 30.0, 4.0), Run(False, True, None, 10.0)])
    assert found["medianDelaySeconds"] == 30.0
    assert found["meanHarmed"] == 7.0


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.key)
def test_a_world_repeats_itself_and_its_counters_are_possible(scenario: Scenario) -> None:
    once, again = (rows_of(scenario, random.Random("seed"), (1.0, 1.0)) for _ in range(2))
    assert once == again
    assert (once[-1].harmed > 0.0) == (scenario.excess is not None or scenario.slower is not None)
    for row in once:
        for tick in row.ticks.values():
            assert all(0.0 <= (pod.bad or 0.0) <= pod.total for pod in (*tick.canary, *tick.stable))
