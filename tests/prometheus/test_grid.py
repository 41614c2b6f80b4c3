"""The tick grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.prometheus.grid import Grid

STEPS = st.sampled_from([0.25, 1.0, 2.5, 5.0, 7.0, 15.0, 60.0])
NUMBERS = st.integers(0, 500_000_000)


@given(STEPS, NUMBERS)
def test_a_tick_is_the_last_at_its_own_time(step: float, number: int) -> None:
    """time_of and number_at agree, and a millisecond earlier it is the tick before."""
    grid = Grid(step)
    assert grid.number_at(grid.time_of(number)) == number
    assert grid.number_at(grid.time_of(number) - 0.001) == number - 1
    assert grid.first_after(grid.time_of(number)) == number + 1


@given(STEPS, st.floats(0, 30), NUMBERS, st.integers(0, 50))
def test_due_are_all_settled_ticks_after_the_given_one(step: float, settle: float, after: int, more: int) -> None:
    """Nothing is skipped, nothing comes early, nothing twice."""
    grid = Grid(step, settle)
    now = grid.askable_at(after + more) + 0.001
    assert list(grid.due(now, after)) == list(range(after + 1, after + more + 1))


def test_a_tick_is_not_due_before_it_settled() -> None:
    """The settle time counts from the tick's own time."""
    grid = Grid(5.0, 2.0)
    assert list(grid.due(1001.9, 199)) == []
    assert list(grid.due(1002.0, 199)) == [200]
    assert grid.askable_at(200) == 1002.0


def test_a_clock_that_went_back_makes_nothing_due() -> None:
    """The range is empty, not negative."""
    assert list(Grid(5.0).due(500.0, 1000)) == []


@pytest.mark.parametrize(
    ("step", "settle", "says"),
    [(0, 1, "tick"), (float("nan"), 1, "tick"), (5, -1, "settle"), (5, float("inf"), "settle")],
)
def test_nonsense_is_refused(step: float, settle: float, says: str) -> None:
    """With a sentence that names the number at fault."""
    with pytest.raises(ValueError, match=says):
        Grid(step, settle)
