"""The release itself: what is put on the Rollout in one patch, on exactly what was read, and what is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from rollwarden.api import names
from rollwarden.api.argo import CanaryStrategy, Rollout
from rollwarden.api.change import Change, ChangeStatus, Pace, Plan
from rollwarden.api.enums import Phase, Tier
from rollwarden.core import writes
from rollwarden.core.decide import decide
from rollwarden.core.plan import UNMEASURED
from rollwarden.core.seen import ReleaseGround, Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import Outcome, annotation, remove
from tests.builders import (
    BARRIER,
    NOW,
    OWNER_STEPS,
    UID,
    argo_status,
    change,
    ground,
    new_set,
    quarantined,
    release,
    rollout,
    seen,
    stable_set,
    vote,
)

from .outcomes import CHANGE_NAME, asks, check_form, needs, patch_in, status_in, told, value_at

HOLD = annotation(names.HOLD)
STEPS = "/spec/strategy/canary/steps"
LADDER = Pace(profiles=("slow",), weights=(25,), bake=60)


def released_from(about: Seen) -> Outcome:
    outcome = decide(about)
    check_form(outcome)
    assert outcome.rule == "released" and outcome.critical
    return outcome


def paths(outcome: Outcome) -> dict[str, Any]:
    """What the release adds, by path; what it removes, as None."""
    ops = patch_in(outcome, "release").ops
    return {op["path"]: op.get("value") for op in ops if op["op"] != "test"}


def test_it_stands_on_what_was_read_and_takes_the_barrier_away() -> None:
    patch = patch_in(released_from(seen()), "release")
    assert patch.subresource == ""
    assert patch.ops[:3] == (
        writes.test("/metadata/uid", UID),
        writes.test("/metadata/generation", 6),
        writes.test(HOLD, "held-5"),
    )
    assert value_at(patch, STEPS) == list(OWNER_STEPS)
    assert value_at(patch, annotation(names.CHANGE)) == CHANGE_NAME
    assert patch.ops[-1] == {"op": "add", "path": HOLD, "value": "released-5"}, "the hold value turns last"


def test_the_release_is_written_down_before_its_commit_point() -> None:
    outcome = released_from(seen(votes=(vote(),)))
    assert told(outcome)[:2] == ("Change 5: Canary Released", "rollout: release")
    status = status_in(outcome)
    assert status.release is not None and status.release.base.steps == OWNER_STEPS
    assert [approval.user for approval in status.approvals] == ["ada@corp"]
    assert {c.type: c.status for c in status.conditions} == {"Approved": "True", "Released": "True"}


def test_gates_of_the_plan_are_released_with_the_rollback_window_off() -> None:
    of = rollout(annotations={names.BASE_ROLLBACK_WINDOW: "3", names.MESSAGE: "waits"})
    outcome = released_from(seen(of=of, **asks(gated=True, pace=LADDER), ground=ground(4)))
    plan = _plan(outcome)
    assert [gate.weight for gate in plan.gates] == [25, 50, 100]
    found = paths(outcome)
    assert found[STEPS] == list(plan.steps or ())
    assert "/spec/rollbackWindow" not in found, "Argo would skip every gate"
    assert found[annotation(names.BASE_ROLLBACK_WINDOW)] is None and found[annotation(names.MESSAGE)] is None
    made = status_in(outcome).release
    assert made is not None and made.base.rollback_window == 3, "it is kept, to be put back"


def test_without_gates_the_rollback_window_comes_back_at_once() -> None:
    outcome = released_from(seen(of=rollout(annotations={names.BASE_ROLLBACK_WINDOW: "3"})))
    assert paths(outcome)["/spec/rollbackWindow"] == {"revisions": 3}


def test_the_owners_pauses_are_named_so_that_a_person_may_end_them() -> None:
    own: tuple[dict[str, Any], ...] = ({"setWeight": 50}, {"pause": {}}, {"setWeight": 80}, {"pause": {}})
    outcome = released_from(seen(of=rollout(steps=(*BARRIER, *own))))
    assert paths(outcome)[annotation(names.OWNER_PAUSES)] == ",1,3,"


def test_the_owners_analysis_starts_at_their_own_step_again() -> None:
    of = rollout(
        analysis={"templates": [{"templateName": "t"}], "startingStep": 3},
        annotations={names.BASE_STARTING_STEP: "1"},
    )
    found = paths(released_from(seen(of=of)))
    assert found["/spec/strategy/canary/analysis"] == {"templates": [{"templateName": "t"}], "startingStep": 1}
    assert found[annotation(names.BASE_STARTING_STEP)] is None


def test_an_owner_without_steps_gets_none_back() -> None:
    assert paths(released_from(seen(of=rollout(steps=BARRIER))))[STEPS] is None


def first_revision() -> Seen:
    about = rollout(hold="held-0", generation=1, steps=OWNER_STEPS, status=argo_status(stable_rs=""))
    return seen(of=about, sets=(new_set(hold="held-0"),), changes=(change(attempt="0", of=about),))


def test_a_first_revision_comes_up_whole_and_its_owners_steps_are_kept() -> None:
    outcome = released_from(first_revision())
    made = status_in(outcome, "0").release
    assert made is not None and made.plan.steps == ({"setWeight": 100},)
    assert made.base.steps == OWNER_STEPS
    assert any("nothing serves yet" in note for note in made.plan.notes)


def test_a_blue_green_rollout_gets_its_hold_value_only() -> None:
    outcome = released_from(seen(of=rollout(blue_green=True)))
    assert list(paths(outcome)) == [HOLD]
    assert "not judged" in " ".join(_plan(outcome).notes)


def _plan(outcome: Outcome) -> Plan:
    made = status_in(outcome).release
    assert made is not None
    return made.plan


def test_a_problem_with_measuring_is_noted() -> None:
    measured = ReleaseGround(ground().ground, judge=None, problem="Prometheus does not answer")
    assert "Prometheus does not answer" in _plan(released_from(seen(ground=measured))).notes


def _crashed() -> Change:
    plan = Plan(steps=({"setWeight": 10},))
    left = ChangeStatus(phase=Phase.CANARY, release=release(plan, time=timestamp(NOW - 300)))
    return change(status=left)


def test_an_intent_that_a_crash_left_is_taken_up_again_with_todays_time() -> None:
    outcome = released_from(seen(changes=(_crashed(),)))
    made = status_in(outcome).release
    assert made is not None and (made.plan.steps, made.time) == (({"setWeight": 10},), timestamp(NOW))


def test_where_traffic_was_measured_again_the_plan_is_made_again() -> None:
    assert _plan(released_from(seen(changes=(_crashed(),), ground=ground()))).steps == OWNER_STEPS


def test_the_weights_of_a_routed_canary_are_exact() -> None:
    about = seen(**asks(gated=True, pace=LADDER))
    by_pods = _plan(released_from(about))
    assert [gate.exposure_percent for gate in by_pods.gates] == ["25", "50", "100"]
    routed = seen(of=_routed(), **asks(gated=True, pace=Pace(profiles=("p",), weights=(1,))))
    assert [gate.exposure_percent for gate in _plan(released_from(routed)).gates] == ["1", "50"]


def _routed() -> Rollout:
    of = rollout()
    canary = CanaryStrategy(steps=(*BARRIER, *OWNER_STEPS), traffic_routing={"plugins": {}})
    strategy = msgspec.structs.replace(of.spec.strategy, canary=canary)
    return msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, strategy=strategy))


# What a wait writes, once


def after(about: Seen, outcome: Outcome) -> Seen:
    """The same moment with the wait's writes made."""
    status = status_in(outcome)
    changes = tuple(
        msgspec.structs.replace(c, status=status) if c.metadata.name == CHANGE_NAME else c for c in about.changes
    )
    meta = about.rollout.metadata
    said = msgspec.structs.replace(meta, annotations=meta.annotations | {names.MESSAGE: status.message})
    return replace(about, changes=changes, rollout=msgspec.structs.replace(about.rollout, metadata=said))


WAITS = {
    "approvals": needs(Tier.SENIOR),
    "a quarantine": seen(changes=(quarantined(), change())),
    "evidence": needs(human_adopter=True),
}


@pytest.mark.parametrize("about", WAITS.values(), ids=WAITS)
def test_a_wait_is_said_once(about: Seen) -> None:
    first = decide(about)
    again = decide(after(about, first))
    assert first.writes and (again.rule, again.writes) == (first.rule, ())


def test_a_wait_that_a_vote_may_end_is_looked_at_again() -> None:
    assert decide(needs(Tier.SENIOR)).requeue is None
    assert decide(needs(Tier.SENIOR, votes=(vote(tier=Tier.PEER),))).requeue == 60.0


def test_a_wait_whose_length_is_not_known_yet_is_said_anew_soon() -> None:
    outcome = decide(seen(**asks(Tier.SENIOR, gated=True, pace=LADDER), ground=ground(4)))
    assert UNMEASURED in outcome.sentence and outcome.requeue == 30.0


def test_a_wait_tells_where_the_approvals_stand() -> None:
    status = status_in(decide(needs(Tier.SENIOR, Tier.PRINCIPAL, votes=(vote(),))))
    assert [approval.user for approval in status.approvals] == ["ada@corp"]
    assert (status.waiting_for, status.stable_revision) == ("1 principal", 1)
    (approved,) = status.conditions
    assert (approved.type, approved.status, approved.reason) == ("Approved", "False", "ApprovalsMissing")


def test_what_serves_must_be_known_before_a_release() -> None:
    outcome = decide(seen(sets=(new_set(),)))
    assert (outcome.rule, outcome.writes, outcome.requeue) == ("sets-not-seen", (), 1.0)


def test_a_revision_that_was_superseded_on_its_way_may_be_all_that_serves() -> None:
    """What Argo calls stable never came up and is locked; the pods it counts are those of a set in between."""
    never_up = stable_set(hold="aborted-0", known_good=None, replicas=0, ready=0)
    between = new_set(name="checkout-ccc", pod_hash="ccc", hold="aborted-4", replicas=2, ready=2)
    of = rollout(status=argo_status(ready_replicas=2))
    assert decide(seen(of=of, sets=(never_up, between, new_set()))).rule == "released"
    assert decide(seen(of=of, sets=(never_up, new_set()))).rule == "sets-not-seen"


def test_a_removed_key_of_the_release_was_there() -> None:
    assert all(op != remove(annotation(names.MESSAGE)) for op in patch_in(released_from(seen()), "release").ops)
