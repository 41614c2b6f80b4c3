"""The Prometheus adapter against real Prometheus: ticks, backfill, counter resets, and an endpoint that fails."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e.addons import namespace
from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.delayproxy import DelayProxy
from e2e.exporter import ScriptedPrometheus
from e2e.load import LoadGenerator
from rollwarden.judge.phi import history
from rollwarden.prometheus import (
    Breaker,
    Grid,
    Indicator,
    PrometheusClient,
    Reading,
    Sampler,
    Subscription,
    current_traffic,
    stable_history,
)

pytestmark = pytest.mark.e2e

GRID = Grid(1.0, 1.0)
ERRORS = Indicator("errors", "Errors")
LATENCY = Indicator("latency", "Latency", threshold_seconds=0.3)
PAIR = Indicator("pair", "Custom", total="http_requests_total", bad='http_requests_total{code=~"5.."}')


def live_ticks(sampler: Sampler, changes: list[Subscription], count: int) -> list[dict[str, dict[str, Reading]]]:
    """The next `count` ticks, each asked as soon as it is due."""
    first = GRID.first_after(time.time())
    found = []
    for number in range(first, first + count):
        time.sleep(max(0.0, GRID.askable_at(number) - time.time()))
        found.append(sampler.sample(changes, number))
    return found


def reasons(reading: Reading) -> list[str]:
    """The reading's fault reasons."""
    return [fault.reason for fault in reading.faults]


# -- a scripted exporter ------------------------------------------------------------------------------------------

NAMESPACE = "pay"


def requests(code: str = "code", **counts: float | str) -> str:
    """Request counters by status; `code` is the label's name."""
    lines = (f'http_requests_total{{{code}="{status[1:]}"}} {value}' for status, value in counts.items())
    return "# TYPE http_requests_total counter\n" + "\n".join(lines) + "\n"


def durations(*bounds: str, count: str = "10") -> str:
    """A classic histogram whose every bucket but the last holds 7."""
    name = "http_request_duration_seconds"
    buckets = "".join(f'{name}_bucket{{le="{bound}"}} 7\n' for bound in bounds)
    return f'# TYPE {name} histogram\n{buckets}{name}_bucket{{le="+Inf"}} {count}\n{name}_sum 1\n{name}_count {count}\n'


def pod(name: str, arm: str = "c") -> str:
    """The one pod of an arm of change `name`."""
    return f"{name}-{arm}-aaaaa"


def change(name: str, *indicators: Indicator) -> Subscription:
    """A change with the pods of `pod`."""
    return Subscription(name, NAMESPACE, f"{name}-c", f"{name}-s", indicators)


GOOD = requests(s200="90", s500="10") + durations("0.1", "0.3", "1")
PAGES = {
    pod("good"): GOOD,
    pod("good", "s"): requests(s200="100") + durations("0.3"),
    pod("status"): requests("status", s200="5", s503="5"),
    pod(
        "probed"
    ): 'http_requests_total{handler="/healthz",code="200"} 99\nhttp_requests_total{handler="/",code="500"} 1\n',
    pod("spelled"): durations("3e-1"),
    pod("nan"): requests(s200="NaN", s500="1"),
    pod("inf"): requests(s200="+Inf"),
    pod("negative"): requests(s200="-3"),
    pod("unlabelled"): requests("class", s2xx="3"),
    pod("coarse"): durations("0.1", "0.5", "1"),
    pod("empty"): "",
    pod("moving"): GOOD,
    pod("moving", "s"): GOOD,
}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedPrometheus]:
    """A Prometheus that has scraped every page at least once."""
    with ScriptedPrometheus(tmp_path_factory.mktemp("scripted"), NAMESPACE, PAGES) as prometheus:
        client = PrometheusClient(prometheus.url)
        deadline = time.monotonic() + 20
        while len(client.instant("up", time.time()).series) < 2 * len(PAGES):
            assert time.monotonic() < deadline, "Prometheus did not scrape all pages within 20 s"
            time.sleep(0.2)
        time.sleep(2.5)  # a settled tick lies up to 2 s in the past
        yield prometheus


def sample_now(prometheus: ScriptedPrometheus, *changes: Subscription) -> dict[str, dict[str, Reading]]:
    """One tick."""
    sampler = Sampler(PrometheusClient(prometheus.url), GRID)
    return sampler.sample(changes, GRID.number_at(time.time() - GRID.settle_seconds))


def test_errors_and_latency_of_both_arms(scripted: ScriptedPrometheus) -> None:
    """Counts, not rates, and once though two jobs scrape; a bad series that does not exist is none or 0."""
    found = sample_now(scripted, change("good", ERRORS, LATENCY, PAIR))["good"]
    assert {name: reasons(reading) for name, reading in found.items()} == {"errors": [], "latency": [], "pair": []}
    errors, latency, pair = found["errors"].tick, found["latency"].tick, found["pair"].tick
    assert [(each.pod, each.total, each.bad) for each in errors.canary] == [(pod("good"), 100, 10)]
    assert [(each.total, each.bad) for each in errors.stable] == [(100, 0)]
    assert [(each.total, each.bad) for each in latency.canary] == [(10, 3)]
    assert [(each.total, each.bad) for each in pair.canary + pair.stable] == [(100, 10), (100, None)]
    assert errors.answered and not errors.partial


@pytest.mark.parametrize(
    ("name", "indicator", "expected"),
    [("status", ERRORS, (10, 5)), ("probed", ERRORS, (1, 1)), ("spelled", LATENCY, (10, 3))],
)
def test_other_ways_to_say_it(
    scripted: ScriptedPrometheus, name: str, indicator: Indicator, expected: tuple[float, float]
) -> None:
    """Another status label, probes left out, another spelling of the bound."""
    reading = sample_now(scripted, change(name, indicator))[name][indicator.name]
    assert reasons(reading) == []
    assert [(each.total, each.bad) for each in reading.tick.canary] == [expected]


FLAWS = {
    "nan": (ERRORS, "NotFinite", "pod nan-c-aaaaa http_requests_total is NaN"),
    "inf": (ERRORS, "NotFinite", "is +Inf"),
    "negative": (ERRORS, "Negative", "counts -3 events"),
    "unlabelled": (ERRORS, "NoStatusLabel", "without any of the labels code, status"),
    "coarse": (LATENCY, "NoBucket", "there are 0.1, 0.5, 1.0, +Inf"),
}


@pytest.mark.parametrize(("name", "flaw"), FLAWS.items(), ids=FLAWS)
def test_a_flaw_is_named_and_stays_with_its_change(
    scripted: ScriptedPrometheus, name: str, flaw: tuple[Indicator, str, str]
) -> None:
    """The good change beside it, in the same query, is read."""
    indicator, reason, says = flaw
    found = sample_now(scripted, change(name, indicator), change("good", indicator))
    reading = found[name][indicator.name]
    assert reasons(reading) == [reason]
    assert says in reading.faults[0].detail
    assert not reading.tick.answered
    assert found["good"][indicator.name].tick.canary
    assert reasons(found["good"][indicator.name]) == []


@pytest.mark.parametrize("name", ["empty", "never-scraped"])
def test_pods_without_any_series(scripted: ScriptedPrometheus, name: str) -> None:
    """Answered with nothing, and told what was tried."""
    reading = sample_now(scripted, change(name, ERRORS))[name]["errors"]
    assert reading.tick.answered and not reading.tick.canary and not reading.tick.stable
    assert reasons(reading) == ["NoSeries"]
    assert reading.faults[0].families[0] == "http_requests_total"


def test_a_query_that_prometheus_refuses_stops_nobody_else(scripted: ScriptedPrometheus) -> None:
    """Its own words reach the person who can mend the selector."""
    broken = Indicator("broken", "Custom", total='http_requests_total{code=~"("}', bad="http_requests_total")
    found = sample_now(scripted, change("good", ERRORS, broken))["good"]
    assert reasons(found["broken"]) == ["QueryRejected"]
    assert "missing closing" in found["broken"].faults[0].detail
    assert reasons(found["errors"]) == []


def test_one_query_per_template_whatever_the_number_of_changes(scripted: ScriptedPrometheus) -> None:
    """25 changes with two indicators: two queries."""
    changes = [change(f"good-{at}", ERRORS, LATENCY) for at in range(24)] + [change("good", ERRORS, LATENCY)]
    client = PrometheusClient(scripted.url)
    found = Sampler(client, GRID).sample(changes, GRID.number_at(time.time() - 1))
    assert client.stats().queries == 2
    assert found["good"]["errors"].tick.canary


def test_five_hundred_changes_stay_below_a_tick(scripted: ScriptedPrometheus) -> None:
    """Queries are split for URLs of at most 6 kB; all of them together stay a small part of a second."""
    changes = [change(f"service-{at}-6b8f9d7c5b", ERRORS, LATENCY) for at in range(500)]
    client = PrometheusClient(scripted.url)
    began = time.monotonic()
    found = Sampler(client, Grid(5.0, 1.0)).sample(changes, int(time.time() / 5) - 1)
    seconds = time.monotonic() - began
    assert len(found) == 500
    assert {tuple(reasons(reading["errors"])) for reading in found.values()} == {("NoSeries",)}
    print(
        f"500 changes: {client.stats().queries} queries in {seconds:.2f} s, "
        f"the slowest {client.stats().slowest_seconds:.3f} s"
    )
    assert client.stats().queries <= 64
    assert seconds < 4


def test_backfill_gives_the_ticks_that_sampling_gave(scripted: ScriptedPrometheus) -> None:
    """Over growth, NaN, a counter reset, and a pod that misses scrapes."""
    moving = change("moving", ERRORS, LATENCY, PAIR)
    sampler = Sampler(PrometheusClient(scripted.url), GRID)
    canary = pod("moving")
    live = live_ticks(sampler, [moving], 2)
    for page in (
        requests(s200="190", s500="20") + durations("0.3"),
        requests(s200="NaN", s500="20") + durations("0.3"),
        None,
        requests(s200="1", s500="0"),
    ):
        scripted.pages[canary] = page
        live += live_ticks(sampler, [moving], 3)
    first, last = live[0]["moving"]["errors"].tick.number, live[-1]["moving"]["errors"].tick.number
    again = sampler.backfill(replace(moving, first_tick=first), 0, last)
    for name in ("errors", "latency", "pair"):
        seen = {reading["moving"][name].tick.number: reading["moving"][name] for reading in live}
        assert [reading for reading in again[name] if reading.tick.number in seen] == list(seen.values())
    assert len(again["errors"]) == last - first + 1
    assert "NotFinite" in {reason for reading in again["errors"] for reason in reasons(reading)}
    increments = history(reading.tick for reading in again["errors"])
    assert sum(each.canary_total for each in increments) == 110 + 1  # from 100 to 210, then 1 after the restart


# -- real pods -----------------------------------------------------------------------------------------------------


def replica_set(name: str, replicas: int, **environment: str) -> JsonObject:
    """Pods of service web, as Argo would make them."""
    labels = {"app": "web", "set": name}
    container = {
        "name": "service",
        "image": "registry.example.com/shop:v1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
        "env": [{"name": key, "value": value} for key, value in environment.items()],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


STABLE, CANARY, CRASHING = "web-5d9c7b6f4d", "web-6b8f9d7c5b", "web-7c9f8d6b5c"
SHOP = "prometheus-shop"
WEB = Subscription("web", SHOP, CANARY, STABLE, (ERRORS, LATENCY))
RPS = 60.0


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Two stable pods and a canary pod that fails a fifth of its requests, all scraped."""
    cp = control_plane
    cp.api.create("/api/v1/namespaces", namespace(SHOP))
    cp.wait_for("the account", lambda: cp.get_or_none(f"/api/v1/namespaces/{SHOP}/serviceaccounts/default"))
    for each in (replica_set(STABLE, 2), replica_set(CANARY, 1, ERROR_PERCENT="20")):
        cp.api.create(f"/apis/apps/v1/namespaces/{SHOP}/replicasets", each)
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}}
    cp.api.create(f"/api/v1/namespaces/{SHOP}/services", service)
    await_scrapes(cp, 3, 0.0)
    yield cp
    cp.api.delete(f"/api/v1/namespaces/{SHOP}")


@pytest.fixture(scope="module")
def load(plane: ControlPlane) -> Iterator[LoadGenerator]:
    """Steady load on service web, for some seconds already."""
    load = plane.load(max_seconds=300)
    load.set_rate(SHOP, "web", RPS)
    plane.wait_for("requests to all pods", lambda: len(load.counts(SHOP, "web").pods) == 3)
    counting = f'count by (pod) (http_requests_total{{namespace="{SHOP}"}})'
    plane.wait_for("counters of all pods", lambda: len(plane.query(counting)) == 3)
    yield load
    load.stop()


def await_scrapes(plane: ControlPlane, pods: int, since: float) -> None:
    """Wait until exactly `pods` pods are up and were scraped after epoch second `since`."""
    # timestamp() of anything but a bare selector is the time of the question, not of the scrape.
    fresh = f'up{{namespace="{SHOP}"}} == 1 and timestamp(up{{namespace="{SHOP}"}}) > {since}'
    plane.wait_for(f"scrapes of {pods} pods", lambda: len(plane.query(fresh)) == pods, every=0.2)


def test_real_pods_tick_by_tick_and_again(plane: ControlPlane, load: LoadGenerator) -> None:
    """Live ticks equal the backfilled ones, and the counters are the load generator's."""
    sampler = Sampler(PrometheusClient(plane.prometheus_url), GRID)
    live = live_ticks(sampler, [WEB], 8)
    first, last = live[0]["web"]["errors"].tick.number, live[-1]["web"]["errors"].tick.number
    again = sampler.backfill(WEB, first, last)
    for name in ("errors", "latency"):
        assert [reading["web"][name] for reading in live] == list(again[name])
        assert all(len(reading.tick.canary) == 1 and len(reading.tick.stable) == 2 for reading in again[name])
    increments = history(reading.tick for reading in again["errors"])
    canary = sum(each.canary_bad for each in increments) / sum(each.canary_total for each in increments)
    assert 0.05 < canary < 0.5
    assert sum(each.stable_bad for each in increments) == 0
    sent = load.counts(SHOP, "web")
    tick = sampler.sample([WEB], GRID.number_at(time.time() - 1))["web"]["errors"].tick
    counted = sum(each.total for each in tick.canary + tick.stable)
    assert abs(counted - sent.sent) <= 6 * RPS  # a scrape and the settle time apart


def test_history_and_traffic_before_a_release(plane: ControlPlane, load: LoadGenerator) -> None:
    """From raw counters, by indicator."""
    client = PrometheusClient(plane.prometheus_url)
    before = replace(WEB, canary_set="")
    grown = f'sum(increase(http_requests_total{{namespace="{SHOP}"}}[15s])) > 0'
    plane.wait_for("traffic in the history", lambda: plane.query(grown), every=0.2)
    found = stable_history(client, before, time.time() - 1, lookback_seconds=60, step_seconds=1)
    assert len(found["errors"].ticks) == 61
    assert found["errors"].faults == ()
    assert sum(each.stable_total for each in history(found["errors"].ticks)) > 0
    measured = current_traffic(client, WEB, time.time() - 1, window_seconds=10, step_seconds=1)["errors"]
    assert measured.rps == pytest.approx(RPS, rel=0.5)
    assert (measured.bad_rate, measured.pods, measured.faults) == (0, 2, ())
    assert 8 <= measured.seconds <= 10  # a scrape of a busy machine comes late


def test_a_restarted_pod_loses_no_increment(plane: ControlPlane, load: LoadGenerator) -> None:
    """A canary's process crashes and starts again under the same pod name: its counters begin anew."""
    client = PrometheusClient(plane.prometheus_url)
    crashing = replace(WEB, canary_set=CRASHING)
    live = replica_set(CRASHING, 1, ERROR_PERCENT="20", CRASH_AFTER_SECONDS="6")
    plane.api.create(f"/apis/apps/v1/namespaces/{SHOP}/replicasets", live)
    reset = f'resets(http_requests_total{{namespace="{SHOP}",pod=~"{CRASHING}.*"}}[2m]) > 0'
    plane.wait_for("a counter reset", lambda: client.instant(reset, time.time()).series, seconds=60, every=0.5)
    time.sleep(GRID.settle_seconds + GRID.step_seconds)  # until a settled tick shows it
    last = GRID.number_at(time.time() - GRID.settle_seconds)
    ticks = [reading.tick for reading in Sampler(client, GRID).backfill(crashing, last - 60, last)["errors"]]
    totals = [sum(each.total for each in tick.canary) for tick in ticks if tick.canary]
    assert any(after < before for before, after in itertools.pairwise(totals))
    increments = history(ticks)
    assert all(each.total >= 0 and 0 <= each.bad <= each.total for step in increments for each in step.canary)
    assert len({each.pod for step in increments for each in step.canary}) == 1
    plane.api.delete(f"/apis/apps/v1/namespaces/{SHOP}/replicasets/{CRASHING}")
    await_scrapes(plane, 3, time.time())


def test_a_slow_prometheus_gives_unanswered_ticks_in_time(plane: ControlPlane, load: LoadGenerator) -> None:
    """Through a proxy that holds answers back; when it is quick again, so are the ticks."""
    port = int(plane.prometheus_url.rsplit(":", 1)[1])
    with DelayProxy(port) as proxy:
        sampler = Sampler(PrometheusClient(proxy.url, timeout=0.5), GRID, breaker=Breaker(pause_seconds=1.0))
        number = GRID.number_at(time.time() - 1)
        assert reasons(sampler.sample([WEB], number)["web"]["errors"]) == []
        proxy.delay = 3.0
        began = time.monotonic()
        slow = sampler.sample([WEB], number + 1)["web"]
        assert time.monotonic() - began < GRID.step_seconds
        assert reasons(slow["errors"]) == ["Timeout"]
        assert "did not answer within 0.5 s" in slow["errors"].faults[0].detail
        assert not slow["errors"].tick.answered
        proxy.delay = 0.0
        time.sleep(1.1)
        assert reasons(sampler.sample([WEB], number + 2)["web"]["errors"]) == []


def test_a_killed_prometheus_loses_no_evidence(plane: ControlPlane, load: LoadGenerator) -> None:
    """Unanswered ticks with the reason while it is gone; afterwards the increments of the outage are there."""
    client = PrometheusClient(plane.prometheus_url)
    sampler = Sampler(client, GRID, breaker=Breaker(pause_seconds=1.0))
    before = sampler.sample([WEB], GRID.number_at(time.time() - 1))["web"]["errors"].tick
    plane.kill_component("prometheus")
    dead = [reading["web"]["errors"] for reading in live_ticks(sampler, [WEB], 5)]
    assert not any(reading.tick.answered for reading in dead)
    assert {reason for reading in dead for reason in reasons(reading)} == {"Unreachable", "CircuitOpen"}
    assert "Connection refused" in dead[0].faults[0].detail
    plane.start_component("prometheus")
    await_scrapes(plane, 3, time.time())
    after = live_ticks(sampler, [WEB], 2)[-1]["web"]["errors"]
    assert reasons(after) == []
    (increment,) = history([before, *(reading.tick for reading in dead), after.tick])
    assert increment.seconds >= 6
    assert increment.stable_total > 0
