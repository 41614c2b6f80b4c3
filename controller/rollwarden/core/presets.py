"""The shipped policies. ``memo`` is in force where no policy selects a namespace; both can be named in a policy.

memo: AI-assisted by junior or mid needs a senior at any criticality above low; by seniors, another senior on high and
critical; agent-authored on high and critical needs a named human who adopts it, plus a senior, on critical a principal
too; low is free. proportional: the same, but medium asks a peer only.
"""

from __future__ import annotations

from ..api.enums import AtMaximum, Autonomy, Criticality, Level, OnNoIndicators, Origin, Tier
from ..api.policy import ApprovalSlot, CanaryProfile, GuardrailPolicySpec, Require, Rule, When

APPROVAL_TTL = "168h"

_STANDARD = CanaryProfile(
    name="standard",
    weights=(10, 50),
    min_soak="1m",
    at_maximum=AtMaximum.HOLD,
    on_no_indicators=OnNoIndicators.PROMOTE,
)
_CAREFUL = CanaryProfile(
    name="careful",
    weights=(5, 25, 50),
    min_soak="5m",
    at_maximum=AtMaximum.HOLD,
    on_no_indicators=OnNoIndicators.HOLD,
)


def _rule(
    name: str,
    minimum: Criticality,
    *approvals: Tier,
    level: Level | None = None,
    autonomy: Autonomy | None = None,
    profile: str = "careful",
) -> Rule:
    return Rule(
        name=name,
        when=When(origins=(Origin.AI,), min_criticality=minimum, max_author_level=level, min_autonomy=autonomy),
        require=Require(
            approvals=tuple(ApprovalSlot(tier=tier) for tier in approvals),
            approval_ttl=APPROVAL_TTL,
            human_adopter=autonomy is Autonomy.AGENT,
            profile=profile,
        ),
    )


def _preset(medium: Tier) -> GuardrailPolicySpec:
    return GuardrailPolicySpec(
        profiles=(_STANDARD, _CAREFUL),
        rules=(
            _rule("ai-on-medium", Criticality.MEDIUM, medium, level=Level.MID, profile="standard"),
            _rule("ai-on-high", Criticality.HIGH, Tier.SENIOR),
            _rule("agent-on-high", Criticality.HIGH, Tier.SENIOR, autonomy=Autonomy.AGENT),
            _rule("agent-on-critical", Criticality.CRITICAL, Tier.SENIOR, Tier.PRINCIPAL, autonomy=Autonomy.AGENT),
        ),
    )


PRESETS: dict[str, GuardrailPolicySpec] = {
    "Memo": _preset(Tier.SENIOR),
    "Proportional": _preset(Tier.PEER),
}
