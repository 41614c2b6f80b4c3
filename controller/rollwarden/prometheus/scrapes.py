"""How often Prometheus scrapes a change's pods, measured from the times of its samples."""

from __future__ import annotations

import math
from itertools import pairwise

from rollwarden.prometheus.arms import Subscription, scope_of
from rollwarden.prometheus.client import PrometheusClient
from rollwarden.prometheus.errors import PrometheusError

LOOKBACK_SECONDS = 180.0
STEP_SECONDS = 5.0


def scrape_interval(client: PrometheusClient, subscription: Subscription, until: float) -> float | None:
    """Seconds between scrapes of one pod, the longest of any pod; None where that cannot be seen.

    Read from ``timestamp(up)`` of the pods: only a bare selector has the scrape's own time. An interval shorter than
    the steps it is read in (5 s) comes out as about one step.
    """
    matchers = ", ".join(str(matcher) for matcher in scope_of([subscription]).matchers())
    query = f"timestamp(up{{{matchers}}})"
    try:
        answer = client.range(query, until - LOOKBACK_SECONDS, until, STEP_SECONDS)
    except PrometheusError:
        return None
    found = [gap for series in answer.series if (gap := usual_gap([v for _, v in series.points])) is not None]
    return max(found, default=None)


def usual_gap(times: list[object]) -> float | None:
    """The median distance of distinct sample times; None below three samples."""
    distinct = sorted({float(time) for time in times if isinstance(time, int | float) and math.isfinite(time)})
    gaps = sorted(b - a for a, b in pairwise(distinct))
    return gaps[len(gaps) // 2] if len(gaps) >= 2 else None
