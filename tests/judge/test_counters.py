"""Increments from raw counters: restarts, absent series, gone and born pods, holes, and counters that cannot be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.judge import PodCounter, Tick
from rollwarden.judge.counters import CounterState, Reading, read
from tests.judge.builders import Counts, pods, tick


def canary_increment(*seen: Counts) -> tuple[float, float]:
    """Requests and bad requests of the canary over these ticks."""
    state, total, bad = CounterState(), 0.0, 0.0
    for number, counts in enumerate(seen):
        reading = read(state, tick(number, counts, {}))
        assert reading.fault is None
        state = reading.state
        if reading.increment is not None:
            total, bad = total + reading.increment.canary_total, bad + reading.increment.canary_bad
    return total, bad


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([{"a": (100, 5)}], (0, 0), id="the first tick is the baseline"),
        pytest.param([{"a": (100, 5)}, {"a": (130, 7)}], (30, 2), id="an increment is the difference"),
        pytest.param([{"a": (100, 5)}, {"a": (20, 1)}], (20, 1), id="a drop of the total is a restart from 0"),
        pytest.param([{"a": (100, None)}, {"a": (150, None)}], (50, 0), id="an absent bad-series beside a total is 0"),
        pytest.param([{"a": (100, None)}, {"a": (150, 3)}], (50, 3), id="a bad-series that appears counts from 0"),
        pytest.param([{"a": (9, 1)}, {}, {"a": (15, 3)}], (6, 2), id="a pod that was gone for a tick goes on"),
        pytest.param([{"a": (9, 1)}, {}, {}], (0, 0), id="a gone pod keeps its last value"),
        pytest.param([{"a": (9, 1)}, {"a": (9, 1), "b": (40, 2)}], (40, 2), id="a pod born later counts from 0"),
        pytest.param(
            [{"a": (90, 9)}, {"a": (95, None)}, {"a": (99, 10)}], (9, 1), id="a vanished bad-series comes back"
        ),
        pytest.param(
            [{"a": (90, 9)}, {"a": (95, 8)}, {"a": (99, 9)}], (9, 0), id="a histogram read mid-update lost none"
        ),
        pytest.param([{"a": (10, 9)}, {"a": (40, 3)}], (30, 3), id="a restart the total has overtaken shows its bad"),
    ],
)
def test_increments(seen: list[Counts], expected: tuple[float, float]) -> None:
    assert canary_increment(*seen) == expected


def test_an_unanswered_tick_merges_into_the_next() -> None:
    state = read(CounterState(), tick(0, {"a": (0, 0)}, {"s": (0, 0)})).state
    hole = read(state, Tick.unanswered(1, 15.0))
    assert hole.increment is None
    assert hole.state.unanswered == 1
    merged = read(hole.state, tick(2, {"a": (50, 5)}, {"s": (80, 1)})).increment
    assert merged is not None
    assert (merged.seconds, merged.canary_total, merged.canary_bad, merged.stable_total) == (30.0, 50.0, 5.0, 80.0)


def test_an_empty_answer_is_no_baseline_and_loses_nothing() -> None:
    empty = read(CounterState(), Tick(0, 0.0, (), ()))
    assert empty.state.number is None
    state = read(empty.state, tick(1, {"a": (1000, 0)}, {})).state
    state = read(state, Tick(2, 30.0, (), ())).state
    merged = read(state, tick(3, {"a": (1010, 1)}, {})).increment
    assert merged is not None
    assert (merged.canary_total, merged.seconds) == (10.0, 30.0)


def test_a_pod_that_started_before_the_first_tick_and_was_missed_by_it_counts_from_its_first_sample() -> None:
    state = read(CounterState(), Tick(0, 100.0, (), pods({"s": (5, 0)}))).state
    late = Tick(1, 115.0, (), (*pods({"s": (6, 0)}), PodCounter("old", 9000.0, 90.0, started=20.0)))
    reading = read(state, late)
    assert reading.increment is not None
    assert reading.increment.stable_total == 1.0
    later = Tick(2, 130.0, (), (PodCounter("old", 9010.0, 91.0, started=20.0),))
    again = read(reading.state, later).increment
    assert again is not None
    assert (again.stable_total, again.stable_bad) == (10.0, 1.0)


def test_warm_up_leaves_out_a_new_pods_first_minute_only() -> None:
    state, totals = CounterState(), []
    for number in range(8):
        new = {"new": (100.0 * number, 50.0 * number)} if number else {}
        reading = read(state, tick(number, new, {"s": (10.0 * number, 0.0)}), warm_up_seconds=60.0)
        state = reading.state
        totals.append(reading.increment.canary_total if reading.increment else None)
    assert totals == [None, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 100.0]


def test_a_tick_that_was_judged_before_changes_nothing() -> None:
    state = read(CounterState(), tick(3, {"a": (5, 0)}, {})).state
    assert read(state, tick(3, {"a": (9, 0)}, {})) == Reading(state)


@pytest.mark.parametrize(
    ("bad_pods", "reason"),
    [
        pytest.param([PodCounter("a", math.nan, 0.0)], "NotFinite", id="a NaN total"),
        pytest.param([PodCounter("a", 5.0, math.inf)], "NotFinite", id="an infinite bad"),
        pytest.param([PodCounter("a", -1.0, None)], "Negative", id="a negative total"),
        pytest.param([PodCounter("a", 5.0, -1.0)], "Negative", id="a negative bad"),
        pytest.param([PodCounter("a", 5.0, 6.0)], "BadExceedsTotal", id="more bad than all"),
        pytest.param([PodCounter("a", 5.0, 0.0), PodCounter("a", 6.0, 0.0)], "DuplicatePod", id="a pod twice"),
        pytest.param([PodCounter("s", 5.0, 0.0)], "DuplicatePod", id="a pod in both arms"),
        pytest.param([PodCounter("b", 51.0, 20.0)], "BadExceedsTotal", id="an increment with more bad than requests"),
    ],
)
def test_counters_that_cannot_be_true_are_a_named_fault_and_merge_into_the_next_tick(
    bad_pods: list[PodCounter], reason: str
) -> None:
    state = read(CounterState(), tick(0, {"b": (50, 1)}, {"s": (50, 0)})).state
    faulty = read(state, Tick(1, 15.0, tuple(bad_pods), pods({"s": (60, 0)})))
    assert faulty.fault is not None
    assert faulty.fault.reason == reason
    assert faulty.increment is None
    assert faulty.state == state
    healed = read(faulty.state, tick(2, {"b": (70, 3)}, {"s": (90, 0)})).increment
    assert healed is not None
    assert (healed.canary_total, healed.canary_bad, healed.stable_total) == (20.0, 2.0, 40.0)


def test_time_that_does_not_go_on_is_a_fault() -> None:
    state = read(CounterState(), Tick(0, 30.0, pods({"a": (1, 0)}), ())).state
    fault = read(state, Tick(1, 30.0, pods({"a": (2, 0)}), ())).fault
    assert fault is not None
    assert fault.reason == "TimeNotIncreasing"


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12),
    st.sets(st.integers(0, 11)),
)
def test_holes_lose_no_request(steps: list[tuple[int, int]], holes: set[int]) -> None:
    """Whatever ticks are unanswered, the last answered one has seen every request."""
    state = read(CounterState(), tick(0, {"a": (0, 0)}, {})).state
    total, bad, seen_total, seen_bad = 0, 0, 0.0, 0.0
    for number, (good, wrong) in enumerate(steps, start=1):
        total, bad = total + good + wrong, bad + wrong
        answered = number - 1 not in holes or number == len(steps)
        counters = tick(number, {"a": (total, bad)}, {}) if answered else Tick.unanswered(number, number * 15.0)
        reading = read(state, counters)
        state = reading.state
        if reading.increment is not None:
            seen_total += reading.increment.canary_total
            seen_bad += reading.increment.canary_bad
    assert (seen_total, seen_bad) == (total, bad)


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_pods_does_not_matter(order: list[str]) -> None:
    values: Counts = {"a": (10, 1), "b": (20, 2), "c": (30, 3), "d": (40, None)}
    start = tick(0, dict.fromkeys("abcd", (5.0, 0.0)), {})
    state = read(CounterState(), start).state
    plain = read(state, tick(1, values, {}))
    shuffled = read(state, tick(1, {name: values[name] for name in order}, {}))
    assert plain.increment == shuffled.increment
    assert plain.state == shuffled.state
