"""What a release stands on: replicas, today's traffic, stable's own history, and the judge's parameters from them.

Measured only for changes that will be judged; a change that needs no gate never waits for Prometheus.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..api.change import FrozenIndicator, JudgeSettings, Requirements
from ..api.enums import Mode
from ..api.profile import ServiceProfile
from ..core.plan import Ground
from ..core.policy import strictest
from ..core.seen import ReleaseGround, Seen
from ..judge import Dispersion, JudgeParameters, estimate, history, parameters_to_dict
from ..prometheus import (
    ENDPOINT_REASONS,
    PrometheusClient,
    Subscription,
    Traffic,
    current_traffic,
    scrape_interval,
    stable_history,
)
from .estimates import estimator, frozen_indicators, judge_parameters
from .indicators import prometheus_indicator

FRESH_SECONDS = 30.0
UNGATED_PLANNED_SECONDS = 900
SCRAPE_SLACK = 0.1
"""Scrapes drift by a little; a tenth of a tick more is no reason for a longer one."""
NOTHING_SERVES = "nothing serves yet, so there is nothing to compare with"
BURNING = 2.0
"""Stable counts as burning when it fails at more than this many times what its objective allows."""


@dataclass(frozen=True, slots=True)
class GroundSettings:
    tick_seconds: float
    history_seconds: float
    default_url: str


class Grounds:
    """Measures the ground of a release, and remembers it for half a minute per attempt."""

    def __init__(
        self,
        settings: GroundSettings,
        client_for: Callable[[str], PrometheusClient],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._client_for = client_for
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], tuple[float, ReleaseGround]] = {}
        self._tick_of: dict[str, float] = {}
        self._away: dict[str, tuple[float, str]] = {}

    def ground(self, seen: Seen, profiles: tuple[ServiceProfile, ...]) -> ReleaseGround:
        """The ground for this attempt's release, at most half a minute old where it was measured."""
        needs = _needs(seen)
        indicators = frozen_indicators(profiles, needs)
        url = next((p.spec.prometheus.url for p in profiles if p.spec.prometheus.url), "") or self._settings.default_url
        if not needs.gated:
            return self._ungated(seen, needs, indicators, url)
        key = (seen.rollout.metadata.uid, seen.attempt, str(seen.replicas))
        now = self._clock()
        with self._lock:
            known = self._known.get(key)
            self._known = {k: v for k, v in self._known.items() if now - v[0] <= FRESH_SECONDS}
        if known is not None and now - known[0] <= FRESH_SECONDS:
            return known[1]
        made = self._measured(seen, needs, indicators, url, now)
        with self._lock:
            self._known[key] = (now, made)
        return made

    def _ungated(
        self, seen: Seen, needs: Requirements, indicators: tuple[FrozenIndicator, ...], url: str
    ) -> ReleaseGround:
        tick = self._tick_of.get(url, self._settings.tick_seconds)
        parameters = self._parameters(seen, needs, indicators, tick=tick, planned_seconds=UNGATED_PLANNED_SECONDS)
        judge = self._settings_of(parameters, indicators, url, rps=None)
        return ReleaseGround(Ground(replicas=seen.replicas, routed=is_routed(seen)), judge)

    def _measured(
        self, seen: Seen, needs: Requirements, indicators: tuple[FrozenIndicator, ...], url: str, now: float
    ) -> ReleaseGround:
        stable = seen.stable_set
        subscription = Subscription(
            key="ground",
            namespace=seen.rollout.metadata.namespace,
            canary_set="",
            stable_set=stable.name if stable else "",
            indicators=tuple(prometheus_indicator(one) for one in indicators),
        )
        client = self._client_for(url)
        traffic, problem = self._traffic(client, subscription, url, now) if stable else ({}, NOTHING_SERVES)
        answers = stable is not None and url not in self._away
        dispersion = self._dispersion(client, subscription, needs, now) if answers else {}
        recovery = seen.mode is Mode.ENFORCE and any(
            (one.bad_rate or 0.0) > BURNING * _budget(indicator)
            for indicator in indicators
            if (one := traffic.get(indicator.name)) is not None
        )
        known = self._tick_of.get(url, self._settings.tick_seconds)
        tick = self._tick(client, subscription, url, now) if answers else known
        parameters = self._parameters(seen, needs, indicators, tick=tick, dispersion=dispersion, recovery=recovery)
        rps = max((one.rps or 0.0 for one in traffic.values()), default=0.0)
        rates = {name: one.bad_rate for name, one in traffic.items() if one.bad_rate is not None}
        judge = self._settings_of(parameters, indicators, url, rps=rps if traffic else None)
        ground = Ground(
            replicas=seen.replicas,
            routed=is_routed(seen),
            estimate=estimator(parameters, rps=rps, stable_rates=rates),
            recovery=recovery,
        )
        return ReleaseGround(ground, judge, problem)

    def _traffic(
        self, client: PrometheusClient, subscription: Subscription, url: str, now: float
    ) -> tuple[dict[str, Traffic], str]:
        """Today's traffic, and why its time cannot be said, if so.

        An endpoint that did not answer is not asked again for half a minute: each try may hold a worker for as long as
        a query may take, and releases do not need the answer.
        """
        with self._lock:
            self._away = {u: found for u, found in self._away.items() if now - found[0] <= FRESH_SECONDS}
            away = self._away.get(url)
        if away is not None:
            return {}, away[1]
        found = current_traffic(client, subscription, now)
        problem = _problem(found)
        if any(fault.reason in ENDPOINT_REASONS for one in found.values() for fault in one.faults):
            with self._lock:
                self._away[url] = (self._clock(), problem)
        return found, problem

    def _tick(self, client: PrometheusClient, subscription: Subscription, url: str, now: float) -> float:
        """The grid's tick, or so many of them that every pod was scraped in each: a tick without a scrape of one arm
        compares nothing."""
        interval = scrape_interval(client, subscription, now)
        ticks = max(1, math.ceil((interval or 0.0) / self._settings.tick_seconds - SCRAPE_SLACK))
        self._tick_of[url] = ticks * self._settings.tick_seconds
        return self._tick_of[url]

    def _dispersion(
        self, client: PrometheusClient, subscription: Subscription, needs: Requirements, now: float
    ) -> dict[str, Dispersion]:
        if self._settings.history_seconds <= 0:
            return {}
        found = stable_history(client, subscription, now, lookback_seconds=self._settings.history_seconds)
        return {
            name: estimate(history(one.ticks), prior=float(needs.pace.cold_phi))
            for name, one in found.items()
            if one.ticks
        }

    def _parameters(
        self,
        seen: Seen,
        needs: Requirements,
        indicators: tuple[FrozenIndicator, ...],
        *,
        tick: float,
        dispersion: dict[str, Dispersion] | None = None,
        planned_seconds: float | None = None,
        recovery: bool = False,
    ) -> JudgeParameters:
        return judge_parameters(
            seen.assessment.classification,
            needs,
            indicators,
            replicas=seen.replicas,
            dispersion=dispersion,
            planned_seconds=planned_seconds,
            tick_seconds=tick,
            recovery=recovery,
        )

    def _settings_of(
        self, parameters: JudgeParameters, indicators: tuple[FrozenIndicator, ...], url: str, *, rps: float | None
    ) -> JudgeSettings:
        return JudgeSettings(
            tick_seconds=f"{parameters.tick_seconds:g}",
            indicators=indicators,
            parameters=parameters_to_dict(parameters),
            requests_per_second="" if rps is None else f"{rps:.4g}",
            recovery=parameters.recovery,
            prometheus_url=url,
        )


def _needs(seen: Seen) -> Requirements:
    change = seen.change
    now = seen.assessment.decision.requirements
    return strictest([change.spec.decision.requirements, now]) if change else now


def _budget(indicator: FrozenIndicator) -> float:
    return 1.0 - float(indicator.target_percent) / 100.0


def is_routed(seen: Seen) -> bool:
    canary = seen.rollout.spec.strategy.canary
    return bool(canary and canary.traffic_routing)


def _problem(traffic: dict[str, Traffic]) -> str:
    """Why the proof's time cannot be said now; empty when it can."""
    if any(one.rps is not None for one in traffic.values()):
        return ""
    faults = [fault.detail for one in traffic.values() for fault in one.faults]
    return f"traffic could not be measured: {faults[0]}"[:1000] if faults else "traffic could not be measured"
