"""One query per template for all changes, and every pod's numbers to whom they belong."""

from __future__ import annotations

from urllib.parse import quote_plus

from hypothesis import given
from hypothesis import strategies as st

from rollwarden.judge.counters import PodCounter, Tick
from rollwarden.prometheus.answers import Series
from rollwarden.prometheus.batches import MAX_QUERY_BYTES, Batch, Reading, plan, readings
from rollwarden.prometheus.templates import Indicator
from tests.prometheus.builders import ERRORS, LATENCY, PAIR, row, subscription

BROKEN = Indicator("broken", "Custom", total="rate(x[1m])", bad="x")


def only_batch(*changes: str, indicator: Indicator = PAIR) -> Batch:
    """The one batch of changes called web-1, web-2, … in namespace pay; canary set `<key>-c`, stable set `<key>-s`."""
    subscriptions = [
        subscription(key, canary=f"{key}-c", stable=f"{key}-s", indicators=(indicator,)) for key in changes
    ]
    (batch,) = plan(subscriptions).batches
    return batch


def read(batch: Batch, *rows: Series, partial: bool = False) -> dict[tuple[str, str], Reading]:
    """The batch's readings at tick 7."""
    return readings(batch, rows, partial=partial, number=7, time=35.0)


def reasons(reading: Reading) -> list[str]:
    """The reading's fault reasons."""
    return [fault.reason for fault in reading.faults]


def test_many_changes_with_the_same_indicators_make_one_query_each() -> None:
    """Errors and latency of 20 changes: two queries."""
    changes = [
        subscription(f"c{at}", canary=f"web{at}-c", stable=f"web{at}-s", indicators=(ERRORS, LATENCY))
        for at in range(20)
    ]
    todo = plan(changes)
    assert len(todo.batches) == 2
    assert {len(batch.members) for batch in todo.batches} == {20}
    assert todo == plan(reversed(changes))


@given(st.integers(1, 300), st.sampled_from([ERRORS, LATENCY, PAIR]))
def test_long_queries_are_split_and_nobody_is_lost(count: int, indicator: Indicator) -> None:
    """Every change is in exactly one batch, and every query fits into a URL."""
    changes = [
        subscription(f"c{at}", f"team-{at % 7}", f"svc-{at}-6b8f9d7c5b", f"svc-{at}-5d9c7b6f4d", (indicator,))
        for at in range(count)
    ]
    batches = plan(changes).batches
    assert sorted(member.id for batch in batches for member in batch.members) == sorted(
        (change.key, indicator.name) for change in changes
    )
    assert all(len(quote_plus(batch.query)) <= MAX_QUERY_BYTES for batch in batches)
    for batch in batches:
        for member in batch.members:
            assert f"{member.subscription.canary_set}-" in batch.query
            assert f"{member.subscription.stable_set}-" in batch.query


def test_an_unusable_definition_stops_itself_only() -> None:
    """The other indicators of the change, and other changes, are asked for."""
    todo = plan([subscription(indicators=(BROKEN, ERRORS)), subscription("other", indicators=(LATENCY,))])
    assert len(todo.batches) == 2
    ((member, fault),) = todo.refused
    assert member.indicator == "broken"
    assert fault.reason == "BadSelector"
    assert "expected the end" in fault.detail


def test_arms_that_cannot_be_told_apart_are_not_asked_for() -> None:
    """A reading of mixed arms would be evidence of nothing."""
    long = "r" * 60
    todo = plan([subscription(canary=f"{long}-a", stable=f"{long}-b")])
    assert not todo.batches
    assert [fault.reason for _, fault in todo.refused] == ["ArmsIndistinguishable"]


def test_a_change_without_any_set_has_no_series() -> None:
    """Nothing is asked; an empty pattern would match other pods."""
    todo = plan([subscription(canary="", stable="")])
    assert not todo.batches
    assert [fault.reason for _, fault in todo.refused] == ["NoSeries"]


def test_pods_go_to_their_change_and_arm() -> None:
    """Sorted by name; pods of strangers that the query's cross product let in are left out."""
    batch = only_batch("web-1", "web-2")
    found = read(
        batch,
        row("9", pod="web-1-s-zzzzz", counter="total"),
        row("5", pod="web-1-c-aaaaa", counter="total"),
        row("1", pod="web-1-c-aaaaa", counter="bad"),
        row("7", pod="web-1-s-aaaaa", counter="total"),
        row("3", pod="web-2-c-aaaaa", counter="total"),
        row("8", pod="web-1-c-aaaaa", namespace="other", counter="total"),
    )
    assert found["web-1", "errors"] == Reading(
        Tick(
            7,
            35.0,
            (PodCounter("web-1-c-aaaaa", 5, 1),),
            (PodCounter("web-1-s-aaaaa", 7, None), PodCounter("web-1-s-zzzzz", 9, None)),
        )
    )
    assert found["web-2", "errors"].tick.canary == (PodCounter("web-2-c-aaaaa", 3, None),)


def test_one_stable_set_may_serve_two_changes() -> None:
    """Both get its pods."""
    changes = [subscription(key, canary=f"{key}-c", stable="web-s", indicators=(PAIR,)) for key in ("a", "b")]
    (batch,) = plan(changes).batches
    found = read(batch, row("5", pod="web-s-aaaaa", counter="total"))
    assert found["a", "errors"].tick.stable == found["b", "errors"].tick.stable == (PodCounter("web-s-aaaaa", 5, None),)


def test_a_flawed_pod_spoils_its_own_change_only() -> None:
    """The tick is unanswered, with the pod and what to do; the neighbour's is whole."""
    found = read(
        only_batch("web-1", "web-2"),
        row("NaN", pod="web-1-c-aaaaa", counter="total"),
        row("5", pod="web-1-s-aaaaa", counter="total"),
        row("5", pod="web-2-c-aaaaa", counter="total"),
    )
    spoiled = found["web-1", "errors"]
    assert spoiled.tick == Tick.unanswered(7, 35.0)
    assert reasons(spoiled) == ["NotFinite"]
    assert spoiled.faults[0].detail == (
        'indicator "errors": pod web-1-c-aaaaa jobs_total is NaN; '
        "a counter must be a finite number: look at the exporter"
    )
    assert reasons(found["web-2", "errors"]) == []
    assert found["web-2", "errors"].tick.answered


def test_an_empty_answer_is_answered_and_says_what_was_tried() -> None:
    """No data is neither pass nor fail; the families are named for people."""
    reading = read(only_batch("web-1", indicator=ERRORS))["web-1", "errors"]
    assert reading.tick == Tick(7, 35.0, (), ())
    assert reasons(reading) == ["NoSeries"]
    assert "http_requests_total" in reading.faults[0].families
    assert "no series for pods of web-1-c and web-1-s in namespace pay" in reading.faults[0].detail


def test_a_partial_answer_marks_every_tick() -> None:
    """The judge keeps it from being evidence for a promotion."""
    found = read(only_batch("web-1"), row("5", pod="web-1-c-aaaaa", counter="total"), partial=True)
    assert found["web-1", "errors"].tick.partial


def test_known_pod_starts_are_passed_on() -> None:
    """A pod that is older than the change is then not counted from 0."""
    change = subscription(indicators=(PAIR,), pod_starts={"web-6b8f9d7c5-aaaaa": 12.0})
    (batch,) = plan([change]).batches
    found = read(batch, row("5", counter="total"))
    assert found[change.key, "errors"].tick.canary[0].started == 12.0
