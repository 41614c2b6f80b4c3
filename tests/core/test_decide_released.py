"""What happens to a revision that was released, as tables of sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollwarden.api import names
from rollwarden.api.change import BreakGlass, Plan, Verdict
from rollwarden.api.enums import Phase, VerdictResult
from rollwarden.core import writes
from rollwarden.core.decide import decide
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import add, annotation, remove
from tests.builders import NOW, OWNER_STEPS, UID, evidence, new_set, release, vote

from .outcomes import (
    CHANGE_NAME,
    OTHER_DIGEST,
    PLAN,
    Row,
    at_gate,
    check,
    each,
    gate_entry,
    no,
    patch_in,
    released,
    status_in,
    table,
)

HOLD, MESSAGE = annotation(names.HOLD), annotation(names.MESSAGE)
GLASS = {names.BREAK_GLASS: "pool exhaustion, INC-812", names.BREAK_GLASS_BY: "sam@corp"}
RECORDED = BreakGlass(user="sam@corp", reason="INC-812", time=timestamp(NOW - 9), review_due=timestamp(NOW + 9 * 86400))
MARKED = {names.CHANGE: CHANGE_NAME}
UNRELEASED: dict[str, Any] = {"phase": Phase.HELD, "reason": "", "release": None}
ABORTED = {"abort": True, "message": "RolloutAborted: metric failed"}
VERDICT = Verdict(
    result=VerdictResult.ROLLBACK,
    reason="Regression",
    message="18 of 612 requests failed (2.9 %) against 0.1 % on r1",
    harmed=17,
    decided_at=timestamp(NOW - 10),
)
ROLLED_BACK = ("Change 5: RolledBack AbortedInArgo", "Warning RolledBack")
HARM = evidence(VerdictResult.ROLLBACK, harmed=16.6)
REGRESSION = ("Change 5: RollingBack Regression", "rollout/status: abort")


def unrecorded(marks: Mapping[str, str], **fields: Any) -> Seen:
    """The hold value says released, and no release was ever written; the owner's steps stand."""
    return released(status=UNRELEASED, marks=marks, steps=OWNER_STEPS, **fields)


GLASS_WRITES = ("Change 5: Canary BreakGlass", "Warning BreakGlass")
BREAK_GLASS = table(
    Row(
        "break-glass is recorded, and a review is owed in three days",
        unrecorded(GLASS),
        "break-glass",
        GLASS_WRITES,
        ('sam@corp released "checkout" without approval at 08:00: "pool exhaustion, INC-812"', "by 2027-01-18"),
    ),
    Row(
        "a denied change is live again",
        released(status={**UNRELEASED, "phase": Phase.DENIED}, marks=GLASS),
        "break-glass",
        GLASS_WRITES,
    ),
    Row("over a live plan too", at_gate(marks=MARKED | GLASS), "break-glass", GLASS_WRITES),
    Row("a reason without a stamped person is none", released(marks={names.BREAK_GLASS: "x", **MARKED}), "under-way"),
    Row(
        "a rejection from before is overruled by break-glass",
        released(status={"break_glass": RECORDED}, marks=MARKED | GLASS, votes=(no(at=NOW - 500),)),
        "under-way",
    ),
    Row(
        "one from after it is not",
        released(status={"break_glass": RECORDED}, marks=MARKED | GLASS, votes=(no(at=NOW - 3),)),
        "regression",
        ("Change 5: RollingBack RejectedByPerson", "rollout/status: abort"),
    ),
    Row(
        "nor does one from before the release of a known good revision take that back",
        released(about={"known_good": True}, votes=(no(at=NOW - 500),)),
        "under-way",
    ),
    Row("recorded once", released(status={"break_glass": RECORDED}, marks=MARKED | GLASS), "under-way"),
    Row(
        "from then on the steps that stand are kept against others",
        released(status={"break_glass": RECORDED}, marks=GLASS),
        "protect-steps",
        ("rollout: mark the change that is under way",),
    ),
    Row(
        "a blueGreen has no steps to keep",
        released(status={"break_glass": RECORDED}, marks=GLASS, of={"blue_green": True}),
        "under-way",
    ),
    Row(
        "the judge watches what break-glass let go",
        released(status={"break_glass": RECORDED}, marks=MARKED | GLASS, evidence=HARM),
        "regression",
        REGRESSION,
    ),
    Row(
        "released by nobody known: it is watched as it stands, and said",
        unrecorded({}),
        "released-outside",
        ("Change 5: Canary ReleasedOutside", "Warning ReleasedOutside"),
        ("released outside of Rollwarden",),
    ),
)

OTHERS = {"hold": "released-4", "digest": OTHER_DIGEST}
ABORTS = table(
    Row(
        "Argo aborted it: that is a rollback, with Argo's reason",
        released(argo=ABORTED),
        "rolled-back",
        ROLLED_BACK,
        ('rolled back "checkout" r2 to r1 after 30 s: RolloutAborted: metric failed', "r2 is quarantined"),
    ),
    Row("without a reason", released(argo={"abort": True}), "rolled-back", ROLLED_BACK, ("without a reason given",)),
    Row(
        "the abort that was ours keeps its verdict",
        at_gate(argo=ABORTED, status={"verdict": VERDICT, "phase": Phase.ROLLING_BACK}),
        "rolled-back",
        ("Change 5: RolledBack Regression", "Warning RolledBack"),
        ("after 20 s at 25 %: 18 of 612 requests failed", "about 17 requests harmed"),
    ),
    Row("it was the revision before", released(argo=ABORTED, new=OTHERS), "argo-lags"),
    Row(
        "the intent stands, the abort was lost",
        released(status={"phase": Phase.ROLLING_BACK, "verdict": VERDICT}),
        "abort",
        ("rollout/status: abort",),
    ),
    Row(
        "another revision is current by now: it is not aborted",
        released(status={"phase": Phase.ROLLING_BACK}, new=OTHERS),
        "argo-lags",
    ),
    Row(
        "rolled back: the ReplicaSet is locked again",
        released(argo=ABORTED, status={"phase": Phase.ROLLED_BACK, "message": "it failed"}),
        "lock-rolled-back",
        ("rollout: lock the rolled-back ReplicaSet",),
    ),
    Row(
        "it was known good once, and is no more",
        released(argo=ABORTED, status={"phase": Phase.ROLLED_BACK}, new={"known_good": timestamp(NOW - 99)}),
        "lock-rolled-back",
        ("checkout-bbb: remove known-good", "rollout: lock the rolled-back ReplicaSet"),
    ),
    Row(
        "locked: nothing more to do",
        released(argo=ABORTED, status={"phase": Phase.ROLLED_BACK}, of={"hold": "aborted-5"}),
        "nothing-to-do",
    ),
    Row(
        "a blueGreen that Argo aborts for the time of the hold itself",
        released(argo={"abort": True, "message": "has timed out progressing"}, of={"blue_green": True}),
        "hold-timed-out",
        ("rollout/status: clear the abort that the hold itself caused", "Change 5: Canary ClearedHoldTimeout"),
    ),
    Row(
        "is forgiven once",
        released(
            argo={"abort": True, "message": "has timed out progressing"},
            of={"blue_green": True},
            status={"reason": "ClearedHoldTimeout"},
        ),
        "rolled-back",
        ROLLED_BACK,
    ),
    Row(
        "aborted for another reason it is not",
        released(argo=ABORTED, of={"blue_green": True}),
        "rolled-back",
        ROLLED_BACK,
    ),
    Row(
        "nor is a canary",
        released(argo={"abort": True, "message": "has timed out progressing"}),
        "rolled-back",
        ROLLED_BACK,
    ),
)

CRASHES = {"replicas": 1, "ready": 0}


def exceeded(at: float, reason: str = "ProgressDeadlineExceeded") -> dict[str, Any]:
    """Argo's own word on progress, said at that time."""
    said = {"type": "Progressing", "status": "False", "reason": reason, "lastUpdateTime": timestamp(at)}
    return {"conditions": ({"type": "Available", "status": "True", "reason": "AvailableReason"}, said)}


LONG_AGO = {"release": release(PLAN, time=timestamp(NOW - 900))}
HARMS = table(
    Row(
        "a proven regression is rolled back",
        released(evidence=HARM),
        "regression",
        REGRESSION,
        ("rolling back: 18 of 612",),
    ),
    Row(
        "without a stable there is nothing to return to",
        released(evidence=HARM, sets=(new_set(hold="released-5"),)),
        "under-way",
        ("Change 5: Canary Released",),
    ),
    Row("Argo has not taken this revision up", released(evidence=HARM, new=OTHERS), "argo-lags"),
    Row("Argo's word is older than the spec", released(evidence=HARM, argo={"observed_generation": "5"}), "argo-lags"),
    Row(
        "the status before the commit point was lost",
        released(status={"phase": Phase.AWAITING_APPROVAL}, argo={"observed_generation": "5"}),
        "argo-lags",
        ("Change 5: Canary Released",),
    ),
    Row(
        "a person rejects it after its release",
        released(votes=(no(),)),
        "regression",
        ("Change 5: RollingBack RejectedByPerson", "rollout/status: abort"),
        ('ada@corp rejected it after release: "breaks refunds"',),
    ),
    Row("a rejection of another attempt is of nothing here", released(votes=(no(change_uid="change-4"),)), "under-way"),
    Row("an agent's rejection does not count", released(votes=(no(agent=True),)), "under-way"),
    Row("an approval changes nothing any more", released(votes=(vote(),)), "under-way"),
    Row(
        "its pods crash in a loop",
        released(crash_looping=True, new=CRASHES),
        "regression",
        ("Change 5: RollingBack CrashLoop", "rollout/status: abort"),
        ("its pods crash in a loop and none is ready",),
    ),
    Row(
        "also after gates that passed",
        released(crash_looping=True, new=CRASHES, status={"gates": (gate_entry(passed_at=timestamp(NOW)),)}),
        "regression",
        ("Change 5: RollingBack CrashLoop", "rollout/status: abort"),
    ),
    Row("one pod is ready: it is the judge's to say", released(crash_looping=True), "under-way"),
    Row("no pod was asked for", released(crash_looping=True, new={"replicas": 0, "ready": 0}), "under-way"),
    Row(
        "Argo's deadline for progress passed, and no gate was reached",
        released(argo=exceeded(NOW - 5), new=CRASHES, status=LONG_AGO),
        "regression",
        ("Change 5: RollingBack NeverReady", "rollout/status: abort"),
        ("no pod of 1 was ready within 10 min",),
    ),
    Row(
        "after a gate that is no longer never",
        released(argo=exceeded(NOW - 5), new=CRASHES, status=LONG_AGO | {"gates": (gate_entry(),)}),
        "under-way",
    ),
    Row("long ago released, but Argo does not say so", released(new=CRASHES, status=LONG_AGO), "under-way"),
    Row(
        "Argo says that it goes on",
        released(argo=exceeded(NOW - 5, "ReplicaSetUpdated"), new=CRASHES, status=LONG_AGO),
        "under-way",
    ),
    Row(
        "Argo said it of the hold, before the release",
        released(argo=exceeded(NOW - 901), new=CRASHES, status=LONG_AGO),
        "under-way",
    ),
)

OWNED = Plan(steps=({"setWeight": 50}, {"pause": {}}), owner_pauses=(1,))
WAITS = {"pause_conditions": ({"reason": "CanaryPauseStep"},), "current_step_index": 1, "phase": "Paused"}
ON = table(
    Row("on its way, nothing new", released(), "under-way"),
    Row(
        "at the owner's own pause a person is waited for",
        released(plan=OWNED, argo=WAITS),
        "under-way",
        ("Change 5: Canary Released",),
        ("kubectl argo rollouts promote",),
    ),
    Row(
        "and past it nobody any more",
        released(plan=OWNED, argo={"current_step_index": 2}, status={"waiting_for": "a person"}),
        "under-way",
        ("Change 5: Canary Released",),
    ),
    Row(
        "the crash between commit point and status is made up for",
        released(status={"phase": Phase.HELD, "reason": ""}),
        "under-way",
        ("Change 5: Canary Released",),
    ),
    Row("a bake stays a bake", released(status={"phase": Phase.BAKING, "reason": "Bake"}), "under-way"),
)


@each(BREAK_GLASS)
def test_break_glass(row: Row) -> None:
    check(row)


@each(ABORTS)
def test_aborts(row: Row) -> None:
    check(row)


@each(HARMS, ON)
def test_under_way(row: Row) -> None:
    check(row)


def test_an_abort_rests_on_the_revision_alone() -> None:
    """It must not starve under an autoscaler's writes."""
    patch = patch_in(decide(released(evidence=HARM)), "abort")
    assert patch.subresource == "status"
    assert patch.ops == (
        writes.test("/metadata/uid", UID),
        writes.test("/status/currentPodHash", "bbb"),
        add("/status/abort", True),
    )


def test_the_verdict_and_the_quarantine_are_written_before_the_abort() -> None:
    status = status_in(decide(released(evidence=HARM)))
    assert status.verdict is not None
    assert (status.verdict.reason, status.verdict.harmed, status.verdict.decided_at) == (
        "Regression",
        17,
        timestamp(NOW),
    )
    assert status.quarantine.active and status.quarantine.since == timestamp(NOW)
    assert status.quarantine.reason.startswith("Regression: 18 of 612")
    assert {c.type: c.status for c in status.conditions}["Safe"] == "False"


def test_a_quarantine_keeps_its_first_reason() -> None:
    first = status_in(decide(released(evidence=HARM)))
    known = {"phase": Phase.ROLLING_BACK, "verdict": first.verdict, "quarantine": first.quarantine}
    after = status_in(decide(released(argo=ABORTED, status=known, now=NOW + 60)))
    assert after.quarantine == first.quarantine
    assert after.finished_at == timestamp(NOW + 60)


def test_a_rolled_back_revision_is_locked_without_touching_a_step() -> None:
    """An edit of the steps would clear the abort."""
    about = released(argo=ABORTED, status={"phase": Phase.ROLLED_BACK, "message": "it failed"})
    assert patch_in(decide(about), "lock the rolled-back ReplicaSet").ops == (
        writes.test("/metadata/uid", UID),
        writes.test(HOLD, "released-5"),
        add(MESSAGE, "it failed"),
        add(HOLD, "aborted-5"),
    )


def test_the_abort_that_is_cleared_is_the_one_that_was_seen() -> None:
    about = released(argo={"abort": True, "message": "timed out progressing"}, of={"blue_green": True})
    patch = patch_in(decide(about), "clear the abort that the hold itself caused")
    assert patch.subresource == "status"
    assert patch.ops == (writes.test("/metadata/uid", UID), writes.test("/status/abort", True), remove("/status/abort"))


def test_what_stands_at_break_glass_is_the_plan_with_the_owners_pauses() -> None:
    steps: tuple[dict[str, Any], ...] = ({"setWeight": 40}, {"pause": {}})
    status = status_in(decide(released(status=UNRELEASED, marks=GLASS, steps=steps)))
    assert status.release is not None
    assert (status.release.plan.steps, status.release.plan.owner_pauses, status.release.plan.gates) == (steps, (1,), ())
    assert status.break_glass is not None and status.break_glass.reason == "pool exhaustion, INC-812"
    assert {c.type: c.reason for c in status.conditions}["Approved"] == "BreakGlass"


def test_break_glass_over_a_live_plan_keeps_what_the_owner_had() -> None:
    status = status_in(decide(at_gate(marks=MARKED | GLASS)))
    assert status.release is not None and status.release.base.steps == OWNER_STEPS


def test_a_change_that_was_over_is_not_over_after_break_glass() -> None:
    over = released(status=UNRELEASED | {"phase": Phase.REJECTED, "finished_at": timestamp(NOW - 99)}, marks=GLASS)
    status = status_in(decide(over))
    assert (status.phase, status.finished_at) == (Phase.CANARY, None)


def test_the_mark_of_break_glass_names_the_owners_pauses() -> None:
    status = {"break_glass": RECORDED, "release": release(OWNED)}
    patch = patch_in(decide(released(plan=OWNED, status=status, marks=GLASS)), "mark the change that is under way")
    assert add(annotation(names.OWNER_PAUSES), ",1,") in patch.ops
    assert add(annotation(names.CHANGE), CHANGE_NAME) in patch.ops


def test_a_very_long_reason_of_argos_is_shortened() -> None:
    verdict = status_in(decide(released(argo={"abort": True, "message": 5000 * "x"}))).verdict
    assert verdict is not None and len(verdict.message) == 2048
