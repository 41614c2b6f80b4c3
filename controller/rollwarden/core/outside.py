"""Rules for revisions that were not released by Rollwarden: under break-glass, or past it."""

from __future__ import annotations

from ..api import names
from ..api.change import Change, Plan, Release
from ..api.enums import Phase
from . import messages
from .base import resolve_base
from .integrity import doubt
from .plan import is_endless_pause
from .release import under_way_ops
from .reviews import owed
from .seen import Seen
from .status import write_status
from .times import timestamp, unix_or_never
from .writes import Emit, Outcome, PatchRollout, annotation, test


def break_glass(seen: Seen) -> Outcome | None:
    """Released without a release of ours: by break-glass. It is recorded and judged; a principal owes a review."""
    change = seen.change
    who = seen.rollout.metadata.annotations.get(names.BREAK_GLASS_BY, "")
    if change is None or change.status.break_glass is not None or not who:
        return None
    reason = seen.rollout.metadata.annotations.get(names.BREAK_GLASS, "")
    glass = owed(who, reason, seen.now)
    message = messages.break_glass(seen.rollout.metadata.name, who, reason[:200], glass.time, glass.review_due)
    release = change.status.release or _release_as_it_is(seen, change)
    writes = write_status(
        change,
        seen.now,
        phase=Phase.CANARY,
        reason="BreakGlass",
        break_glass=glass,
        release=release,
        message=message,
        waiting_for="",
        finished_at=None,
    )
    return Outcome("break-glass", message, (*writes, Emit("Warning", "BreakGlass", message)), requeue=0)


def protect(seen: Seen) -> Outcome | None:
    """From then on the steps that stand are kept against others, until the owner's are put back."""
    change = seen.change
    if change is None or change.status.break_glass is None or change.status.release is None or seen.runs_stable:
        return None
    if change.status.phase.final or names.CHANGE in seen.rollout.metadata.annotations or seen.is_blue_green:
        return None
    return Outcome("protect-steps", writes=(_mark_change(seen, change.status.release.plan),), requeue=0)


def _release_as_it_is(seen: Seen, change: Change) -> Release:
    """The steps that stand are the plan: no gate of ours in them, regression is still acted on."""
    others = [c for c in seen.changes if c.metadata.name != change.metadata.name]
    base = resolve_base(seen.rollout, others)
    canary = seen.rollout.spec.strategy.canary
    steps = canary.steps if canary else None
    pauses = tuple(i for i, step in enumerate(steps or ()) if is_endless_pause(step))
    judge = seen.ground.judge if seen.ground else None
    plan = Plan(steps=steps, owner_pauses=pauses)
    return Release(time=timestamp(seen.now), base=base, plan=plan, judge=judge, replicas=seen.replicas)


def _mark_change(seen: Seen, plan: Plan) -> PatchRollout:
    ops = (
        test("/metadata/uid", seen.rollout.metadata.uid),
        test(annotation(names.HOLD), seen.hold),
        *under_way_ops(seen, plan),
    )
    return PatchRollout(ops, purpose="mark the change that is under way")


def released_without_record(seen: Seen) -> Outcome | None:
    """A released hold value with no release written and no break-glass: it is watched as it stands, and said."""
    change = seen.change
    if change is None or change.status.release is not None:
        return None
    message = (
        f'"{seen.rollout.metadata.name}" was released outside of Rollwarden; it is watched with the steps that stand.'
        + doubt(seen.guard, unix_or_never(change.metadata.creation_timestamp))
    )
    writes = write_status(
        change,
        seen.now,
        phase=Phase.CANARY,
        reason="ReleasedOutside",
        release=_release_as_it_is(seen, change),
        message=message,
        waiting_for="",
        finished_at=None,
    )
    return Outcome("released-outside", message, (*writes, Emit("Warning", "ReleasedOutside", message)), requeue=0)
