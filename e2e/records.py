"""The smallest Change and Approval that the API server takes, built from the API's own types."""

from __future__ import annotations

from typing import cast

import msgspec

from e2e.apiclient import JsonObject
from rollwarden.api.approval import Approval, ApprovalSpec, Approver, ChangeRef
from rollwarden.api.change import Change, ChangeSpec, Classification, PolicyDecision, RolloutRef
from rollwarden.api.enums import Criticality, Decision, Origin, Tier
from rollwarden.api.meta import ObjectMeta

DIGEST = "sha256:" + "ab" * 32


def change(name: str) -> JsonObject:
    """Of nobody's Rollout."""
    spec = ChangeSpec(
        rollout=RolloutRef(name="shop", uid="1", attempt="1"),
        template_digest=DIGEST,
        match_digest=DIGEST,
        classification=Classification(origin=Origin.HUMAN, criticality=Criticality.MEDIUM),
        decision=PolicyDecision(),
    )
    return cast(JsonObject, msgspec.to_builtins(Change(metadata=ObjectMeta(name=name), spec=spec)))


def approval(name: str, tier: Tier = Tier.SENIOR) -> JsonObject:
    """Of nobody's Change, and with a forged approver."""
    spec = ApprovalSpec(
        change_ref=ChangeRef(name="shop-1", uid="1"),
        template_digest=DIGEST,
        decision=Decision.APPROVE,
        tier=tier,
        approver=Approver(user="somebody-else", uid="0", groups=("principals",)),
    )
    return cast(JsonObject, msgspec.to_builtins(Approval(metadata=ObjectMeta(name=name), spec=spec)))
