"""Dispersion of stable: 1 for independent errors, more for clusters and pods that differ, the prior without data."""

import random

import pytest

from rollwarden.judge import Dispersion, PodIncrement, estimate, history
from rollwarden.judge.counters import Increment
from tests.judge.simulator import Fleet, constant, median


def measured(*, cluster: float = 1.0, cv: float = 0.0, rate: float = 0.01, seed: int = 3) -> Dispersion:
    """From six hours of eight pods at 200 rps."""
    fleet = Fleet(random.Random(seed), 200.0, 15.0, constant(0.0), constant(rate), 8, cluster=cluster, cv=cv)
    return estimate(history([fleet.scrape(), *(fleet.tick() for _ in range(1440))]))


def test_without_history_it_is_the_prior() -> None:
    assert estimate(()) == Dispersion(6.0)
    assert estimate((), prior=3.0) == Dispersion(3.0)


def test_a_history_without_errors_leaves_the_prior() -> None:
    assert measured(rate=0.0).phi == 6.0


def test_independent_errors_have_no_dispersion() -> None:
    found = measured()
    assert 1.0 <= found.phi < 1.3
    assert found.cv < 0.05
    assert found.high_rate == pytest.approx(0.01, rel=0.3)


def test_clusters_of_mean_five_have_a_dispersion_of_nine() -> None:
    assert measured(cluster=5.0).phi == pytest.approx(9.0, rel=0.25)


def test_pods_that_differ_show_as_variation_and_not_as_dispersion() -> None:
    found = [measured(cv=0.5, seed=seed) for seed in range(5)]
    assert median([each.cv for each in found]) == pytest.approx(0.5, rel=0.25)
    assert all(each.phi < 1.5 for each in found)


def test_one_pod_alone_says_nothing_about_scatter() -> None:
    lone = [Increment(n, 15.0 * n, 15.0, False, (), (PodIncrement("s", 100.0, 5.0),)) for n in range(1, 50)]
    found = estimate(lone, prior=6.0)
    assert found.cv == 0.0
    assert found.phi == pytest.approx((245 * 1.0 + 50 * 6.0) / 295)


def test_two_pods_by_hand() -> None:
    """One block, 100 requests each, 8 and 2 bad: chi-square 3.789 on 1 degree; 10 events against a prior of 50."""
    pods = (PodIncrement("a", 100.0, 8.0), PodIncrement("b", 100.0, 2.0))
    found = estimate([Increment(1, 15.0, 15.0, False, (), pods)], prior=1.0)
    assert found.phi == pytest.approx((10 * 2 * 9 / (5 * 0.95) + 50) / 60)


@pytest.mark.parametrize("bad", [0.0, 100.0], ids=["nothing fails", "everything fails"])
def test_degenerate_histories_have_an_answer(bad: float) -> None:
    pods = (PodIncrement("a", 100.0, bad), PodIncrement("b", 100.0, bad))
    assert estimate([Increment(1, 15.0, 15.0, False, (), pods)]).phi >= 1.0
