"""What the sampler makes of endpoints that fail. Against a real Prometheus it is tested in e2e."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from rollwarden.prometheus.batches import Reading
from rollwarden.prometheus.breaker import Breaker
from rollwarden.prometheus.client import PrometheusClient
from rollwarden.prometheus.grid import Grid
from rollwarden.prometheus.sampler import Sampler
from rollwarden.prometheus.templates import Indicator
from tests.prometheus import servers
from tests.prometheus.builders import ERRORS, LATENCY, PAIR, subscription
from tests.prometheus.servers import Behaviour, answering

GRID = Grid(5.0, 1.0)


def vector(*rows: dict[str, Any]) -> Behaviour:
    """An instant answer."""
    return answering(json.dumps({"data": {"resultType": "vector", "result": list(rows)}}).encode())


def reasons(readings: dict[str, Reading]) -> dict[str, list[str]]:
    """Fault reasons by indicator."""
    return {name: [fault.reason for fault in reading.faults] for name, reading in readings.items()}


def test_a_dead_endpoint_gives_unanswered_ticks_and_is_left_alone() -> None:
    """Three calls, then the breaker; every change and indicator still gets its tick and a reason."""
    sampler = Sampler(PrometheusClient(servers.closed_port(), attempts=1), GRID)
    changes = [subscription(key, indicators=(ERRORS, LATENCY)) for key in ("a", "b")]
    first, second = sampler.sample(changes, 7), sampler.sample(changes, 8)
    assert reasons(first["a"]) == {"errors": ["Unreachable"], "latency": ["Unreachable"]} == reasons(first["b"])
    assert reasons(second["a"]) == {"errors": ["Unreachable"], "latency": ["CircuitOpen"]}
    assert not first["a"]["errors"].tick.answered
    assert (second["b"]["latency"].tick.number, second["b"]["latency"].tick.time) == (8, 40.0)
    stats = sampler.stats()
    assert stats.ticks == 2
    assert stats.unanswered == {"Unreachable": 6, "CircuitOpen": 2}
    assert stats.client.queries == 3


def test_the_breaker_closes_when_the_endpoint_is_back() -> None:
    """The pause over, one query is the test for all."""
    now = 0.0
    with servers.server(servers.in_turn(answering(b"", "404 Not Found"), vector())) as server:
        breaker = Breaker(threshold=1, pause_seconds=5)
        sampler = Sampler(PrometheusClient(server.url), GRID, breaker=breaker, clock=lambda: now)
        assert reasons(sampler.sample([subscription()], 1)["pay/web-1"]) == {"errors": ["BadAnswer"]}
        assert reasons(sampler.sample([subscription()], 2)["pay/web-1"]) == {"errors": ["CircuitOpen"]}
        now = 5.0
        assert reasons(sampler.sample([subscription()], 3)["pay/web-1"]) == {"errors": ["NoSeries"]}
        assert reasons(sampler.sample([subscription()], 4)["pay/web-1"]) == {"errors": ["NoSeries"]}


def test_a_refused_query_never_opens_the_breaker() -> None:
    """It says something about one selector, nothing about the endpoint."""
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": "bad regexp"}).encode()
    with servers.server(answering(body, "400 Bad Request")) as server:
        sampler = Sampler(PrometheusClient(server.url), GRID, breaker=Breaker(threshold=1))
        for number in range(3):
            reading = sampler.sample([subscription()], number)["pay/web-1"]["errors"]
            assert reading.faults[0].reason == "QueryRejected"
            assert "bad regexp" in reading.faults[0].detail


def test_a_slow_endpoint_never_takes_longer_than_the_tick() -> None:
    """What cannot be asked in time is unanswered for that reason."""

    def slow(connection: socket.socket, _: bytes) -> None:
        connection.recv(1)

    indicators = tuple(Indicator(f"i{at}", "Custom", total=f"m{at}", bad=f"b{at}") for at in range(6))
    with servers.server(slow) as server:
        sampler = Sampler(PrometheusClient(server.url, timeout=0.3), Grid(1.0, 0), breaker=Breaker(threshold=100))
        began = time.monotonic()
        found = sampler.sample([subscription(indicators=indicators)], 1)["pay/web-1"]
        assert time.monotonic() - began < 1.0
    assert {reason for names in reasons(found).values() for reason in names} == {"Timeout", "OutOfTime"}


def test_a_missing_bucket_names_those_there_are_and_asks_once() -> None:
    """The second tick repeats the sentence without a second question."""
    count = {
        "metric": {"__name__": "h_count", "namespace": "pay", "pod": "web-6b8f9d7c5-aaaaa"},
        "value": [1, "9"],
    }
    bounds = [{"metric": {"le": le}, "value": [1, "1"]} for le in ("+Inf", "10", "0.5", "1")]
    latency = Indicator("latency", "Latency", histogram="h", threshold_seconds=0.3)
    with servers.server(servers.in_turn(vector(count), vector(*bounds), vector(count))) as server:
        sampler = Sampler(PrometheusClient(server.url), GRID)
        for number in (1, 2):
            reading = sampler.sample([subscription(indicators=(latency,))], number)["pay/web-1"]["latency"]
            assert not reading.tick.answered
            assert reading.faults[0].reason == "NoBucket"
            assert "has h without a bucket at 0.3 s" in reading.faults[0].detail
            assert "(there are 0.5, 1, 10, +Inf)" in reading.faults[0].detail
        assert len(server.heads) == 3


def test_backfill_of_a_dead_endpoint_has_every_tick() -> None:
    """None before the change began, all of them unanswered, with the reason."""
    sampler = Sampler(PrometheusClient(servers.closed_port(), attempts=1), GRID)
    found = sampler.backfill(subscription(indicators=(PAIR,), first_tick=5), 0, 1500)
    numbers = [reading.tick.number for reading in found["errors"]]
    assert numbers == list(range(5, 1501))
    assert not any(reading.tick.answered for reading in found["errors"])
    assert {fault.reason for reading in found["errors"] for fault in reading.faults} == {"Unreachable"}


def test_backfill_of_nothing_is_empty() -> None:
    """A change that began after the last tick."""
    sampler = Sampler(PrometheusClient(servers.closed_port()), GRID)
    assert sampler.backfill(subscription(first_tick=9), 0, 5) == {"errors": ()}
