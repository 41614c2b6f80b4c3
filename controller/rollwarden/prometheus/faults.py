"""Why a tick has no usable numbers: a CamelCase reason for machines and one sentence for people.

All reasons but NoSeries mean that the tick is unanswered: neither good nor bad, and its increments count with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollwarden.prometheus.arms import Subscription
from rollwarden.prometheus.errors import CallReason, PrometheusError
from rollwarden.prometheus.templates import Flaw, FlawReason, Template

FaultReason = (
    Literal[
        "CircuitOpen",
        "OutOfTime",
        "BadSelector",
        "ArmsIndistinguishable",
        "NoSeries",
    ]
    | CallReason
    | FlawReason
)

ENDPOINT_REASONS = frozenset({"Unreachable", "Timeout", "BadAnswer", "CircuitOpen", "OutOfTime"})
"""The endpoint's state, not the change's: says nothing about a canary's pods."""

_REMEDY: dict[str, str] = {
    "NotFinite": "a counter must be a finite number: look at the exporter",
    "Negative": "a counter cannot be negative: look at the exporter, or name another metric",
    "BadExceedsTotal": 'let "bad" select a part of what "total" selects',
    "NoStatusLabel": 'name "total" and "bad" in a ServiceProfile',
    "NoBucket": "set the threshold to a bucket there is, or add the bucket to the service",
    "NativeHistogram": "let Prometheus keep classic buckets too (always_scrape_classic_histograms)",
    "TotalMissing": "check the selectors in the ServiceProfile",
}


@dataclass(frozen=True, slots=True)
class SampleFault:
    """`pod` and `families` where they apply; `families` are the metric families that were tried."""

    reason: FaultReason
    detail: str
    pod: str = ""
    families: tuple[str, ...] = ()


def endpoint_fault(error: PrometheusError) -> SampleFault:
    """One failed call."""
    return SampleFault(error.reason, str(error))


def circuit_open(url: str, failures: int) -> SampleFault:
    """Not asked, to spare the endpoint and the workers."""
    text = f"Prometheus at {url} was not asked: the last {failures} calls failed; the next try comes within a minute"
    return SampleFault("CircuitOpen", text)


def out_of_time(url: str, seconds: float) -> SampleFault:
    """Not asked, because earlier queries of the same tick used its time up."""
    text = f"Prometheus at {url} was not asked: earlier queries of this tick took its {seconds:g} s; check its load"
    return SampleFault("OutOfTime", text)


def pod_fault(indicator: str, pod: str, flaw: Flaw) -> SampleFault:
    """A pod whose numbers cannot be used."""
    return SampleFault(flaw.reason, f'indicator "{indicator}": pod {pod} {flaw.detail}; {_REMEDY[flaw.reason]}', pod)


def no_bucket(fault: SampleFault, bounds: tuple[str, ...]) -> SampleFault:
    """A NoBucket fault with the bounds there are."""
    there_are = f"there are {', '.join(bounds)}" if bounds else "it has no buckets at all"
    return SampleFault(fault.reason, f"{fault.detail} ({there_are})", fault.pod, fault.families)


def no_series(indicator: str, subscription: Subscription, template: Template) -> SampleFault:
    """Nothing counts events for any pod of either arm."""
    families = template.families
    sets = " and ".join(subscription.sets) or "no ReplicaSet"
    text = (
        f'indicator "{indicator}": no series for pods of {sets} in namespace {subscription.namespace}, tried '
        f"{', '.join(families)}; check that Prometheus scrapes these pods with the labels namespace and pod, or name a "
        "counter in a ServiceProfile"
    )
    return SampleFault("NoSeries", text, families=families)
