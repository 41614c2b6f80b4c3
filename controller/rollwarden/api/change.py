"""Change: one attempt to bring one pod template to one Rollout. Written by the operator only.

``spec`` is what was true at sight and never changes; ``status`` is how far it came. A Change has no owner reference: it
outlives its Rollout until retention removes it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from .approval import Digest
from .enums import (
    API_VERSION,
    ApprovalSource,
    AtMaximum,
    Autonomy,
    ClaimField,
    ClaimSource,
    Criticality,
    EvidenceLevel,
    GateKind,
    IndicatorType,
    Level,
    Mode,
    OnBlind,
    OnNoIndicators,
    Origin,
    Phase,
    Tests,
    Tier,
    Touch,
    VerdictResult,
)
from .meta import Conditions, Decimal, FreeObject, Model, Name, ObjectMeta, Text, Timestamp, User
from .policy import ApprovalSlot, Schedule, TimeZone

Short = Annotated[str, Meta(max_length=128)]
Names = Annotated[tuple[Annotated[str, Meta(max_length=253)], ...], Meta(max_length=64)]
Steps = Annotated[tuple[FreeObject, ...], Meta(max_length=512)]


class RolloutRef(Model, frozen=True, kw_only=True):
    """``attempt`` is the Rollout's generation before the template write; ``o<generation>`` in observe mode."""

    name: Name
    uid: Annotated[str, Meta(min_length=1, max_length=64)]
    attempt: Annotated[str, Meta(pattern="^o?[0-9]{1,19}$")]


class Submitter(Model, frozen=True, kw_only=True):
    """As admission stamped it; empty in observe mode, where nothing is stamped."""

    user: Annotated[str, Meta(max_length=253)] = ""
    groups: Annotated[tuple[Annotated[str, Meta(max_length=253)], ...], Meta(max_length=512)] = ()


class Claim(Model, frozen=True, kw_only=True):
    """One statement about the change, and whether it counts. A loosening claim counts only with its subject."""

    about: ClaimField = field(name="field")
    value: Text
    source: ClaimSource
    evidence_level: EvidenceLevel = EvidenceLevel.E1
    subject_matches: bool = False
    counts: bool = True
    note: Text = ""


class Author(Model, frozen=True, kw_only=True):
    name: User
    level: Level = Level.JUNIOR


class Classification(Model, frozen=True, kw_only=True):
    origin: Origin
    autonomy: Autonomy | None = None
    tools: Names = ()
    share: Annotated[int, Meta(ge=0, le=100)] | None = None
    authors: Annotated[tuple[Author, ...], Meta(max_length=64)] = ()
    agent_submitter: bool = False
    human_adopter: User | None = None
    criticality: Criticality
    criticality_from: Text = ""
    touches: Annotated[tuple[Touch, ...], Meta(max_length=12)] = ()
    areas: Names = ()
    commits: Names = ()
    tests_passed: bool = False
    evidence_level: EvidenceLevel = EvidenceLevel.E0


class Pace(Model, frozen=True, kw_only=True):
    """The canary profiles of all matching rules, joined by the strictest. Durations are seconds."""

    profiles: Names = ()
    weights: Annotated[tuple[Annotated[int, Meta(ge=1, le=99)], ...], Meta(max_length=99)] = ()
    min_soak: Annotated[int, Meta(ge=0)] = 0
    max_step: Annotated[int, Meta(ge=0)] = 7200
    bake: Annotated[int, Meta(ge=0)] = 0
    warm_up: Annotated[int, Meta(ge=0)] = 60
    cold_phi: Annotated[int, Meta(ge=1, le=100)] = 6
    at_maximum: AtMaximum = AtMaximum.PROMOTE
    on_blind: OnBlind = OnBlind.HOLD
    on_no_indicators: OnNoIndicators = OnNoIndicators.PROMOTE


class Denial(Model, frozen=True, kw_only=True):
    """``set_by``, ``set_at``: who last changed the rule and when, where its policy's history still knows."""

    rule: Name
    message: Text
    guideline: Text = ""
    set_by: Text = ""
    set_at: Annotated[str, Meta(max_length=40)] = ""


class Freeze(Model, frozen=True, kw_only=True):
    """A freeze that a rule asks for; ``duration`` is seconds."""

    rule: Name
    name: Name
    schedule: Schedule
    duration: Annotated[int, Meta(ge=1)]
    time_zone: TimeZone = "UTC"


class Requirements(Model, frozen=True, kw_only=True):
    """What this change needs: the strictest of every matching rule's requirement."""

    approvals: Annotated[tuple[ApprovalSlot, ...], Meta(max_length=3)] = ()
    approval_ttl: Annotated[int, Meta(ge=0)] = 0
    min_evidence_level: EvidenceLevel = EvidenceLevel.E0
    tests: Tests = Tests.NOT_REQUIRED
    human_adopter: bool = False
    gated: bool = False
    pace: Pace = Pace()
    denials: Annotated[tuple[Denial, ...], Meta(max_length=64)] = ()
    freezes: Annotated[tuple[Freeze, ...], Meta(max_length=1024)] = ()
    objective_floor: Decimal = ""
    required_indicators: Annotated[tuple[IndicatorType, ...], Meta(max_length=8)] = ()


class PolicyRef(Model, frozen=True, kw_only=True):
    name: Name
    uid: Short = ""
    generation: int = 0


class PolicyDecision(Model, frozen=True, kw_only=True):
    policies: Annotated[tuple[PolicyRef, ...], Meta(max_length=64)] = ()
    rules: Names = ()
    requirements: Requirements = Requirements()


class ChangeSpec(Model, frozen=True, kw_only=True):
    rollout: RolloutRef
    template_digest: Digest
    match_digest: Digest
    classification: Classification
    decision: PolicyDecision
    mode: Mode = Mode.ENFORCE
    stable_digest: Annotated[str, Meta(max_length=71)] = ""
    images: Annotated[tuple[Annotated[str, Meta(max_length=512)], ...], Meta(max_length=64)] = ()
    submitter: Submitter = Submitter()
    claims: Annotated[tuple[Claim, ...], Meta(max_length=32)] = ()
    known_good: bool = False
    contact: Text = ""


class CountedApproval(Model, frozen=True, kw_only=True):
    """``evidence``: what gave this person the tier when the approval was counted; frozen with the release."""

    tier: Tier
    user: User
    source: ApprovalSource
    ref: Annotated[str, Meta(max_length=253)] = ""
    accept_unproven: bool = False
    acknowledges_quarantine: bool = False
    evidence: Text = ""


class AnnotationApproval(Model, frozen=True, kw_only=True):
    """When an approval by annotation was first seen. Kept for good, so that no re-apply makes an old one new."""

    tier: Tier
    user: User
    first_seen: Timestamp


class Base(Model, frozen=True, kw_only=True):
    """The owner's own strategy, put back exactly when the change is done; None where the owner had nothing."""

    steps: Steps | None = None
    analysis: FreeObject | None = None
    rollback_window: int | None = None


class PlannedGate(Model, frozen=True, kw_only=True):
    """A pause of the plan that the operator ends. ``index`` is the pause's place in the plan's steps."""

    index: Annotated[int, Meta(ge=0)]
    kind: GateKind
    weight: Annotated[int, Meta(ge=0, le=100)]
    next_weight: Annotated[int, Meta(ge=0, le=100)] = 100
    min_soak: Annotated[int, Meta(ge=0)] = 0
    max_seconds: Annotated[int, Meta(ge=0)] = 0
    exposure_percent: Decimal = ""
    needed_requests: Annotated[int, Meta(ge=0)] = 0
    eta_seconds: Annotated[int, Meta(ge=0)] | None = None


class Plan(Model, frozen=True, kw_only=True):
    steps: Steps | None = None
    gates: Annotated[tuple[PlannedGate, ...], Meta(max_length=256)] = ()
    owner_pauses: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=512)] = ()
    starting_step: int | None = None
    notes: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()


class FrozenIndicator(Model, frozen=True, kw_only=True):
    """An indicator as it is measured for this change, from release on."""

    name: Name
    type: IndicatorType
    target_percent: Decimal
    total: Text = ""
    bad: Text = ""
    histogram: Text = ""
    threshold_ms: Annotated[int, Meta(ge=0)] = 0


class JudgeSettings(Model, frozen=True, kw_only=True):
    """What the judge was told at release; frozen from then on. ``parameters`` are its exact numbers, as strings."""

    tick_seconds: Decimal
    indicators: Annotated[tuple[FrozenIndicator, ...], Meta(max_length=8)] = ()
    parameters: FreeObject
    requests_per_second: Decimal = ""
    recovery: bool = False
    prometheus_url: Annotated[str, Meta(max_length=512)] = ""


class Release(Model, frozen=True, kw_only=True):
    """Written once, before the release's commit point; after a crash it is used again as it stands."""

    time: Timestamp
    base: Base
    plan: Plan
    judge: JudgeSettings | None = None
    replicas: Annotated[int, Meta(ge=0)] = 0
    accept_unproven: bool = False
    eta_seconds: Annotated[int, Meta(ge=0)] | None = None


class BreakGlassReview(Model, frozen=True, kw_only=True):
    """A principal's word that closes what a break-glass owes. ``ref`` is the Approval that says so."""

    closed_by: User
    time: Timestamp
    note: Text
    ref: Annotated[str, Meta(max_length=253)] = ""


class BreakGlass(Model, frozen=True, kw_only=True):
    """``reminded_at``: when a review was found overdue and an Event said so."""

    user: User
    reason: Text
    time: Timestamp
    review_due: Timestamp
    review: BreakGlassReview | None = None
    reminded_at: Timestamp | None = None


class GateStatus(Model, frozen=True, kw_only=True):
    index: Annotated[int, Meta(ge=0)]
    kind: GateKind
    weight: Annotated[int, Meta(ge=0, le=100)]
    started_at: Timestamp
    passed_at: Timestamp | None = None
    reason: Short = ""
    canary_requests: Annotated[int, Meta(ge=0)] = 0
    needed_requests: Annotated[int, Meta(ge=0)] = 0
    log_safety: Decimal = ""
    eta: Timestamp | None = None


class Verdict(Model, frozen=True, kw_only=True):
    result: VerdictResult
    reason: Short
    message: Annotated[str, Meta(max_length=2048)] = ""
    indicator: Short = ""
    canary_requests: Annotated[int, Meta(ge=0)] = 0
    canary_bad: Annotated[int, Meta(ge=0)] = 0
    canary_rate: Decimal = ""
    stable_rate: Decimal = ""
    harmed: Annotated[int, Meta(ge=0)] = 0
    decided_at: Timestamp | None = None


class Quarantine(Model, frozen=True, kw_only=True):
    active: bool = False
    match_digest: Annotated[str, Meta(max_length=71)] = ""
    reason: Text = ""
    since: Timestamp | None = None
    lifted_by: Annotated[str, Meta(max_length=253)] = ""


class ChangeStatus(Model, frozen=True, kw_only=True):
    phase: Phase = field(default_factory=lambda: Phase.HELD)
    reason: Short = ""
    message: Annotated[str, Meta(max_length=2048)] = ""
    waiting_for: Text = ""
    revision: Annotated[int, Meta(ge=0)] = 0
    stable_revision: Annotated[int, Meta(ge=0)] = 0
    pod_hash: Short = ""
    approvals: Annotated[tuple[CountedApproval, ...], Meta(max_length=64)] = ()
    annotation_approvals: Annotated[tuple[AnnotationApproval, ...], Meta(max_length=64)] = ()
    release: Release | None = None
    break_glass: BreakGlass | None = None
    gates: Annotated[tuple[GateStatus, ...], Meta(max_length=256)] = ()
    verdict: Verdict | None = None
    unproven: bool = False
    quarantine: Quarantine = Quarantine()
    finished_at: Timestamp | None = None
    conditions: Conditions = ()


class Change(Model, frozen=True, kw_only=True, tag_field="kind", tag="Change"):
    plural: ClassVar[str] = "changes"
    spec: ChangeSpec
    api_version: str = field(default_factory=lambda: API_VERSION)
    metadata: ObjectMeta = ObjectMeta()
    status: ChangeStatus = ChangeStatus()
