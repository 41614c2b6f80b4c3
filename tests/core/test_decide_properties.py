"""Never looser: no rule, risk, unreadable claim or vote that is added lets something go that was held without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.api import enums, names
from rollwarden.api.change import ChangeStatus, Classification, Denial, PolicyDecision, Requirements
from rollwarden.api.enums import Decision, Level, Mode, Phase, Preset, Tier, Touch, VerdictResult
from rollwarden.api.policy import Rule
from rollwarden.core.approvals import Vote
from rollwarden.core.classify import Classified, Subject, classify
from rollwarden.core.decide import decide
from rollwarden.core.policy import Place, decide_policy, in_force, join
from rollwarden.core.seen import Evidence, Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import PatchRollout
from tests.builders import (
    BARRIER,
    NOW,
    OWNER_STEPS,
    argo_status,
    assessment,
    change,
    classification,
    evidence,
    ground,
    new_set,
    policy,
    quarantined,
    release,
    rollout,
    seen,
    slots,
    stable_set,
    template,
    vote,
)
from tests.strategies import classifications, examples, paces, rules

from .outcomes import PAUSED, PLAN, RELEASED, at_gate, check_form, gate_entry, told
from .test_policy import at_least_as_strict

LETS_GO = frozenset({"released", "known-good", "gate-passed", "gate-passed-unproven", "promote-gate"})
HERE = Place(labels={}, namespace_labels={})
OTHER_DIGEST = "sha256:" + 64 * "0"


def lets_go(about: Seen) -> bool:
    return decide(about).rule in LETS_GO


def needs_met_by_some() -> st.SearchStrategy[Requirements]:
    """Requirements that the votes here meet about as often as not."""
    return st.builds(
        Requirements,
        approvals=st.sampled_from([(), slots(Tier.PEER), slots(Tier.SENIOR), slots(Tier.SENIOR, Tier.PRINCIPAL)]),
        approval_ttl=st.sampled_from([0, 0, 3600]),
        human_adopter=st.booleans(),
        tests=st.sampled_from(enums.Tests),
        gated=st.booleans(),
        pace=paces(),
        denials=st.sampled_from([(), (), (), (Denial(rule="ledger", message="off-limits"),)]),
    )


def votes() -> st.SearchStrategy[tuple[Vote, ...]]:
    one = st.builds(
        vote,
        st.sampled_from(["ada@corp", "pat@corp", "pia@corp"]),
        st.sampled_from(Tier),
        accept_unproven=st.booleans(),
        acknowledges_quarantine=st.booleans(),
        at=st.sampled_from([NOW - 5, NOW - 5000]),
        level=st.just(Level.PRINCIPAL),
    )
    return st.lists(one, max_size=3).map(tuple)


def held_under(sight: Requirements, now: Requirements, cast: tuple[Vote, ...], bad: bool, able: bool) -> Seen:
    """A held change; ``bad``: its template was rolled back before; ``able``: all evidence there is came with it."""
    mine = change(decision=PolicyDecision(requirements=sight))
    found = classification(human_adopter="jo@corp" if able else None, tests_passed=able)
    before = (quarantined(),) if bad else ()
    assessed = assessment(classification=found, decision=PolicyDecision(requirements=now))
    return seen(changes=(*before, mine), assessment=assessed, votes=cast)


@given(needs_met_by_some(), needs_met_by_some(), votes(), st.booleans(), st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_no_edit_of_a_policy_frees_what_is_held(
    sight: Requirements, now: Requirements, cast: tuple[Vote, ...], bad: bool, able: bool
) -> None:
    """What holds under the requirements at sight, or under those of now, holds under both."""
    if lets_go(held_under(sight, now, cast, bad, able)):
        for alone in (sight, now, join(sight, now)):
            assert lets_go(held_under(alone, alone, cast, bad, able))


def standing(
    sight: Requirements, now: Requirements, cast: tuple[Vote, ...], age: float, found: Evidence | None
) -> Seen:
    return at_gate(
        age=age,
        votes=cast,
        evidence=found,
        about={"decision": PolicyDecision(requirements=sight)},
        assessment=assessment(decision=PolicyDecision(requirements=now)),
    )


def findings() -> st.SearchStrategy[Evidence | None]:
    one = st.builds(
        evidence,
        st.sampled_from([VerdictResult.HOLD, VerdictResult.PROMOTE]),
        gate_index=st.sampled_from([1, 4]),
        no_indicators=st.booleans(),
        blind_since=st.sampled_from([None, None, NOW - 20, NOW - 900]),
    )
    return st.none() | one


@given(needs_met_by_some(), needs_met_by_some(), votes(), st.sampled_from([10.0, 60.0, 900.0, 900.0]), findings())
@settings(max_examples=examples(150), deadline=None)
def test_no_edit_of_a_policy_opens_a_gate(
    sight: Requirements, now: Requirements, cast: tuple[Vote, ...], age: float, found: Evidence | None
) -> None:
    if lets_go(standing(sight, now, cast, age, found)):
        for alone in (sight, now, join(sight, now)):
            assert lets_go(standing(alone, alone, cast, age, found))


@given(st.lists(rules(), max_size=3), rules(), classifications(), votes())
@settings(max_examples=examples(30), deadline=None)
def test_adding_a_rule_never_releases(
    some: list[Rule], more: Rule, found: Classification, cast: tuple[Vote, ...]
) -> None:
    def under(*those: Rule) -> Seen:
        decided = decide_policy(found, in_force([policy(preset=Preset.MEMO, rules=those)], HERE), HERE)
        return seen(assessment=assessment(classification=found, decision=decided), votes=cast)

    if lets_go(under(*some, more)):
        assert lets_go(under(*some))


@given(
    st.lists(rules(), max_size=4),
    classifications(),
    st.sets(st.sampled_from(Touch), max_size=3),
    st.sampled_from([(), ("ledger",), ("search", "refunds")]),
    st.integers(0, 100),
)
@settings(max_examples=examples(30), deadline=None)
def test_touching_more_never_loosens(
    some: list[Rule], found: Classification, touched: set[Touch], areas: tuple[str, ...], share: int
) -> None:
    """Under any rules: more of the template, more areas, a greater share by AI."""
    used = in_force([policy(preset=Preset.MEMO, rules=tuple(some))], HERE)
    worse = msgspec.structs.replace(
        found,
        touches=tuple(sorted({*found.touches, *touched}, key=str)),
        areas=tuple(sorted({*found.areas, *areas})),
        share=None if found.share is None else max(found.share, share),
    )
    before, after = (decide_policy(one, used, HERE).requirements for one in (found, worse))
    assert at_least_as_strict(after, before)


BODY = template("shop:2")
SAID = {
    names.SUBJECT: "shop:2",
    names.ORIGIN: "human",
    names.AUTONOMY: "suggestion",
    names.SHARE: "10",
    names.AUTHORS: "ada@corp",
    names.AREAS: "ledger",
    names.TESTS: "passed",
    names.COVERAGE: "80",
    names.CRITICALITY: "low",
}
UNREADABLE = {
    names.ORIGIN: "robot",
    names.AUTONOMY: "a lot",
    names.SHARE: "half",
    names.AUTHORS: " , ",
    names.AREAS: "",
    names.TESTS: "mostly",
    names.COVERAGE: "much",
    names.CRITICALITY: "urgent",
}


def classified(annotations: dict[str, str]) -> Classified:
    return classify(Subject(annotations, BODY, BODY, {}, {}, "jo@corp"), ())


@given(
    st.sets(st.sampled_from(sorted(SAID))),
    st.sampled_from(sorted(UNREADABLE)),
    st.booleans(),
    st.lists(rules(), max_size=3),
)
@settings(max_examples=examples(30), deadline=None)
def test_a_claim_that_cannot_be_read_is_none_and_is_told(
    keys: set[str], spoiled: str, too_long: bool, some: list[Rule]
) -> None:
    said = {key: SAID[key] for key in keys - {spoiled}}
    without = classified(said)
    having = classified(said | {spoiled: 2000 * "x" if too_long else UNREADABLE[spoiled]})
    assert having.classification == without.classification
    assert [problem.annotation for problem in having.problems] == [spoiled]

    def outcome(found: Classified) -> Any:
        used = in_force([policy(preset=Preset.MEMO, rules=tuple(some))], HERE)
        decided = decide_policy(found.classification, used, HERE)
        return decide(seen(assessment=assessment(classification=found.classification, decision=decided)))

    assert outcome(having) == outcome(without)


@given(needs_met_by_some(), votes(), votes(), st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_votes_that_do_not_count_change_nothing(
    needed: Requirements, cast: tuple[Vote, ...], idle: tuple[Vote, ...], bad: bool
) -> None:
    elsewhere = tuple(replace(one, digest=OTHER_DIGEST, decision=Decision.REJECT) for one in idle)
    alone, beside = (held_under(needed, needed, those, bad, True) for those in (cast, (*cast, *elsewhere)))
    assert (decide(alone).rule, told(decide(alone))) == (decide(beside).rule, told(decide(beside)))


@given(needs_met_by_some(), votes(), votes(), st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_another_approval_never_takes_a_release_back(
    needed: Requirements, cast: tuple[Vote, ...], more: tuple[Vote, ...], bad: bool
) -> None:
    if lets_go(held_under(needed, needed, cast, bad, True)):
        assert lets_go(held_under(needed, needed, (*cast, *more), bad, True))


@given(needs_met_by_some(), votes(), st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_a_rejection_beside_anything_holds(needed: Requirements, cast: tuple[Vote, ...], bad: bool) -> None:
    no = vote("zoe@corp", decision=Decision.REJECT, reason="no")
    assert decide(held_under(needed, needed, (*cast, no), bad, True)).rule == "rejected"


HOLDS = ["", "held-5", "held-0", "released-5", "released-4", "aborted-5", "held-x", "else"]
SETS = [
    stable_set(),
    stable_set(known_good=None),
    stable_set(known_good="no time", ready=0),
    new_set(),
    new_set(hold="released-5", replicas=1, ready=1),
    new_set(hold="released-4", known_good=timestamp(NOW)),
]


@st.composite
def anything(draw: st.DrawFn) -> Seen:
    """Whatever stands together in an API server after people, Argo and crashes had their turn."""
    reported = argo_status(
        phase=draw(st.sampled_from(["", "Healthy", "Progressing", "Paused", "Degraded"])),
        abort=draw(st.booleans()),
        message=draw(st.sampled_from(["", "timed out progressing", "by kim"])),
        promote_full=draw(st.booleans()),
        current_pod_hash=draw(st.sampled_from(["", "aaa", "bbb", "zzz"])),
        stable_rs=draw(st.sampled_from(["", "aaa", "bbb", "zzz"])),
        current_step_index=draw(st.none() | st.integers(0, 7)),
        pause_conditions=draw(st.sampled_from([None, PAUSED])),
        observed_generation=draw(st.sampled_from(["", "5", "6"])),
    )
    of = rollout(
        hold=draw(st.sampled_from(HOLDS)),
        steps=draw(st.sampled_from([None, OWNER_STEPS, (*BARRIER, *OWNER_STEPS), PLAN.steps])),
        generation=draw(st.sampled_from([6, 9])),
        blue_green=draw(st.booleans()),
        replicas=draw(st.sampled_from([None, 0, 4])),
        annotations=draw(st.sampled_from([{}, {names.BREAK_GLASS_BY: "sam@corp"}, {names.CHANGE: "x"}])),
        status=reported,
    )
    status = ChangeStatus(
        phase=draw(st.sampled_from(Phase)),
        release=draw(st.none() | st.just(release(PLAN)) | st.just(release())),
        gates=draw(st.sampled_from([(), (gate_entry(),), (gate_entry(age=900), gate_entry(4))])),
    )
    attempts = draw(st.sets(st.sampled_from(["3", "4", "5", "o5", "o6"]), max_size=3))
    mine = tuple(change(attempt=a, uid=f"change-{a}", status=status) for a in sorted(attempts))
    needed = PolicyDecision(requirements=draw(needs_met_by_some()))
    return seen(
        of=of,
        mode=draw(st.sampled_from(Mode)),
        digest=draw(st.sampled_from([change().spec.template_digest, OTHER_DIGEST])),
        sets=tuple({s.name: s for s in draw(st.lists(st.sampled_from(SETS), max_size=3))}.values()),
        changes=(*mine, *draw(st.sampled_from([(), (quarantined(attempt="2", uid="c2"),)]))),
        assessment=assessment(decision=needed),
        votes=draw(votes()),
        evidence=draw(findings() | st.just(evidence(VerdictResult.ROLLBACK))),
        ground=draw(st.sampled_from([None, ground(4), ground(0)])),
        crash_looping=draw(st.booleans()),
    )


@given(anything())
@settings(max_examples=examples(40), deadline=None)
def test_whatever_is_seen_is_decided(about: Seen) -> None:
    """No exception, plain sentences, well-formed patches; nothing written where the namespace is off."""
    outcome = decide(about)
    check_form(outcome)
    purposes = {write.purpose for write in outcome.writes if isinstance(write, PatchRollout)}
    if about.mode is Mode.OFF:
        assert outcome.writes == ()
    if "release" in purposes:
        assert about.hold.startswith(names.HELD) and told(outcome)[1:2] == RELEASED[1:2]
    if purposes & {"abort", "promote past the gate", "restore the owner's steps"}:
        assert about.hold.startswith(names.RELEASED)
