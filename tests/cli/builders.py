"""Manifests and Changes for the tests of the command line."""

from __future__ import annotations

import copy
from typing import Any

from rollwarden.api.change import (
    Change,
    ChangeSpec,
    ChangeStatus,
    Classification,
    CountedApproval,
    PolicyDecision,
    Requirements,
    RolloutRef,
    Submitter,
)
from rollwarden.api.enums import ApprovalSource, Criticality, Origin, Phase, Tier
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.policy import ApprovalSlot

Json = Any
DIGEST = "sha256:" + "ab" * 32


def rollout(**spec: Json) -> dict[str, Json]:
    """A valid canary Rollout; keywords replace parts of its spec, None removes them."""
    base: dict[str, Json] = {
        "replicas": 10,
        "selector": {"matchLabels": {"app": "shop"}},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "10m"}}]}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {"containers": [{"name": "shop", "image": "registry.example.com/shop:2"}]},
        },
    }
    base |= spec
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "market", "labels": {"app": "shop"}, "annotations": {}},
        "spec": {key: value for key, value in copy.deepcopy(base).items() if value is not None},
    }


def claiming(manifest: dict[str, Json], **claims: str) -> dict[str, Json]:
    """The manifest with provenance annotations; ``tests`` is evidence, ``criticality`` stands alone."""
    prefixes = {"tests": "evidence.rollwarden.dev/", "criticality": "rollwarden.dev/"}
    for key, value in claims.items():
        manifest["metadata"]["annotations"][prefixes.get(key, "provenance.rollwarden.dev/") + key] = value
    return manifest


def change(
    *slots: Tier,
    name: str = "shop-1f2e3d4c-7",
    phase: Phase = Phase.AWAITING_APPROVAL,
    reason: str = "ApprovalsMissing",
    approved: tuple[tuple[str, Tier], ...] = (),
    criticality: Criticality = Criticality.HIGH,
    submitter: str = "ci-bot",
    waiting_for: str = "",
    unproven: bool = False,
    revision: int = 7,
) -> Change:
    """A Change that needs one person of each tier given."""
    requirements = Requirements(approvals=tuple(ApprovalSlot(tier=tier) for tier in slots))
    approvals = tuple(CountedApproval(tier=tier, user=user, source=ApprovalSource.OBJECT) for user, tier in approved)
    return Change(
        metadata=ObjectMeta(name=name, namespace="market", uid="u-1", creation_timestamp="2025-01-01T00:00:00Z"),
        spec=ChangeSpec(
            rollout=RolloutRef(name="shop", uid="r-1", attempt="7"),
            template_digest=DIGEST,
            match_digest=DIGEST,
            classification=Classification(origin=Origin.AI, criticality=criticality),
            decision=PolicyDecision(rules=("ai-on-high",), requirements=requirements),
            submitter=Submitter(user=submitter),
        ),
        status=ChangeStatus(
            phase=phase,
            reason=reason,
            waiting_for=waiting_for,
            approvals=approvals,
            unproven=unproven,
            revision=revision,
        ),
    )
