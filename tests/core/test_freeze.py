"""Freezes: when windows are open, over changes of clocks too, and what they hold and do not hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.api.change import BreakGlass, Denial, Freeze, PolicyDecision, Requirements
from rollwarden.api.enums import Origin, Phase, Tier
from rollwarden.api.policy import (
    Deny,
    FreezeWindow,
    GuardrailPolicySpec,
    PolicyRevision,
    Require,
    Rule,
    When,
)
from rollwarden.core.decide import decide
from rollwarden.core.freeze import current_or_next, flaw, frozen, next_turn, spoken_at, spoken_freeze
from rollwarden.core.messages import denied
from rollwarden.core.policy import Contradiction, Place, Policy, contradiction, decide_policy
from rollwarden.core.times import timestamp, unix
from tests.builders import (
    NOW,
    assessment,
    change,
    classification,
    decision,
    policy,
    rollout,
    seen,
    stable_set,
    vote,
)
from tests.core.outcomes import RELEASED, Row, at_gate, check, each, needs, status_in, table, told, waits
from tests.strategies import examples, freezes

BERLIN = "Europe/Berlin"
HOUR = 3600


def freeze(schedule: str = "0 18 * * 5", hours: float = 60, zone: str = BERLIN, name: str = "weekend") -> Freeze:
    return Freeze(rule="calm", name=name, schedule=schedule, duration=round(hours * HOUR), time_zone=zone)


WEEKEND = freeze()
YEAR_END = freeze("0 8 22 12 *", 14 * 24, name="year-end")
NIGHTLY = freeze("30 2 * * *", 0.5, name="nightly")
MEETING = freeze("0 8 * * *", 1, "UTC", "meeting")  # builders.NOW is a Friday, 08:00 UTC

OPEN: list[tuple[str, tuple[Freeze, ...], str, str | None]] = [
    ("before it opens", (WEEKEND,), "2026-11-20T16:59:59Z", None),
    ("the moment it opens", (WEEKEND,), "2026-11-20T17:00:00Z", "Mon 23 Nov 06:00 CET"),
    ("within", (WEEKEND,), "2026-11-22T12:00:00Z", "Mon 23 Nov 06:00 CET"),
    ("its last second", (WEEKEND,), "2026-11-23T04:59:59Z", "Mon 23 Nov 06:00 CET"),
    ("the moment it ends", (WEEKEND,), "2026-11-23T05:00:00Z", None),
    ("over the change to summer time", (WEEKEND,), "2026-03-28T12:00:00Z", "Mon 30 Mar 07:00 CEST"),
    ("over the change to winter time", (WEEKEND,), "2026-10-24T12:00:00Z", "Mon 26 Oct 05:00 CET"),
    ("a time that is skipped comes right after", (NIGHTLY,), "2026-03-29T01:00:00Z", "Sun 29 Mar 03:30 CEST"),
    ("and not before", (NIGHTLY,), "2026-03-29T00:59:59Z", None),
    ("of a time that comes twice the first", (NIGHTLY,), "2026-10-25T00:45:00Z", "Sun 25 Oct 02:00 CET"),
    ("and not the second", (NIGHTLY,), "2026-10-25T01:45:00Z", None),
    ("within an hour that comes twice", (freeze("15 2 * * *", 2),), "2026-10-25T01:05:00Z", "Sun 25 Oct 03:15 CET"),
    ("of two the one that is open", (WEEKEND, YEAR_END), "2026-12-20T12:00:00Z", "Mon 21 Dec 06:00 CET"),
    ("the longer of two that overlap", (WEEKEND, YEAR_END), "2026-12-26T12:00:00Z", "Tue 5 Jan 08:00 CET"),
    ("begun as another ends", (WEEKEND, freeze("0 6 * * 1", 2)), "2026-11-22T12:00:00Z", "Mon 23 Nov 08:00 CET"),
    ("daily without a gap", (freeze("0 18 * * 1-4", 24),), "2026-11-17T12:00:00Z", "Fri 20 Nov 18:00 CET"),
    ("longer than its own turn", (freeze("0 * * * 6", 3, "UTC"),), "2026-11-21T05:30:00Z", "Sun 22 Nov 02:00 UTC"),
]


@pytest.mark.parametrize(("given_", "at", "until"), [row[1:] for row in OPEN], ids=[row[0] for row in OPEN])
def test_open_until(given_: tuple[Freeze, ...], at: str, until: str | None) -> None:
    found = frozen(given_, unix(at))
    assert (spoken_at(found.until, given_[0].time_zone) if found else None) == until


def test_what_it_waits_for_is_said_with_every_freeze_on_the_way() -> None:
    saturday = unix("2026-12-19T12:00:00Z")
    alone = frozen([WEEKEND], saturday)
    assert alone and spoken_freeze(alone) == 'freeze "weekend" to end Mon 21 Dec 06:00 CET'
    monday = freeze("0 6 * * 1", 26, name="audit")
    both = frozen([WEEKEND, monday, YEAR_END], saturday)
    assert both and spoken_freeze(both) == 'freezes "weekend" and "audit" and "year-end" to end Tue 5 Jan 08:00 CET'


def test_the_window_that_comes_next() -> None:
    found = current_or_next(WEEKEND, unix("2026-11-24T00:00:00Z"))
    assert found and (timestamp(found.start), timestamp(found.end)) == (
        "2026-11-27T17:00:00.000Z",
        "2026-11-30T05:00:00.000Z",
    )
    again = current_or_next(freeze("15 2 * * *", 0.1), unix("2026-10-25T01:10:00Z"))
    assert again and timestamp(again.start) == "2026-10-26T01:15:00.000Z", "02:15 was there already that day"
    assert next_turn([WEEKEND, YEAR_END], unix("2026-11-24T00:00:00Z")) == found.start
    assert next_turn([WEEKEND, YEAR_END], found.start) == found.end
    assert next_turn([], NOW) is None


@given(
    st.sampled_from(["15 2 * * *", "30 2 * * 0", "*/20 * * * *", "0 1-4 * * *", "59 1 29 3 *", "0 3 25 10 *"]),
    st.sampled_from([0.25, 1, 5]),
    st.sampled_from(["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"]),
    st.integers(0, 14 * HOUR),
)
@settings(max_examples=examples(200), deadline=None)
def test_open_is_what_going_forward_from_long_before_finds(schedule: str, hours: float, day: str, later: int) -> None:
    at = unix(day) + later
    start = datetime.fromtimestamp(unix(day) - 2 * 86400, ZoneInfo(BERLIN))
    starts = itertools.takewhile(lambda t: t.timestamp() <= at, CronSim(schedule, start))
    wanted = any(t.timestamp() <= at < t.timestamp() + hours * HOUR for t in starts)
    assert (frozen([freeze(schedule, hours)], at) is not None) is wanted


FLAWS: list[tuple[FreezeWindow, str, str]] = [
    (FreezeWindow(name="x", schedule="61 * * * *", duration="1h"), "schedule", "no cron schedule (bad minute)"),
    (FreezeWindow(name="x", schedule="0 0 * * * *", duration="1h"), "schedule", "no cron schedule (not five fields)"),
    (FreezeWindow(name="x", schedule="0 18 * FOO 5", duration="1h"), "schedule", "(bad month)"),
    (FreezeWindow(name="x", schedule="0 0 30 2 *", duration="1h"), "schedule", "day-of-month"),
    (FreezeWindow(name="x", schedule="0 0 * * 5#", duration="1h"), "schedule", "day-of-week"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="0s"), "duration", "at least 1s"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="400ms"), "duration", "at least 1s"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="8785h"), "duration", "at most 8784h (366 days)"),
    (FreezeWindow(name="x", schedule="0 0 1 1 *", duration="8784h"), "duration", "use deny for never"),
    (FreezeWindow(name="x", schedule="0 0 * * *", duration="24h"), "duration", "no time between them"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="1h", time_zone="Europe/Belin"), "timeZone", "/Belin"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="1h", time_zone="Europe"), "timeZone", "no time zone"),
    (FreezeWindow(name="x", schedule="0 18 * * 5", duration="1h", time_zone="localtime"), "timeZone", "no time zone"),
]


@pytest.mark.parametrize(("window", "field", "what"), FLAWS, ids=lambda value: str(value)[:70])
def test_a_freeze_that_makes_no_sense_is_named_by_field(window: FreezeWindow, field: str, what: str) -> None:
    found = flaw(window)
    assert found and found[0] == field and what in found[1]
    rule = Rule(name="calm", require=Require(freeze=(window,)))
    wrong = contradiction(GuardrailPolicySpec(rules=(rule,)))
    assert wrong == Contradiction(f"spec.rules[0].require.freeze[0].{field}", found[1])


SOUND = [
    FreezeWindow(name="x", schedule="0 18 * * FRI", duration="60h", time_zone=BERLIN),
    FreezeWindow(name="x", schedule="0  0 L * *", duration="24h", time_zone="America/Argentina/Buenos_Aires"),
    FreezeWindow(name="x", schedule="0 8 22 12 *", duration="8000h"),
    FreezeWindow(name="x", schedule="0 0 29 2 *", duration="24h", time_zone="EST5EDT"),
]


@pytest.mark.parametrize("window", SOUND, ids=lambda window: window.schedule)
def test_a_freeze_that_makes_sense(window: FreezeWindow) -> None:
    assert flaw(window) is None
    assert msgspec.convert(msgspec.to_builtins(window), FreezeWindow) == window, "and its schema takes it"


@pytest.mark.parametrize(
    "field", [{"schedule": "@weekly"}, {"schedule": "0 18 * *"}, {"timeZone": "../etc/passwd"}, {"duration": "2 days"}]
)
def test_what_a_pattern_can_refuse_the_schema_refuses(field: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "x", "schedule": "0 18 * * 5", "duration": "1h"} | field, FreezeWindow)


@given(freezes(), freezes(), st.integers(0, 400 * 86400))
@settings(max_examples=examples(60), deadline=None)
def test_another_freeze_never_ends_one_earlier(a: tuple[Freeze, ...], b: tuple[Freeze, ...], later: int) -> None:
    alone, both = frozen(a, NOW + later), frozen({*a, *b}, NOW + later)
    assert alone is None or (both is not None and both.until >= alone.until)


# What it holds

ICE = (MEETING,)
NO_ICE = {"decision": decision()}
ADA = vote("ada@corp")

HELD = table(
    Row(
        "nothing else is missing: Frozen until its end, released by itself then",
        needs(freezes=ICE),
        "frozen",
        waits("Frozen", "Frozen"),
        (
            'waits for freeze "meeting" to end Fri 15 Jan 09:00 UTC; no action needed',
            '(rule "calm")',
            "r1 keeps serving",
        ),
    ),
    Row(
        "approvals are collected meanwhile, and both are said",
        needs(Tier.SENIOR, freezes=ICE),
        "approvals-missing",
        waits("ApprovalsMissing"),
        ('1 senior, and freeze "meeting" to end Fri 15 Jan 09:00 UTC', 'It also waits for freeze "meeting"'),
    ),
    Row(
        "approved: what is left is the freeze",
        needs(Tier.SENIOR, freezes=ICE, votes=(ADA,)),
        "frozen",
        waits("Frozen", "Frozen"),
    ),
    Row(
        "the freeze it was held under holds it, whatever the policy says now",
        needs(freezes=ICE, now=NO_ICE),
        "frozen",
        waits("Frozen", "Frozen"),
    ),
    Row(
        "a freeze declared since holds it too",
        seen(assessment=assessment(decision=decision(freezes=ICE))),
        "frozen",
        waits("Frozen", "Frozen"),
    ),
    Row("at its end it is released", replace(needs(freezes=ICE), now=NOW + HOUR), "released", RELEASED),
    Row("before it opens nothing waits", replace(needs(freezes=ICE), now=NOW - 1), "released", RELEASED),
    Row(
        "the way back to a known good revision is open",
        replace(needs(freezes=ICE), digest=stable_set().digest),
        "known-good",
        RELEASED,
    ),
)


@each(HELD)
def test_held(row: Row) -> None:
    check(row)


def test_it_looks_at_the_clock_when_the_freeze_ends_and_writes_nothing_before() -> None:
    moment = needs(freezes=ICE)
    first = decide(moment)
    assert first.requeue == HOUR
    told_already = change(decision=decision(freezes=ICE), status=status_in(first))
    annotated = rollout(annotations={"rollwarden.dev/message": status_in(first).message})
    for passed in (1.0, 1800.0, HOUR - 0.5):
        later = decide(replace(moment, now=NOW + passed, changes=(told_already,), rollout=annotated))
        assert (later.rule, later.writes) == ("frozen", ())
        assert later.requeue == pytest.approx(HOUR - passed)


def test_a_far_end_is_looked_at_every_hour() -> None:
    outcome = decide(needs(freezes=(freeze("0 0 15 1 *", 14 * 24, "UTC"),)))
    assert (outcome.rule, outcome.requeue) == ("frozen", HOUR)


UNDER_ICE = at_gate(assessment=assessment(decision=decision(freezes=ICE)))
GATES = table(
    Row(
        "one that opens mid-canary holds the next gate",
        UNDER_ICE,
        "frozen-since",
        ("Change 5: Canary Frozen", "Normal Frozen"),
        ('stays at 25 %: it waits for freeze "meeting" to end', "kubectl rollwarden abort checkout -n pay"),
    ),
    Row(
        "said once",
        at_gate(
            assessment=assessment(decision=decision(freezes=ICE)),
            status=msgspec.structs.asdict(status_in(decide(UNDER_ICE))),
        ),
        "frozen-since",
    ),
    Row(
        "when it is over the gate goes on",
        at_gate(status={"reason": "Frozen", "waiting_for": 'freeze "meeting" to end Fri 15 Jan 09:00 UTC'}),
        "thawed",
        ("Change 5: Canary Evidence",),
    ),
    Row(
        "an abort is an abort",
        at_gate(assessment=assessment(decision=decision(freezes=ICE)), argo={"abort": True}),
        "rolled-back",
        ("Change 5: RolledBack AbortedInArgo", "Warning RolledBack"),
    ),
)


@each(GATES)
def test_gates(row: Row) -> None:
    check(row)


def test_what_broke_the_glass_passes() -> None:
    glass = BreakGlass(user="olli", reason="INC-1", time=timestamp(NOW), review_due=timestamp(NOW + 1))
    moment = at_gate(assessment=assessment(decision=decision(freezes=ICE)), status={"break_glass": glass})
    assert decide(moment).rule not in ("frozen-since", "frozen")


def test_a_canary_between_gates_goes_on() -> None:
    going = at_gate(argo={"pause_conditions": None}, assessment=assessment(decision=decision(freezes=ICE)))
    assert decide(going).rule == "under-way"


# Who set a rule

HERE = Place(labels={}, namespace_labels={})
LEDGER = Rule(name="ledger-by-hand", when=When(origins=(Origin.AI,)), require=Require(deny=Deny(message="off-limits")))


def set_by(*history: PolicyRevision) -> PolicyDecision:
    only = policy(rules=(LEDGER,))
    return decide_policy(classification(), [Policy(only.ref, only.spec, history)], HERE)


def test_a_denial_says_who_changed_its_rule_last() -> None:
    found = set_by(
        PolicyRevision(generation=1, time="2026-11-01T08:00:00Z", user="pia", rules=("ledger-by-hand",)),
        PolicyRevision(generation=2, time="2026-11-03T08:00:00Z", user="dana", rules=("ledger-by-hand", "other")),
        PolicyRevision(generation=3, time="2026-11-09T08:00:00Z", user="kim", rules=("other",)),
    ).requirements
    assert [(d.set_by, d.set_at) for d in found.denials] == [("dana", "2026-11-03T08:00:00Z")]
    text = denied(seen(), found)
    assert '(rule "ledger-by-hand", set by dana on 3 Nov); approvals cannot lift this' in text
    assert "or ask dana." in text


def test_where_history_is_silent_a_principal_is_asked() -> None:
    text = denied(seen(), set_by().requirements)
    assert '(rule "ledger-by-hand"); approvals' in text and "or ask a principal." in text


def test_a_denial_is_one_denial_whoever_set_it_again() -> None:
    at_sight = Requirements(denials=(Denial(rule="a", message="no"),))
    now = Requirements(denials=(Denial(rule="a", message="no", set_by="dana", set_at="2026-11-03T08:00:00Z"),))
    outcome = decide(
        seen(
            changes=(change(decision=PolicyDecision(requirements=at_sight)),),
            assessment=assessment(decision=PolicyDecision(requirements=now)),
        )
    )
    assert told(outcome) == waits("OffLimits", "Denied", "Warning")
    assert status_in(outcome).phase is Phase.DENIED
    assert "set by dana on 3 Nov" in status_in(outcome).message
