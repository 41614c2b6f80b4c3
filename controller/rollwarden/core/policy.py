"""What a change needs: every rule of every policy that matches, joined by taking the strictest of each requirement.

Adding a rule, or a risk to a change, can therefore never loosen anything; a property test holds this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ..api.change import Classification, Denial, Pace, PolicyDecision, PolicyRef, Requirements
from ..api.enums import (
    AtMaximum,
    Autonomy,
    Criticality,
    EvidenceLevel,
    Level,
    OnNoIndicators,
    Ordered,
    Origin,
    Tests,
    Tier,
)
from ..api.policy import (
    ApprovalSlot,
    CanaryProfile,
    GuardrailPolicySpec,
    PolicyRevision,
    Require,
    Rule,
    When,
)
from .freeze import flaw, required
from .presets import PRESETS
from .times import whole_seconds

_O = TypeVar("_O", bound=Ordered)

BAKE_SECONDS = {Criticality.LOW: 0, Criticality.MEDIUM: 300, Criticality.HIGH: 600, Criticality.CRITICAL: 1800}
MAX_STEP_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in force: its accepted spec, with its preset's rules added; ``history``: who changed which rules."""

    ref: PolicyRef
    spec: GuardrailPolicySpec
    history: tuple[PolicyRevision, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change happens, for the selectors of policies and rules."""

    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]


def in_force(policies: Iterable[Policy], place: Place) -> tuple[Policy, ...]:
    """The policies that select this namespace, presets expanded; none at all means the preset memo."""
    selected = [p for p in policies if p.spec.namespace_selector.matches(dict(place.namespace_labels))]
    if not selected:
        return (Policy(PolicyRef(name="preset:memo"), PRESETS["Memo"]),)
    return tuple(Policy(p.ref, expanded(p.spec), p.history) for p in sorted(selected, key=lambda p: p.ref.name))


def expanded(spec: GuardrailPolicySpec) -> GuardrailPolicySpec:
    """``spec`` with its preset's rules and profiles in front; a profile of the same name is the policy's own."""
    if spec.preset is None:
        return spec
    preset = PRESETS[spec.preset.value]
    own = {profile.name for profile in spec.profiles}
    return msgspec.structs.replace(
        spec,
        rules=(*preset.rules, *spec.rules),
        profiles=(*(p for p in preset.profiles if p.name not in own), *spec.profiles),
    )


def decide_policy(classification: Classification, policies: Iterable[Policy], place: Place) -> PolicyDecision:
    """The rules that match and the strictest of what they require."""
    used = tuple(policies)
    matching = [
        (policy, rule) for policy in used for rule in policy.spec.rules if applies(rule.when, classification, place)
    ]
    requirements = strictest(
        [_requirements(rule, policy, classification) for policy, rule in matching],
        [_floors(policy.spec) for policy in used],
    )
    return PolicyDecision(
        policies=tuple(policy.ref for policy in used),
        rules=tuple(dict.fromkeys(rule.name for _, rule in matching)),
        requirements=_with_criticality(requirements, classification),
    )


def applies(when: When, c: Classification, place: Place) -> bool:
    """Every condition that is given must hold; a share nobody stated counts as all of it."""
    share = 100 if c.share is None else c.share
    return (
        (not when.origins or c.origin in when.origins)
        and (when.min_autonomy is None or (c.autonomy or Autonomy.SUGGESTION) >= when.min_autonomy)
        and (when.min_autonomy is None or c.autonomy is not None)
        and share >= when.min_share
        and (when.min_criticality is None or c.criticality >= when.min_criticality)
        and (when.max_author_level is None or author_level(c) <= when.max_author_level)
        and (not when.touches or bool(set(when.touches) & set(c.touches)))
        and (not when.areas or bool(set(when.areas) & set(c.areas)))
        and when.namespace_selector.matches(dict(place.namespace_labels))
        and when.rollout_selector.matches(dict(place.labels))
    )


def author_level(c: Classification) -> Level:
    """The lowest level among the authors; nobody known is Junior."""
    return min((author.level for author in c.authors), default=Level.JUNIOR)


def strictest(parts: Iterable[Requirements], floors: Iterable[Requirements] = ()) -> Requirements:
    """The join: commutative, associative, idempotent, and never less than any part."""
    every = [*parts, *floors]
    joined = Requirements()
    for one in every:
        joined = join(joined, one)
    return joined


def join(a: Requirements, b: Requirements) -> Requirements:
    """Whoever meets this meets ``a`` and ``b``, and nothing more is asked."""
    ttls = [ttl for ttl in (a.approval_ttl, b.approval_ttl) if ttl]
    return Requirements(
        approvals=_join_slots(a.approvals, b.approvals),
        approval_ttl=min(ttls, default=0),
        min_evidence_level=max(a.min_evidence_level, b.min_evidence_level),
        tests=max(a.tests, b.tests),
        human_adopter=a.human_adopter or b.human_adopter,
        gated=a.gated or b.gated,
        pace=join_pace(a.pace, b.pace),
        denials=_join_denials((*a.denials, *b.denials)),
        freezes=tuple(sorted({*a.freezes, *b.freezes}, key=msgspec.structs.astuple)),
        objective_floor=max(a.objective_floor, b.objective_floor, key=lambda text: (float(text or 0), text)),
        required_indicators=tuple(sorted({*a.required_indicators, *b.required_indicators}, key=str)),
    )


def _join_denials(every: tuple[Denial, ...]) -> tuple[Denial, ...]:
    """Each once, with the latest word on who set it."""
    latest: dict[tuple[str, str, str], Denial] = {}
    for one in sorted(every, key=lambda denial: (denial.set_at, denial.set_by)):
        latest[(one.rule, one.message, one.guideline)] = one
    return tuple(latest[key] for key in sorted(latest))


def _join_slots(a: tuple[ApprovalSlot, ...], b: tuple[ApprovalSlot, ...]) -> tuple[ApprovalSlot, ...]:
    """As many people of at least each tier as either asks for: one rule's senior is another rule's peer too."""
    slots: list[ApprovalSlot] = []
    above = 0
    for tier in sorted(Tier, reverse=True):
        wanted = max(sum(slot.count for slot in every if slot.tier >= tier) for every in (a, b))
        if wanted > above:
            slots.append(ApprovalSlot(tier=tier, count=wanted - above))
            above = wanted
    return tuple(reversed(slots))


def join_pace(a: Pace, b: Pace) -> Pace:
    """The slower and stricter of each. A rule that names no profile says nothing about the pace."""
    if Pace() in (a, b):
        return b if a == Pace() else a
    return Pace(
        profiles=tuple(sorted({*a.profiles, *b.profiles})),
        weights=tuple(sorted({*a.weights, *b.weights})),
        min_soak=max(a.min_soak, b.min_soak),
        max_step=max(a.max_step, b.max_step),
        bake=max(a.bake, b.bake),
        warm_up=min(a.warm_up, b.warm_up),
        cold_phi=max(a.cold_phi, b.cold_phi),
        at_maximum=max(a.at_maximum, b.at_maximum),
        on_blind=max(a.on_blind, b.on_blind),
        on_no_indicators=max(a.on_no_indicators, b.on_no_indicators),
    )


def _requirements(rule: Rule, policy: Policy, c: Classification) -> Requirements:
    require = rule.require
    return Requirements(
        approvals=require.approvals,
        approval_ttl=whole_seconds(require.approval_ttl) if require.approval_ttl else 0,
        min_evidence_level=require.min_evidence_level,
        tests=require.tests,
        human_adopter=require.human_adopter,
        gated=require.profile is not None,
        pace=_pace(require, policy.spec, c),
        denials=_denial(rule, policy),
        freezes=required(rule.name, require.freeze),
    )


def _denial(rule: Rule, policy: Policy) -> tuple[Denial, ...]:
    deny = rule.require.deny
    if deny is None:
        return ()
    last = next((one for one in reversed(policy.history) if rule.name in one.rules), None)
    by, at = (last.user, last.time) if last else ("", "")
    return (Denial(rule=rule.name, message=deny.message, guideline=deny.guideline, set_by=by, set_at=at),)


def _pace(require: Require, spec: GuardrailPolicySpec, c: Classification) -> Pace:
    profile = next((p for p in spec.profiles if p.name == require.profile), None)
    return pace_of(profile, c.criticality) if profile else Pace()


def pace_of(profile: CanaryProfile, criticality: Criticality) -> Pace:
    bake = whole_seconds(profile.bake) if profile.bake is not None else BAKE_SECONDS[criticality]
    return Pace(
        profiles=(profile.name,),
        weights=profile.weights,
        min_soak=whole_seconds(profile.min_soak),
        max_step=whole_seconds(profile.max_step),
        bake=bake,
        warm_up=whole_seconds(profile.warm_up),
        cold_phi=profile.cold_phi,
        at_maximum=profile.at_maximum,
        on_blind=profile.on_blind,
        on_no_indicators=profile.on_no_indicators,
    )


def _floors(spec: GuardrailPolicySpec) -> Requirements:
    return Requirements(
        objective_floor=spec.floors.objective_percent or "", required_indicators=spec.floors.required_indicators
    )


def _with_criticality(requirements: Requirements, c: Classification) -> Requirements:
    """What follows from criticality and origin alone, whatever the rules say.

    Gates and bake: none for a low change with no AI in it. What an agent wrote for a high or critical service takes a
    named human who adopts it.
    """
    ai = c.origin is Origin.AI
    gated = requirements.gated or ai or c.criticality > Criticality.LOW
    pace = requirements.pace
    if gated and not pace.profiles:
        pace = msgspec.structs.replace(pace, bake=BAKE_SECONDS[c.criticality], max_step=MAX_STEP_SECONDS)
    if gated and (ai or c.criticality is Criticality.CRITICAL):
        pace = msgspec.structs.replace(
            pace,
            at_maximum=max(pace.at_maximum, AtMaximum.HOLD),
            on_no_indicators=pace.on_no_indicators if pace.profiles else OnNoIndicators.PROMOTE,
        )
    adopted = requirements.human_adopter or (c.autonomy is Autonomy.AGENT and c.criticality >= Criticality.HIGH)
    return msgspec.structs.replace(requirements, gated=gated, pace=pace, human_adopter=adopted)


def needs_people(requirements: Requirements) -> bool:
    return bool(requirements.approvals)


def unmet_evidence(requirements: Requirements, c: Classification, level: EvidenceLevel) -> str:
    """What the change itself still lacks, which no approval can replace; empty when nothing."""
    if requirements.human_adopter and c.human_adopter is None:
        return "a named human who adopts this agent-written change (provenance.rollwarden.dev/authors with subject)"
    if requirements.tests > Tests.NOT_REQUIRED and not c.tests_passed:
        return "passing tests (evidence.rollwarden.dev/tests: passed, with subject)"
    if level < requirements.min_evidence_level:
        return f"provenance of evidence level {requirements.min_evidence_level} (this has {level})"
    return ""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A field of a policy's spec that makes no sense with the rest, and what to do about it."""

    field: str
    what: str


def contradiction(spec: GuardrailPolicySpec) -> Contradiction | None:
    """What a schema alone cannot refuse; the first one found."""
    preset = () if spec.preset is None else PRESETS[spec.preset.value].rules
    taken = {rule.name: "the preset's" for rule in preset}
    profiles = {profile.name for profile in expanded(spec).profiles}
    for index, rule in enumerate(spec.rules):
        at, wanted = f"spec.rules[{index}]", rule.require.profile
        if rule.name in taken:
            return Contradiction(
                at, f'is the second of name "{rule.name}" (the first is {taken[rule.name]}); rename it'
            )
        taken[rule.name] = at
        if wanted is not None and wanted not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            what = f'is "{wanted}", which spec.profiles does not have (it has {known}); define it there'
            return Contradiction(f"{at}.require.profile", what)
        if rule.require.deny is not None and rule.require.approvals:
            what = "denies and asks for approvals, but nothing lifts a denial; remove one of the two"
            return Contradiction(at, what)
        for place, window in enumerate(rule.require.freeze):
            if wrong := flaw(window):
                return Contradiction(f"{at}.require.freeze[{place}].{wrong[0]}", wrong[1])
    for index, profile in enumerate(spec.profiles):
        if list(profile.weights) != sorted(set(profile.weights)):
            return Contradiction(f"spec.profiles[{index}].weights", "must ascend, for example [5, 25, 50]")
    return None
