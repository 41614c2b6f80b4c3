"""From a definition to a query, and from an answer to counters."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.prometheus.answers import NATIVE_HISTOGRAM, NotANumber, Series
from rollwarden.prometheus.errors import SelectorError
from rollwarden.prometheus.pods import Scope
from rollwarden.prometheus.templates import (
    HEALTH_ROUTES,
    Counters,
    Flaw,
    HistogramTemplate,
    Indicator,
    template_for,
)
from tests.prometheus.builders import ERRORS, LATENCY, NAN, PAIR, row

SCOPE = Scope(("pay",), ("web-b-",))
POD = ("pay", "web-6b8f9d7c5-aaaaa")


def read(indicator: Indicator, *rows: Series) -> Counters | Flaw | None:
    """What the indicator's template makes of the builder's pod."""
    return template_for(indicator).read(rows).get(POD)


def test_a_pair_is_one_query_for_both_counters() -> None:
    """Own matchers stay; the scope's come first."""
    assert template_for(PAIR).query(SCOPE) == (
        'label_replace(sum by (namespace,pod,job) (jobs_total{namespace=~"pay",pod=~"(?:web-b-)[a-z0-9]{5}"}),'
        '"counter","total","","") or '
        'label_replace(sum by (namespace,pod,job) (jobs_total{namespace=~"pay",pod=~"(?:web-b-)[a-z0-9]{5}",'
        'result="failed"}),"counter","bad","","")'
    )


PAIRS = {
    "both counters": ((row("10", counter="total"), row("2", counter="bad")), Counters(10, 2)),
    "two jobs scrape the pod": (
        (
            row("10", counter="total", job="pods"),
            row("2", counter="bad", job="pods"),
            row("9", counter="total", job="monitor"),
            row("1", counter="bad", job="monitor"),
        ),
        Counters(9, 1),
    ),
    "only the job without bad events counts first": (
        (row("10", counter="total", job="a"), row("9", counter="total", job="b"), row("1", counter="bad", job="b")),
        Counters(10, None),
    ),
    "an absent bad series is no bad event": ((row("10", counter="total"),), Counters(10, None)),
    "no series at all is no pod": ((), None),
    "bad without total": ((row("2", counter="bad"),), "TotalMissing"),
    "NaN in total": ((row("NaN", counter="total"), row("2", counter="bad")), "NotFinite"),
    "NaN in bad": ((row("10", counter="total"), row("NaN", counter="bad")), "NotFinite"),
    "+Inf": ((row("+Inf", counter="total"), row("1", counter="bad")), "NotFinite"),
    "-Inf": ((row("10", counter="total"), row("-Inf", counter="bad")), "NotFinite"),
    "negative": ((row("-1", counter="total"),), "Negative"),
    "more bad than all": ((row("1", counter="total"), row("2", counter="bad")), "BadExceedsTotal"),
    "a native histogram": ((row(NotANumber(NATIVE_HISTOGRAM), counter="total"),), "NativeHistogram"),
}


@pytest.mark.parametrize(("rows", "expected"), PAIRS.values(), ids=PAIRS)
def test_pairs(rows: tuple[Series, ...], expected: Counters | str | None) -> None:
    """Every value that is no count becomes a flaw by name, never a number."""
    found = read(PAIR, *rows)
    assert (found.reason if isinstance(found, Flaw) else found) == expected


STATUS = {
    "label code": (
        (row("90", name="http_requests_total", code="200"), row("10", name="http_requests_total", code="503")),
        Counters(100, 10),
    ),
    "label status": ((row("7", name="http_requests_total", status="500"),), Counters(7, 7)),
    "class labels": (
        (row("7", name="http_requests_total", status="5xx"), row("3", name="http_requests_total", status="2xx")),
        Counters(10, 7),
    ),
    "404 and 50 are no server errors": (
        (row("7", name="http_requests_total", code="404"), row("1", name="http_requests_total", code="50")),
        Counters(8, 0),
    ),
    "two jobs scrape the pod": (
        (
            row("7", name="http_requests_total", code="500", job="pods"),
            row("3", name="http_requests_total", code="200", job="pods"),
            row("6", name="http_requests_total", code="500", job="monitor"),
        ),
        Counters(6, 6),
    ),
    "the first label wins": (
        (row("7", name="http_requests_total", code="200", status="500"),),
        Counters(7, 0),
    ),
    "the first family wins": (
        (
            row("5", name="http_request_duration_seconds_count", code="500"),
            row("9", name="http_requests_total", code="200"),
        ),
        Counters(9, 0),
    ),
    "a family without a status gives way to one with": (
        (row("9", name="http_requests_total"), row("5", name="http_request_duration_seconds_count", code="500")),
        Counters(5, 5),
    ),
    "no status label anywhere": ((row("9", name="http_requests_total"),), "NoStatusLabel"),
    "NaN in one status spoils the pod": (
        (row("9", name="http_requests_total", code="200"), row(NAN, name="http_requests_total", code="404")),
        "NotFinite",
    ),
}


@pytest.mark.parametrize(("rows", "expected"), STATUS.values(), ids=STATUS)
def test_status(rows: tuple[Series, ...], expected: Counters | str) -> None:
    """A service without a status label is never read as a service without errors."""
    found = read(ERRORS, *rows)
    assert (found.reason if isinstance(found, Flaw) else found) == expected


def bucket(value: str, le: str, family: str = "http_request_duration_seconds", job: str = "") -> Series:
    """A classic bucket as the query returns it."""
    return row(value, name=f"{family}_bucket", le=le, job=job)


def count(value: str, family: str = "http_request_duration_seconds", job: str = "") -> Series:
    """The histogram's count."""
    return row(value, name=f"{family}_count", job=job)


HISTOGRAM = {
    "count less bucket": ((count("100"), bucket("97", "0.3")), Counters(100, 3)),
    "another spelling": ((count("100"), bucket("97", "3e-1")), Counters(100, 3)),
    "trailing zeros": ((count("100"), bucket("97", "0.300")), Counters(100, 3)),
    "same digits, other number": ((count("100"), bucket("97", "3.0"), bucket("50", "0.03")), "NoBucket"),
    "two jobs scrape the pod": (
        (count("100", job="a"), bucket("97", "0.3", job="a"), count("99", job="b"), bucket("99", "0.3", job="b")),
        Counters(100, 3),
    ),
    "no bucket": ((count("100"),), "NoBucket"),
    "bucket above count": ((count("100"), bucket("101", "0.3")), "Negative"),
    "NaN": ((count("NaN"), bucket("97", "0.3")), "NotFinite"),
    "the second family where the first is absent": (
        (count("8", "http_server_requests_seconds"), bucket("6", "0.3", "http_server_requests_seconds")),
        Counters(8, 2),
    ),
    "native only": ((row(NotANumber(NATIVE_HISTOGRAM), name="http_request_duration_seconds"),), "NativeHistogram"),
    "native beside classic": (
        (row(NotANumber(NATIVE_HISTOGRAM), name="http_request_duration_seconds"), count("9"), bucket("9", "0.3")),
        Counters(9, 0),
    ),
    "a bucket without a count": ((bucket("6", "0.3"),), "TotalMissing"),
}


@pytest.mark.parametrize(("rows", "expected"), HISTOGRAM.values(), ids=HISTOGRAM)
def test_histogram(rows: tuple[Series, ...], expected: Counters | str) -> None:
    """Exact bounds only, never interpolated."""
    found = read(LATENCY, *rows)
    assert (found.reason if isinstance(found, Flaw) else found) == expected


def le_pattern(threshold: float) -> re.Pattern[str]:
    """The le matcher of a template's query."""
    query = template_for(Indicator("l", "Latency", histogram="h", threshold_seconds=threshold)).query(SCOPE)
    found = re.search(r'le=~"([^"]*)"', query)
    assert found
    return re.compile(found.group(1).replace("\\\\", "\\"))


@given(st.integers(1, 10**7), st.integers(-6, 4), st.integers(0, 3), st.integers(-4, 4))
def test_every_spelling_of_the_bound_passes_the_query(digits: int, power: int, zeros: int, shift: int) -> None:
    """Plain, padded and exponent spellings of one number, and the count, which has no le."""
    threshold = float(Decimal(digits).scaleb(power))
    pattern = le_pattern(threshold)
    exact = Decimal(repr(threshold))
    plain = format(exact, "f")
    padded = plain + ("0" * zeros if "." in plain else "." + "0" * zeros)
    shifted = f"{exact.scaleb(-shift):f}e{shift:+d}"
    for spelling in ("", plain, padded, f"0{plain}", f"+{plain}", shifted, repr(threshold), f"{threshold:.17g}"):
        if spelling == "" or (float(spelling) == threshold and "9999" not in spelling and "0000000" not in spelling):
            assert pattern.fullmatch(spelling), spelling


def test_other_bounds_do_not_pass_the_query() -> None:
    """+Inf and other digits are left out on the server."""
    pattern = le_pattern(0.25)
    assert not any(pattern.fullmatch(le) for le in ("0.3", "0.5", "2.55", "+Inf", "0.125", "1.25"))


def test_default_latency_tries_the_families_without_health_routes() -> None:
    """One query for all of them."""
    template = template_for(LATENCY)
    assert isinstance(template, HistogramTemplate)
    query = template.query(SCOPE)
    assert "http_request_duration_seconds(?:_count|_bucket|)|http_server_requests_seconds" in query
    assert 'handler!~"' in query
    assert template.buckets_query(SCOPE).startswith("count by (le) ({__name__=~")


def test_a_named_histogram_keeps_its_matchers() -> None:
    """And no route is left out: the team chose."""
    named = Indicator("l", "Latency", histogram='h{route="/pay"}', threshold_seconds=1)
    query = template_for(named).query(SCOPE)
    assert 'route="/pay"' in query
    assert "handler" not in query


@pytest.mark.parametrize(
    ("route", "excluded"),
    [
        ("/healthz", True),
        ("/health/live", True),
        ("/readyz/", True),
        ("/-/ready", True),
        ("/metrics", True),
        ("metrics", True),
        ("/actuator/prometheus", True),
        ("/ping", True),
        ("", False),
        ("/", False),
        ("/health-insurance", False),
        ("/live/stream", False),
        ("/pay", False),
        ("/metricsets", False),
    ],
)
def test_health_routes(route: str, excluded: bool) -> None:
    """Probes and scrapes, and nothing that customers call."""
    assert bool(re.fullmatch(HEALTH_ROUTES, route)) == excluded


def test_equal_definitions_share_a_template() -> None:
    """Whatever the indicators are called and whatever their objectives are."""
    one = Indicator("errors", "Errors", total="a", bad='a{x="1"}', target_percent=99)
    other = Indicator("failures", "Custom", total="a{ }", bad='a{ x = "1" }', target_percent=99.9)
    assert template_for(one) == template_for(other)
    assert hash(template_for(one)) == hash(template_for(other))


REFUSED = {
    "total alone": (Indicator("e", "Errors", total="a"), 'name both "total" and "bad"'),
    "custom without selectors": (Indicator("e", "Custom"), 'name both "total" and "bad"'),
    "a histogram for errors": (Indicator("e", "Errors", histogram="h"), "type Latency"),
    "latency without threshold": (Indicator("e", "Latency"), "threshold"),
    "latency with a threshold of 0": (Indicator("e", "Latency", threshold_seconds=0), "threshold"),
    "latency with NaN": (Indicator("e", "Latency", threshold_seconds=float("nan")), "threshold"),
    "latency with total": (Indicator("e", "Latency", total="a", threshold_seconds=1), '"histogram"'),
    "a bucket series": (Indicator("e", "Latency", histogram="h_bucket", threshold_seconds=1), '"h"'),
    "an le matcher": (Indicator("e", "Latency", histogram='h{le="1"}', threshold_seconds=1), "threshold"),
    "a bad selector": (Indicator("e", "Errors", total="a", bad="rate(a[1m])"), "expected the end"),
}


@pytest.mark.parametrize(("indicator", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(indicator: Indicator, says: str) -> None:
    """The sentence names the indicator and what would be right."""
    with pytest.raises(SelectorError) as caught:
        template_for(indicator)
    assert str(caught.value).startswith('indicator "e": ')
    assert says in str(caught.value)
