"""The adapter to Prometheus: raw per-pod counters of canary and stable, on a grid of ticks.

The only importer of prometheus_api_client. From outside in: `sampler` and `history` (for the operator), `batches`
(what to ask, whose answer it is), `templates` and `selectors` (definitions to queries), `client` and `wire` (one call).
"""

from rollwarden.prometheus.answers import Answer, NotANumber, RangeAnswer, RangeSeries, Series, Value
from rollwarden.prometheus.arms import Subscription, indistinguishable
from rollwarden.prometheus.batches import Reading
from rollwarden.prometheus.breaker import Breaker
from rollwarden.prometheus.client import ClientStats, PrometheusClient
from rollwarden.prometheus.errors import (
    BadAnswerError,
    BadUrlError,
    PrometheusError,
    QueryRejectedError,
    SelectorError,
    TimedOutError,
    UnreachableError,
)
from rollwarden.prometheus.faults import ENDPOINT_REASONS, FaultReason, SampleFault
from rollwarden.prometheus.grid import Grid
from rollwarden.prometheus.history import StableHistory, Traffic, current_traffic, stable_history, traffic
from rollwarden.prometheus.sampler import Sampler, SamplerStats
from rollwarden.prometheus.scrapes import scrape_interval
from rollwarden.prometheus.selectors import Selector, parse_selector
from rollwarden.prometheus.templates import Indicator, Template, template_for

__all__ = [
    "ENDPOINT_REASONS",
    "Answer",
    "BadAnswerError",
    "BadUrlError",
    "Breaker",
    "ClientStats",
    "FaultReason",
    "Grid",
    "Indicator",
    "NotANumber",
    "PrometheusClient",
    "PrometheusError",
    "QueryRejectedError",
    "RangeAnswer",
    "RangeSeries",
    "Reading",
    "SampleFault",
    "Sampler",
    "SamplerStats",
    "Selector",
    "SelectorError",
    "Series",
    "StableHistory",
    "Subscription",
    "Template",
    "TimedOutError",
    "Traffic",
    "UnreachableError",
    "Value",
    "current_traffic",
    "indistinguishable",
    "parse_selector",
    "scrape_interval",
    "stable_history",
    "template_for",
    "traffic",
]
