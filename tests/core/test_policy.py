"""What a change needs: the presets as tables, the join as a lattice, adding rules and risks as properties."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.api import enums
from rollwarden.api.change import Author, Classification, CountedApproval, Pace, Requirements
from rollwarden.api.enums import (
    ApprovalSource,
    AtMaximum,
    Autonomy,
    Criticality,
    EvidenceLevel,
    Level,
    Origin,
    Preset,
    Tier,
    Touch,
)
from rollwarden.api.meta import LabelSelector
from rollwarden.api.policy import (
    CanaryProfile,
    Deny,
    Floors,
    GuardrailPolicySpec,
    Require,
    Rule,
    When,
)
from rollwarden.core.approvals import open_slots
from rollwarden.core.policy import (
    BAKE_SECONDS,
    Place,
    Policy,
    applies,
    decide_policy,
    in_force,
    join,
    strictest,
    unmet_evidence,
)
from tests.builders import classification, policy, slots
from tests.strategies import classifications, examples, profiles, requirement_sets, rules

HERE = Place(labels={"app": "checkout"}, namespace_labels={"team": "pay"})
MEMO = (policy(preset=Preset.MEMO),)
PROPORTIONAL = (policy(preset=Preset.PROPORTIONAL),)
S, P, PEER = Tier.SENIOR, Tier.PRINCIPAL, Tier.PEER
ALL_LEVELS = tuple(Level)


def needs(policies: tuple[Policy, ...], **fields: object) -> Requirements:
    found = classification(**fields)
    return decide_policy(found, in_force(policies, HERE), HERE).requirements


def by(level: Level) -> tuple[Author, ...]:
    return (Author(name="jo@corp", level=level),)


MEMO_TABLE = [
    # criticality, autonomy, author levels, who approves
    (Criticality.LOW, Autonomy.ASSISTED, ALL_LEVELS, ()),
    (Criticality.LOW, Autonomy.AGENT, ALL_LEVELS, ()),
    (Criticality.MEDIUM, Autonomy.ASSISTED, (Level.JUNIOR, Level.MID), (S,)),
    (Criticality.MEDIUM, Autonomy.ASSISTED, (Level.SENIOR, Level.PRINCIPAL), ()),
    (Criticality.MEDIUM, Autonomy.AGENT, (Level.JUNIOR, Level.MID), (S,)),
    (Criticality.HIGH, Autonomy.ASSISTED, ALL_LEVELS, (S,)),
    (Criticality.HIGH, Autonomy.AGENT, ALL_LEVELS, (S,)),
    (Criticality.CRITICAL, Autonomy.ASSISTED, ALL_LEVELS, (S,)),
    (Criticality.CRITICAL, Autonomy.AGENT, ALL_LEVELS, (S, P)),
]
ROWS = [(c, a, level, tiers) for c, a, levels, tiers in MEMO_TABLE for level in levels]


@pytest.mark.parametrize(("criticality", "autonomy", "level", "tiers"), ROWS, ids=lambda value: str(value))
def test_memo(criticality: Criticality, autonomy: Autonomy, level: Level, tiers: tuple[Tier, ...]) -> None:
    found = needs(MEMO, criticality=criticality, autonomy=autonomy, authors=by(level))
    assert found.approvals == slots(*tiers)
    wants_adopter = autonomy is Autonomy.AGENT and criticality >= Criticality.HIGH
    assert found.human_adopter is wants_adopter
    assert not found.denials


@pytest.mark.parametrize(("criticality", "autonomy", "level", "tiers"), ROWS, ids=lambda value: str(value))
def test_proportional_asks_only_a_peer_on_medium(
    criticality: Criticality, autonomy: Autonomy, level: Level, tiers: tuple[Tier, ...]
) -> None:
    found = needs(PROPORTIONAL, criticality=criticality, autonomy=autonomy, authors=by(level))
    on_medium = criticality is Criticality.MEDIUM
    assert found.approvals == slots(*(PEER if on_medium else tier for tier in tiers))


@pytest.mark.parametrize("origin", [Origin.HUMAN, Origin.UNKNOWN, Origin.AUTOMATION], ids=str)
@pytest.mark.parametrize("criticality", Criticality, ids=str)
def test_presets_ask_nobody_where_no_ai_was(origin: Origin, criticality: Criticality) -> None:
    for preset in (MEMO, PROPORTIONAL):
        found = needs(preset, origin=origin, criticality=criticality)
        assert found.approvals == ()
        assert found.gated is (criticality > Criticality.LOW), "low without AI has no gate at all"


def test_without_any_policy_memo_is_in_force() -> None:
    (only,) = in_force((), HERE)
    assert only.ref.name == "preset:memo"
    elsewhere = policy(namespace_selector=LabelSelector(match_labels={"team": "search"}))
    assert in_force([elsewhere], HERE) == (only,), "a policy that selects other namespaces is none here"


def test_of_two_authors_the_lower_level_decides() -> None:
    authors = (*by(Level.PRINCIPAL), Author(name="kim", level=Level.MID))
    assert needs(MEMO, criticality=Criticality.MEDIUM, authors=authors).approvals == slots(S)


def test_nobody_known_is_a_junior() -> None:
    assert needs(MEMO, criticality=Criticality.MEDIUM, authors=()).approvals == slots(S)


WHEN: list[tuple[str, When, dict[str, object], bool]] = [
    ("an empty when matches all", When(), {}, True),
    ("one of the origins", When(origins=(Origin.AI, Origin.UNKNOWN)), {"origin": Origin.UNKNOWN}, True),
    ("none of the origins", When(origins=(Origin.HUMAN,)), {"origin": Origin.AI}, False),
    ("autonomy of at least", When(min_autonomy=Autonomy.ASSISTED), {"autonomy": Autonomy.AGENT}, True),
    ("autonomy below", When(min_autonomy=Autonomy.ASSISTED), {"autonomy": Autonomy.SUGGESTION}, False),
    ("no autonomy at all", When(min_autonomy=Autonomy.SUGGESTION), {"autonomy": None}, False),
    ("a share nobody stated counts as all", When(min_share=80), {"share": None}, True),
    ("a share below", When(min_share=80), {"share": 79}, False),
    ("criticality of at least", When(min_criticality=Criticality.HIGH), {"criticality": Criticality.CRITICAL}, True),
    ("criticality below", When(min_criticality=Criticality.HIGH), {"criticality": Criticality.MEDIUM}, False),
    ("an author at most", When(max_author_level=Level.MID), {"authors": by(Level.SENIOR)}, False),
    ("one of the touches", When(touches=(Touch.IMAGE, Touch.ENV)), {"touches": (Touch.ENV, Touch.PROBES)}, True),
    ("none of the touches", When(touches=(Touch.IMAGE,)), {"touches": (Touch.PROBES,)}, False),
    ("one of the areas", When(areas=("ledger",)), {"areas": ("search", "ledger")}, True),
    ("none of the areas", When(areas=("ledger",)), {"areas": ()}, False),
    ("the namespace", When(namespace_selector=LabelSelector(match_labels={"team": "pay"})), {}, True),
    ("another namespace", When(namespace_selector=LabelSelector(match_labels={"team": "x"})), {}, False),
    ("another rollout", When(rollout_selector=LabelSelector(match_labels={"app": "x"})), {}, False),
]


@pytest.mark.parametrize(("when", "fields", "expected"), [row[1:] for row in WHEN], ids=[row[0] for row in WHEN])
def test_applies(when: When, fields: dict[str, object], expected: bool) -> None:
    assert applies(when, classification(**fields), HERE) is expected


def test_the_rules_that_matched_are_named_once_each() -> None:
    free = Rule(name="free", require=Require())
    never = Rule(name="never", when=When(origins=(Origin.HUMAN,)), require=Require())
    found = decide_policy(classification(), [policy("a", rules=(free, never)), policy("b", rules=(free,))], HERE)
    assert found.rules == ("free",)
    assert [ref.name for ref in found.policies] == ["a", "b"]


def test_a_denial_is_kept_beside_everything_else() -> None:
    deny = Rule(name="ledger", require=Require(deny=Deny(message="off-limits")))
    found = needs((policy(rules=(deny,)),))
    assert [(d.rule, d.message) for d in found.denials] == [("ledger", "off-limits")]


@pytest.mark.parametrize("criticality", Criticality)
@pytest.mark.parametrize("autonomy", Autonomy)
def test_what_an_agent_wrote_for_an_important_service_takes_an_adopter(
    criticality: Criticality, autonomy: Autonomy
) -> None:
    """Under a policy that asks for nothing, too."""
    found = needs((policy(),), origin=Origin.AI, autonomy=autonomy, criticality=criticality)
    assert found.human_adopter == (autonomy is Autonomy.AGENT and criticality >= Criticality.HIGH)


def test_floors_count_in_every_policy_that_is_in_force() -> None:
    found = needs(
        (policy("a", floors=Floors(objective_percent="99")), policy("b", floors=Floors(objective_percent="98")))
    )
    assert found.objective_floor == "99"


@pytest.mark.parametrize("criticality", Criticality, ids=str)
def test_without_a_profile_the_bake_follows_criticality(criticality: Criticality) -> None:
    found = needs((policy(),), criticality=criticality)
    assert found.pace.bake == BAKE_SECONDS[criticality]
    assert found.gated, "AI has a gate at any criticality"


def profiled(**fields: object) -> Requirements:
    profile = CanaryProfile(name="slow", **fields)  # type: ignore[arg-type]
    rule = Rule(name="any", require=Require(profile="slow"))
    return needs((policy(rules=(rule,), profiles=(profile,)),), criticality=Criticality.CRITICAL)


def test_a_profile_decides_the_pace_where_it_is_the_only_one() -> None:
    """Also where it is quicker than the built-in values, which stand only where nobody says anything."""
    pace = profiled(max_step="10m", warm_up="2m", cold_phi=3, bake="20s", min_soak="5s").pace
    assert (pace.max_step, pace.warm_up, pace.cold_phi, pace.bake, pace.min_soak) == (600, 120, 3, 20, 5)


def test_a_profile_without_a_bake_takes_that_of_the_criticality() -> None:
    assert profiled().pace.bake == BAKE_SECONDS[Criticality.CRITICAL]


def test_ai_and_critical_changes_never_pass_silently_at_the_maximum() -> None:
    assert profiled(at_maximum=AtMaximum.PROMOTE).pace.at_maximum is AtMaximum.HOLD


def test_a_preset_comes_with_its_profiles_and_a_profile_of_the_same_name_replaces_one() -> None:
    own = CanaryProfile(name="careful", weights=(1,))
    (only,) = in_force([policy(preset=Preset.MEMO, profiles=(own,))], HERE)
    assert {p.name: p.weights for p in only.spec.profiles} == {"standard": (10, 50), "careful": (1,)}


UNMET = [
    ("nothing is asked", Requirements(), {}, EvidenceLevel.E0, ""),
    ("an adopter", Requirements(human_adopter=True), {}, EvidenceLevel.E0, "adopts"),
    ("an adopter who is there", Requirements(human_adopter=True), {"human_adopter": "jo"}, EvidenceLevel.E0, ""),
    ("passing tests", Requirements(tests=enums.Tests.PASSED), {}, EvidenceLevel.E0, "passing tests"),
    ("tests that passed", Requirements(tests=enums.Tests.PASSED), {"tests_passed": True}, EvidenceLevel.E0, ""),
    ("evidence", Requirements(min_evidence_level=EvidenceLevel.E2), {}, EvidenceLevel.E1, "level E2 (this has E1)"),
    ("evidence that suffices", Requirements(min_evidence_level=EvidenceLevel.E1), {}, EvidenceLevel.E2, ""),
]


@pytest.mark.parametrize(
    ("required", "fields", "level", "expected"), [row[1:] for row in UNMET], ids=[row[0] for row in UNMET]
)
def test_unmet_evidence(required: Requirements, fields: dict[str, object], level: EvidenceLevel, expected: str) -> None:
    found = unmet_evidence(required, classification(**fields), level)
    assert expected in found and bool(expected) is bool(found)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param((PEER,), (S,), (S,), id="a senior is a peer too"),
        pytest.param((S,), (S, P), (S, P), id="what one rule asks of two people stays two people"),
        pytest.param((PEER, PEER), (S,), (PEER, S), id="two people, one of them a senior"),
        pytest.param((S,), (P,), (P,), id="a principal is a senior too"),
        pytest.param((), (S,), (S,), id="nothing adds nothing"),
    ],
)
def test_slots_of_two_rules(one: tuple[Tier, ...], other: tuple[Tier, ...], both: tuple[Tier, ...]) -> None:
    a, b = Requirements(approvals=slots(*one)), Requirements(approvals=slots(*other))
    assert join(a, b).approvals == slots(*both)


# The lattice


def at_least_as_strict(a: Requirements, b: Requirements) -> bool:
    """Whether whoever meets ``a`` meets ``b``. The pace is compared where ``b`` chose one by a profile."""
    people = [
        CountedApproval(tier=slot.tier, user=f"{slot.tier}-{number}", source=ApprovalSource.OBJECT)
        for slot in a.approvals
        for number in range(slot.count)
    ]
    return (
        not open_slots(b.approvals, people)
        and (not b.approval_ttl or 0 < a.approval_ttl <= b.approval_ttl)
        and a.min_evidence_level >= b.min_evidence_level
        and a.tests >= b.tests
        and a.human_adopter >= b.human_adopter
        and a.gated >= b.gated
        and {(d.rule, d.message) for d in a.denials} >= {(d.rule, d.message) for d in b.denials}
        and set(a.freezes) >= set(b.freezes)
        and float(a.objective_floor or 0) >= float(b.objective_floor or 0)
        and set(a.required_indicators) >= set(b.required_indicators)
        and (not b.pace.profiles or _no_faster(a.pace, b.pace))
    )


def _no_faster(a: Pace, b: Pace) -> bool:
    return (
        set(a.weights) >= set(b.weights)
        and a.min_soak >= b.min_soak
        and a.max_step >= b.max_step
        and a.bake >= b.bake
        and a.warm_up <= b.warm_up
        and a.cold_phi >= b.cold_phi
        and a.at_maximum >= b.at_maximum
        and a.on_blind >= b.on_blind
        and a.on_no_indicators >= b.on_no_indicators
    )


@given(requirement_sets(), requirement_sets(), requirement_sets())
@settings(max_examples=examples(100), deadline=None)
def test_the_join_is_a_join(a: Requirements, b: Requirements, c: Requirements) -> None:
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a
    assert strictest([a]) == a, "what asks for nothing changes nothing"


@given(requirement_sets(), requirement_sets())
@settings(max_examples=examples(100), deadline=None)
def test_the_join_is_at_least_as_strict_as_each(a: Requirements, b: Requirements) -> None:
    assert at_least_as_strict(join(a, b), a)
    assert at_least_as_strict(join(a, b), b)


@given(st.lists(rules(), max_size=4), rules(), classifications())
@settings(max_examples=examples(150), deadline=None)
def test_adding_a_rule_never_loosens(some: list[Rule], more: Rule, found: Classification) -> None:
    before = decide_policy(found, in_force([policy(preset=Preset.MEMO, rules=tuple(some))], HERE), HERE)
    both = policy(preset=Preset.MEMO, rules=(*some, more))
    after = decide_policy(found, in_force([both], HERE), HERE)
    assert at_least_as_strict(after.requirements, before.requirements)


@given(rules(), profiles("careful"), classifications())
@settings(max_examples=examples(100), deadline=None)
def test_adding_a_policy_never_loosens(rule: Rule, profile: CanaryProfile, found: Classification) -> None:
    first = policy("a", preset=Preset.MEMO)
    second = Policy(first.ref, GuardrailPolicySpec(rules=(rule,), profiles=(profile,)))
    before = decide_policy(found, in_force([first], HERE), HERE)
    after = decide_policy(found, in_force([first, second], HERE), HERE)
    assert at_least_as_strict(after.requirements, before.requirements)


@given(classifications(), st.sampled_from([MEMO, PROPORTIONAL]))
@settings(max_examples=examples(100), deadline=None)
def test_adding_a_risk_never_loosens(found: Classification, policies: tuple[Policy, ...]) -> None:
    """More critical, more autonomous, from AI, by someone less experienced."""
    used = in_force(policies, HERE)

    def asked(one: Classification) -> Requirements:
        return decide_policy(one, used, HERE).requirements

    base = msgspec.structs.replace(found, origin=Origin.AI, autonomy=found.autonomy or Autonomy.ASSISTED)
    assert at_least_as_strict(asked(base), asked(msgspec.structs.replace(found, origin=Origin.HUMAN, autonomy=None)))
    for lower, higher in itertools.pairwise(Criticality):
        a, b = (asked(msgspec.structs.replace(base, criticality=c)) for c in (higher, lower))
        assert at_least_as_strict(a, b)
    for lower_autonomy, higher_autonomy in itertools.pairwise(Autonomy):
        a, b = (asked(msgspec.structs.replace(base, autonomy=one)) for one in (higher_autonomy, lower_autonomy))
        assert at_least_as_strict(a, b)
    for junior, senior in itertools.pairwise(Level):
        a, b = (asked(msgspec.structs.replace(base, authors=by(level))) for level in (junior, senior))
        assert at_least_as_strict(a, b)
