"""Builders: valid frozen values with sensible defaults; every keyword overrides one field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollwarden.api import names
from rollwarden.api.approval import Approval, ApprovalSpec, Approver, ChangeRef
from rollwarden.api.argo import CanaryStrategy, RollbackWindow, Rollout, RolloutSpec, RolloutStatus, Strategy
from rollwarden.api.change import (
    Author,
    Base,
    Change,
    ChangeSpec,
    ChangeStatus,
    Classification,
    Plan,
    PolicyDecision,
    PolicyRef,
    Quarantine,
    Release,
    Requirements,
    RolloutRef,
    Submitter,
)
from rollwarden.api.enums import ApprovalSource, Criticality, Decision, Level, Mode, Origin, Phase, Tier, VerdictResult
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.policy import ApprovalSlot, GuardrailPolicySpec
from rollwarden.core.approvals import Vote
from rollwarden.core.digest import images, match_digest, template_digest
from rollwarden.core.plan import Ground
from rollwarden.core.policy import Policy
from rollwarden.core.seen import Assessment, Evidence, ReleaseGround, Seen, SeenSet, change_name
from rollwarden.core.times import timestamp

NOW = 1_800_000_000.0
UID = "1f2e3d4c-0000-4000-8000-000000000001"
Steps = Sequence[Mapping[str, Any]]

BARRIER: tuple[dict[str, Any], ...] = ({"setWeight": 0}, {"pause": {}})
OWNER_STEPS: tuple[dict[str, Any], ...] = ({"setWeight": 50}, {"pause": {"duration": "10s"}})


def template(
    image: str = "shop:2", *, annotations: Mapping[str, str] | None = None, **container: Any
) -> dict[str, Any]:
    """A pod template of one container."""
    metadata: dict[str, Any] = {"labels": {"app": "checkout"}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": image, **container}]}}


def rollout(
    *,
    hold: str = "held-5",
    steps: Steps | None = (*BARRIER, *OWNER_STEPS),
    pod_template: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    analysis: Mapping[str, Any] | None = None,
    rollback_window: int | None = None,
    replicas: int | None = 4,
    generation: int = 6,
    uid: str = UID,
    blue_green: bool = False,
    submitter: str = "jo@corp",
    status: RolloutStatus | None = None,
) -> Rollout:
    """A canary Rollout that is held behind the barrier; Argo has not seen the new template yet."""
    marks = {names.HOLD: hold, names.SUBMITTED_BY: submitter} if hold else {}
    canary = CanaryStrategy(
        steps=None if steps is None else tuple(dict(step) for step in steps),
        analysis=None if analysis is None else dict(analysis),
    )
    return Rollout(
        metadata=ObjectMeta(
            name="checkout",
            namespace="pay",
            uid=uid,
            resource_version="100",
            generation=generation,
            annotations={**marks, **(annotations or {})},
        ),
        spec=RolloutSpec(
            replicas=replicas,
            strategy=Strategy(blue_green={}) if blue_green else Strategy(canary=canary),
            template=dict(pod_template) if pod_template is not None else template(),
            rollback_window=None if rollback_window is None else RollbackWindow(revisions=rollback_window),
        ),
        status=status or argo_status(),
    )


def argo_status(**fields: Any) -> RolloutStatus:
    """Argo's status with stable ``aaa`` serving and generation 6 observed."""
    defaults: dict[str, Any] = {
        "phase": "Healthy",
        "stable_rs": "aaa",
        "current_pod_hash": "aaa",
        "observed_generation": "6",
        "current_step_hash": "steps",
    }
    return RolloutStatus(**(defaults | fields))


def stable_set(**fields: Any) -> SeenSet:
    """The ReplicaSet that serves: revision 1 of ``shop:1``, known good."""
    defaults: dict[str, Any] = {
        "name": "checkout-aaa",
        "pod_hash": "aaa",
        "revision": 1,
        "hold": "released-2",
        "known_good": timestamp(NOW - 3600),
        "replicas": 4,
        "ready": 4,
        "digest": template_digest(template("shop:1")),
    }
    return SeenSet(**(defaults | fields))


def new_set(**fields: Any) -> SeenSet:
    """The ReplicaSet of the attempt that is held: revision 2 of ``shop:2``, no pods."""
    defaults: dict[str, Any] = {
        "name": "checkout-bbb",
        "pod_hash": "bbb",
        "revision": 2,
        "hold": "held-5",
        "known_good": None,
        "replicas": 0,
        "ready": 0,
        "digest": template_digest(template()),
    }
    return SeenSet(**(defaults | fields))


def classification(**fields: Any) -> Classification:
    """An AI-assisted change by a junior to a medium service."""
    defaults: dict[str, Any] = {
        "origin": Origin.AI,
        "authors": (Author(name="jo@corp"),),
        "criticality": Criticality.MEDIUM,
    }
    return Classification(**(defaults | fields))


def author(name: str = "jo@corp", level: Level = Level.JUNIOR) -> Author:
    return Author(name=name, level=level)


def slots(*tiers: Tier) -> tuple[ApprovalSlot, ...]:
    return tuple(ApprovalSlot(tier=tier, count=tiers.count(tier)) for tier in sorted(set(tiers)))


def requirements(*tiers: Tier, **fields: Any) -> Requirements:
    return Requirements(approvals=slots(*tiers), **fields)


def decision(*tiers: Tier, rules: tuple[str, ...] = ("ai-on-critical",), **fields: Any) -> PolicyDecision:
    return PolicyDecision(
        policies=(PolicyRef(name="default"),), rules=rules, requirements=requirements(*tiers, **fields)
    )


def assessment(**fields: Any) -> Assessment:
    defaults: dict[str, Any] = {
        "classification": classification(),
        "claims": (),
        "problems": (),
        "decision": decision(),
        "contact": "",
    }
    return Assessment(**(defaults | fields))


def change(
    *,
    attempt: str = "5",
    pod_template: Mapping[str, Any] | None = None,
    of: Rollout | None = None,
    uid: str = "change-5",
    created: float = NOW - 60,
    status: ChangeStatus | None = None,
    **spec: Any,
) -> Change:
    """The Change of one attempt, as the operator writes it at sight."""
    body = pod_template if pod_template is not None else template()
    about = of or rollout()
    defaults: dict[str, Any] = {
        "rollout": RolloutRef(name=about.metadata.name, uid=about.metadata.uid, attempt=attempt),
        "template_digest": template_digest(body),
        "match_digest": match_digest(body),
        "classification": classification(),
        "decision": decision(),
        "submitter": Submitter(user="jo@corp"),
        "images": images(body),
    }
    return Change(
        metadata=ObjectMeta(
            name=change_name(about, attempt),
            namespace=about.metadata.namespace,
            uid=uid,
            resource_version="200",
            creation_timestamp=timestamp(created),
        ),
        spec=ChangeSpec(**(defaults | spec)),
        status=status or ChangeStatus(),
    )


def release(plan: Plan | None = None, **fields: Any) -> Release:
    defaults: dict[str, Any] = {
        "time": timestamp(NOW - 30),
        "base": Base(steps=OWNER_STEPS),
        "plan": plan if plan is not None else Plan(steps=OWNER_STEPS),
        "replicas": 4,
    }
    return Release(**(defaults | fields))


def quarantined(
    pod_template: Mapping[str, Any] | None = None, *, attempt: str = "3", uid: str = "change-3", active: bool = True
) -> Change:
    """An earlier Change that was rolled back."""
    body = pod_template if pod_template is not None else template()
    status = ChangeStatus(
        phase=Phase.ROLLED_BACK,
        quarantine=Quarantine(
            active=active, match_digest=match_digest(body), reason="Regression: errors", since=timestamp(NOW - 900)
        ),
        finished_at=timestamp(NOW - 900),
    )
    return change(attempt=attempt, pod_template=body, uid=uid, created=NOW - 1000, status=status)


def vote(user: str = "ada@corp", tier: Tier = Tier.SENIOR, *, on: Change | None = None, **fields: Any) -> Vote:
    """An approval of the standard change."""
    about = on or change()
    defaults: dict[str, Any] = {
        "decision": Decision.APPROVE,
        "source": ApprovalSource.OBJECT,
        "ref": f"approval-{user}",
        "change_uid": about.metadata.uid,
        "digest": about.spec.template_digest,
        "at": NOW - 5,
        "level": Level.SENIOR,
    }
    return Vote(user=user, tier=tier, **(defaults | fields))


def approval(user: str = "ada@corp", tier: Tier = Tier.SENIOR, *, on: Change | None = None, **fields: Any) -> Approval:
    """An Approval object as the API server has stamped it."""
    about = on or change()
    defaults: dict[str, Any] = {
        "change_ref": ChangeRef(name=about.metadata.name, uid=about.metadata.uid),
        "template_digest": about.spec.template_digest,
        "decision": Decision.APPROVE,
        "tier": tier,
        "approver": Approver(user=user),
    }
    return Approval(
        metadata=ObjectMeta(name=f"approval-{user}", namespace="pay", creation_timestamp=timestamp(NOW - 5)),
        spec=ApprovalSpec(**(defaults | fields)),
    )


def policy(name: str = "default", **spec: Any) -> Policy:
    return Policy(PolicyRef(name=name), GuardrailPolicySpec(**spec))


def ground(replicas: int = 4, *, routed: bool = False, **fields: Any) -> ReleaseGround:
    return ReleaseGround(Ground(replicas=replicas, routed=routed, **fields), judge=None)


def evidence(result: VerdictResult = VerdictResult.HOLD, **fields: Any) -> Evidence:
    defaults: dict[str, Any] = {
        "reason": {"Promote": "SafetyShown", "Hold": "NotProven", "Rollback": "Regression"}[str(result)],
        "message": "18 of 612 requests failed (2.9 %) against 0.1 % on stable",
        "at": NOW,
    }
    return Evidence(result=result, **(defaults | fields))


def seen(*, of: Rollout | None = None, **fields: Any) -> Seen:
    """A held attempt whose Change stands: everything read at one moment."""
    about = of or rollout()
    body = about.spec.template
    defaults: dict[str, Any] = {
        "now": NOW,
        "mode": Mode.ENFORCE,
        "digest": template_digest(body),
        "match_digest": match_digest(body),
        "images": images(body),
        "sets": (stable_set(), new_set()),
        "changes": (change(),),
        "assessment": assessment(),
    }
    return Seen(rollout=about, **(defaults | fields))
