"""The end of a change that Argo promoted: the owner's steps come back, then it is completed."""

from __future__ import annotations

from typing import Any

from rollwarden.api import names
from rollwarden.api.change import Base, BreakGlass, Plan, Quarantine, Verdict
from rollwarden.api.enums import Phase, VerdictResult
from rollwarden.core import writes
from rollwarden.core.decide import decide
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import add, annotation, remove
from tests.builders import NOW, OWNER_STEPS, UID, change, decision, release

from .outcomes import CHANGE_NAME, PLAN, Row, check, each, gate_entry, patch_in, released, status_in, table

PROMOTED: dict[str, Any] = {"phase": "Healthy", "stable_rs": "bbb", "current_step_index": 7}
MARKED = {names.CHANGE: CHANGE_NAME}
LATE = Verdict(
    result=VerdictResult.ROLLBACK, reason="Regression", message="18 of 612 failed", decided_at=timestamp(NOW)
)
GLASS = BreakGlass(user="sam@corp", reason="INC-1", time=timestamp(NOW - 99), review_due=timestamp(NOW + 86400))
QUARANTINE = Quarantine(active=True, match_digest=change().spec.match_digest, reason="late", since=timestamp(NOW))
PASSED = tuple(gate_entry(index, passed_at=timestamp(NOW - 9)) for index in (1, 4, 6))


def promoted(
    *, marks: dict[str, str] | None = None, argo: dict[str, Any] | None = None, steps: Any = OWNER_STEPS, **fields: Any
) -> Seen:
    """Argo promoted attempt 5; by default the owner's steps are back already."""
    new = {"replicas": 4, "ready": 4, **fields.pop("new", {})}
    fields["status"] = {"gates": PASSED, "phase": Phase.BAKING, **fields.get("status", {})}
    return released(argo=PROMOTED | (argo or {}), marks=marks or {}, steps=steps, new=new, **fields)


RESTORE = ("rollout: restore the owner's steps",)
COMPLETED = ("Change 5: Completed Promoted", "Normal Completed", "checkout-bbb: add known-good")
GATED = {"decision": decision(gated=True)}

END = table(
    Row("Argo promoted it: the owner's steps come back", promoted(marks=MARKED, steps=PLAN.steps), "restore", RESTORE),
    Row(
        "they are back: it is completed, and known good",
        promoted(),
        "completed",
        COMPLETED,
        ('"checkout" is fully promoted (done); the owner\'s steps are back',),
    ),
    Row(
        "promoted, but not healthy yet",
        promoted(argo={"phase": "Progressing"}),
        "under-way",
        ("Change 5: Baking Released",),
    ),
    Row(
        "an abort that comes too late means nothing",
        promoted(argo={"abort": True, "phase": "Degraded"}),
        "completed",
        COMPLETED[:2],
    ),
    Row(
        "unless nothing is ready",
        promoted(argo={"abort": True, "phase": "Degraded"}, new={"ready": 0}),
        "under-way",
        ("Change 5: Baking Released",),
    ),
    Row(
        "a gate that nobody passed leaves it unproven",
        promoted(status={"gates": PASSED[:2]}, about=GATED),
        "completed",
        COMPLETED,
        ("(unproven, watched only)",),
    ),
    Row(
        "so does a plan without gates where gates were due",
        promoted(plan=Plan(steps=OWNER_STEPS), status={"gates": ()}, about=GATED),
        "completed",
        COMPLETED,
        ("(unproven, watched only)",),
    ),
    Row(
        "where none were due it is done",
        promoted(plan=Plan(steps=OWNER_STEPS), status={"gates": ()}),
        "completed",
        COMPLETED,
        ("(done)",),
    ),
    Row(
        "a known good revision owes no proof",
        promoted(plan=Plan(steps=OWNER_STEPS), status={"gates": ()}, about=GATED | {"known_good": True}),
        "completed",
        COMPLETED,
        ("(done)",),
    ),
    Row(
        "a verdict that came too late is said, and the revision is not known good",
        promoted(status={"verdict": LATE, "phase": Phase.ROLLING_BACK, "quarantine": QUARANTINE}),
        "completed",
        ("Change 5: Completed Promoted", "Warning Completed"),
        (
            'Argo had fully promoted "checkout" before the rollback could stop it',
            "kubectl rollwarden undo checkout -n pay",
        ),
    ),
    Row(
        "what break-glass left of a plan goes too, though no mark stands",
        promoted(status={"break_glass": GLASS, "gates": ()}, steps=({"setWeight": 25}, {"setWeight": 100})),
        "restore",
        RESTORE,
    ),
    Row(
        "break-glass on the owner's own steps leaves nothing to put back",
        promoted(status={"break_glass": GLASS}),
        "completed",
        COMPLETED,
    ),
)


@each(END)
def test_the_end(row: Row) -> None:
    check(row)


def test_the_owners_strategy_comes_back_in_one_patch_while_stable_is_current() -> None:
    base = Base(steps=OWNER_STEPS, analysis={"templates": [], "startingStep": 1}, rollback_window=2)
    marks = MARKED | {names.MESSAGE: "m", names.OWNER_PAUSES: ",1,"}
    about = promoted(
        marks=marks,
        steps=PLAN.steps,
        of={"analysis": {"templates": [], "startingStep": 4}},
        status={"release": release(PLAN, base=base)},
    )
    assert patch_in(decide(about), "restore the owner's steps").ops == (
        writes.test("/metadata/uid", UID),
        writes.test("/metadata/resourceVersion", "100"),
        writes.test("/status/stableRS", "bbb"),
        add("/spec/strategy/canary/steps", list(OWNER_STEPS)),
        add("/spec/strategy/canary/analysis", {"templates": [], "startingStep": 1}),
        add("/spec/rollbackWindow", {"revisions": 2}),
        *(remove(annotation(key)) for key in marks),
    )


def test_an_owner_without_steps_has_none_again() -> None:
    about = promoted(marks=MARKED, steps=PLAN.steps, status={"release": release(PLAN, base=Base(steps=None))})
    assert remove("/spec/strategy/canary/steps") in patch_in(decide(about), "restore the owner's steps").ops


def test_a_rollback_window_that_its_owner_wrote_meanwhile_stays() -> None:
    kept = release(PLAN, base=Base(steps=OWNER_STEPS, rollback_window=2))
    about = promoted(marks=MARKED, steps=PLAN.steps, of={"rollback_window": 5}, status={"release": kept})
    paths = [op["path"] for op in patch_in(decide(about), "restore the owner's steps").ops]
    assert "/spec/rollbackWindow" not in paths


def test_a_completed_change_says_how_safe_it_is() -> None:
    def safe(about: Seen) -> str:
        return {c.type: c.status for c in status_in(decide(about)).conditions}["Safe"]

    assert safe(promoted()) == "True"
    assert safe(promoted(status={"unproven": True})) == "Unknown"
    assert safe(promoted(status={"verdict": LATE})) == "False"


def test_a_completed_change_has_an_end() -> None:
    status = status_in(decide(promoted()))
    assert (status.phase, status.finished_at, status.waiting_for) == (Phase.COMPLETED, timestamp(NOW), "")
