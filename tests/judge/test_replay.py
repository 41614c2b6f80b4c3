"""Recordings: what the judge would have said of them, on any scrape pattern, and which rows it refuses."""

import json
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.judge import Tick
from rollwarden.judge.replay import ReplayOptions, replay
from rollwarden.judge.replay_input import ReplayInputError, parse_rows, to_grid
from tests.judge.simulator import Fleet, Rate, constant, step_at


def row(**changes: object) -> str:
    """One valid row with some fields changed; a field of None is left out."""
    fields = {"t": 0, "arm": "canary", "pod": "a", "indicator": "errors", "total": 10, "bad": 1} | changes
    return json.dumps({key: value for key, value in fields.items() if value is not None})


def rows_of(tick: Tick, indicator: str = "errors", weight: float | None = None, jitter: float = 0.0) -> Iterator[str]:
    """A tick as recorded."""
    for arm, pods in (("canary", tick.canary), ("stable", tick.stable)):
        for index, pod in enumerate(pods):
            yield row(
                t=tick.time + jitter * index,
                arm=arm,
                pod=pod.pod,
                indicator=indicator,
                total=pod.total,
                bad=pod.bad,
                weight=weight,
            )


def recording(
    canary: Rate,
    stable: Rate,
    *,
    seed: int = 1,
    minutes: int = 20,
    history_minutes: int = 30,
    rps: float = 100.0,
    weight: float = 0.5,
    tick_seconds: float = 15.0,
    jitter: float = 0.0,
) -> list[str]:
    """A file: stable alone, then both arms. Rates are in time since the canary began."""
    fleet = Fleet(random.Random(seed), rps, tick_seconds, canary, lambda time: stable(time - history_minutes * 60.0), 4)
    fleet.canary_rate = lambda time: canary(time - history_minutes * 60.0)
    if history_minutes == 0:
        fleet.shift(weight, 2)
    lines = list(rows_of(fleet.scrape(), jitter=jitter))
    for _ in range(round(history_minutes * 60 / tick_seconds)):
        lines += rows_of(fleet.tick(), jitter=jitter)
    fleet.shift(weight, 2)
    for _ in range(round(minutes * 60 / tick_seconds)):
        lines += rows_of(fleet.tick(), jitter=jitter)
    return lines


def judged(lines: list[str], **options: object) -> dict[str, object]:
    """The replay's result."""
    return replay(parse_rows(lines), ReplayOptions(**options))  # type: ignore[arg-type]


def test_a_regression_is_rolled_back_with_its_time_and_harm() -> None:
    found = judged(recording(constant(0.05), constant(0.001)))
    assert found["verdict"] == "rollback"
    assert found["reason"] == "Regression"
    assert isinstance(found["decided_at"], float)
    assert 1800 < found["decided_at"] <= 1800 + 120
    assert isinstance(found["harm"], int)
    assert 5 <= found["harm"] <= 250


def test_a_good_canary_is_promoted() -> None:
    found = judged(recording(constant(0.001), constant(0.001)), slo_percent=98.0)
    assert (found["verdict"], found["reason"]) == ("promote", "SafetyShown")


def test_a_good_canary_with_too_little_traffic_is_held() -> None:
    found = judged(recording(constant(0.001), constant(0.001), rps=1.0), slo_percent=99.9)
    assert (found["verdict"], found["decided_at"], found["reason"]) == ("hold", None, "NotProven")


def test_a_fault_that_starts_late_is_found_although_safety_was_shown_before() -> None:
    lines = recording(step_at(900.0, 0.001, 0.05), constant(0.001), minutes=25)
    found = judged(lines, planned_seconds=1500.0, slo_percent=98.0)
    assert found["verdict"] == "rollback"
    assert isinstance(found["decided_at"], float)
    assert 2700 < found["decided_at"] < 2850


def test_promotion_waits_for_the_planned_time_and_then_ends_the_replay() -> None:
    lines = recording(step_at(900.0, 0.001, 0.5), constant(0.001), minutes=25)
    found = judged(lines, planned_seconds=600.0, slo_percent=98.0)
    assert found["verdict"] == "promote"
    assert found["decided_at"] == pytest.approx(1800 + 600, abs=16)


@pytest.mark.parametrize(
    ("tick_seconds", "jitter", "history"),
    [
        pytest.param(5.0, 0.0, 10, id="scraped every 5 s"),
        pytest.param(15.0, 3.7, 10, id="each pod at its own offset"),
        pytest.param(15.0, 3.7, 0, id="no history and offsets"),
        pytest.param(30.0, 0.0, 30, id="scraped every 30 s"),
    ],
)
def test_any_scrape_pattern_counts_every_request_and_no_more(tick_seconds: float, jitter: float, history: int) -> None:
    lines = recording(
        constant(0.0), constant(0.0), tick_seconds=tick_seconds, jitter=jitter, history_minutes=history, minutes=10
    )
    assert to_grid(parse_rows(lines)).tick_seconds == tick_seconds
    found = judged(lines, slo_percent=98.0)
    canary = found["indicators"]["errors"]["canary"]["requests"]  # type: ignore[index]
    assert canary == pytest.approx(100.0 * 0.5 * 600.0, rel=0.07)


def test_counters_that_began_long_before_the_recording_count_from_their_first_sample() -> None:
    lines = [
        row(t=15 * number + 4 * index, arm="stable", pod=f"s{index}", total=10**7 + number, bad=10**6)
        for number in range(20)
        for index in range(3)
    ]
    lines += [row(t=15 * number + 2, pod="c", total=number, bad=0) for number in range(10, 20)]
    stable = judged(lines)["indicators"]["errors"]["stable"]  # type: ignore[index]
    assert stable["bad"] == 0
    assert stable["requests"] <= 60


def test_both_arms_may_number_their_pods_from_zero() -> None:
    lines = [line.replace("canary-", "pod-").replace("stable-", "pod-") for line in
             recording(constant(0.05), constant(0.001))]  # fmt: skip
    assert judged(lines)["verdict"] == "rollback"


def test_recorded_weights_are_gates_that_prove_the_next_exposure() -> None:
    fleet = Fleet(random.Random(2), 400.0, 15.0, constant(0.0005), constant(0.0005), 4)
    lines = list(rows_of(fleet.scrape()))
    for _ in range(40):
        lines += rows_of(fleet.tick())
    for weight, minutes in ((0.1, 10), (0.5, 10), (1.0, 10)):
        fleet.shift(weight, 2)
        for _ in range(minutes * 4):
            lines += rows_of(fleet.tick(), weight=weight * 100.0)
    found = judged(lines, slo_percent=98.0)
    assert (found["verdict"], found["reason"]) == ("promote", "BakePassed")


def test_full_weight_without_proof_before_it_is_held() -> None:
    fleet = Fleet(random.Random(2), 400.0, 15.0, constant(0.0), constant(0.0), 4)
    lines = list(rows_of(fleet.scrape()))
    fleet.shift(1.0, 4)
    for _ in range(40):
        lines += rows_of(fleet.tick(), weight=100)
    assert judged(lines)["verdict"] == "hold"


def test_low_criticality_without_ai_needs_no_proof() -> None:
    lines = recording(constant(0.001), constant(0.001), rps=2.0, minutes=5)
    assert judged(lines, criticality="low", origin="human")["verdict"] == "promote"
    assert judged(lines, criticality="low", origin="ai")["verdict"] == "hold"


def test_slow_requests_are_judged_as_errors_are() -> None:
    fast = recording(constant(0.0), constant(0.0))
    slow = [line.replace('"errors"', '"latency"') for line in recording(constant(0.2), constant(0.01))]
    found = judged(fast + slow)
    assert found["verdict"] == "rollback"
    assert set(found["indicators"]) == {"errors", "latency"}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param([row(arm="stable", t=t) for t in (0, 15, 30)], "NoCanaryRequests", id="stable alone"),
        pytest.param([row(arm="canary", t=t) for t in (0, 15, 30)], "NoCanaryRequests", id="a canary that idles"),
        pytest.param([row(t=5)], "NoCanaryRequests", id="one row"),
        pytest.param([row(t=15 * n, total=100 * n, bad=0) for n in range(60)], "NoStableRequests", id="a canary alone"),
    ],
)
def test_recordings_that_show_nothing_are_held(lines: list[str], reason: str) -> None:
    found = judged(lines)
    assert (found["verdict"], found["decided_at"], found["reason"]) == ("hold", None, reason)


def test_a_hole_in_the_recording_loses_nothing_and_decides_nothing() -> None:
    lines = recording(constant(0.001), constant(0.001))
    holed = [line for line in lines if not 2100 < json.loads(line)["t"] <= 2700]
    found = judged(holed, slo_percent=98.0)
    assert found["verdict"] == "promote"
    whole = judged(lines, slo_percent=98.0)
    assert found["indicators"]["errors"]["canary"] == whole["indicators"]["errors"]["canary"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("{", "no JSON", id="broken JSON"),
        pytest.param("[1]", "no JSON object", id="a list"),
        pytest.param(row(arm="blue"), "\"arm\" is 'blue'", id="an unknown arm"),
        pytest.param(row(t=None), '"t" is missing', id="no time"),
        pytest.param(row(t="now"), "\"t\" is 'now'", id="a time that is no number"),
        pytest.param(row(total=True), '"total" is True', id="a boolean total"),
        pytest.param(row(total=math.nan), '"total" is nan', id="a NaN total"),
        pytest.param(row(bad=math.inf), '"bad" is inf', id="an infinite bad"),
        pytest.param('{"t": 1e999, "arm": "stable"}', '"t" is inf', id="a time beyond every float"),
        pytest.param(row(total=10**400), '"total" is 1', id="an integer beyond every float"),
        pytest.param(row(total=-1, bad=0), "never negative", id="a negative total"),
        pytest.param(row(bad=11), "bad must be a part of total", id="more bad than all"),
        pytest.param(row(pod=""), '"pod" is', id="a pod without a name"),
        pytest.param(row(indicator=None), '"indicator" is None', id="no indicator"),
        pytest.param(row(weight=140), "between 0 and 100", id="a weight beyond everything"),
        pytest.param(row(), "already on line 1", id="the same sample twice"),
    ],
)
def test_a_nonsense_row_is_refused_with_its_line(line: str, says: str) -> None:
    with pytest.raises(ReplayInputError, match=r"^line 3: ") as caught:
        parse_rows([row(), "", line])
    assert says in str(caught.value)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"origin": "martian"}, "origin 'martian'", id="an unknown origin"),
        pytest.param({"criticality": "huge"}, "criticality 'huge'", id="an unknown criticality"),
        pytest.param({"slo_percent": 0.0}, "objective of 0 %", id="an impossible objective"),
        pytest.param({"planned_seconds": -5.0}, "planned time is -5", id="a negative planned time"),
    ],
)
def test_nonsense_options_are_refused_with_a_sentence(options: dict[str, object], says: str) -> None:
    with pytest.raises(ReplayInputError, match=says):
        judged([row()], **options)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ReplayInputError, match="no rows"):
        parse_rows(["", "  "])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_give_the_same_verdict(seed: int, shuffle: random.Random) -> None:
    lines = recording(constant(0.01), constant(0.005), seed=seed, minutes=5, history_minutes=5)
    shuffled = list(lines)
    shuffle.shuffle(shuffled)
    assert judged(lines) == judged(lines)
    assert judged(shuffled) == judged(lines)
    json.dumps(judged(lines), allow_nan=False)
