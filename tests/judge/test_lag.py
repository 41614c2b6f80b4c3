"""Judging one tick late: stable's highest and lowest rate around, less what scatter explains."""

import pytest

from rollwarden.judge.counters import Increment, PodIncrement
from rollwarden.judge.lag import LagState, TickEvidence, push


def judged(stable: list[tuple[float, float]], phi: float = 1.0) -> list[TickEvidence]:
    """The judged ticks for stable's (total, bad) per tick; the canary always has 10 of 100 bad."""
    state, found = LagState(), []
    for number, (total, bad) in enumerate(stable, start=1):
        canary = (PodIncrement("c", 100.0, 10.0),)
        arm = (PodIncrement("s", total, bad),) if total else ()
        state, evidence = push(state, Increment(number, 15.0 * number, 15.0, False, canary, arm), phi)
        if evidence is not None:
            found.append(evidence)
    return found


def test_tick_k_is_judged_when_its_successor_is_known() -> None:
    assert [tick.number for tick in judged([(100, 0)] * 4)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("stable", "high", "low"),
    [
        pytest.param([(100, 4), (100, 4), (100, 4)], 4.0, 4.0, id="equal rates stay as they are"),
        pytest.param([(100, 4), (100, 2), (100, 6)], 2.0, 2.0, id="neighbours within scatter change nothing"),
        pytest.param([(10000, 0), (10000, 100), (10000, 2500)], 2400.0, 2.0, id="an onset just after counts for it"),
        pytest.param([(10000, 2500), (10000, 100), (10000, 100)], 2400.0, 100.0, id="an end just before counts too"),
        pytest.param([(50, 25), (100, 0), (0, 0)], 30.0, 0.0, id="a neighbour without requests says nothing"),
        pytest.param([(100, 4), (0, 0), (100, 6)], 0.0, 0.0, id="no stable requests, no stable failures"),
    ],
)
def test_stables_highest_and_lowest(stable: list[tuple[float, float]], high: float, low: float) -> None:
    middle = judged(stable)[1]
    assert middle.stable_high == pytest.approx(high, abs=1e-4)
    assert middle.stable_low == pytest.approx(low, abs=1e-4)


def test_clusters_make_the_neighbours_count_for_less() -> None:
    stable = [(10000.0, 0.0), (10000.0, 100.0), (10000.0, 2500.0)]
    assert judged(stable, phi=9.0)[1].stable_high < judged(stable, phi=1.0)[1].stable_high


def test_the_lag_only_ever_takes_evidence_away() -> None:
    for tick in judged([(100, 4), (100, 50), (100, 0), (100, 9), (100, 90), (100, 1)]):
        assert tick.stable_low <= tick.stable_bad <= tick.stable_high
