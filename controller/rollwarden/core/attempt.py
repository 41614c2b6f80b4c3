"""An attempt begins: its Change, what it supersedes, and which ReplicaSets are known good."""

from __future__ import annotations

from ..api import names
from ..api.change import BreakGlass, Change, ChangeSpec, ChangeStatus, RolloutRef, Submitter
from ..api.enums import Mode, Phase
from ..api.meta import ObjectMeta
from . import messages
from .reviews import owed
from .seen import Seen, SeenSet, change_name
from .status import write_status
from .times import timestamp, unix_or_never
from .writes import CreateChange, Emit, Op, Outcome, PatchReplicaSet, Write, add, annotation, remove, test

KNOWN_GOOD_COUNT = 3
KNOWN_GOOD_SECONDS = 30 * 86400
MOST_IMAGES = 64
MOST_OF_IMAGE = 512
"""Characters; a Change shows images, and decides nothing by them."""
MAX_GROUPS, MAX_NAME = 512, 253


def new_attempt(seen: Seen) -> Outcome | None:
    """A hold value without a Change: stamped just now, or while the operator was down."""
    if not seen.attempt or seen.hold.startswith(names.ABORTED) or seen.change is not None:
        return None
    change = make_change(seen, seen.attempt)
    problems = (Emit("Warning", "MalformedClaim", p.sentence) for p in seen.assessment.problems)
    return Outcome("new-template", writes=(CreateChange(change), *problems), requeue=0)


def tidy(seen: Seen) -> Outcome | None:
    """Older attempts end, their ReplicaSets are locked once Argo has left them, and the way back to stable is open."""
    if not seen.attempt:
        return None
    writes = (*supersede(seen, seen.attempt), *_lock_left_sets(seen), *_mark_stable(seen))
    return Outcome("older-attempts-end", writes=writes, requeue=0, critical=True) if writes else None


def make_change(seen: Seen, attempt: str) -> Change:
    """The Change of an attempt: everything in its spec is what was true at sight."""
    meta, assessed = seen.rollout.metadata, seen.assessment
    stable = seen.stable_set
    return Change(
        metadata=ObjectMeta(
            name=change_name(seen.rollout, attempt),
            namespace=meta.namespace,
            labels={names.ROLLOUT_UID_LABEL: meta.uid, names.ROLLOUT_LABEL: names.rollout_label(meta.name)},
        ),
        spec=ChangeSpec(
            rollout=RolloutRef(name=meta.name, uid=meta.uid, attempt=attempt),
            template_digest=seen.digest,
            match_digest=seen.match_digest,
            stable_digest=stable.digest if stable else "",
            images=tuple(image[:MOST_OF_IMAGE] for image in seen.images[:MOST_IMAGES]),
            submitter=Submitter(user=seen.submitter, groups=_stored(seen.submitter_groups)),
            claims=assessed.claims,
            classification=assessed.classification,
            decision=assessed.decision,
            mode=Mode.OBSERVE if attempt.startswith("o") else Mode.ENFORCE,
            known_good=is_known_good(seen),
            contact=assessed.contact,
        ),
        status=ChangeStatus(),
    )


def _stored(groups: tuple[str, ...]) -> tuple[str, ...]:
    """As many of the groups, and as much of each, as a Change can hold."""
    return tuple(group[:MAX_NAME] for group in groups)[:MAX_GROUPS]


def supersede(seen: Seen, attempt: str) -> tuple[Write, ...]:
    """Live Changes of this Rollout's earlier attempts end; of a later one the reader's cache only does not know yet."""
    uid, number = seen.rollout.metadata.uid, _number(attempt)
    older = [
        change
        for change in seen.changes
        if change.spec.rollout.uid == uid
        and change.spec.rollout.attempt != attempt
        and _number(change.spec.rollout.attempt) <= number
        and not change.status.phase.final
    ]
    return tuple(write for change in older for write in _superseded(seen, change))


def _superseded(seen: Seen, change: Change) -> tuple[Write, ...]:
    unseen = _broken_unseen(seen, change)
    ended = write_status(
        change,
        seen.now,
        phase=Phase.SUPERSEDED,
        reason="NewTemplate",
        waiting_for="",
        message=messages.superseded(change),
        break_glass=unseen or change.status.break_glass,
    )
    if unseen is None:
        return ended
    name, reason = seen.rollout.metadata.name, unseen.reason[:200]
    message = messages.break_glass(name, unseen.user, reason, unseen.time, unseen.review_due)
    return (*ended, Emit("Warning", "BreakGlass", message))


def _broken_unseen(seen: Seen, change: Change) -> BreakGlass | None:
    """A break-glass that nobody has recorded before the next template came: Argo's copy on the ReplicaSet tells of it.

    A copy may outlive its attempt, on a set that is used again; one that is on record is none of this attempt's.
    """
    hold = names.RELEASED + change.spec.rollout.attempt
    marked = next((s for s in seen.sets if s.hold == hold and s.break_glass_by), None)
    if marked is None:
        return None
    glass = owed(marked.break_glass_by, marked.break_glass, seen.now)
    recorded = {(g.user, g.reason) for c in seen.changes if (g := c.status.break_glass) is not None}
    return None if (glass.user, glass.reason) in recorded else glass


def _number(attempt: str) -> int:
    return int(attempt.removeprefix("o"))


def _lock_left_sets(seen: Seen) -> tuple[PatchReplicaSet, ...]:
    """Takes the released value off the ReplicaSets of earlier attempts, but for what serves or is known good."""
    in_use = (seen.rollout.status.stable_rs, seen.rollout.status.current_pod_hash)
    return tuple(
        PatchReplicaSet(
            s.name,
            (
                test(annotation(names.HOLD), s.hold),
                add(annotation(names.HOLD), names.ABORTED + names.attempt_of(s.hold)),
            ),
        )
        for s in seen.sets
        if s.known_good is None and s.pod_hash not in in_use and _released_before(s, int(seen.attempt))
    )


def _released_before(s: SeenSet, attempt: int) -> bool:
    number = names.attempt_of(s.hold)
    return s.hold.startswith(names.RELEASED) and number.isascii() and number.isdigit() and int(number) < attempt


def is_known_good(seen: Seen) -> bool:
    """The template is stable's, or exactly that of one of the last completed and not revoked revisions."""
    stable = seen.stable_set
    return seen.digest in {s.digest for s in good_sets(seen)} or (stable is not None and stable.digest == seen.digest)


def is_revoked(seen: Seen, digest: str) -> bool:
    """Exactly this template was rolled back, and nobody has approved it knowingly since."""
    return any(c.status.quarantine.active and c.spec.template_digest == digest for c in seen.changes)


def good_sets(seen: Seen) -> tuple[SeenSet, ...]:
    """The ReplicaSets that count as known good: the latest three marks, none older than 30 days, none revoked."""
    marks = (s for s in seen.sets if s.known_good is not None and not is_revoked(seen, s.digest))
    marked = sorted(marks, key=lambda s: s.known_good or "", reverse=True)
    fresh = [s for s in marked if seen.now - unix_or_never(s.known_good) <= KNOWN_GOOD_SECONDS]
    return tuple(fresh[:KNOWN_GOOD_COUNT])


def seed_known_good(seen: Seen) -> Outcome | None:
    """Marks the stable ReplicaSet (and, in a newly enforced namespace, the two before it) and unmarks stale ones."""
    status = seen.rollout.status
    stable = seen.stable_set
    if stable is None or status.abort or not seen.runs_stable or status.phase != "Healthy":
        return None
    if is_revoked(seen, stable.digest):
        return None
    wanted = [stable]
    if not any(s.known_good is not None for s in seen.sets):
        older = [s for s in seen.sets if s.revision < stable.revision and not s.hold]
        wanted += sorted(older, key=lambda s: -s.revision)[: KNOWN_GOOD_COUNT - 1]
    writes: list[Write] = [_mark(s, seen.now) for s in wanted if s.known_good is None]
    if not writes:
        return None
    kept = {s.name for s in (*wanted, *good_sets(seen)[: KNOWN_GOOD_COUNT - 1])}
    writes += [
        PatchReplicaSet(s.name, (remove(annotation(names.KNOWN_GOOD)),))
        for s in seen.sets
        if s.known_good is not None and s.name not in kept
    ]
    return Outcome("mark-known-good", f"r{stable.revision} is known good", tuple(writes), critical=True)


def _mark_stable(seen: Seen) -> tuple[PatchReplicaSet, ...]:
    """What serves beside a new revision is marked: the return to it, from 0 pods too, must never need the operator."""
    stable, beside = seen.stable_set, seen.hold.startswith(names.HELD) or not seen.runs_stable
    if stable is None or not beside or stable.known_good is not None or stable.ready == 0:
        return ()
    return () if is_revoked(seen, stable.digest) else (_mark(stable, seen.now),)


def unmark_current(seen: Seen) -> tuple[PatchReplicaSet, ...]:
    """A rolled-back revision is not known good any more, whatever it was before."""
    current = seen.current_set
    if current is None or current.known_good is None:
        return ()
    mark = annotation(names.KNOWN_GOOD)
    return (PatchReplicaSet(current.name, (test(mark, current.known_good), remove(mark))),)


def _mark(s: SeenSet, now: float) -> PatchReplicaSet:
    """An annotations map always stands on a ReplicaSet of Argo's: it carries the revision."""
    ops: tuple[Op, ...] = (
        test(annotation(names.ARGO_REVISION), str(s.revision)),
        add(annotation(names.KNOWN_GOOD), timestamp(now)),
    )
    return PatchReplicaSet(s.name, ops)


def revision_of(seen: Seen) -> int:
    """Argo's revision of the current attempt, 0 while Argo has not made its ReplicaSet."""
    current = seen.current_set
    return current.revision if current and current.hold == seen.hold else 0
