"""Gates, as tables of sentences: what ends the pause, what lets it stand, and what is said meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api.change import Denial, Pace
from rollwarden.api.enums import AtMaximum, GateKind, OnBlind, OnNoIndicators, Phase, Tier, VerdictResult
from rollwarden.core import writes
from rollwarden.core.decide import decide
from rollwarden.core.seen import Evidence
from rollwarden.core.times import timestamp
from tests.builders import NOW, OWNER_STEPS, UID, assessment, decision, evidence, vote

from .outcomes import Row, at_gate, check, each, gate_entry, patch_in, released, status_in, table

S, P, PEER = Tier.SENIOR, Tier.PRINCIPAL, Tier.PEER
OFF_LIMITS = Denial(rule="freeze", message="year-end freeze")


def needing(*tiers: Tier, **pace: Any) -> dict[str, Any]:
    """The change was seen under these requirements."""
    return {"about": {"decision": decision(*tiers, gated=True, pace=Pace(profiles=("slow",), **pace))}}


HOLDS = needing(at_maximum=AtMaximum.HOLD)
PROMOTES = needing(at_maximum=AtMaximum.PROMOTE)
RETURNS = needing(at_maximum=AtMaximum.HOLD, on_blind=OnBlind.RETURN_TO_STABLE)


def proof(at: int = 1, **fields: Any) -> Evidence:
    return evidence(VerdictResult.PROMOTE, **({"gate_index": at, "message": "safe to 50 %"} | fields))


def no_proof(at: int | None = 1, **fields: Any) -> Evidence:
    return evidence(VerdictResult.HOLD, gate_index=at, **fields)


def blind(seconds: float, **fields: Any) -> Evidence:
    told: dict[str, Any] = {"reason": "Blind", "message": "Prometheus does not answer", "blind_since": NOW - seconds}
    return no_proof(**(told | fields))


def passes(reason: str, phase: str = "Canary", kind: str = "Normal") -> tuple[str, ...]:
    return (f"Change 5: {phase} {reason}", "rollout/status: promote past the gate", f"{kind} GatePassed")


ARRIVAL = table(
    Row(
        "Argo reached a gate: proof is gathered from now on",
        at_gate(age=None),
        "gate-reached",
        ("Change 5: Canary Evidence",),
        ("is at 25 %, gathering proof of safety: 0 of about 1,000 canary requests needed",),
    ),
    Row(
        "Argo reached the bake",
        at_gate(6, None),
        "gate-reached",
        ("Change 5: Baking Bake",),
        ("bakes at 100 % for 2 min", "return to stable at once"),
    ),
    Row(
        "without a ready pod nothing is proven, so the gate has not begun",
        at_gate(age=None, new={"ready": 0}),
        "at-gate",
    ),
    Row("on the way to a gate", released(argo={"current_step_index": 1}), "under-way"),
    Row("a timed pause of the owner's is no gate", at_gate(age=None, argo={"current_step_index": 3}), "under-way"),
    Row("someone wrote other steps: their pauses are no gates", at_gate(age=None, steps=OWNER_STEPS), "under-way"),
    Row(
        "Argo went on before the gate passed: somebody promoted it, and it ends unproven",
        at_gate(argo={"current_step_index": 2, "pause_conditions": None}),
        "promoted-outside",
        ("Change 5: Canary PromotedOutside", "Warning PromotedOutside"),
        ("left its gate at 25 % without proof",),
    ),
    Row(
        "a gate that passed is left in peace",
        at_gate(entry={"passed_at": timestamp(NOW - 5)}, argo={"current_step_index": 2, "pause_conditions": None}),
        "under-way",
    ),
    Row(
        "evidence of harm comes before everything at a gate",
        at_gate(evidence=evidence(VerdictResult.ROLLBACK, gate_index=1)),
        "regression",
        ("Change 5: RollingBack Regression", "rollout/status: abort"),
    ),
)

PASSING = table(
    Row("safety is shown and the soak is over", at_gate(evidence=proof()), "gate-passed", passes("Proven")),
    Row(
        "safety is shown at the soak's last second", at_gate(age=30, evidence=proof()), "gate-passed", passes("Proven")
    ),
    Row("safety is shown before the soak is over", at_gate(age=29, evidence=proof()), "at-gate"),
    Row("it was shown for another gate", at_gate(evidence=proof(4)), "at-gate"),
    Row("it is not shown yet", at_gate(evidence=no_proof()), "at-gate"),
    Row("nothing was judged yet", at_gate(), "at-gate", says=("0 of about 1,000",)),
    Row(
        "the bake is over",
        at_gate(6, 120, evidence=proof(6), status={"phase": Phase.BAKING}),
        "gate-passed",
        passes("Proven", "Baking"),
        ("passed its bake after 2 min",),
    ),
    Row(
        "the pass is written, the promotion was lost",
        at_gate(entry={"passed_at": timestamp(NOW - 2)}),
        "promote-gate",
        ("rollout/status: promote past the gate",),
    ),
    Row(
        "a denial that came since the release holds the next gate, proof or not",
        at_gate(evidence=proof(), assessment=assessment(decision=decision(denials=(OFF_LIMITS,)))),
        "off-limits-since",
        ("Change 5: Canary OffLimits", "Warning OffLimits"),
        ('stays at 25 %: year-end freeze (rule "freeze"', "kubectl rollwarden abort checkout -n pay"),
    ),
    Row(
        "a gate that has passed before the denial is promoted",
        at_gate(
            entry={"passed_at": timestamp(NOW - 2)},
            assessment=assessment(decision=decision(denials=(OFF_LIMITS,))),
        ),
        "promote-gate",
        ("rollout/status: promote past the gate",),
    ),
    Row(
        "between gates a denial stops nothing",
        released(assessment=assessment(decision=decision(denials=(OFF_LIMITS,)))),
        "under-way",
    ),
)

UNPROVEN = ("Change 5: Canary Unproven", "Warning Unproven")
MAXIMUM = table(
    Row(
        "at its maximum a gate holds, and asks a senior",
        at_gate(age=600, evidence=no_proof(canary_requests=240), **HOLDS),
        "unproven",
        UNPROVEN,
        ("240 of about 1,000 requests needed after 10 min", "a senior may accept it", "approve checkout-r2 -n pay"),
    ),
    Row(
        "or passes unproven, where the profile says so",
        at_gate(age=600, evidence=no_proof(), **PROMOTES),
        "gate-passed-unproven",
        passes("Unproven", kind="Warning"),
    ),
    Row("a second before it, neither", at_gate(age=599, evidence=no_proof(), **PROMOTES), "at-gate"),
    Row(
        "a policy that holds since counts too",
        at_gate(
            age=600,
            evidence=no_proof(),
            assessment=assessment(
                decision=decision(gated=True, pace=Pace(profiles=("careful",), at_maximum=AtMaximum.HOLD))
            ),
            **PROMOTES,
        ),
        "unproven",
        UNPROVEN,
    ),
    Row("blind, it never passes by time", at_gate(age=600, evidence=blind(20), **PROMOTES), "unproven", UNPROVEN),
    Row("nor where nothing was judged", at_gate(age=600, **PROMOTES), "unproven", UNPROVEN),
    Row(
        "proof passes it at its maximum too",
        at_gate(age=900, evidence=proof(), **HOLDS),
        "gate-passed",
        passes("Proven"),
    ),
    Row(
        "that it holds is said once",
        at_gate(age=900, evidence=no_proof(), status={"reason": "Unproven"}, **HOLDS),
        "unproven",
    ),
    Row(
        "and again when there is a quarter more to tell, without another event",
        at_gate(
            age=900,
            evidence=no_proof(canary_requests=126),
            entry={"canary_requests": 100},
            status={"reason": "Unproven"},
            **HOLDS,
        ),
        "unproven",
        ("Change 5: Canary Unproven",),
        ("126 of about",),
    ),
)

ACCEPTED = passes("AcceptedUnproven", kind="Warning")


def accepts(user: str = "ada@corp", tier: Tier = S, **fields: Any) -> tuple[Any, ...]:
    return (vote(user, tier, **({"accept_unproven": True} | fields)),)


ACCEPTING = table(
    Row(
        "a senior takes it on",
        at_gate(age=600, votes=accepts(), **HOLDS),
        "gate-passed-unproven",
        ACCEPTED,
        ("passed its gate at 25 % after 10 min: ada@corp accepts it unproven",),
    ),
    Row("not before the maximum", at_gate(age=599, votes=accepts(), **HOLDS), "at-gate"),
    Row("a peer cannot", at_gate(age=600, votes=accepts(tier=PEER), **HOLDS), "unproven", UNPROVEN),
    Row("its author cannot", at_gate(age=600, votes=accepts("jo@corp"), **HOLDS), "unproven", UNPROVEN),
    Row(
        "a plain approval does not say so",
        at_gate(age=600, votes=accepts(accept_unproven=False), **HOLDS),
        "unproven",
        UNPROVEN,
    ),
    Row(
        "a senior cannot where the change needed a principal",
        at_gate(age=600, votes=accepts(), **needing(P, at_maximum=AtMaximum.HOLD)),
        "unproven",
        UNPROVEN,
        ("a principal may accept it", "a principal to accept it unproven"),
    ),
    Row(
        "the principal can",
        at_gate(age=600, votes=accepts(tier=P), **needing(P, at_maximum=AtMaximum.HOLD)),
        "gate-passed-unproven",
        ACCEPTED,
    ),
    Row(
        "of another attempt it is worth nothing",
        at_gate(age=600, votes=accepts(change_uid="change-4"), **HOLDS),
        "unproven",
        UNPROVEN,
    ),
)

NOTHING: dict[str, Any] = {"reason": "NoIndicators", "message": "no usable metrics were found", "no_indicators": True}
NO_METRIC = table(
    Row(
        "without any metric it passes after a minute, unproven",
        at_gate(age=60, evidence=no_proof(**NOTHING), **HOLDS),
        "gate-passed-unproven",
        passes("NoIndicators", kind="Warning"),
        ("no usable metrics were found",),
    ),
    Row(
        "not a second sooner, however short its soak",
        at_gate(age=59, evidence=no_proof(**NOTHING), **HOLDS),
        "at-gate",
        ("Change 5: Canary NoIndicators", "Normal NoIndicators"),
    ),
    Row(
        "a longer soak is kept",
        at_gate(6, 119, evidence=no_proof(6, **NOTHING), **HOLDS),
        "at-gate",
        ("Change 5: Canary NoIndicators", "Normal NoIndicators"),
    ),
    Row(
        "a profile may hold it instead",
        at_gate(age=300, evidence=no_proof(**NOTHING), **needing(on_no_indicators=OnNoIndicators.HOLD)),
        "at-gate",
        ("Change 5: Canary NoIndicators", "Normal NoIndicators"),
    ),
)

ABORTS = ("Change 5: RollingBack Blind", "rollout/status: abort")
BLIND = table(
    Row(
        "blind for the gate's whole maximum, and the profile returns to stable then",
        at_gate(age=600, evidence=blind(600), **RETURNS),
        "regression",
        ABORTS,
        ("no metrics came for 10 min", "Prometheus does not answer"),
    ),
    Row("blind for a second less", at_gate(age=600, evidence=blind(599), **RETURNS), "unproven", UNPROVEN),
    Row(
        "blind for long, but hardly at this gate",
        at_gate(age=599, evidence=blind(5000), **RETURNS),
        "at-gate",
        ("Change 5: Canary Blind", "Normal Blind"),
        ("holds at 25 %: Prometheus does not answer",),
    ),
    Row("blind for long where the profile holds", at_gate(age=900, evidence=blind(900), **HOLDS), "unproven", UNPROVEN),
    Row("metrics came back in time", at_gate(age=900, evidence=no_proof(), **RETURNS), "unproven", UNPROVEN),
    Row("blind between gates decides nothing", released(evidence=blind(5000), **RETURNS), "under-way"),
)

BURNS: dict[str, Any] = {"reason": "StableBurning", "message": "stable fails too", "page": True}
PROGRESS = table(
    Row(
        "how far the proof is",
        at_gate(evidence=no_proof(canary_requests=300)),
        "at-gate",
        ("Change 5: Canary Evidence",),
        ("300 of about 1,000 canary requests needed",),
    ),
    Row(
        "what the judge needs now is what is said",
        at_gate(evidence=no_proof(canary_requests=300, needed=1234.4)),
        "at-gate",
        ("Change 5: Canary Evidence",),
        ("300 of about 1,234",),
    ),
    Row(
        "said again with a quarter more only",
        at_gate(entry={"canary_requests": 300}, evidence=no_proof(canary_requests=375)),
        "at-gate",
    ),
    Row(
        "where nobody can tell how many it takes",
        at_gate(4, entry={"needed_requests": 0}, evidence=no_proof(4, canary_requests=12)),
        "at-gate",
        ("Change 5: Canary Evidence",),
        ("12 canary requests so far",),
    ),
    Row(
        "what is in the way is said, and pages where the judge says so",
        at_gate(evidence=no_proof(**BURNS)),
        "at-gate",
        ("Change 5: Canary StableBurning", "Warning StableBurning"),
        ('"checkout" holds at 25 %: stable fails too',),
    ),
    Row("once per reason", at_gate(evidence=no_proof(**BURNS), status={"reason": "StableBurning"}), "at-gate"),
    Row(
        "and that it is over",
        at_gate(evidence=no_proof(), status={"reason": "StableBurning"}),
        "at-gate",
        ("Change 5: Canary Evidence",),
    ),
)


@each(ARRIVAL, PROGRESS)
def test_at_a_gate(row: Row) -> None:
    check(row)


@each(PASSING)
def test_passing(row: Row) -> None:
    check(row)


@each(MAXIMUM, ACCEPTING)
def test_at_the_maximum(row: Row) -> None:
    check(row)


@each(NO_METRIC, BLIND)
def test_without_metrics(row: Row) -> None:
    check(row)


def test_a_promotion_ends_exactly_this_pause() -> None:
    patch = patch_in(decide(at_gate(evidence=proof())), "promote past the gate")
    assert patch.subresource == "status"
    assert patch.ops == (
        writes.test("/metadata/uid", UID),
        writes.test("/status/currentPodHash", "bbb"),
        writes.test("/status/currentStepIndex", 1),
        writes.test("/status/currentStepHash", "steps"),
        writes.remove("/status/pauseConditions"),
    )


def test_a_gate_that_begins_stands_in_the_change_with_its_time() -> None:
    status = status_in(decide(at_gate(4, None, status={"gates": (gate_entry(passed_at=timestamp(NOW - 9)),)})))
    assert [(gate.index, gate.kind, gate.weight) for gate in status.gates] == [
        (1, GateKind.EVIDENCE, 25),
        (4, GateKind.EVIDENCE, 50),
    ]
    assert (status.gates[-1].started_at, status.gates[-1].passed_at) == (timestamp(NOW), None)
    assert (status.revision, status.stable_revision, status.pod_hash) == (2, 1, "bbb")


def test_a_passed_gate_keeps_its_figures() -> None:
    found = proof(canary_requests=1500, needed=1400.2, log_safety=2.345)
    (gate,) = status_in(decide(at_gate(evidence=found))).gates
    assert (gate.passed_at, gate.reason) == (timestamp(NOW), "Proven")
    assert (gate.canary_requests, gate.needed_requests, gate.log_safety) == (1500, 1400, "2.35")


@pytest.mark.parametrize(("before", "after"), [(False, False), (True, True)])
def test_what_was_unproven_at_one_gate_stays_so(before: bool, after: bool) -> None:
    assert status_in(decide(at_gate(evidence=proof(), status={"unproven": before}))).unproven is after


def test_the_time_that_is_left_is_told_where_it_is_known() -> None:
    (gate,) = status_in(decide(at_gate(evidence=no_proof(canary_requests=3, eta_seconds=90)))).gates
    assert gate.eta == timestamp(NOW + 90)
