"""Which rules are asked at all: by mode, by what the Rollout is, by what is over; and what a deletion ends."""

from __future__ import annotations

from typing import Any

import msgspec

from rollwarden.api import names
from rollwarden.api.change import ChangeStatus
from rollwarden.api.enums import Mode, Phase, VerdictResult
from rollwarden.core.decide import decide, decide_gone
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from tests.builders import NOW, UID, argo_status, change, evidence, new_set, rollout, seen, stable_set, template

from .outcomes import RELEASED, Row, check, check_form, each, elsewhere, released, status_in, table, told

OTHER_UID = "9f9f9f9f-0000-4000-8000-000000000009"


def finished(phase: Phase, hold: str = "released-5", **fields: Any) -> Seen:
    status = ChangeStatus(phase=phase, message="it is over", finished_at=timestamp(NOW - 5))
    return seen(of=rollout(hold=hold), changes=(change(status=status),), **fields)


BEFORE = msgspec.structs.replace(
    change(attempt="4", uid="change-4", of=rollout(uid=OTHER_UID)), status=ChangeStatus(phase=Phase.CANARY)
)
HARM = evidence(VerdictResult.ROLLBACK)
RULES = table(
    Row("a namespace that is off is left alone", seen(mode=Mode.OFF), "nothing-to-do"),
    Row("harm too", released(mode=Mode.OFF, evidence=HARM), "nothing-to-do"),
    Row(
        "a template that lives in a Deployment cannot be read: it stays held, and that is said",
        seen(of=elsewhere()),
        "workload-ref-unsupported",
        ("rollout: say why it waits", "Warning WorkloadRefUnsupported"),
        ('takes its pod template from Deployment "checkout" (workloadRef), which is not supported',),
    ),
    Row(
        "and not governed where nothing is held", seen(of=elsewhere(""), mode=Mode.OBSERVE), "workload-ref-unsupported"
    ),
    Row(
        "a sentence that a hold left there goes with it",
        seen(of=elsewhere("released-5", {names.MESSAGE: "it waits"})),
        "workload-ref-unsupported",
        ("rollout: it is not held any more",),
    ),
    Row(
        "an attempt from before is brought to its end although the namespace only observes now",
        released(mode=Mode.OBSERVE, evidence=HARM),
        "regression",
        ("Change 5: RollingBack Regression", "rollout/status: abort"),
    ),
    Row("held from before: released by the same rules", seen(mode=Mode.OBSERVE), "released", RELEASED),
    Row(
        "held from before, its Change not written yet",
        seen(mode=Mode.OBSERVE, changes=()),
        "new-template",
        ("create Change 5",),
    ),
    Row(
        "a template written since the namespace only observes is observed",
        seen(mode=Mode.OBSERVE, of=rollout(generation=8, pod_template=template("shop:9"))),
        "observed",
        ("Change 5: Superseded NewTemplate", "create Change o8", "Normal Observed"),
    ),
    Row(
        "what was over stays over there",
        finished(Phase.COMPLETED, mode=Mode.OBSERVE),
        "observed",
        ("create Change o6", "Normal Observed"),
    ),
    Row(
        "the Rollout was made anew under the same name: what was live of the old one ends",
        seen(changes=(BEFORE, change())),
        "rollout-deleted",
        ("Change 4: Abandoned RolloutDeleted",),
        ('rollout "checkout" was deleted while this change was Canary',),
    ),
    Row("no template was written since the namespace is enforced", seen(of=rollout(hold="")), "no-new-template"),
    Row(
        "what runs then is known good",
        seen(of=rollout(hold=""), sets=(stable_set(known_good=None, hold=""),), changes=()),
        "mark-known-good",
        ("checkout-aaa: add known-good",),
    ),
    Row("a hold value of no known form", seen(of=rollout(hold="waiting")), "nothing-to-do"),
    Row("a hold value without a number", seen(of=rollout(hold="held-x")), "nothing-to-do"),
    Row("an abandoned change is finished", finished(Phase.ABANDONED), "finished", says=("it is over",)),
    Row("a completed one too", finished(Phase.COMPLETED), "finished", says=("it is over",)),
    Row("completed with a hold value that says held", finished(Phase.COMPLETED, "held-5"), "finished"),
    Row(
        "completed, and stable was not marked yet",
        finished(Phase.COMPLETED, sets=(stable_set(known_good=None, hold="released-5"),)),
        "mark-known-good",
        ("checkout-aaa: add known-good",),
    ),
    Row("rolled back and locked", finished(Phase.ROLLED_BACK, "aborted-5"), "nothing-to-do"),
)


@each(RULES)
def test_which_rule_speaks(row: Row) -> None:
    check(row)


def test_a_rollout_made_anew_is_looked_at_again_at_once() -> None:
    assert decide(seen(changes=(BEFORE, change()))).requeue == 0


def test_a_deletion_ends_what_is_live_and_nothing_else() -> None:
    over = change(attempt="3", uid="change-3", status=ChangeStatus(phase=Phase.COMPLETED))
    outcome = decide_gone((over, change()), NOW)
    check_form(outcome)
    assert told(outcome) == ("Change 5: Abandoned RolloutDeleted",)
    status = status_in(outcome)
    assert (status.finished_at, status.waiting_for) == (timestamp(NOW), "")
    assert outcome.critical, "a cache that only lost sight of a Rollout must not end its changes"


def test_a_deletion_of_nothing_live_writes_nothing() -> None:
    outcome = decide_gone((), NOW)
    assert (outcome.writes, outcome.critical) == ((), False)


def test_changes_of_the_rollout_that_stands_are_not_abandoned() -> None:
    assert decide_gone((change(),), NOW, UID).writes == ()


def test_a_held_first_revision_is_not_marked_known_good() -> None:
    """Argo calls the only ReplicaSet stable, at 0 pods."""
    of = rollout(hold="held-0", status=argo_status(stable_rs="bbb", current_pod_hash="bbb"))
    held = seen(of=of, sets=(new_set(hold="held-0"),), changes=(change(attempt="0"),))
    assert all("known-good" not in write for write in told(decide(held)))
