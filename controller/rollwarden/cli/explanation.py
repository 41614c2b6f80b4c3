"""What would happen to a Rollout's template, and why: the operator's own functions, asked before anything is applied.

Pure. Not here: reading files (``manifests``), printing (``explain_view``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Base, Change, Classification, Plan, PolicyDecision, Requirements
from rollwarden.api.enums import Mode, OnNewTemplate
from rollwarden.api.policy import Rule
from rollwarden.api.profile import ServiceProfile
from rollwarden.cli.nextstep import AGENT_STEP, NextStep
from rollwarden.cli.whatif import variants
from rollwarden.core.approvals import spoken_slots
from rollwarden.core.base import resolve_base
from rollwarden.core.classify import Classified, Subject, classify, stamped_groups
from rollwarden.core.digest import template_digest
from rollwarden.core.freeze import frozen, spoken_freeze
from rollwarden.core.messages import AGENT_NOTE, setter, spoken_origin
from rollwarden.core.plan import Estimator, Ground, make_plan, spoken_plan
from rollwarden.core.policy import Place, Policy, applies, decide_policy, in_force, unmet_evidence
from rollwarden.reconcile.estimates import estimator, frozen_indicators, judge_parameters

NOMINAL_RPS = 100.0
"""Where no traffic was given: enough to say how many requests a gate needs, not how long they take."""


class Answer(Enum):
    """What becomes of the template; the names are part of the JSON contract."""

    RELEASED = "Released"
    APPROVALS_MISSING = "ApprovalsMissing"
    EVIDENCE_MISSING = "EvidenceMissing"
    FROZEN = "Frozen"
    DENIED = "Denied"
    KNOWN_GOOD = "KnownGood"
    UNSUPPORTED = "Unsupported"


@dataclass(frozen=True, slots=True)
class Question:
    """A Rollout and what is known around it. ``stable_template`` None: not known; ``rps`` None: traffic unknown.

    ``now``: Unix seconds, by which freezes are on or not.
    """

    rollout: Rollout
    policies: tuple[Policy, ...] = ()
    profiles: tuple[ServiceProfile, ...] = ()
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    stable_template: Mapping[str, Any] | None = None
    submitter: str = ""
    rps: float | None = None
    earlier: tuple[Change, ...] = ()
    now: float = 0.0

    @property
    def name(self) -> str:
        return self.rollout.metadata.name or "(without a name)"

    @property
    def place(self) -> Place:
        return Place(labels=self.rollout.metadata.labels, namespace_labels=self.namespace_labels)


@dataclass(frozen=True, slots=True)
class RuleAsk:
    """One rule that matched, of which policy (empty: not known), and what it asks for in words."""

    policy: str
    rule: str
    asks: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Another fact, and what the answer would then be."""

    were: str
    then: str


@dataclass(frozen=True, slots=True)
class Explanation:
    question: Question
    answer: Answer
    classified: Classified
    decision: PolicyDecision
    asks: tuple[RuleAsk, ...]
    base: Base
    plan: Plan | None
    message: str
    next: tuple[NextStep, ...]
    what_ifs: tuple[WhatIf, ...]
    notes: tuple[str, ...]
    contact: str = ""

    @property
    def classification(self) -> Classification:
        return self.classified.classification


def explain(question: Question) -> Explanation:
    """The answer for one Rollout. Raises ValueError with a sentence where indicators make no sense together."""
    used = in_force(question.policies, question.place)
    profiles = matching_profiles(question)
    classified = classify(_subject(question, profiles), [policy.spec for policy in used])
    decision = decide_policy(classified.classification, used, question.place)
    answer, lacking = _answer(question, classified.classification, decision.requirements)
    requirements = Requirements() if answer is Answer.KNOWN_GOOD else decision.requirements
    base = resolve_base(question.rollout, question.earlier)
    plan = _plan(question, classified.classification, requirements, base, profiles)
    contact = next(filter(None, (p.spec.contact or ", ".join(p.spec.owners) for p in profiles)), "")
    return Explanation(
        question=question,
        answer=answer,
        classified=classified,
        decision=decision,
        asks=rule_asks(classified.classification, used, question.place),
        base=base,
        plan=plan,
        message=_message(question, answer, lacking, classified.classification, decision, plan, contact),
        next=_next(question, answer, lacking, classified.classification, decision.requirements, contact),
        what_ifs=_what_ifs(question, classified, used, profiles) if answer is not Answer.UNSUPPORTED else (),
        notes=_notes(question, profiles, used, plan),
        contact=contact,
    )


def matching_profiles(question: Question) -> tuple[ServiceProfile, ...]:
    """The ServiceProfiles that select this Rollout; one without a namespace is taken to be in the Rollout's."""
    meta = question.rollout.metadata
    return tuple(
        profile
        for profile in question.profiles
        if profile.spec.rollout_selector.matches(meta.labels)
        and (not profile.metadata.namespace or not meta.namespace or profile.metadata.namespace == meta.namespace)
    )


def _subject(question: Question, profiles: tuple[ServiceProfile, ...]) -> Subject:
    meta = question.rollout.metadata
    return Subject(
        annotations=meta.annotations,
        template=question.rollout.spec.template,
        stable_template=question.stable_template,
        labels=meta.labels,
        namespace_labels=question.namespace_labels,
        submitter=question.submitter or meta.annotations.get(names.SUBMITTED_BY, ""),
        submitter_groups=() if question.submitter else stamped_groups(meta.annotations),
        profiles=profiles,
    )


def _answer(question: Question, c: Classification, requirements: Requirements) -> tuple[Answer, str]:
    """In the order of the operator's own rules; with what the change itself lacks, if anything."""
    if question.rollout.spec.workload_ref is not None:
        return Answer.UNSUPPORTED, ""
    stable = question.stable_template
    if stable is not None and template_digest(stable) == template_digest(question.rollout.spec.template):
        return Answer.KNOWN_GOOD, ""
    if requirements.denials:
        return Answer.DENIED, ""
    lacking = unmet_evidence(requirements, c, c.evidence_level)
    if lacking:
        return Answer.EVIDENCE_MISSING, lacking
    if requirements.approvals:
        return Answer.APPROVALS_MISSING, ""
    return (Answer.FROZEN if frozen(requirements.freezes, question.now) else Answer.RELEASED), ""


def _plan(
    question: Question,
    c: Classification,
    requirements: Requirements,
    base: Base,
    profiles: tuple[ServiceProfile, ...],
) -> Plan | None:
    rollout = question.rollout
    canary = rollout.spec.strategy.canary
    if canary is None or rollout.spec.workload_ref is not None:
        return None
    replicas = 1 if rollout.spec.replicas is None else rollout.spec.replicas
    estimate = _estimate(question, c, requirements, profiles, replicas)
    ground = Ground(replicas=replicas, routed=bool(canary.traffic_routing), estimate=estimate)
    plan = make_plan(base, requirements, ground)
    return plan if question.rps is not None else _without_times(plan)


def _estimate(
    question: Question, c: Classification, needs: Requirements, profiles: tuple[ServiceProfile, ...], replicas: int
) -> Estimator:
    indicators = frozen_indicators(profiles, needs)
    parameters = judge_parameters(c, needs, indicators, replicas=replicas)
    return estimator(parameters, rps=NOMINAL_RPS if question.rps is None else question.rps, stable_rates={})


def _without_times(plan: Plan) -> Plan:
    """Of a bake the time is known; of a gate only with the traffic."""
    gates = (g if g.next_weight == g.weight else msgspec.structs.replace(g, eta_seconds=None) for g in plan.gates)
    return msgspec.structs.replace(plan, gates=tuple(gates))


def rule_asks(c: Classification, used: Sequence[Policy], place: Place) -> tuple[RuleAsk, ...]:
    return tuple(
        RuleAsk(policy.ref.name, rule.name, spoken_ask(rule))
        for policy in used
        for rule in policy.spec.rules
        if applies(rule.when, c, place)
    )


def spoken_ask(rule: Rule) -> str:
    require = rule.require
    if require.deny is not None:
        return f"denies it: {require.deny.message}"
    parts = [spoken_slots(require.approvals)] if require.approvals else []
    parts += ["a named human who adopts it"] if require.human_adopter else []
    parts += ["passing tests"] if str(require.tests) == "Passed" else []
    parts += [f"evidence of level {require.min_evidence_level}"] if require.min_evidence_level.rank else []
    parts += [f'no release in freeze "{freeze.name}"' for freeze in require.freeze]
    parts += [f"canary profile {require.profile}"] if require.profile else []
    return ", ".join(parts) or "nothing more"


def _message(
    question: Question,
    answer: Answer,
    lacking: str,
    c: Classification,
    decision: PolicyDecision,
    plan: Plan | None,
    contact: str,
) -> str:
    name, what = question.name, f"{spoken_origin(c)} to a {c.criticality.lower} service"
    rules = ", ".join(f'"{rule}"' for rule in decision.rules)
    cited = f" (rule{'s' if len(decision.rules) > 1 else ''} {rules})" if rules else ""
    serving = "what runs now keeps serving and scaling"
    agent = AGENT_NOTE if c.agent_submitter else ""
    held = f'rollout "{name}" would be held at 0 new pods: {what}'
    found = frozen(decision.requirements.freezes, question.now)
    ice = spoken_freeze(found) if found else ""
    match answer:
        case Answer.UNSUPPORTED:
            return (
                f'rollout "{name}" has a workloadRef, which is not supported: in an enforced namespace its new '
                f"revisions stay held at 0 new pods and cannot be approved; {serving}"
            )
        case Answer.KNOWN_GOOD:
            return f'rollout "{name}" would be released at once: the template equals the one that runs now'
        case Answer.DENIED:
            denial = decision.requirements.denials[0]
            said = f'{denial.message.rstrip(".")} (rule "{denial.rule}"{setter(denial)})'
            denied = f'rollout "{name}" would be denied its new revision: {said}'
            return f"{denied}; approvals cannot lift this. {serving}.{agent}"
        case Answer.EVIDENCE_MISSING:
            return f"{held} needs {lacking}{cited}; {serving}.{agent}"
        case Answer.APPROVALS_MISSING:
            then = f" Then {spoken_plan(plan)}." if plan and plan.gates else ""
            ask = f" Ask {contact}." if contact else ""
            needs = spoken_slots(decision.requirements.approvals)
            also = f" It also waits for {ice}." if ice else ""
            return f"{held} needs {needs}{cited}; {serving}.{also}{then}{ask}{agent}"
        case Answer.FROZEN:
            return f"{held} waits for {ice}{cited} and is released by itself then; {serving}.{agent}"
        case Answer.RELEASED:
            after = f"then {spoken_plan(plan)}" if plan and plan.gates else "its owner's own steps, watched"
            return f'rollout "{name}" would be released at once: {what} needs nobody\'s approval; {after}'


def command(verb: str, question: Question, *more: str) -> str:
    namespace = question.rollout.metadata.namespace
    where = ("-n", namespace) if namespace else ()
    return " ".join(("kubectl rollwarden", verb, question.name, *where, *more))


def _next(
    question: Question, answer: Answer, lacking: str, c: Classification, requirements: Requirements, contact: str
) -> tuple[NextStep, ...]:
    steps = _next_for_people(question, answer, lacking, requirements, contact)
    waits = answer in (Answer.DENIED, Answer.EVIDENCE_MISSING, Answer.APPROVALS_MISSING)
    return (AGENT_STEP, *steps) if waits and c.agent_submitter else steps


def _next_for_people(
    question: Question, answer: Answer, lacking: str, requirements: Requirements, contact: str
) -> tuple[NextStep, ...]:
    match answer:
        case Answer.UNSUPPORTED:
            return (NextStep("the owner", "put the pod template into the Rollout (spec.template) to have it judged"),)
        case Answer.DENIED:
            guide = requirements.denials[0].guideline
            see = f"; see {guide}" if guide else ""
            whom = requirements.denials[0].set_by or "a principal"
            return (NextStep("the author", f"take the AI-written part out, or ask {whom}{see}"),)
        case Answer.EVIDENCE_MISSING:
            first = NextStep("the author", f"bring {lacking}")
            return (first, *_approvers(question, requirements, contact))
        case Answer.APPROVALS_MISSING:
            return _approvers(question, requirements, contact)
        case Answer.FROZEN:
            return (NextStep("nobody", "apply it; it is released by itself when the freeze ends"),)
        case Answer.RELEASED | Answer.KNOWN_GOOD:
            return (NextStep("nobody", "apply it; it is released at once"),)


def _approvers(question: Question, requirements: Requirements, contact: str) -> tuple[NextStep, ...]:
    of = f" of {contact}" if contact else ""
    ordered = sorted(requirements.approvals, key=lambda slot: -slot.tier.rank)
    return tuple(NextStep(spoken_slots([slot]) + of, command("approve", question)) for slot in ordered)


def _what_ifs(
    question: Question, classified: Classified, used: tuple[Policy, ...], profiles: tuple[ServiceProfile, ...]
) -> tuple[WhatIf, ...]:
    """Each fact changed alone; only those that change the answer."""

    def needs(c: Classification) -> str:
        return spoken_needs(c, decide_policy(c, used, question.place).requirements)

    now = needs(classified.classification)
    subject = _subject(question, profiles)
    found = [WhatIf(were, needs(c)) for were, c in variants(subject, classified, [policy.spec for policy in used])]
    return tuple(one for one in found if one.then != now)


def spoken_needs(c: Classification, requirements: Requirements) -> str:
    """``needs 1 senior; 3 weights, each with a gate``: short enough to compare two answers by."""
    if requirements.denials:
        return "is denied"
    lacking = unmet_evidence(requirements, c, c.evidence_level)
    parts = [lacking.partition(" (")[0]] if lacking else []
    parts += [spoken_slots(requirements.approvals)] if requirements.approvals else []
    who = f"needs {' and '.join(parts)}" if parts else "needs nobody"
    if requirements.freezes:
        who += f", not in {' or '.join(dict.fromkeys(freeze.name for freeze in requirements.freezes))}"
    weights = ", ".join(f"{weight} %" for weight in requirements.pace.weights)
    if not requirements.gated:
        return f"{who}; no gates, the owner's own steps"
    return f"{who}; gated" + (f", with {weights} in the plan" if weights else "")


def train_notes(profiles: Sequence[ServiceProfile]) -> tuple[str, ...]:
    """What a newer template meets while a canary is under way, where these profiles say that it is refused."""
    refusing = ", ".join(f'"{p.metadata.name}"' for p in profiles if p.spec.on_new_template is OnNewTemplate.REFUSE)
    said = f"a newer template is refused while a canary is under way (onNewTemplate: Refuse, ServiceProfile {refusing})"
    return (said,) if refusing else ()


def _notes(
    question: Question, profiles: tuple[ServiceProfile, ...], used: tuple[Policy, ...], plan: Plan | None
) -> tuple[str, ...]:
    notes = list(plan.notes) if plan else []
    rollout = question.rollout
    if question.policies and used[0].ref.name == "preset:memo":
        given = ", ".join(policy.ref.name for policy in question.policies)
        if given != "preset:memo":
            notes.append(f"none of the given policies ({given}) selects this namespace, so the preset memo is in force")
    if question.profiles and not profiles:
        notes.append("no given ServiceProfile selects this Rollout (by its labels and namespace)")
    notes += train_notes(profiles)
    if question.stable_template is None and rollout.spec.workload_ref is None:
        notes.append("what runs now is not known (--stable FILE), so the change counts as touching everything")
    if rollout.spec.strategy.blue_green is not None:
        notes.append("blueGreen: the preview is held and approved; it is not judged by gates")
    if plan and plan.gates and question.rps is None:
        notes.append("how long the gates take depends on traffic: give requests per second with --rps")
    label = question.namespace_labels.get(names.MODE_LABEL)
    mode = Mode.parse(label) if label else None
    if label and mode is not Mode.ENFORCE:
        said = "off" if mode is Mode.OFF else "observe"
        notes.append(f"this namespace's mode is {said}: nothing is held there; this is what enforce would do")
    return tuple(notes)
