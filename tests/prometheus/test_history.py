"""Traffic from consecutive readings."""

from __future__ import annotations

import pytest

from rollwarden.judge.counters import PodCounter, Tick
from rollwarden.prometheus.batches import Reading
from rollwarden.prometheus.client import PrometheusClient
from rollwarden.prometheus.faults import SampleFault
from rollwarden.prometheus.history import Traffic, current_traffic, distinct, stable_history, traffic
from tests.prometheus import servers
from tests.prometheus.builders import subscription

NOTHING = SampleFault("NoSeries", "nothing")
DOWN = SampleFault("Unreachable", "down")


def tick(number: int, *totals: tuple[float, float], canary: float | None = None) -> Reading:
    """A reading at 15 s a tick: (total, bad) of stable pods s0, s1, …, and one canary pod's total."""
    stable = tuple(PodCounter(f"s{at}", total, bad) for at, (total, bad) in enumerate(totals))
    pods = () if canary is None else (PodCounter("c0", canary, 0),)
    return Reading(Tick(number, number * 15.0, pods, stable))


def gap(number: int) -> Reading:
    """A tick that nobody answered."""
    return Reading(Tick.unanswered(number, number * 15.0), (DOWN,))


def empty(number: int) -> Reading:
    """A tick with no pods."""
    return Reading(Tick(number, number * 15.0, (), ()), (NOTHING,))


TRAFFIC = {
    "steady": ((tick(1, (0, 0), (0, 0)), tick(2, (150, 15), (150, 0))), Traffic(20, 0.05, 2, 15)),
    "the canary counts as traffic, not as stable's errors": (
        (tick(1, (0, 0), canary=0), tick(2, (150, 15), canary=150)),
        Traffic(20, 0.1, 1, 15),
    ),
    "a counter reset": ((tick(1, (100, 9)), tick(2, (130, 9)), tick(3, (30, 3))), Traffic(2, 0.05, 1, 30)),
    "a gap is bridged": ((tick(1, (0, 0)), gap(2), tick(3, (30, 0))), Traffic(1, 0, 1, 30, (DOWN,))),
    "idle": ((tick(1, (5, 0)), tick(2, (5, 0))), Traffic(0, None, 1, 15)),
    "no pods": ((empty(1), empty(2)), Traffic(None, None, 0, 0, (NOTHING,))),
    "pods came in the middle": ((empty(1), tick(2, (30, 0)), tick(3, (60, 0))), Traffic(2, 0, 1, 15)),
    "no answer": ((gap(1), gap(2)), Traffic(None, None, 0, 0, (DOWN,))),
    "nothing asked": ((), Traffic(None, None, 0, 0)),
}


@pytest.mark.parametrize(("readings", "expected"), TRAFFIC.values(), ids=TRAFFIC)
def test_traffic(readings: tuple[Reading, ...], expected: Traffic) -> None:
    """Counted events over covered seconds; None where nothing was counted, never a made-up 0."""
    assert traffic(readings) == expected


def test_each_reason_is_said_once() -> None:
    """And an empty start is no finding when pods came later."""
    assert distinct((gap(1), gap(2), empty(3))) == (DOWN, NOTHING)
    assert distinct((empty(1), tick(2, (1, 0)))) == ()


def test_a_dead_endpoint_has_no_history_but_a_reason() -> None:
    """Six hours of unanswered ticks; the cold default of phi is then the judge's."""
    client = PrometheusClient(servers.closed_port(), attempts=1)
    found = stable_history(client, subscription(first_tick=10**9), 1700000000.0)["errors"]
    assert len(found.ticks) == 1441
    assert [fault.reason for fault in found.faults] == ["Unreachable"]
    assert current_traffic(client, subscription(), 1700000000.0)["errors"].rps is None
