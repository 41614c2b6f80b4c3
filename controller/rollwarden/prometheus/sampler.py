"""Reading all changes at one tick, and one change over many ticks: the same queries, the same ticks.

A failing endpoint, a refused query or a flawed pod never raises: the ticks it concerns come back unanswered with the
reason, and everything else goes on. `backfill` recomputes after a restart what `sample` saw, so no evidence is lost.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from rollwarden.prometheus.answers import RangeAnswer, Series
from rollwarden.prometheus.arms import Subscription, scope_of
from rollwarden.prometheus.batches import Batch, Member, Reading, plan, readings, unusable
from rollwarden.prometheus.breaker import Breaker
from rollwarden.prometheus.client import ClientStats, PrometheusClient
from rollwarden.prometheus.errors import PrometheusError, QueryRejectedError
from rollwarden.prometheus.faults import SampleFault, circuit_open, endpoint_fault, no_bucket, out_of_time
from rollwarden.prometheus.grid import Grid
from rollwarden.prometheus.pods import Scope
from rollwarden.prometheus.templates import HistogramTemplate

TICK_SHARE = 0.8
"""The part of a tick that its queries may take together."""
BACKFILL_TICKS = 500
"""Ticks per range query: far below the server's limit of 11,000 points, and short enough to answer in a few seconds."""
BACKFILL_TIMEOUT_SECONDS = 15.0
SHORT_TICKS = 60
"""A range query of so few ticks gets no more time than an instant one: whoever asks waits for it."""
_BUCKET_MEMORY = 1000

Got = TypeVar("Got")
Readings = dict[str, dict[str, Reading]]
"""Change key -> indicator name -> reading."""


@dataclass(frozen=True, slots=True)
class SamplerStats:
    """Totals since the sampler was made; `unanswered` counts indicator ticks by fault reason."""

    ticks: int
    unanswered: Mapping[str, int]
    client: ClientStats


class Sampler:
    """Samples one endpoint. `sample` and `backfill` may run in different threads."""

    def __init__(
        self,
        client: PrometheusClient,
        grid: Grid,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._grid, self._clock = client, grid, clock
        self._breaker = breaker or Breaker()
        self._lock = threading.Lock()
        self._ticks = 0
        self._unanswered: Counter[str] = Counter()
        self._bounds: dict[tuple[HistogramTemplate, Scope], tuple[str, ...]] = {}

    def sample(self, subscriptions: Iterable[Subscription], tick_number: int) -> Readings:
        """Every subscription's readings at tick `tick_number`: one query per distinct template (more only if too long).

        Ask when `Grid.due` says so. Keys of `subscriptions` must be unique. Never raises for what Prometheus does.
        """
        everyone = tuple(subscriptions)
        at, deadline = self._grid.time_of(tick_number), self._clock() + TICK_SHARE * self._grid.step_seconds
        todo = plan(everyone)
        found = {member.id: unusable(tick_number, at, fault) for member, fault in todo.refused}
        for batch in todo.batches:
            answer = self._ask(partial(self._client.instant, batch.query, at), self._left(deadline))
            if isinstance(answer, SampleFault):
                found.update((member.id, unusable(tick_number, at, answer)) for member in batch.members)
                continue
            read = readings(batch, answer.series, partial=answer.partial, number=tick_number, time=at)
            found.update(self._naming_buckets(batch, read, at, deadline))
        self._count(found.values(), ticks=1)
        return {
            each.key: {indicator.name: found[each.key, indicator.name] for indicator in each.indicators}
            for each in everyone
        }

    def backfill(self, subscription: Subscription, from_tick: int, to_tick: int) -> dict[str, tuple[Reading, ...]]:
        """The readings `sample` would have given, from max(from_tick, first_tick) to `to_tick`, both included.

        Never raises for what Prometheus does: ticks of a failed range query come back unanswered.
        """
        first = max(from_tick, subscription.first_tick)
        numbers = range(first, max(to_tick + 1, first))
        todo = plan([subscription])
        found: dict[str, tuple[Reading, ...]] = {
            member.indicator: tuple(unusable(number, self._grid.time_of(number), fault) for number in numbers)
            for member, fault in todo.refused
        }
        for batch in todo.batches:
            pieces = [self._piece(batch, part) for part in _parts(numbers)]
            for member in batch.members:
                found[member.indicator] = tuple(reading[member.id] for piece in pieces for reading in piece)
        self._count((reading for each in found.values() for reading in each), ticks=0)
        return found

    def stats(self) -> SamplerStats:
        """Totals so far."""
        with self._lock:
            return SamplerStats(self._ticks, dict(self._unanswered), self._client.stats())

    def _piece(self, batch: Batch, numbers: range) -> list[dict[tuple[str, str], Reading]]:
        """All members' readings at `numbers`, by one range query."""
        start, end = self._grid.time_of(numbers[0]), self._grid.time_of(numbers[-1])
        call = partial(self._client.range, batch.query, start, end, self._grid.step_seconds)
        seconds = self._client.timeout if len(numbers) <= SHORT_TICKS else BACKFILL_TIMEOUT_SECONDS
        answer = self._ask(call, seconds)
        if isinstance(answer, SampleFault):
            return [
                {member.id: unusable(number, self._grid.time_of(number), answer) for member in batch.members}
                for number in numbers
            ]
        rows = self._by_tick(answer)
        return [
            readings(
                batch, rows.get(number, ()), partial=answer.partial, number=number, time=self._grid.time_of(number)
            )
            for number in numbers
        ]

    def _by_tick(self, answer: RangeAnswer) -> dict[int, list[Series]]:
        rows: dict[int, list[Series]] = {}
        for series in answer.series:
            for at, value in series.points:
                rows.setdefault(self._grid.number_at(at), []).append(Series(series.labels, value))
        return rows

    def _left(self, deadline: float) -> float:
        """Seconds that the next query of a tick may take."""
        return min(deadline - self._clock(), self._client.timeout)

    def _ask(self, call: Callable[..., Got], seconds: float) -> Got | SampleFault:
        """The answer of `call(timeout=seconds)`, or why there is none."""
        now = self._clock()
        if seconds <= 0:
            return out_of_time(self._client.url, TICK_SHARE * self._grid.step_seconds)
        if not self._breaker.admits(now):
            return circuit_open(self._client.url, self._breaker.failures)
        try:
            answer = call(timeout=seconds)
        except QueryRejectedError as error:
            self._breaker.succeeded()
            return endpoint_fault(error)
        except PrometheusError as error:
            self._breaker.failed(self._clock())
            return endpoint_fault(error)
        self._breaker.succeeded()
        return answer

    def _naming_buckets(
        self, batch: Batch, read: dict[tuple[str, str], Reading], at: float, deadline: float
    ) -> dict[tuple[str, str], Reading]:
        """`read`, with the bounds there are named in NoBucket faults; asked once for a change's ReplicaSets."""
        if not isinstance(batch.template, HistogramTemplate):
            return read
        named = dict(read)
        for member in batch.members:
            reading = read[member.id]
            if any(fault.reason == "NoBucket" for fault in reading.faults):
                bounds = self._bounds_of(batch.template, member, at, deadline)
                if bounds is not None:
                    named[member.id] = _with_bounds(reading, bounds)
        return named

    def _bounds_of(
        self, template: HistogramTemplate, member: Member, at: float, deadline: float
    ) -> tuple[str, ...] | None:
        scope = scope_of([member.subscription])
        with self._lock:
            known = self._bounds.get((template, scope))
        if known is not None:
            return known
        query = template.buckets_query(scope)
        answer = self._ask(partial(self._client.instant, query, at), self._left(deadline))
        if isinstance(answer, SampleFault):
            return None
        bounds = tuple(sorted({row.labels.get("le", "") for row in answer.series}, key=_numeric))
        with self._lock:
            if len(self._bounds) >= _BUCKET_MEMORY:
                self._bounds.clear()
            self._bounds[template, scope] = bounds
        return bounds

    def _count(self, found: Iterable[Reading], ticks: int) -> None:
        reasons = Counter(
            fault.reason for reading in found if not reading.tick.answered for fault in reading.faults[:1]
        )
        with self._lock:
            self._ticks += ticks
            self._unanswered.update(reasons)


def _with_bounds(reading: Reading, bounds: tuple[str, ...]) -> Reading:
    faults = (no_bucket(fault, bounds) if fault.reason == "NoBucket" else fault for fault in reading.faults)
    return Reading(reading.tick, tuple(faults))


def _parts(numbers: range) -> list[range]:
    return [numbers[at : at + BACKFILL_TICKS] for at in range(0, len(numbers), BACKFILL_TICKS)]


def _numeric(bound: str) -> float:
    try:
        return float(bound)
    except ValueError:
        return float("inf")
