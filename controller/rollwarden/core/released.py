"""Rules while a released revision is on its way: aborts, promotion, regression, gates, and the owner's steps back."""

from __future__ import annotations

from ..api import names
from ..api.change import Change, Quarantine, Release, Verdict
from ..api.enums import Phase, VerdictResult
from . import messages
from .approvals import rejection
from .asked import answers
from .attempt import is_known_good, revision_of, seed_known_good, unmark_current
from .gates import blind_too_long, gate_rules
from .outside import break_glass, protect, released_without_record
from .release import strategy_ops
from .seen import PROGRESS_DEADLINE_SECONDS, Seen
from .status import write_status
from .times import spoken, timestamp, unix, unix_or_never
from .writes import Emit, Op, Outcome, PatchRollout, Write, add, annotation, remove, test

TIMED_OUT = "timed out"
CLOCK_SLACK_SECONDS = 1.0
"""The API server dates objects by whole seconds."""
RESTORE_TESTS = 3
"""As many tests begin a restore; no operation after them: nothing to put back."""


def rolled_back_already(seen: Seen) -> Outcome | None:
    """After a rollback the steps stay as they are (an edit would clear the abort); the hold value locks the set."""
    change = seen.change
    if change is None or change.status.phase is not Phase.ROLLED_BACK:
        return None
    return lock_rolled_back(seen) or Outcome("rolled-back", change.status.message)


def hold_timed_out(seen: Seen) -> Outcome | None:
    """A blueGreen held past its progress deadline is aborted by Argo at release: the hold's own doing, cleared once."""
    change, status = seen.change, seen.rollout.status
    if change is None or not seen.is_blue_green or not status.abort or TIMED_OUT not in status.message:
        return None
    if change.status.reason == "ClearedHoldTimeout":
        return None
    clear = PatchRollout(
        (test("/metadata/uid", seen.rollout.metadata.uid), test("/status/abort", True), remove("/status/abort")),
        subresource="status",
        purpose="clear the abort that the hold itself caused",
    )
    writes = write_status(change, seen.now, phase=Phase.CANARY, reason="ClearedHoldTimeout")
    return Outcome("hold-timed-out", "Argo counted the time of the hold", (clear, *writes), critical=True)


def aborted(seen: Seen) -> Outcome | None:
    """Any abort of a live attempt is a rollback with quarantine, whoever asked for it."""
    change = seen.change
    if change is None or change.status.release is None or not _is_aborted(seen):
        return None
    return _rolled_back(seen, change)


def aborted_while_held(seen: Seen) -> Outcome | None:
    """Nothing ran, and somebody wants it to stay so: a release would clear the abort."""
    change = seen.change
    if change is None or change.status.phase.final or not _is_aborted(seen):
        return None
    return _rolled_back(seen, change)


def abort_of_unknown_set(seen: Seen) -> Outcome | None:
    """The set that was aborted is not in the cache yet: whosever abort it is, a release would clear it."""
    unknown = seen.rollout.status.abort and not seen.runs_stable and seen.current_set is None
    return Outcome("sets-not-seen", "whose abort this is, is not known yet", requeue=1.0) if unknown else None


def _is_aborted(seen: Seen) -> bool:
    """The abort is of this attempt, or of the same template and so of all that Argo sees of it."""
    current = seen.current_set
    same = current is not None and (current.hold == seen.hold or current.digest == seen.digest)
    return seen.rollout.status.abort and same and not seen.runs_stable


def _rolled_back(seen: Seen, change: Change) -> Outcome:
    status, verdict = seen.rollout.status, change.status.verdict
    if verdict is None or verdict.result is not VerdictResult.ROLLBACK:
        verdict = Verdict(
            result=VerdictResult.ROLLBACK,
            reason="AbortedInArgo",
            message=(status.message or "aborted in Argo Rollouts without a reason given")[:2048],
            decided_at=timestamp(seen.now),
        )
    revision = revision_of(seen)
    message = messages.rolled_back(seen, revision, verdict, _at_weight(change), _took(change, verdict, seen))
    writes = write_status(
        change,
        seen.now,
        phase=Phase.ROLLED_BACK,
        reason=verdict.reason,
        verdict=verdict,
        quarantine=_quarantine(seen, change, verdict),
        revision=revision,
        message=message,
        waiting_for="",
    )
    event = Emit("Warning", "RolledBack", message)
    return Outcome("rolled-back", message, (*writes, event), requeue=0, critical=True)


def lock_rolled_back(seen: Seen) -> Outcome | None:
    """The hold value of a rolled-back attempt locks its ReplicaSet again: Argo carries it there. No step is touched."""
    change = seen.change
    if change is None or not seen.hold.startswith(names.RELEASED):
        return None
    ops = (
        test("/metadata/uid", seen.rollout.metadata.uid),
        test(annotation(names.HOLD), seen.hold),
        add(annotation(names.MESSAGE), change.status.message),
        add(annotation(names.HOLD), names.ABORTED + seen.attempt),
    )
    patch = PatchRollout(ops, purpose="lock the rolled-back ReplicaSet")
    return Outcome("lock-rolled-back", change.status.message, (*unmark_current(seen), patch))


def not_settled(seen: Seen) -> Outcome | None:
    """No decision until Argo has seen this attempt."""
    change = seen.change
    if seen.settled or change is None:
        return None
    started = change.status.phase.waiting
    writes = write_status(change, seen.now, phase=Phase.CANARY, reason="Released", waiting_for="") if started else ()
    return Outcome("argo-lags", "Argo has not taken up this revision yet", writes)


def promoted(seen: Seen) -> Outcome | None:
    """Argo promoted it: the owner's steps come back in one patch, then the Change is Completed."""
    change = seen.change
    if change is None or not seen.promoted or change.status.release is None:
        return None
    ops = restore_ops(seen, change.status.release)
    altered = change.status.break_glass is not None and len(ops) > RESTORE_TESTS
    if names.CHANGE in seen.rollout.metadata.annotations or altered:
        patch = PatchRollout(ops, purpose="restore the owner's steps")
        return Outcome("restore", "the owner's steps come back", (patch,), requeue=0, critical=True)
    unproven = change.status.unproven or _ended_unproven(change)
    verdict = change.status.verdict
    late = verdict is not None and verdict.result is VerdictResult.ROLLBACK
    message = messages.too_late(seen, verdict) if late and verdict else messages.completed(seen, unproven)
    writes: list[Write] = list(
        write_status(
            change,
            seen.now,
            phase=Phase.COMPLETED,
            reason="Promoted",
            unproven=unproven,
            revision=revision_of(seen),
            message=message,
            waiting_for="",
        )
    )
    writes.append(Emit("Warning" if late else "Normal", "Completed", message))
    good = seed_known_good(seen)
    return Outcome("completed", message, (*writes, *(good.writes if good else ())), critical=True)


def _ended_unproven(change: Change) -> bool:
    """No gate stood where proof was due, or nobody proved one: break-glass, a first revision, blueGreen."""
    planned = change.status.release.plan.gates if change.status.release else ()
    passed = {gate.index for gate in change.status.gates if gate.passed_at}
    due = change.spec.decision.requirements.gated and not change.spec.known_good
    return (due and not planned) or any(gate.index not in passed for gate in planned)


def restore_ops(seen: Seen, release: Release) -> tuple[Op, ...]:
    """Only while stable is the current revision: a step edit at any other time resets or un-aborts a canary."""
    meta, status = seen.rollout.metadata, seen.rollout.status
    ops: list[Op] = [
        test("/metadata/uid", meta.uid),
        test("/metadata/resourceVersion", meta.resource_version),
        test("/status/stableRS", status.current_pod_hash),
        *strategy_ops(seen, release.base.steps, release.base.analysis),
    ]
    window = seen.rollout.spec.rollback_window
    if release.base.rollback_window is not None and window is None:
        ops.append(add("/spec/rollbackWindow", {"revisions": release.base.rollback_window}))
    owned = (
        *(names.CHANGE, names.MESSAGE, names.OWNER_PAUSES, names.OWNER_STEPS, names.DROPPED_EDIT),
        *(names.BASE_ROLLBACK_WINDOW, names.BASE_STARTING_STEP),
    )
    ops += [remove(annotation(key)) for key in owned if key in meta.annotations]
    return tuple(ops)


def redo_abort(seen: Seen) -> Outcome | None:
    """The intent to roll back is written; the abort was lost in a crash."""
    change = seen.change
    if change is None or change.status.phase is not Phase.ROLLING_BACK or not seen.this_revision or seen.runs_stable:
        return None
    return Outcome("abort", change.status.message, (abort_patch(seen),), requeue=1.0, critical=True)


def abort_patch(seen: Seen) -> PatchRollout:
    """Tests the revision only: it must not starve under an autoscaler's writes."""
    ops = (
        test("/metadata/uid", seen.rollout.metadata.uid),
        test("/status/currentPodHash", seen.rollout.status.current_pod_hash),
        add("/status/abort", True),
    )
    return PatchRollout(ops, subresource="status", purpose="abort")


def regression(seen: Seen) -> Outcome | None:
    """The judge proved a regression, a person rejected a released change, or the canary never came up."""
    change = seen.change
    if change is None or change.status.release is None or seen.stable_set is None or seen.runs_stable:
        return None
    verdict = _rejected(seen, change) or never_ready(seen, change) or blind_too_long(seen) or judged(seen)
    if verdict is None:
        return None
    writes = write_status(
        change,
        seen.now,
        phase=Phase.ROLLING_BACK,
        reason=verdict.reason,
        verdict=verdict,
        quarantine=_quarantine(seen, change, verdict),
        message=f"rolling back: {verdict.message}",
        revision=revision_of(seen),
        waiting_for="",
    )
    return Outcome("regression", verdict.message, (*writes, abort_patch(seen)), requeue=1.0, critical=True)


def judged(seen: Seen) -> Verdict | None:
    found = seen.evidence
    if found is None or found.result is not VerdictResult.ROLLBACK:
        return None
    return Verdict(
        result=VerdictResult.ROLLBACK,
        reason=found.reason,
        message=found.message[:2048],
        indicator=found.indicator,
        canary_requests=found.canary_requests,
        canary_bad=found.canary_bad,
        canary_rate=_decimal(found.canary_rate),
        stable_rate=_decimal(found.stable_rate),
        harmed=round(found.harmed),
        decided_at=timestamp(seen.now),
    )


def _rejected(seen: Seen, change: Change) -> Verdict | None:
    vote = rejection(
        a for a in answers(seen, change) if a.vote.at + CLOCK_SLACK_SECONDS > _overruled_until(seen, change)
    )
    if vote is None:
        return None
    message = f'{vote.user} rejected it after release: "{vote.reason}"'
    return Verdict(
        result=VerdictResult.ROLLBACK, reason="RejectedByPerson", message=message, decided_at=timestamp(seen.now)
    )


def _overruled_until(seen: Seen, change: Change) -> float:
    """Until when rejections were overruled by a release that needs no approval: break-glass, or of a known good."""
    if change.status.break_glass is not None:
        return unix(change.status.break_glass.time)
    release = change.status.release
    known_good = change.spec.known_good or is_known_good(seen)
    return unix(release.time) if known_good and release is not None else 0.0


def never_ready(seen: Seen, change: Change) -> Verdict | None:
    """Hard rule: pods were asked for and none was ready by the progress deadline, or they crash in a loop."""
    current, release = seen.current_set, change.status.release
    if current is None or release is None or current.replicas == 0 or current.ready > 0:
        return None
    was_ready = bool(change.status.gates)  # Argo reaches a gate with ready pods only
    if seen.crash_looping:
        reason, message = "CrashLoop", "its pods crash in a loop and none is ready"
    elif not was_ready and _deadline_exceeded(seen, unix(release.time)):
        limit = seen.rollout.spec.progress_deadline_seconds or PROGRESS_DEADLINE_SECONDS
        reason, message = "NeverReady", f"no pod of {current.replicas} was ready within {spoken(limit)}"
    else:
        return None
    return Verdict(result=VerdictResult.ROLLBACK, reason=reason, message=message, decided_at=timestamp(seen.now))


def _deadline_exceeded(seen: Seen, released_at: float) -> bool:
    """Argo says so, and said it after the release: it counts from when it asked for pods, and not while it pauses.

    The condition of a held revision may stand for a moment longer; nothing was asked of that one.
    """
    return any(
        condition.get("type") == "Progressing"
        and condition.get("reason") == "ProgressDeadlineExceeded"
        and unix_or_never(condition.get("lastUpdateTime")) > released_at
        for condition in seen.rollout.status.conditions or ()
    )


def under_way(seen: Seen) -> Outcome | None:
    """Nothing to do but say how far it is."""
    change = seen.change
    if change is None:
        return None
    stable = seen.stable_set
    writes = write_status(
        change,
        seen.now,
        phase=change.status.phase if change.status.phase is Phase.BAKING else Phase.CANARY,
        reason="Released" if change.status.phase.waiting else change.status.reason,
        revision=revision_of(seen),
        stable_revision=stable.revision if stable else 0,
        pod_hash=seen.rollout.status.current_pod_hash,
        waiting_for=_owner_pause(seen, change),
    )
    return Outcome("under-way", change.status.message, writes, requeue=30.0)


def _owner_pause(seen: Seen, change: Change) -> str:
    release, index = change.status.release, seen.rollout.status.current_step_index
    if release is None or index not in release.plan.owner_pauses or not seen.rollout.status.pause_conditions:
        return ""
    return "a person to promote past the owner's own pause (kubectl argo rollouts promote)"


def _quarantine(seen: Seen, change: Change, verdict: Verdict) -> Quarantine:
    old = change.status.quarantine
    if old.match_digest:
        return old
    reason = f"{verdict.reason}: {verdict.message}"
    return Quarantine(active=True, match_digest=seen.match_digest, reason=reason[:1024], since=timestamp(seen.now))


def _at_weight(change: Change) -> str:
    gates = change.status.gates
    return f" at {gates[-1].weight} %" if gates else ""


def _took(change: Change, verdict: Verdict, seen: Seen) -> float | None:
    release = change.status.release
    if release is None:
        return None
    return unix(verdict.decided_at or timestamp(seen.now)) - unix(release.time)


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


RELEASED_RULES = (
    break_glass,
    protect,
    rolled_back_already,
    released_without_record,
    hold_timed_out,
    aborted,
    redo_abort,
    not_settled,
    promoted,
    regression,
    *gate_rules,
    under_way,
)
