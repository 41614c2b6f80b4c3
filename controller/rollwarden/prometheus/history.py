"""What Prometheus knows from before a release: stable's ticks for phi and pod variation, and the traffic of now.

The same queries and ticks as sampling, on a grid of their own; counts come from raw counters, never from rate().
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rollwarden.judge.counters import Tick
from rollwarden.judge.phi import history
from rollwarden.prometheus.arms import Subscription
from rollwarden.prometheus.batches import Reading
from rollwarden.prometheus.client import PrometheusClient
from rollwarden.prometheus.faults import SampleFault
from rollwarden.prometheus.grid import Grid
from rollwarden.prometheus.sampler import Sampler

LOOKBACK_SECONDS = 6 * 3600.0
HISTORY_STEP_SECONDS = 15.0
TRAFFIC_WINDOW_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class StableHistory:
    """Stable's ticks, oldest first, gaps as unanswered ticks; `faults` holds each reason once."""

    ticks: tuple[Tick, ...]
    faults: tuple[SampleFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """One indicator over the last minutes: events a second of both arms together, and stable's share of bad ones.

    None where nothing was counted. `pods` are stable's at the end of the window, `seconds` the time really covered.
    """

    rps: float | None
    bad_rate: float | None
    pods: int
    seconds: float
    faults: tuple[SampleFault, ...] = ()


def stable_history(
    client: PrometheusClient,
    subscription: Subscription,
    until: float,
    *,
    lookback_seconds: float = LOOKBACK_SECONDS,
    step_seconds: float = HISTORY_STEP_SECONDS,
) -> dict[str, StableHistory]:
    """Stable's ticks by indicator over the `lookback_seconds` before epoch second `until`. Never raises for faults."""
    alone = replace(subscription, canary_set="")
    found = _ticks(client, alone, until, lookback_seconds, step_seconds)
    return {name: StableHistory(tuple(each.tick for each in own), distinct(own)) for name, own in found.items()}


def current_traffic(
    client: PrometheusClient,
    subscription: Subscription,
    until: float,
    *,
    window_seconds: float = TRAFFIC_WINDOW_SECONDS,
    step_seconds: float = HISTORY_STEP_SECONDS,
) -> dict[str, Traffic]:
    """Traffic by indicator name over the `window_seconds` before epoch second `until`. Never raises for faults."""
    found = _ticks(client, subscription, until, window_seconds, step_seconds)
    return {name: traffic(own) for name, own in found.items()}


def traffic(readings: tuple[Reading, ...]) -> Traffic:
    """What consecutive readings of one indicator say together. Pure."""
    increments = history(each.tick for each in readings)
    answered = [each.tick for each in readings if each.tick.answered]
    pods = len(answered[-1].stable) if answered else 0
    seconds = sum(each.seconds for each in increments)
    stable_total, stable_bad = (
        sum(each.stable_total for each in increments),
        sum(each.stable_bad for each in increments),
    )
    total = stable_total + sum(each.canary_total for each in increments)
    seen = any(each.stable or each.canary for each in answered)
    rps = total / seconds if seconds > 0 and seen else None
    return Traffic(rps, stable_bad / stable_total if stable_total > 0 else None, pods, seconds, distinct(readings))


def distinct(readings: Iterable[Reading]) -> tuple[SampleFault, ...]:
    """The first fault of every reason; NoSeries only if no tick has any pod."""
    first: dict[str, SampleFault] = {}
    seen = False
    for reading in readings:
        seen = seen or bool(reading.tick.stable or reading.tick.canary)
        for fault in reading.faults:
            first.setdefault(fault.reason, fault)
    return tuple(fault for reason, fault in first.items() if not (seen and reason == "NoSeries"))


def _ticks(
    client: PrometheusClient, subscription: Subscription, until: float, seconds: float, step: float
) -> dict[str, tuple[Reading, ...]]:
    grid = Grid(step, 0.0)
    whole = replace(subscription, first_tick=0)
    return Sampler(client, grid).backfill(whole, grid.number_at(until - seconds), grid.number_at(until))
