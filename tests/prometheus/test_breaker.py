"""The circuit breaker."""

from __future__ import annotations

from rollwarden.prometheus.breaker import Breaker


def opened(failures: int = 3) -> Breaker:
    """A breaker whose last failure was at second 0."""
    breaker = Breaker(threshold=3, pause_seconds=5, longest_seconds=60)
    for _ in range(failures):
        breaker.failed(0)
    return breaker


def test_it_stays_closed_below_the_threshold() -> None:
    """Two failures in a row are weather."""
    assert opened(2).admits(0)


def test_it_admits_one_try_per_pause_once_open() -> None:
    """The second caller of the same pause is refused."""
    breaker = opened()
    assert not breaker.admits(4.9)
    assert breaker.admits(5)
    assert not breaker.admits(5.1)
    assert breaker.admits(10)


def test_pauses_double_up_to_the_longest() -> None:
    """A dead endpoint is asked at most once a minute."""
    breaker = opened(4)
    assert not breaker.admits(9.9)
    assert breaker.admits(10)
    assert not opened(40).admits(59.9)
    assert opened(40).admits(60)


def test_one_success_closes_it() -> None:
    """An answer is an answer."""
    breaker = opened(10)
    breaker.succeeded()
    assert breaker.admits(0)
    assert breaker.failures == 0
