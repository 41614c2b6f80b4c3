"""What policies would have asked of recorded Changes: the operator's own functions on what was recorded at sight. Pure.

A Change records what it claimed, who submitted it and what it touches, so its classification is made anew under the
policies given. Criticality is as recorded, or higher where a pin says so. What is not recorded, the labels of Rollout
and namespace, is taken from what there is now; a selector that asks for labels nobody knows counts as selecting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from rollwarden.api import names
from rollwarden.api.change import Change, Claim, Classification, PolicyDecision, Requirements
from rollwarden.api.enums import ClaimField, ClaimSource, Tier
from rollwarden.api.meta import LabelSelector
from rollwarden.api.policy import ApprovalSlot, GuardrailPolicySpec, Rule
from rollwarden.core.approvals import may_not_approve, open_slots, spoken_slots
from rollwarden.core.classify import Subject, classify
from rollwarden.core.freeze import frozen, spoken_freeze
from rollwarden.core.holders import Holding, unfillable
from rollwarden.core.policy import Place, Policy, decide_policy, in_force, unmet_evidence
from rollwarden.core.times import unix_or_never

_ANNOTATIONS = {
    ClaimField.ORIGIN: names.ORIGIN,
    ClaimField.AUTONOMY: names.AUTONOMY,
    ClaimField.TOOLS: names.TOOLS,
    ClaimField.SHARE: names.SHARE,
    ClaimField.AUTHORS: names.AUTHORS,
    ClaimField.AREAS: names.AREAS,
    ClaimField.COMMITS: names.COMMITS,
    ClaimField.TESTS: names.TESTS,
    ClaimField.COVERAGE: names.COVERAGE,
    ClaimField.CRITICALITY: names.CRITICALITY,
}
PIN = 'pin "'


class Effect(Enum):
    """What becomes of a change at sight, before anybody has done anything."""

    RELEASED = "Released"
    FROZEN = "Frozen"
    HELD = "Held"
    DENIED = "Denied"


@dataclass(frozen=True, slots=True)
class Ask:
    """What was or would be asked of one change; ``needs`` in words, empty where nothing is."""

    effect: Effect
    needs: str
    requirements: Requirements


@dataclass(frozen=True, slots=True)
class Hindsight:
    """One recorded change: what ``was`` asked of it, what it ``would`` be asked, by which rules.

    ``lacking``: slots that the approvals it got would not fill. ``nobody``: a tier that nobody could have approved at.
    """

    change: Change
    was: Ask
    would: Ask
    decision: PolicyDecision
    lacking: tuple[ApprovalSlot, ...] = ()
    nobody: Tier | None = None

    @property
    def differs(self) -> bool:
        return (self.was.effect, self.was.needs) != (self.would.effect, self.would.needs)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known around the changes; None of a namespace's holdings: nobody could look them up.

    ``rollouts``: labels by namespace and name. ``namespaces``: labels by name.
    """

    rollouts: Mapping[tuple[str, str], Mapping[str, str]]
    namespaces: Mapping[str, Mapping[str, str]]
    holdings: Callable[[str], Sequence[Holding] | None]


def replay(changes: Iterable[Change], policies: Sequence[Policy], known: Known) -> tuple[Hindsight, ...]:
    """Each change under these policies, in the order given."""
    return tuple(_replayed(change, policies, known) for change in changes)


def _replayed(change: Change, policies: Sequence[Policy], known: Known) -> Hindsight:
    namespace = change.metadata.namespace
    labels = known.rollouts.get((namespace, change.spec.rollout.name), {})
    own = {"kubernetes.io/metadata.name": namespace, **known.namespaces.get(namespace, {})}
    place = Place(labels=labels, namespace_labels=own)
    seen = (namespace, change.spec.rollout.name) in known.rollouts, namespace in known.namespaces
    used = in_force([Policy(p.ref, _assumed(p.spec, place, *seen), p.history) for p in policies], place)
    classification = reclassified(change, place, [policy.spec for policy in used])
    decision = decide_policy(classification, used, place)
    would = ask(change, decision.requirements, classification)
    return Hindsight(
        change=change,
        was=ask(change, change.spec.decision.requirements, change.spec.classification),
        would=would,
        decision=decision,
        lacking=open_slots(decision.requirements.approvals, change.status.approvals)
        if would.effect is Effect.HELD
        else (),
        nobody=_nobody(change, would, classification, known),
    )


def ask(change: Change, requirements: Requirements, c: Classification) -> Ask:
    """In the order of the operator's own rules."""
    if change.spec.known_good:
        return Ask(Effect.RELEASED, "", Requirements())
    if requirements.denials:
        denial = requirements.denials[0]
        return Ask(Effect.DENIED, f"{denial.message} ({denial.rule})", requirements)
    lacking = unmet_evidence(requirements, c, c.evidence_level)
    parts = [lacking.partition(" (")[0]] if lacking else []
    parts += [spoken_slots(requirements.approvals)] if requirements.approvals else []
    ice = frozen(requirements.freezes, unix_or_never(change.metadata.creation_timestamp))
    effect = Effect.HELD if parts else Effect.FROZEN if ice else Effect.RELEASED
    return Ask(effect, " and ".join([*parts, *([spoken_freeze(ice)] if ice else [])]), requirements)


def _nobody(change: Change, would: Ask, c: Classification, known: Known) -> Tier | None:
    if would.effect is not Effect.HELD or not would.requirements.approvals:
        return None
    held = known.holdings(change.metadata.namespace)
    if held is None:
        return None
    return unfillable(held, would.requirements.approvals, lambda user: may_not_approve(user, change, c.authors))


def reclassified(change: Change, place: Place, specs: Sequence[GuardrailPolicySpec]) -> Classification:
    """The recorded claims and submitter as these policies' people, agents and pins read them."""
    recorded = change.spec.classification
    outer, inner = _claimed(change)
    subject = Subject(
        annotations=outer,
        template={
            "metadata": {"annotations": inner},
            "spec": {"containers": [{"image": image} for image in change.spec.images]},
        },
        stable_template=None,
        labels=place.labels,
        namespace_labels=place.namespace_labels,
        submitter=change.spec.submitter.user,
        submitter_groups=change.spec.submitter.groups,
    )
    found = classify(subject, specs).classification
    pinned = found.criticality_from.startswith(PIN) and found.criticality > recorded.criticality
    return msgspec.structs.replace(
        found,
        criticality=found.criticality if pinned else recorded.criticality,
        criticality_from=found.criticality_from if pinned else recorded.criticality_from,
        touches=recorded.touches,
        evidence_level=recorded.evidence_level,
    )


def _claimed(change: Change) -> tuple[dict[str, str], dict[str, str]]:
    """The annotations that the recorded claims were read from: the Rollout's, then its pod template's."""
    claims = [claim for claim in change.spec.claims if claim.source is ClaimSource.ANNOTATION]
    order = list(_ANNOTATIONS)
    groups: list[list[Claim]] = [[]]
    for claim in claims:
        last = groups[-1][-1] if groups[-1] else None
        if last is not None and (
            order.index(claim.about) <= order.index(last.about) or claim.subject_matches is not last.subject_matches
        ):
            groups.append([])
        groups[-1].append(claim)
    read = [_annotations(group, change.spec.images) for group in groups]
    return read[0], read[1] if len(read) > 1 else {}


def _annotations(claims: Sequence[Claim], images: Sequence[str]) -> dict[str, str]:
    written = {_ANNOTATIONS[claim.about]: claim.value for claim in claims}
    if any(claim.subject_matches for claim in claims):
        written[names.SUBJECT] = " ".join(images)
    return written


def _assumed(
    spec: GuardrailPolicySpec, place: Place, knows_rollout: bool, knows_namespace: bool
) -> GuardrailPolicySpec:
    """The spec with selectors that ask only for labels that can be known."""

    def of_rollout(selector: LabelSelector) -> LabelSelector:
        return selector if knows_rollout else LabelSelector()

    def of_namespace(selector: LabelSelector) -> LabelSelector:
        return selector if knows_namespace else _only(selector, place.namespace_labels)

    def rule(one: Rule) -> Rule:
        when = msgspec.structs.replace(
            one.when,
            rollout_selector=of_rollout(one.when.rollout_selector),
            namespace_selector=of_namespace(one.when.namespace_selector),
        )
        return msgspec.structs.replace(one, when=when)

    pins = (
        msgspec.structs.replace(
            pin,
            rollout_selector=of_rollout(pin.rollout_selector),
            namespace_selector=of_namespace(pin.namespace_selector),
        )
        for pin in spec.criticality_pins
    )
    return msgspec.structs.replace(
        spec,
        namespace_selector=of_namespace(spec.namespace_selector),
        criticality_pins=tuple(pins),
        rules=tuple(rule(one) for one in spec.rules),
    )


def _only(selector: LabelSelector, labels: Mapping[str, str]) -> LabelSelector:
    return LabelSelector(
        match_labels={key: value for key, value in selector.match_labels.items() if key in labels},
        match_expressions=tuple(one for one in selector.match_expressions if one.key in labels),
    )
