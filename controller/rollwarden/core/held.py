"""Rules while a revision is held at 0 pods: what it waits for, and the release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..api import names
from ..api.change import AnnotationApproval, Change, Requirements
from ..api.enums import ApprovalSource, Phase, Tier
from ..api.policy import ApprovalSlot
from . import messages
from .annotations import undated
from .approvals import (
    Answer,
    counted,
    lifts_quarantine,
    may_not_approve,
    open_slots,
    rejection,
    spoken_slots,
)
from .asked import answers, quarantined_by, requirements_now
from .attempt import is_known_good, revision_of
from .freeze import frozen, next_turn, spoken_freeze
from .holders import eligible, spoken_subjects, too_few, unfillable
from .plan import MOST_STEPS, UNMEASURED, newer_sentence
from .policy import unmet_evidence
from .release import base_of, let_go, plan_now
from .seen import Seen
from .status import write_status
from .times import timestamp
from .writes import Emit, Outcome, PatchRollout, Write, add, annotation, test

LONGEST_LOOK = 3600.0
"""Seconds until a look at the clock again, however far the next turn is: clocks are set, machines sleep."""
LOST_WORTH = ("GivenUnguarded", "TierLost")


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


def too_many_steps(seen: Seen) -> Outcome | None:
    """A Change holds the owner's steps, to put them back, and the plan made of them: neither may be endless."""
    change = seen.change
    count = len(base_of(seen, change).steps or ()) if change else 0
    if change is None or count <= MOST_STEPS:
        return None
    message = messages.too_many_steps(seen, count)
    return _wait(seen, change, "too-many-steps", message, reason="TooManySteps", waiting_for="fewer steps")


def known_good(seen: Seen) -> Outcome | None:
    """A return to stable or to a known good revision is a rollback: released at once, with the owner's steps."""
    change = seen.change
    if change is None or not is_known_good(seen):
        return None
    requirements = Requirements()
    return let_go(seen, change, "known-good", "a known good revision: released without approval", requirements)


def date_annotations(seen: Seen) -> Outcome | None:
    """An approval by annotation dates from its first sight; written down before it counts, so that it can expire."""
    change = seen.change
    new = undated(seen.votes, change) if change else ()
    if change is None or not new:
        return None
    at = timestamp(seen.now)
    dated = tuple(AnnotationApproval(tier=vote.tier, user=vote.user, first_seen=at) for vote in new)
    known = change.status.annotation_approvals
    writes = write_status(change, seen.now, annotation_approvals=(*known, *dated))
    return Outcome("annotation-seen", ", ".join(vote.user for vote in new), writes, requeue=0)


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


def guard_not_intact(seen: Seen) -> Outcome | None:
    """Nothing that was read can be relied on while the admission policies are not those that were installed."""
    change = seen.change
    if change is None or seen.guard.intact:
        return None
    return _wait(
        seen,
        change,
        "guard-not-intact",
        seen.guard.flaw,
        reason=names.POLICIES_NOT_INTACT,
        waiting_for="the admission policies to be put back as installed",
    )


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
    found = answers(seen, change)
    approvals = counted(found)
    missing = open_slots(requirements.approvals, approvals)
    if not missing:
        return None
    given = {one.user for one in approvals}

    def barred(user: str) -> bool:
        return user in given or may_not_approve(user, change, seen.assessment.classification.authors)

    lacking = unfillable(seen.holdings, missing, barred) if seen.holdings is not None else None
    contact = change.spec.contact or seen.assessment.contact or _eligible(seen, missing, barred)
    plan = plan_now(seen, change, requirements)
    more = [_uncounted(found)]
    if ice := frozen(requirements.freezes, seen.now):
        more.insert(0, _sentence(f"it also waits for {spoken_freeze(ice)}"))
    if lacking is not None:
        more.insert(0, _sentence(too_few(change.metadata.namespace, lacking, seen.holdings or (), barred)))
    message = messages.held(seen, missing, change.spec.decision, plan, contact, " ".join(filter(None, more)))
    return _wait(
        seen,
        change,
        "approvals-missing",
        message,
        reason="ApprovalsMissing" if lacking is None else "NobodyHoldsTier",
        waiting_for=spoken_slots(missing)
        + (f" of {contact}" if contact else "")
        + (f", and {spoken_freeze(ice)}" if ice else ""),
        approvals=approvals,
    )


def _eligible(seen: Seen, missing: tuple[ApprovalSlot, ...], barred: Callable[[str], bool]) -> str:
    """Who may fill the highest of the slots, where nobody is named as contact."""
    highest = max((slot.tier for slot in missing), default=Tier.PEER)
    return spoken_subjects(eligible(seen.holdings or (), highest, barred))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _uncounted(found: tuple[Answer, ...]) -> str:
    """Why approvals by annotation do not count; an Approval says so in its own status.

    One that was given for good and lost its worth is named here too: its giver may not look at it again.
    """
    return " ".join(
        f"{one.vote.ref}: {one.message.rstrip('.')}."
        for one in found
        if not one.counts and (one.vote.source is ApprovalSource.ANNOTATION or one.reason in LOST_WORTH)
    )


def freeze(seen: Seen) -> Outcome | None:
    """Nothing else is missing, but a freeze is on: released by itself at its end."""
    change = seen.change
    if change is None:
        return None
    ice = frozen(requirements_now(seen, change).freezes, seen.now)
    if ice is None:
        return None
    return _wait(
        seen,
        change,
        "frozen",
        messages.frozen(seen, ice),
        phase=Phase.FROZEN,
        reason=str(Phase.FROZEN),
        waiting_for=spoken_freeze(ice),
        approvals=counted(answers(seen, change)),
    )


def release(seen: Seen) -> Outcome | None:
    """Nothing is missing. The plan is made now, from the replicas and traffic of now."""
    change = seen.change
    if change is None:
        return None
    if seen.lags:
        return Outcome("sets-not-seen", "what serves now is not known yet", requeue=1.0)
    return let_go(seen, change, "released", "every requirement is met", requirements_now(seen, change))


HELD_RULES = (
    final_before_release,
    other_template,
    too_many_steps,
    known_good,
    date_annotations,
    reject,
    deny,
    guard_not_intact,
    quarantine,
    evidence,
    approvals_missing,
    freeze,
    release,
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
        waits = updates.get("phase", Phase.AWAITING_APPROVAL) in (Phase.AWAITING_APPROVAL, Phase.FROZEN)
        kind = "Normal" if waits else "Warning"
        writes.append(Emit(kind, str(updates.get("reason", "Held")), message))
    if seen.rollout.metadata.annotations.get(names.MESSAGE) != message:
        writes.append(set_message(seen, message))
    return Outcome(rule, message, tuple(writes), requeue=_look_again(seen, change, message))


def _look_again(seen: Seen, change: Change, message: str) -> float | None:
    """In how many seconds what it waits for may be another: times and approvals run out, a freeze begins or ends."""
    again = 30.0 if UNMEASURED in message else 60.0 if seen.votes else None
    turn = next_turn(requirements_now(seen, change).freezes, seen.now)
    if turn is None:
        return again
    return min(max(turn - seen.now, 0.1), again or LONGEST_LOOK)


def set_message(seen: Seen, message: str) -> PatchRollout:
    meta = seen.rollout.metadata
    ops = (
        test("/metadata/uid", meta.uid),
        test(annotation(names.HOLD), seen.hold),
        add(annotation(names.MESSAGE), message),
    )
    return PatchRollout(ops, purpose="say why it waits")
