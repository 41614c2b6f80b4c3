"""What the mesh really sends to the canary, against what a gate is about, as a table of sentences."""

from __future__ import annotations

from typing import Any

from rollwarden.api.enums import VerdictResult
from rollwarden.core.mesh import RoutedWeight
from rollwarden.core.times import timestamp
from tests.builders import NOW, evidence

from .outcomes import Row, at_gate, check, each, released, table

PROOF = evidence(VerdictResult.PROMOTE, gate_index=1)
PASSES = ("Change 5: Canary Proven", "rollout/status: promote past the gate", "Normal GatePassed")
ROUTED_WRONG = ("Change 5: Canary WeightNotRouted", "Warning WeightNotRouted")


def routed(weight: int) -> dict[str, Any]:
    return {"routed": (RoutedWeight("other", "", 25), RoutedWeight("checkout-vs", "", weight))}


MESH = table(
    Row(
        "the mesh sends another share than the gate is about: nothing is proven by it",
        at_gate(evidence=PROOF, **routed(40)),
        "misrouted",
        ROUTED_WRONG,
        ('VirtualService "checkout-vs" sends 40 % to the canary instead', "to route 25 % to the canary"),
    ),
    Row(
        "that is said once",
        at_gate(**routed(40), status={"reason": "WeightNotRouted"}),
        "misrouted",
        ("Change 5: Canary WeightNotRouted",),
    ),
    Row("it sends what was asked", at_gate(evidence=PROOF, **routed(25)), "gate-passed", PASSES),
    Row(
        "a gate that has passed is promoted all the same",
        at_gate(entry={"passed_at": timestamp(NOW)}, **routed(40)),
        "promote-gate",
        ("rollout/status: promote past the gate",),
    ),
    Row("between gates it is Argo's to correct", released(**routed(40)), "under-way"),
    Row(
        "harm is rolled back wherever it was sent",
        at_gate(evidence=evidence(VerdictResult.ROLLBACK), **routed(40)),
        "regression",
        ("Change 5: RollingBack Regression", "rollout/status: abort"),
    ),
)


@each(MESH)
def test_the_mesh(row: Row) -> None:
    check(row)
