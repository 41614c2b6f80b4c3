"""Builders for the tests of the Prometheus adapter."""

from __future__ import annotations

from rollwarden.prometheus.answers import NotANumber, Series, Value, parse_value
from rollwarden.prometheus.arms import Subscription
from rollwarden.prometheus.templates import Indicator

ERRORS = Indicator("errors", "Errors")
LATENCY = Indicator("latency", "Latency", threshold_seconds=0.3)
PAIR = Indicator("errors", "Errors", total="jobs_total", bad='jobs_total{result="failed"}')
NAN = NotANumber("NaN")


def subscription(
    key: str = "pay/web-1",
    namespace: str = "pay",
    canary: str = "web-6b8f9d7c5",
    stable: str = "web-5d9c7b6f4",
    indicators: tuple[Indicator, ...] = (ERRORS,),
    first_tick: int = 0,
    pod_starts: dict[str, float] | None = None,
) -> Subscription:
    """One change of Rollout web in namespace pay, unless said otherwise."""
    return Subscription(key, namespace, canary, stable, indicators, first_tick, pod_starts or {})


def row(value: Value | str, pod: str = "web-6b8f9d7c5-aaaaa", namespace: str = "pay", **labels: str) -> Series:
    """One series of an answer; `name` stands for __name__."""
    if "name" in labels:
        labels["__name__"] = labels.pop("name")
    number = parse_value(value) if isinstance(value, str) else value
    return Series({"namespace": namespace, "pod": pod, **labels}, number)
