"""GuardrailPolicy: the principals' rules, cluster-scoped; several join by the strictest."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from .enums import (
    API_VERSION,
    AtMaximum,
    Autonomy,
    Criticality,
    EvidenceLevel,
    IndicatorType,
    Level,
    OnBlind,
    OnNoIndicators,
    Origin,
    Preset,
    Tests,
    Tier,
    Touch,
    TreatUnknownAs,
)
from .meta import (
    Conditions,
    Duration,
    FreeObject,
    LabelSelector,
    Model,
    Name,
    ObjectMeta,
    Percent,
    Text,
    Timestamp,
    User,
)

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


def _rule(rule: str, message: str) -> dict[str, object]:
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


Weight = Annotated[int, Meta(ge=1, le=99)]


class CriticalityPin(Model, frozen=True, kw_only=True):
    """A floor under the criticality of what it selects; nobody below a principal can lower it."""

    name: Name
    minimum: Criticality
    namespace_selector: LabelSelector = LabelSelector()
    rollout_selector: LabelSelector = LabelSelector()


class ServiceAccountRef(Model, frozen=True, kw_only=True):
    namespace: Name
    name: Name


class Agents(Model, frozen=True, kw_only=True):
    """Identities that are AI agents: what they submit is agent-authored, whatever it claims."""

    users: Annotated[tuple[User, ...], Meta(max_length=256)] = ()
    groups: Annotated[tuple[User, ...], Meta(max_length=256)] = ()
    service_accounts: Annotated[tuple[ServiceAccountRef, ...], Meta(max_length=256)] = ()


class People(Model, frozen=True, kw_only=True):
    """Authors of one level, by exact user name or email."""

    level: Level
    users: Annotated[tuple[User, ...], Meta(max_length=1024)] = ()
    emails: Annotated[tuple[User, ...], Meta(max_length=1024)] = ()


class Floors(Model, frozen=True, kw_only=True):
    """What no ServiceProfile may go below."""

    objective_percent: Percent | None = None
    required_indicators: Annotated[tuple[IndicatorType, ...], Meta(max_length=8)] = ()


class CanaryProfile(Model, frozen=True, kw_only=True):
    """How slow and how strict a canary is. Weights are a ladder that is merged into the owner's own steps."""

    name: Name
    weights: Annotated[
        tuple[Weight, ...],
        Meta(
            max_length=20,
            extra_json_schema=_rule(
                "self.all(i, w, i == 0 || self[i - 1] < w)", "weights must ascend, for example [5, 25, 50]"
            ),
        ),
    ] = ()
    min_soak: Duration = "0s"
    max_step: Duration = "2h"
    bake: Duration | None = None
    warm_up: Duration = "60s"
    cold_phi: Annotated[int, Meta(ge=1, le=100)] = 6
    at_maximum: AtMaximum = AtMaximum.HOLD
    on_blind: OnBlind = OnBlind.HOLD
    on_no_indicators: OnNoIndicators = OnNoIndicators.HOLD


class When(Model, frozen=True, kw_only=True):
    """What a rule applies to. Every field that is given must match; an empty ``when`` matches every change."""

    origins: Annotated[tuple[Origin, ...], Meta(max_length=4)] = ()
    min_autonomy: Autonomy | None = None
    min_share: Annotated[int, Meta(ge=0, le=100)] = 0
    min_criticality: Criticality | None = None
    max_author_level: Level | None = None
    touches: Annotated[tuple[Touch, ...], Meta(max_length=12)] = ()
    areas: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    namespace_selector: LabelSelector = LabelSelector()
    rollout_selector: LabelSelector = LabelSelector()


class ApprovalSlot(Model, frozen=True, kw_only=True):
    """``count`` people of at least ``tier``; one person fills one slot."""

    tier: Tier
    count: Annotated[int, Meta(ge=1, le=10)] = 1


class Deny(Model, frozen=True, kw_only=True):
    message: Annotated[str, Meta(min_length=1, max_length=512)]
    guideline: Text = ""


Schedule = Annotated[str, Meta(max_length=128, pattern=r"^[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4}$")]
TimeZone = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$")]
Span = Annotated[
    Duration,
    Meta(
        extra_json_schema=_rule(
            "duration(self) >= duration('1s') && duration(self) <= duration('8784h')",
            "a freeze lasts at least 1s and at most 8784h (366 days), for example 60h",
        )
    ),
]


class FreezeWindow(Model, frozen=True, kw_only=True):
    """Times in which nothing new is released: each begins by a cron schedule of five fields, in a time zone."""

    name: Name
    schedule: Schedule
    duration: Span
    time_zone: TimeZone = "UTC"


class Require(Model, frozen=True, kw_only=True):
    approvals: Annotated[
        tuple[ApprovalSlot, ...],
        Meta(max_length=3, extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["tier"]}),
    ] = ()
    approval_ttl: Annotated[Duration | None, Meta()] = field(name="approvalTTL", default=None)
    min_evidence_level: EvidenceLevel = EvidenceLevel.E0
    tests: Tests = Tests.NOT_REQUIRED
    human_adopter: bool = False
    profile: Name | None = None
    freeze: Annotated[tuple[FreezeWindow, ...], Meta(max_length=8, extra_json_schema=_BY_NAME)] = ()
    deny: Deny | None = None


class Rule(Model, frozen=True, kw_only=True):
    name: Name
    require: Require
    when: When = When()


class GuardrailPolicySpec(Model, frozen=True, kw_only=True):
    namespace_selector: LabelSelector = LabelSelector()
    preset: Preset | None = None
    criticality_pins: Annotated[tuple[CriticalityPin, ...], Meta(max_length=128, extra_json_schema=_BY_NAME)] = ()
    treat_unknown_as: TreatUnknownAs = TreatUnknownAs.UNKNOWN
    agents: Agents = Agents()
    people: Annotated[
        tuple[People, ...],
        Meta(
            max_length=4,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["level"]},
        ),
    ] = ()
    floors: Floors = Floors()
    profiles: Annotated[tuple[CanaryProfile, ...], Meta(max_length=16, extra_json_schema=_BY_NAME)] = ()
    rules: Annotated[tuple[Rule, ...], Meta(max_length=64, extra_json_schema=_BY_NAME)] = ()


class AcceptedPolicy(Model, frozen=True, kw_only=True):
    """The last good spec; it stays in force while a later one cannot be used, also over a restart."""

    generation: int
    spec: FreeObject


class PolicyRevision(Model, frozen=True, kw_only=True):
    """``rules``: the names of those that this generation added or changed."""

    generation: int
    time: Timestamp
    user: Text = ""
    rules: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class GuardrailPolicyStatus(Model, frozen=True, kw_only=True):
    observed_generation: int = 0
    accepted: AcceptedPolicy | None = None
    history: Annotated[tuple[PolicyRevision, ...], Meta(max_length=20)] = ()
    conditions: Conditions = ()


class GuardrailPolicy(Model, frozen=True, kw_only=True, tag_field="kind", tag="GuardrailPolicy"):
    plural: ClassVar[str] = "guardrailpolicies"
    api_version: str = field(default_factory=lambda: API_VERSION)
    metadata: ObjectMeta = ObjectMeta()
    spec: GuardrailPolicySpec = GuardrailPolicySpec()
    status: GuardrailPolicyStatus = GuardrailPolicyStatus()
