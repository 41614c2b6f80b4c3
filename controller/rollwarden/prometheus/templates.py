"""From an indicator's definition to one query and back to two counters per pod: all events, and the bad ones.

A template is what indicators of different changes share. It writes ONE query for any number of pods, so that total and
bad come from one evaluation (two queries may see different scrapes and count more bad events than events), and reads
the answer's series into cumulative counters, or into a flaw that says why a pod's numbers cannot be used. Pure.

A pod that two jobs scrape (a ServiceMonitor beside a PodMonitor) would count twice and double the evidence: of the jobs
that have a counter, the first by name is read.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from rollwarden.prometheus.answers import NATIVE_HISTOGRAM, NotANumber, Series, Value, parse_value
from rollwarden.prometheus.errors import SelectorError
from rollwarden.prometheus.pods import PodKey, Scope, alternatives
from rollwarden.prometheus.selectors import Matcher, Selector, parse_selector

IndicatorType = Literal["Errors", "Latency", "Custom"]
FlawReason = Literal[
    "NotFinite", "Negative", "BadExceedsTotal", "NoStatusLabel", "NoBucket", "NativeHistogram", "TotalMissing"
]

REQUEST_FAMILIES = (
    "http_requests_total",
    "http_server_requests_seconds_count",
    "http_server_request_duration_seconds_count",
    "http_request_duration_seconds_count",
)
"""Request counters in the order tried, per pod: plain Prometheus, Micrometer, OpenTelemetry, duration histograms."""
DURATION_FAMILIES = (
    "http_request_duration_seconds",
    "http_server_requests_seconds",
    "http_server_request_duration_seconds",
)
"""Request duration histograms (seconds) in the order tried, per pod."""
STATUS_LABELS = ("code", "status", "status_code", "http_status_code", "http_response_status_code")
"""Labels that may carry an HTTP status, in the order tried, per pod."""
ROUTE_LABELS = ("handler", "route", "path", "uri", "http_route")
HEALTH_ROUTES = (
    "/*(?:-/)?(?:health(?:z|y|check)?(?:/(?:live|ready|started|startup|liveness|readiness))?"
    "|live|livez|liveness|ready|readyz|readiness|ping|metrics|actuator/.*)/*"
)
"""Probes and scrapes: a steady stream of successes that would dilute the error rate of a quiet service."""
_SERVER_ERROR = re.compile(r"5(?:[0-9]{2}|xx|XX)")


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator as a ServiceProfile defines it; blank selectors mean the defaults above.

    `threshold_seconds` is the latency bound, `target_percent` the share of good events; together the objective.
    """

    name: str
    type: IndicatorType
    total: str = ""
    bad: str = ""
    histogram: str = ""
    threshold_seconds: float | None = None
    target_percent: float = 99.0


@dataclass(frozen=True, slots=True)
class Counters:
    """One pod's cumulative events since its process started; `bad` is None where no bad series exists yet (so: 0)."""

    total: float
    bad: float | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why one pod's numbers cannot be used; `detail` completes "pod x: …"."""

    reason: FlawReason
    detail: str


PodReadings = dict[PodKey, Counters | Flaw]


class Template(Protocol):
    """What every kind of indicator can do. Implementations are frozen values, so equal definitions share one query."""

    @property
    def families(self) -> tuple[str, ...]:
        """The metric families that are tried."""

    def query(self, scope: Scope) -> str:
        """PromQL whose answer `read` understands."""

    def read(self, rows: Iterable[Series]) -> PodReadings:
        """Counters or a flaw for every pod that has any series."""


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """Two selectors named by the service's team."""

    total: Selector
    bad: Selector

    @property
    def families(self) -> tuple[str, ...]:
        """The families of both selectors."""
        return (self.total.metric,) if self.total.metric == self.bad.metric else (self.total.metric, self.bad.metric)

    def query(self, scope: Scope) -> str:
        """Both sums in one answer, told apart by the label `counter`."""
        return " or ".join(
            f'label_replace(sum by (namespace,pod,job) ({_restricted(selector, scope)}),"counter","{counter}","","")'
            for counter, selector in (("total", self.total), ("bad", self.bad))
        )

    def read(self, rows: Iterable[Series]) -> PodReadings:
        """An absent bad series is no bad event yet; bad events without any total are a flaw."""
        readings: PodReadings = {}
        for pod, own in _by_pod(rows):
            totals = _of_first_job([row for row in own if row.labels.get("counter") == "total"])
            if not totals:
                readings[pod] = Flaw("TotalMissing", f"has {self.bad} but no {self.total}")
                continue
            failed = [row for row in own if row.labels.get("counter") == "bad" and _job(row) == _job(totals[0])]
            readings[pod] = _counters(_sum(totals), _sum(failed) if failed else None, str(self.total))
        return readings


@dataclass(frozen=True, slots=True)
class StatusTemplate:
    """Request counters that carry the HTTP status as a label; bad is 5xx."""

    families: tuple[str, ...] = REQUEST_FAMILIES

    def query(self, scope: Scope) -> str:
        """One sum per pod, family and status."""
        names = Matcher("__name__", "=~", alternatives(self.families))
        labels = ",".join(("__name__", "namespace", "pod", "job", *STATUS_LABELS))
        return f"sum by ({labels}) ({_braced((names, *scope.matchers(), *_no_health_routes()))})"

    def read(self, rows: Iterable[Series]) -> PodReadings:
        """The first family that carries one of the status labels counts; a family without is a flaw, never 0 errors."""
        return {pod: self._pod(own) for pod, own in _by_pod(rows)}

    def _pod(self, rows: list[Series]) -> Counters | Flaw:
        present = [family for family in self.families if any(_name(row) == family for row in rows)]
        for family in present:
            for label in STATUS_LABELS:
                labelled = _of_first_job([row for row in rows if _name(row) == family and row.labels.get(label)])
                if labelled:
                    failed = [row for row in labelled if _SERVER_ERROR.fullmatch(row.labels[label])]
                    return _counters(_sum(labelled), _sum(failed), family)
        names = ", ".join(present)
        return Flaw("NoStatusLabel", f"has {names} without any of the labels {', '.join(STATUS_LABELS)}")


@dataclass(frozen=True, slots=True)
class HistogramTemplate:
    """A duration histogram; bad is slower than the bucket whose bound equals the threshold."""

    families: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    threshold_seconds: float

    def query(self, scope: Scope) -> str:
        """Counts (no `le`) and the buckets whose bound may be the threshold."""
        # The pattern passes every spelling of the bound's digits (0.3, 0.30, 3e-1, but 30 too); `read` compares.
        names = "|".join(f"{family}(?:_count|_bucket|)" for family in self.families)
        bounds = Matcher("le", "=~", f"|{_any_spelling(self.threshold_seconds)}")
        matchers = (Matcher("__name__", "=~", names), bounds, *scope.matchers(), *self.matchers)
        return f"sum by (__name__,namespace,pod,job,le) ({_braced(matchers)})"

    def buckets_query(self, scope: Scope) -> str:
        """PromQL for the bounds there are, to be named where the wanted one is missing."""
        names = Matcher("__name__", "=~", "|".join(f"{family}_bucket" for family in self.families))
        return f"count by (le) ({_braced((names, *scope.matchers(), *self.matchers))})"

    def read(self, rows: Iterable[Series]) -> PodReadings:
        """Never interpolates: without a bucket of exactly this bound the pod is flawed."""
        return {pod: self._pod(own) for pod, own in _by_pod(rows)}

    def _pod(self, rows: list[Series]) -> Counters | Flaw:
        for family in self.families:
            counts = _of_first_job([row for row in rows if _name(row) == f"{family}_count"])
            if not counts:
                continue
            own = [row for row in rows if _name(row) == f"{family}_bucket" and _job(row) == _job(counts[0])]
            buckets = [row for row in own if parse_value(row.labels.get("le", "")) == self.threshold_seconds]
            if not buckets:
                return Flaw("NoBucket", f"has {family} without a bucket at {self.threshold_seconds:g} s")
            total, within = _sum(counts), _sum(buckets)
            if isinstance(total, NotANumber) or isinstance(within, NotANumber):
                return _counters(total, within, family)
            return _counters(total, total - within, family)
        if all(isinstance(row.value, NotANumber) and row.value.text == NATIVE_HISTOGRAM for row in rows):
            return Flaw("NativeHistogram", f"has {_name(rows[0])} as a native histogram only")
        return Flaw("TotalMissing", f"has {_name(rows[0])} but no _count series of it")


@functools.lru_cache(maxsize=4096)
def template_for(indicator: Indicator) -> Template:
    """The template of a definition. Raises SelectorError with a sentence that names the indicator."""
    try:
        if indicator.type == "Latency":
            return _histogram_template(indicator)
        return _counter_template(indicator)
    except SelectorError as error:
        raise SelectorError(f'indicator "{indicator.name}": {error}') from error


def _counter_template(indicator: Indicator) -> Template:
    if indicator.histogram:
        raise SelectorError(f'"histogram" is for type Latency; type {indicator.type} reads "total" and "bad"')
    if indicator.type == "Errors" and not indicator.total and not indicator.bad:
        return StatusTemplate()
    if not indicator.total or not indicator.bad:
        raise SelectorError('name both "total" and "bad": one without the other gives no rate')
    return PairTemplate(parse_selector(indicator.total), parse_selector(indicator.bad))


def _histogram_template(indicator: Indicator) -> Template:
    if indicator.total or indicator.bad:
        raise SelectorError('"total" and "bad" are for types Errors and Custom; type Latency reads "histogram"')
    threshold = indicator.threshold_seconds
    if threshold is None or not math.isfinite(threshold) or threshold <= 0:
        raise SelectorError("type Latency needs a threshold above 0, such as 300ms")
    if not indicator.histogram:
        return HistogramTemplate(DURATION_FAMILIES, _no_health_routes(), threshold)
    selector = parse_selector(indicator.histogram)
    base = re.sub(r"_(?:bucket|count|sum)$", "", selector.metric)
    if base != selector.metric:
        raise SelectorError(f'name the histogram itself, "{base}", not one of its series')
    if any(matcher.label == "le" for matcher in selector.matchers):
        raise SelectorError('leave out the matcher on "le": the bound is the threshold')
    return HistogramTemplate((selector.metric,), selector.matchers, threshold)


def _no_health_routes() -> tuple[Matcher, ...]:
    return tuple(Matcher(label, "!~", HEALTH_ROUTES) for label in ROUTE_LABELS)


def _restricted(selector: Selector, scope: Scope) -> str:
    return f"{selector.metric}{_braced((*scope.matchers(), *selector.matchers))}"


def _braced(matchers: tuple[Matcher, ...]) -> str:
    return "{" + ",".join(map(str, matchers)) + "}"


def _any_spelling(bound: float) -> str:
    """A pattern for every decimal or exponent spelling of any number with these significant digits."""
    digits = "".join(map(str, Decimal(repr(bound)).normalize().as_tuple().digits))
    return rf"[+0.]*{'[.]?'.join(digits)}[0.]*(?:[eE][+-]?[0-9]+)?"


def _by_pod(rows: Iterable[Series]) -> Iterator[tuple[PodKey, list[Series]]]:
    grouped: dict[PodKey, list[Series]] = {}
    for row in rows:
        grouped.setdefault((row.labels.get("namespace", ""), row.labels.get("pod", "")), []).append(row)
    return iter(grouped.items())


def _name(row: Series) -> str:
    return row.labels.get("__name__", "")


def _job(row: Series) -> str:
    return row.labels.get("job", "")


def _of_first_job(rows: list[Series]) -> list[Series]:
    first = min(map(_job, rows), default="")
    return [row for row in rows if _job(row) == first]


def _sum(rows: Iterable[Series]) -> Value:
    """The sum, or the first value that is no number."""
    total = 0.0
    for row in rows:
        if isinstance(row.value, NotANumber):
            return row.value
        total += row.value
    return total


def _counters(total: Value, bad: Value | None, source: str) -> Counters | Flaw:
    for value in (total, bad):
        if isinstance(value, NotANumber):
            if value.text == NATIVE_HISTOGRAM:
                return Flaw("NativeHistogram", f"has {source} as a native histogram only")
            return Flaw("NotFinite", f"{source} is {value.text}")
        if value is not None and value < 0:
            return Flaw("Negative", f"{source} counts {value:g} events")
    assert isinstance(total, float) and not isinstance(bad, NotANumber)  # narrowed by the loop above
    if bad is not None and bad > total:
        return Flaw("BadExceedsTotal", f"{source} counts {bad:g} bad events of {total:g}")
    return Counters(total, bad)
