"""Rules while a revision is held at 0 pods: what it waits for, and the release."""

from __future__ import annotations

from typing import Any

import msgspec

from ..api import names
from ..api.change import Base, Change, CountedApproval, Plan, Release, Requirements
from ..api.enums import Phase
from . import messages
from .approvals import Answer, answer, counted, lifts_quarantine, open_slots, rejection, spoken_slots
from .attempt import is_known_good, revision_of
from .base import resolve_base
from .plan import UNMEASURED, Ground, eta_seconds, make_plan, newer_sentence, starting_step
from .policy import strictest, unmet_evidence
from .seen import Seen
from .status import write_status
from .times import timestamp
from .writes import Emit, Op, Outcome, PatchRollout, Write, add, annotation, remove, test


def requirements_now(seen: Seen, change: Change) -> Requirements:
    """The strictest of what held at sight and what holds now: no policy edit frees a change that is already held."""
    return strictest([change.spec.decision.requirements, seen.assessment.decision.requirements])


def answers(seen: Seen, change: Change) -> tuple[Answer, ...]:
    needed = requirements_now(seen, change)
    adopters = seen.assessment.classification.authors
    return tuple(answer(vote, change, needed, seen.now, adopters) for vote in seen.votes)


def final_before_release(seen: Seen) -> Outcome | None:
    """Denied, rejected and superseded changes wait for another template."""
    change = seen.change
    if change is None or not change.status.phase.final:
        return None
    message = change.status.message
    unsaid = message and seen.rollout.metadata.annotations.get(names.MESSAGE) != message
    return Outcome("final", message, (set_message(seen, message),) if unsaid else ())


def other_template(seen: Seen) -> Outcome | None:
    """What was approved is not what stands there: nothing of this attempt may be released any more."""
    change = seen.change
    if change is None or not seen.strayed:
        return None
    return _wait(seen, change, "other-template", messages.strayed(seen), phase=Phase.SUPERSEDED, reason="OtherTemplate")


def known_good(seen: Seen) -> Outcome | None:
    """A return to stable or to a known good revision is a rollback: released at once, with the owner's steps."""
    change = seen.change
    if change is None or not is_known_good(seen):
        return None
    requirements = Requirements()
    return _release(seen, change, "known-good", "a known good revision: released without approval", requirements)


def reject(seen: Seen) -> Outcome | None:
    """One rejection that counts ends the attempt, whatever was approved."""
    change = seen.change
    vote = rejection(answers(seen, change)) if change else None
    if change is None or vote is None:
        return None
    message = messages.rejected(seen, vote.user, vote.reason)
    return _wait(seen, change, "rejected", message, phase=Phase.REJECTED, reason="Rejected")


def deny(seen: Seen) -> Outcome | None:
    change = seen.change
    if change is None:
        return None
    requirements = requirements_now(seen, change)
    if not requirements.denials:
        return None
    message = messages.denied(seen, requirements)
    return _wait(seen, change, "denied", message, phase=Phase.DENIED, reason="OffLimits")


def quarantine(seen: Seen) -> Outcome | None:
    """A template that was rolled back stays at 0 pods whoever applies it, until someone approves it knowingly."""
    change = seen.change
    earlier = quarantined_by(seen)
    if change is None or earlier is None:
        return None
    requirements = requirements_now(seen, change)
    approvals = counted(answers(seen, change))
    if lifts_quarantine(approvals, requirements):
        return None
    highest = max((slot.tier for slot in requirements.approvals), default=None)
    who = f"a {highest.lower}" if highest else "the owner"
    message = messages.quarantined(seen, earlier, who)
    return _wait(
        seen,
        change,
        "quarantined",
        message,
        phase=Phase.AWAITING_APPROVAL,
        reason="Quarantined",
        waiting_for=f"{who} who knows that it was rolled back",
        approvals=approvals,
    )


def evidence(seen: Seen) -> Outcome | None:
    """What the change must bring itself: an adopter, tests, provenance of some level."""
    change = seen.change
    if change is None:
        return None
    level = seen.assessment.classification.evidence_level
    lacking = unmet_evidence(requirements_now(seen, change), seen.assessment.classification, level)
    if not lacking:
        return None
    message = messages.waiting_for_evidence(seen, lacking)
    return _wait(seen, change, "evidence-missing", message, reason="EvidenceMissing", waiting_for=lacking)


def approvals_missing(seen: Seen) -> Outcome | None:
    change = seen.change
    if change is None:
        return None
    requirements = requirements_now(seen, change)
    approvals = counted(answers(seen, change))
    missing = open_slots(requirements.approvals, approvals)
    if not missing:
        return None
    contact = change.spec.contact or seen.assessment.contact
    plan = _plan(seen, change, requirements)
    message = messages.held(seen, missing, change.spec.decision, plan)
    return _wait(
        seen,
        change,
        "approvals-missing",
        message,
        reason="ApprovalsMissing",
        waiting_for=spoken_slots(missing) + (f" of {contact}" if contact else ""),
        approvals=approvals,
    )


def release(seen: Seen) -> Outcome | None:
    """Nothing is missing. The plan is made now, from the replicas and traffic of now."""
    change = seen.change
    if change is None:
        return None
    if seen.lags:
        return Outcome("sets-not-seen", "what serves now is not known yet", requeue=1.0)
    return _release(seen, change, "released", "every requirement is met", requirements_now(seen, change))


HELD_RULES = (
    final_before_release,
    other_template,
    known_good,
    reject,
    deny,
    quarantine,
    evidence,
    approvals_missing,
    release,
)


def quarantined_by(seen: Seen) -> Change | None:
    """The latest Change whose rolled-back template this is, by what its containers run."""
    return max(_quarantines(seen), key=lambda c: c.status.quarantine.since or "", default=None)


def _quarantines(seen: Seen) -> tuple[Change, ...]:
    return tuple(
        c
        for c in seen.changes
        if c.status.quarantine.active
        and c.status.quarantine.match_digest == seen.match_digest
        and c.metadata.name != seen.change_name
    )


def _wait(seen: Seen, change: Change, rule: str, message: str, **updates: Any) -> Outcome:
    """Records why the revision waits, where people look: the Change, the Rollout's message, an Event."""
    message = newer_sentence(change.status.message, message)
    defaults = {"phase": Phase.AWAITING_APPROVAL, "waiting_for": "", "revision": revision_of(seen)}
    stable = seen.stable_set
    writes: list[Write] = list(
        write_status(
            change,
            seen.now,
            **(defaults | updates),
            message=message,
            stable_revision=stable.revision if stable else 0,
        )
    )
    if change.status.message != message:
        kind = "Normal" if updates.get("phase", Phase.AWAITING_APPROVAL) is Phase.AWAITING_APPROVAL else "Warning"
        writes.append(Emit(kind, str(updates.get("reason", "Held")), message))
    if seen.rollout.metadata.annotations.get(names.MESSAGE) != message:
        writes.append(set_message(seen, message))
    again = 30.0 if UNMEASURED in message else 60.0 if seen.votes else None
    return Outcome(rule, message, tuple(writes), requeue=again)


def set_message(seen: Seen, message: str) -> PatchRollout:
    meta = seen.rollout.metadata
    ops = (
        test("/metadata/uid", meta.uid),
        test(annotation(names.HOLD), seen.hold),
        add(annotation(names.MESSAGE), message),
    )
    return PatchRollout(ops, purpose="say why it waits")


def _plan(seen: Seen, change: Change, requirements: Requirements) -> Plan | None:
    if seen.ground is None or not requirements.gated:
        return None
    return _plan_on(seen, _base(seen, change), requirements, seen.ground.ground)


def _plan_on(seen: Seen, base: Base, requirements: Requirements, ground: Ground) -> Plan:
    """A canary needs a stable to stand beside: before any ran, the new revision comes up whole.

    At any lower weight Argo would first scale up what it calls stable, and that is locked where it never was released.
    """
    if seen.rollout.spec.strategy.canary is None:
        return Plan(notes=("blueGreen switches all traffic at once, so it is held and approved, but not judged",))
    if seen.stable_set is None:
        note = "nothing serves yet, so this revision comes up at once"
        return Plan(steps=({"setWeight": 100},), starting_step=starting_step(base), notes=(note,))
    return make_plan(base, requirements, ground)


def _base(seen: Seen, change: Change) -> Base:
    others = [c for c in seen.changes if c.metadata.name != change.metadata.name]
    return resolve_base(seen.rollout, others)


def _release(seen: Seen, change: Change, rule: str, why: str, requirements: Requirements) -> Outcome:
    """Three steps, each conditional: clear a remembered full promotion, write down the release, the commit point."""
    if seen.rollout.status.promote_full:
        clear = (test("/metadata/uid", seen.rollout.metadata.uid), remove("/status/promoteFull"))
        patch = PatchRollout(clear, subresource="status", purpose="forget a full promotion asked for while held")
        return Outcome(rule, "clears promoteFull first", (patch,), requeue=0, critical=True)
    approvals = counted(answers(seen, change))
    made = _make_release(seen, change, requirements)
    message = messages.released(seen, made.plan)
    intent = write_status(
        change,
        seen.now,
        phase=Phase.CANARY,  # said ahead of the commit point by one write; if that is lost, the hold value decides
        reason="Released",
        release=made,
        approvals=approvals,
        waiting_for="",
        message=message,
    )
    commit = PatchRollout(release_ops(seen, made), purpose="release")
    told = Emit("Normal", "Released", message)
    lifted = _lift(seen, approvals, requirements)
    return Outcome(rule, f"{why}; {message}", (*intent, commit, told, *lifted), requeue=0, critical=True)


def _make_release(seen: Seen, change: Change, requirements: Requirements) -> Release:
    """From what is true now; where nothing was measured, an intent that a crash left over is taken up again."""
    earlier = change.status.release
    if earlier is not None and seen.ground is None:
        return msgspec.structs.replace(earlier, time=timestamp(seen.now))
    base = _base(seen, change)
    fallback = Ground(replicas=seen.replicas, routed=_routed(seen))
    ground = seen.ground.ground if seen.ground else fallback
    plan = _plan_on(seen, base, requirements, ground)
    if seen.ground and seen.ground.problem:
        plan = msgspec.structs.replace(plan, notes=(*plan.notes, seen.ground.problem))
    return Release(
        time=timestamp(seen.now),
        base=base,
        plan=plan,
        judge=seen.ground.judge if seen.ground else None,
        replicas=seen.replicas,
        eta_seconds=eta_seconds(plan),
    )


def _routed(seen: Seen) -> bool:
    canary = seen.rollout.spec.strategy.canary
    return bool(canary and canary.traffic_routing)


def release_ops(seen: Seen, made: Release) -> tuple[Op, ...]:
    """One patch: plan, analysis, rollback window and the released hold value, on exactly the spec that was read.

    The generation stands for the spec and the hold value for the attempt. Not the resource version: Argo writes its
    status several times just after a template, and admission lets nobody ask for a full promotion meanwhile.
    """
    meta = seen.rollout.metadata
    ops: list[Op] = [
        test("/metadata/uid", meta.uid),
        test("/metadata/generation", meta.generation),
        test(annotation(names.HOLD), seen.hold),
    ]
    if seen.rollout.spec.strategy.canary is not None:
        ops += strategy_ops(seen, made.plan.steps, _analysis_at(made))
        ops += under_way_ops(seen, made.plan)
    # rollbackWindow stays off while gates stand: Argo would skip every step of the plan.
    if made.base.rollback_window is not None and not made.plan.gates:
        ops.append(add("/spec/rollbackWindow", {"revisions": made.base.rollback_window}))
    # What admission remembered is in the release's base from here on; left standing, it would pass for the next one's.
    ops += _removed(seen, names.MESSAGE, names.BASE_ROLLBACK_WINDOW, names.BASE_STARTING_STEP)
    ops.append(add(annotation(names.HOLD), names.RELEASED + seen.attempt))
    return tuple(ops)


def under_way_ops(seen: Seen, plan: Plan) -> list[Op]:
    """Marks the plan as standing, and which of its pauses are the owner's to end."""
    ops = [add(annotation(names.CHANGE), seen.change_name)]
    if plan.owner_pauses:
        pauses = "".join(f",{index}" for index in plan.owner_pauses) + ","
        ops.append(add(annotation(names.OWNER_PAUSES), pauses))
    return ops


def strategy_ops(seen: Seen, steps: Any, analysis: dict[str, Any] | None) -> list[Op]:
    """Brings the canary's steps and analysis to the given values; nothing where they are that already."""
    canary = seen.rollout.spec.strategy.canary
    ops: list[Op] = []
    live_steps = canary.steps if canary else None
    if steps is not None and live_steps != steps:
        ops.append(add("/spec/strategy/canary/steps", list(steps)))
    elif steps is None and live_steps is not None:
        ops.append(remove("/spec/strategy/canary/steps"))
    live_analysis = canary.analysis if canary else None
    if analysis is not None and analysis != live_analysis:
        ops.append(add("/spec/strategy/canary/analysis", analysis))
    return ops


def _analysis_at(made: Release) -> dict[str, Any] | None:
    """The owner's background analysis, started at the owner's own step's place in the plan."""
    if made.base.analysis is None:
        return None
    rest = {key: value for key, value in made.base.analysis.items() if key != "startingStep"}
    return rest if made.plan.starting_step is None else {**rest, "startingStep": made.plan.starting_step}


def _removed(seen: Seen, *keys: str) -> list[Op]:
    return [remove(annotation(key)) for key in keys if key in seen.rollout.metadata.annotations]


def _lift(seen: Seen, approvals: tuple[CountedApproval, ...], requirements: Requirements) -> tuple[Write, ...]:
    """A quarantine that someone approved knowingly ends with the release; a new rollback makes a new one."""
    by = lifts_quarantine(approvals, requirements)
    if by is None:
        return ()
    return tuple(
        write
        for earlier in _quarantines(seen)
        for write in write_status(
            earlier,
            seen.now,
            quarantine=msgspec.structs.replace(earlier.status.quarantine, active=False, lifted_by=by.user),
        )
    )
