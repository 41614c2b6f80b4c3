"""Verdicts: a table of situations, each a sentence; then what holds for all of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.judge import (
    Facts,
    Gate,
    JudgeParameters,
    PodCounter,
    Tick,
    begin,
    decide,
    enter_gate,
    observe,
)
from tests.judge.builders import Counts, flow, gate, parameters, pods, tick, watch

CLEAN = (1000.0, 0.0, 1000.0, 0.0)
LIGHT = (100.0, 0.0, 100.0, 0.0)
EQUAL = (1000.0, 5.0, 1000.0, 5.0)
FAILING = (1000.0, 50.0, 1000.0, 1.0)
IDLE = (0.0, 0.0, 1000.0, 0.0)
ALONE = (1000.0, 1.0, 0.0, 0.0)
MEDIUM = parameters()


@pytest.mark.parametrize(
    ("ticks", "at", "expected"),
    [
        pytest.param([CLEAN] * 12, gate(), ("Promote", "SafetyShown"), id="clean and enough requests: promote"),
        pytest.param([LIGHT] * 4, gate(), ("Hold", "NotProven"), id="too few requests: not proven"),
        pytest.param([CLEAN] * 12, gate(soak_seconds=600), ("Hold", "Soaking"), id="proven before its soak: soaking"),
        pytest.param([CLEAN] * 12, None, ("Hold", "BetweenGates"), id="no gate entered: between gates"),
        pytest.param([FAILING] * 4, gate(), ("Rollback", "Regression"), id="5 % against 0.1 %: regression"),
        pytest.param([FAILING] * 4, None, ("Rollback", "Regression"), id="a regression needs no gate"),
        pytest.param([FAILING] * 4, gate(kind="Watch"), ("Rollback", "Regression"), id="nor a gate that proves"),
        pytest.param([CLEAN] * 12 + [FAILING] * 3, gate(), ("Rollback", "Regression"), id="a late fault is found"),
        pytest.param([EQUAL] * 2, gate(kind="Watch", soak_seconds=60), ("Hold", "Soaking"), id="a watch waits"),
        pytest.param([EQUAL] * 8, gate(kind="Watch", soak_seconds=60), ("Promote", "SoakPassed"), id="then passes"),
        pytest.param([IDLE] * 4, gate(), ("Hold", "NoCanaryRequests"), id="no canary requests: neither pass nor fail"),
        pytest.param([ALONE] * 4, gate(), ("Hold", "NoStableRequests"), id="no stable requests: nothing to compare"),
        pytest.param(
            [IDLE] * 12, gate(), ("Rollback", "NotServing"), id="routed, ready and serving nothing: roll back"
        ),
        pytest.param(
            [IDLE] * 12,
            gate(router_weighted=False),
            ("Hold", "CanaryStarved"),
            id="shares by replica counts: kept-alive connections may explain it",
        ),
        pytest.param(
            [(0.0, 0.0, 4.0, 0.0)] * 12,
            gate(weight=0.25),
            ("Hold", "CanaryStarved"),
            id="too few requests expected: hold",
        ),
        pytest.param(
            [(1000.0, 30.0, 1000.0, 30.0)] * 12, gate(), ("Hold", "StableBurning"), id="stable burns: no yardstick"
        ),
        pytest.param(
            [ALONE] * 12, gate(kind="Bake", weight=1.0, soak_seconds=150), ("Promote", "BakePassed"), id="a clean bake"
        ),
        pytest.param(
            [ALONE] * 4,
            gate(kind="Bake", weight=1.0, soak_seconds=150),
            ("Hold", "Soaking"),
            id="a bake takes its time",
        ),
        pytest.param(
            [(0.0, 0.0, 0.0, 0.0)] * 20,
            gate(kind="Bake", weight=1.0),
            ("Hold", "NoCanaryRequests"),
            id="a bake without requests shows nothing",
        ),
        pytest.param(
            [(1000.0, 40.0, 0.0, 0.0)] * 12,
            gate(kind="Bake", weight=1.0),
            ("Hold", "ServiceBurning"),
            id="4 % at full weight: page and hold, it may not be the change",
        ),
        pytest.param(
            [(1000.0, 200.0, 0.0, 0.0)] * 12,
            gate(kind="Bake", weight=1.0),
            ("Rollback", "ObjectiveBurned"),
            id="20 % at full weight: the budget of two days an hour",
        ),
    ],
)
def test_verdicts(ticks: list[tuple[float, float, float, float]], at: Gate | None, expected: tuple[str, str]) -> None:
    _, verdict = watch(flow(ticks), MEDIUM, at)
    assert (verdict.result, verdict.reason) == expected
    assert verdict.detail


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(Facts(never_ready=True), ("Rollback", "NeverReady", True), id="never ready by its deadline"),
        pytest.param(Facts(crash_looping=True), ("Rollback", "CrashLoopBackOff", True), id="crash looping"),
        pytest.param(Facts(stable_ready=False), ("Hold", "StableBurning", False), id="stable is not ready"),
    ],
)
def test_facts_of_the_cluster(facts: Facts, expected: tuple[str, str, bool]) -> None:
    _, verdict = watch(flow([CLEAN] * 12), MEDIUM, gate(), facts=facts)
    assert (verdict.result, verdict.reason, verdict.hard) == expected


def test_hard_rules_need_no_data() -> None:
    verdict = decide(begin(MEDIUM), MEDIUM, Facts(never_ready=True))
    assert (verdict.result, verdict.hard) == ("Rollback", True)
    assert decide(begin(MEDIUM), MEDIUM, Facts()).reason == "NoData"


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        pytest.param([Tick.unanswered(13, 195.0)], "NoData", id="one tick without an answer"),
        pytest.param([Tick.unanswered(n, n * 15.0) for n in (13, 14, 15)], "Blind", id="three in a row"),
        pytest.param(
            [tick(13, {"c": (13000, 0)}, {"s": (13000, 0)}, partial=True)], "PartialAnswer", id="a partial answer"
        ),
        pytest.param([Tick(n, n * 15.0, (), ()) for n in (13, 14)], "NoCanaryRequests", id="empty answers"),
        pytest.param([tick(13, {}, {"s": (13000, 0)})], "NoCanaryRequests", id="the canary is missing"),
        pytest.param([tick(13, {"c": (math.nan, 0)}, {"s": (13000, 0)})], "NotFinite", id="NaN"),
        pytest.param([tick(13, {"c": (13000, -1)}, {"s": (13000, 0)})], "Negative", id="a negative counter"),
        pytest.param([tick(13, {"c": (13000, 13001)}, {"s": (13000, 0)})], "BadExceedsTotal", id="more bad than all"),
        pytest.param(
            [Tick(13, 195.0, (*pods({"c": (13000, 0)}), PodCounter("c", 1.0, 0.0)), ())],
            "DuplicatePod",
            id="a pod twice",
        ),
    ],
)
def test_bad_data_holds_even_a_proven_canary_and_heals(after: list[Tick], reason: str) -> None:
    state, verdict = watch(flow([CLEAN] * 12), MEDIUM, gate())
    assert verdict.result == "Promote"
    for seen in after:
        state = observe(state, {"errors": seen}, MEDIUM)
    held = decide(state, MEDIUM, Facts())
    assert (held.result, held.reason) == ("Hold", reason)
    last = after[-1].number + 1
    for number in (last, last + 1):
        healed = tick(number, {"c": (1000 * number, 0)}, {"s": (1000 * number, 0)})
        state = observe(state, {"errors": healed}, MEDIUM)
    assert decide(state, MEDIUM, Facts()).result == "Promote"


def test_a_canary_that_was_never_scraped_is_held_and_paged_but_not_rolled_back() -> None:
    ticks = [tick(n, {}, {"s": (1000 * n, 0)}) for n in range(20)]
    _, verdict = watch(ticks, MEDIUM, gate())
    assert (verdict.result, verdict.reason, verdict.page) == ("Hold", "CanaryStarved", True)


def test_an_idle_service_without_any_series_does_not_stop_a_watch() -> None:
    ticks = [Tick(n, n * 15.0, (), ()) for n in range(8)]
    assert watch(ticks, MEDIUM, gate(kind="Watch", soak_seconds=60))[1].reason == "SoakPassed"
    assert watch(ticks, MEDIUM, gate())[1].reason == "NoData"


def test_bad_data_never_rolls_back() -> None:
    """A canary whose counters are impossible for an hour is held for an hour."""
    ticks = [tick(0, {"c": (0, 0)}, {"s": (0, 0)})]
    ticks += [tick(n, {"c": (1000 * n, 2000 * n)}, {"s": (1000 * n, 0)}) for n in range(1, 240)]
    _, verdict = watch(ticks, MEDIUM, gate(weight=0.01, router_weighted=False))
    assert verdict.result == "Hold"


def test_partial_answers_alone_never_prove_safety() -> None:
    ticks = flow([CLEAN] * 30)
    partial = [Tick(seen.number, seen.time, seen.canary, seen.stable, partial=True) for seen in ticks]
    last = tick(31, {"c": (31000, 0)}, {"s": (31000, 0)})
    _, verdict = watch([*partial, last], MEDIUM, gate())
    assert (verdict.result, verdict.reason) == ("Hold", "NotProven")


def test_a_counter_reset_changes_no_verdict() -> None:
    """Stable and canary restart in the middle: still safe, with every request counted."""
    steps = flow([CLEAN] * 6)
    reset = [tick(6 + n, {"c": (1000 * n, 0)}, {"s": (1000 * n, 0)}) for n in range(1, 7)]
    _, verdict = watch([*steps, *reset], MEDIUM, gate())
    assert verdict.result == "Promote"
    assert verdict.canary_requests == 12000.0


def test_the_figures_of_a_rollback() -> None:
    """612 canary requests with 18 failures against 0.1 % on stable: about 17 harmed."""
    steps = [(204.0, 6.0, 5000.0, 5.0)] * 3
    _, verdict = watch(flow(steps), MEDIUM, gate(weight=0.05))
    assert verdict.result == "Rollback"
    assert (verdict.canary_requests, verdict.canary_failed) == (612.0, 18.0)
    assert verdict.harmed == pytest.approx(18 - 612 * 0.001)
    assert verdict.canary_rate == pytest.approx(18 / 612)
    assert verdict.stable_rate == pytest.approx(0.001)


def test_the_outlook_of_a_hold_comes_true() -> None:
    _, early = watch(flow([LIGHT] * 4), MEDIUM, gate())
    assert early.reason == "NotProven"
    assert early.needed is not None
    assert early.eta_seconds is not None
    ticks = math.ceil(early.needed / 100.0)
    assert watch(flow([LIGHT] * ticks), MEDIUM, gate())[1].result == "Hold"
    assert watch(flow([LIGHT] * (ticks + 1)), MEDIUM, gate())[1].result == "Promote"


def test_recovery_asks_only_whether_the_canary_is_no_worse() -> None:
    """Stable fails at 30 %: an ordinary change holds, a hotfix is through after tens of requests."""
    steps = [(10.0, 0.0, 30.0, 9.0)] * 6
    ordinary = parameters(ai=True, criticality="Critical")
    assert watch(flow(steps), ordinary, gate(weight=0.25))[1].reason == "StableBurning"
    recovery = parameters(ai=True, criticality="Critical", recovery=True)
    _, verdict = watch(flow(steps), recovery, gate(weight=0.25))
    assert (verdict.result, verdict.stable_burning) == ("Promote", True)
    assert verdict.canary_requests <= 100.0


def test_a_new_gate_starts_its_proof_anew_but_not_the_rollback_evidence() -> None:
    state, verdict = watch(flow([EQUAL] * 40), MEDIUM, gate())
    assert verdict.result == "Promote"
    entered = enter_gate(state, gate(started_tick=40))
    after = decide(entered, MEDIUM, Facts())
    assert (after.result, after.reason) == ("Hold", "NoCanaryRequests")
    assert after.evidence == verdict.evidence


def two_indicators(chosen: JudgeParameters, errors: list[Tick], latency: list[Tick]) -> tuple[str, str]:
    """The verdict over both indicators."""
    state = begin(chosen)
    for index, (first, second) in enumerate(zip(errors, latency, strict=True)):
        state = observe(state, {"errors": first, "latency": second}, chosen)
        if index == 0:
            state = enter_gate(state, gate())
    verdict = decide(state, chosen, Facts())
    return verdict.result, verdict.reason


@pytest.mark.parametrize(
    ("errors", "latency", "expected"),
    [
        pytest.param(CLEAN, CLEAN, ("Promote", "SafetyShown"), id="both safe"),
        pytest.param(CLEAN, FAILING, ("Rollback", "Regression"), id="slow requests alone roll back"),
        pytest.param(FAILING, CLEAN, ("Rollback", "Regression"), id="errors alone roll back"),
        pytest.param(CLEAN, (1000.0, 30.0, 1000.0, 19.0), ("Hold", "NotProven"), id="one required proof is missing"),
    ],
)
def test_two_indicators(
    errors: tuple[float, float, float, float],
    latency: tuple[float, float, float, float],
    expected: tuple[str, str],
) -> None:
    chosen = parameters(kinds=("Errors", "Latency"))
    assert two_indicators(chosen, list(flow([errors] * 12)), list(flow([latency] * 12))) == expected


def test_no_indicator_proves_nothing_but_a_watch_goes_on() -> None:
    none = parameters(kinds=())
    state = enter_gate(begin(none), gate())
    assert decide(state, none, Facts()).reason == "NoIndicators"
    watched = enter_gate(begin(none), gate(kind="Watch"))
    assert decide(watched, none, Facts()).reason == "SoakPassed"


@pytest.mark.parametrize(
    ("ticks", "sentence"),
    [
        pytest.param({"nonsense": tick(0, {}, {})}, "no such indicator", id="an unknown indicator"),
        pytest.param({}, "one grid tick", id="no tick at all"),
    ],
)
def test_misuse_is_an_error_with_a_sentence(ticks: dict[str, Tick], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        observe(begin(MEDIUM), ticks, MEDIUM)


def test_a_gate_needs_shares() -> None:
    with pytest.raises(ValueError, match="shares"):
        enter_gate(begin(MEDIUM), gate(weight=33.0))


def test_each_loss_of_state_halves_the_evidence() -> None:
    fresh, once = begin(MEDIUM), begin(MEDIUM, losses=1)
    for seen in flow([FAILING] * 2):
        fresh, once = (observe(state, {"errors": seen}, MEDIUM) for state in (fresh, once))
    ratio = decide(fresh, MEDIUM, Facts()).evidence / decide(once, MEDIUM, Facts()).evidence
    assert ratio == pytest.approx(2.0)


increments = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0, 0.2), st.integers(0, 300), st.floats(0, 0.2)), min_size=2, max_size=15
)


@settings(max_examples=60, deadline=None)
@given(increments, st.data())
def test_another_canary_failure_never_takes_a_rollback_back(
    steps: list[tuple[int, float, int, float]], data: st.DataObject
) -> None:
    counts = [(float(n), float(n * p // 1), float(m), float(m * q // 1)) for n, p, m, q in steps]
    worse = list(counts)
    index = data.draw(st.integers(0, len(counts) - 1))
    total, bad, stable, stable_bad = counts[index]
    worse[index] = (total, min(total, bad + 5), stable, stable_bad)
    before, after = (watch(flow(chosen), MEDIUM, gate())[1] for chosen in (counts, worse))
    assert after.evidence >= before.evidence - 1e-9
    assert before.result != "Rollback" or after.result == "Rollback"
    assert after.result != "Promote" or before.result == "Promote" or before.reason == "Soaking"


@settings(max_examples=40, deadline=None)
@given(increments, st.permutations(["a", "b", "c"]))
def test_the_order_of_pods_never_matters(steps: list[tuple[int, float, int, float]], order: list[str]) -> None:
    def ticks(names: list[str]) -> list[Tick]:
        totals, found = [0, 0, 0, 0], []
        for number, (n, p, m, q) in enumerate([(0, 0.0, 0, 0.0), *steps]):
            added = (n, math.floor(n * p), m, math.floor(m * q))
            totals = [total + value for total, value in zip(totals, added, strict=True)]
            canary: Counts = dict.fromkeys(names, (totals[0], totals[1]))
            found.append(tick(number, canary, {f"s{name}": (totals[2], totals[3]) for name in names}))
        return found

    assert watch(ticks(["a", "b", "c"]), MEDIUM, gate()) == watch(ticks(order), MEDIUM, gate())
