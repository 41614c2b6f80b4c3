"""The state machine can fail: each of these broken operators is caught, by the invariant it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rollwarden.api.change import Plan, Release
from rollwarden.core import approvals, attempt, decide, held, release, released
from rollwarden.core.seen import Seen
from rollwarden.core.writes import Emit, Op, Outcome, PatchRollout

from . import test_lifecycle_model
from .model import apiserver
from .model.oracle import (
    NEVER_LOOSER,
    NO_EDIT_WHILE_ABORTED,
    NO_UNAPPROVED_POD,
    NOTHING_IN_A_FREEZE,
    QUARANTINE,
    STABLE_SCALES,
    STEPS_ARE_BACK,
    Broken,
)
from .test_lifecycle_model import Lifecycle

BREACHES = f"{NO_UNAPPROVED_POD}|{QUARANTINE}"


def _releases_without_approval(patch: pytest.MonkeyPatch) -> None:
    rules = tuple(rule for rule in held.HELD_RULES if rule is not held.approvals_missing)
    patch.setattr(decide, "HELD_RULES", rules)


def _forgets_quarantine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "HELD_RULES", tuple(rule for rule in held.HELD_RULES if rule is not held.quarantine))


def _does_not_know_a_freeze(patch: pytest.MonkeyPatch) -> None:
    everywhere = dict.fromkeys(test_lifecycle_model.POLICIES, test_lifecycle_model.POLICIES["frozen"])
    patch.setattr(test_lifecycle_model, "POLICIES", everywhere)
    patch.setattr(decide, "HELD_RULES", tuple(rule for rule in held.HELD_RULES if rule is not held.freeze))


def _counts_every_vote(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approvals, "_objections", lambda *_: ())


def _skips_the_owners_steps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(release, "make_plan", lambda *_: Plan(steps=({"setWeight": 90},)))


def _leaves_the_plan_behind(patch: pytest.MonkeyPatch) -> None:
    whole = released.restore_ops

    def restore(seen: Seen, release: Release) -> tuple[Op, ...]:
        return tuple(op for op in whole(seen, release) if not op["path"].endswith("/steps"))

    patch.setattr(released, "restore_ops", restore)


def _tidies_up_after_an_abort(patch: pytest.MonkeyPatch) -> None:
    lock = released.lock_rolled_back

    def restore_too(seen: Seen) -> Outcome | None:
        locked, change = lock(seen), seen.change
        if locked is None or change is None or change.status.release is None:
            return locked
        ops = released.restore_ops(seen, change.status.release)
        undone = PatchRollout(tuple(op for op in ops if op["path"] != "/status/stableRS"))
        return replace(locked, writes=(*locked.writes[:-1], undone))

    patch.setattr(released, "lock_rolled_back", restore_too)


def _never_marks_stable(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attempt, "_mark_stable", lambda _: ())
    patch.setattr(decide, "seed_known_good", lambda _: None)
    patch.setattr(released, "seed_known_good", lambda _: None)


def _without_the_replicaset_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apiserver, "admit_scale_up", lambda _: None)


MUTANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "a release without the approvals": (_releases_without_approval, NO_UNAPPROVED_POD),
    "a quarantine that is not looked at": (_forgets_quarantine, QUARANTINE),
    "a freeze that is not known": (_does_not_know_a_freeze, NOTHING_IN_A_FREEZE),
    "votes that count whatever they name": (_counts_every_vote, BREACHES),
    "a plan without the owner's steps": (_skips_the_owners_steps, NEVER_LOOSER),
    "a plan that stays when the change is done": (_leaves_the_plan_behind, STEPS_ARE_BACK),
    "steps put back after an abort": (_tidies_up_after_an_abort, NO_EDIT_WHILE_ABORTED),
    "a stable that is not marked": (_never_marks_stable, STABLE_SCALES),
    "an API server without the ReplicaSet lock": (_without_the_replicaset_lock, BREACHES),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, invariant = MUTANTS[name]
    mutate(monkeypatch)
    with pytest.raises(Broken, match=invariant):
        _run(Lifecycle)


def test_writing_without_end_is_caught() -> None:
    class Chatty(Lifecycle):
        @staticmethod
        def decide(seen: Seen) -> Outcome:
            outcome = decide.decide(seen)
            return outcome if outcome.writes else replace(outcome, writes=(Emit("Normal", "StillHere", ""),))

    with pytest.raises(AssertionError, match="goes on writing"):
        _run(Chatty)


def test_an_operator_that_does_nothing_is_caught() -> None:
    class Idle(Lifecycle):
        @staticmethod
        def decide(seen: Seen) -> Outcome:
            return Outcome("nothing")

    with pytest.raises(AssertionError, match="liveness"):
        _run(Idle)


def _run(machine: Any) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
