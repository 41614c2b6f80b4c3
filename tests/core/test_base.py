"""The owner's own steps, found again under what admission and an earlier plan put over them."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api import names
from rollwarden.api.argo import CanaryStrategy, Rollout, RolloutSpec, Strategy
from rollwarden.api.change import (
    Base,
    BreakGlass,
    Change,
    ChangeSpec,
    ChangeStatus,
    Classification,
    Plan,
    PolicyDecision,
    Release,
)
from rollwarden.api.change import RolloutRef as Ref
from rollwarden.api.enums import Criticality, Origin, Phase
from rollwarden.api.meta import ObjectMeta
from rollwarden.core.base import resolve_base

Steps = tuple[dict[str, Any], ...]
HALF: Steps = ({"setWeight": 50},)
PAUSED: Steps = ({"setWeight": 50}, {"pause": {}})
PLAN: Steps = ({"setWeight": 33}, {"pause": {}}, {"setWeight": 50}, {"pause": {}})
BARRIER: Steps = ({"setWeight": 0}, {"pause": {}})
DIGEST = "sha256:" + "d" * 64


def rollout(steps: Steps, hold: str = "held-7") -> Rollout:
    canary = CanaryStrategy(steps=steps)
    return Rollout(
        metadata=ObjectMeta(name="shop", annotations={names.HOLD: hold}),
        spec=RolloutSpec(strategy=Strategy(canary=canary)),
    )


GLASS = BreakGlass(
    user="olli@example.com", reason="outage", time="2026-01-01T00:00:00.000Z", review_due="2026-01-04T00:00:00.000Z"
)


def planned(base: Steps, plan: Steps, phase: Phase = Phase.ROLLED_BACK, glass: BreakGlass | None = None) -> Change:
    release = Release(time="2026-01-01T00:00:00.000Z", base=Base(steps=base), plan=Plan(steps=plan))
    return Change(
        spec=ChangeSpec(
            rollout=Ref(name="shop", uid="r", attempt="6"),
            template_digest=DIGEST,
            match_digest=DIGEST,
            classification=Classification(origin=Origin.AI, criticality=Criticality.LOW),
            decision=PolicyDecision(),
        ),
        status=ChangeStatus(phase=phase, release=release, break_glass=glass),
    )


@pytest.mark.parametrize(
    ("live", "earlier", "base"),
    [
        pytest.param(BARRIER + HALF, [], HALF, id="the barrier is not the owner's"),
        pytest.param(BARRIER + PLAN, [planned(HALF, PLAN)], HALF, id="nor is the plan that an earlier change left"),
        pytest.param(
            (*BARRIER, {"setWeight": 33}, {"setWeight": 50}),
            [planned(HALF, PLAN, glass=GLASS)],
            HALF,
            id="nor what break-glass left of it",
        ),
        pytest.param(
            BARRIER + HALF,
            [planned(PAUSED, PAUSED, glass=GLASS)],
            PAUSED,
            id="break-glass took the owner's own pause too",
        ),
        pytest.param(
            (*BARRIER, {"setWeight": 33}, {"setWeight": 50}),
            [planned(HALF, PLAN)],
            ({"setWeight": 33}, {"setWeight": 50}),
            id="where nobody broke glass such steps are the owner's",
        ),
        pytest.param(
            BARRIER + HALF, [planned(PAUSED, PAUSED)], HALF, id="steps without a pause are the owner's new ones"
        ),
        pytest.param(
            BARRIER + PLAN, [planned(HALF, PLAN, Phase.COMPLETED)], PLAN, id="a completed change has put its base back"
        ),
    ],
)
def test_the_base(live: Steps, earlier: list[Change], base: Steps) -> None:
    assert resolve_base(rollout(live), earlier).steps == base
