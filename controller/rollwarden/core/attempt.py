"""An attempt begins: its Change, what it supersedes, and which ReplicaSets are known good."""

from __future__ import annotations

from ..api import names
from ..api.change import Change, ChangeSpec, ChangeStatus, RolloutRef, Submitter
from ..api.enums import Mode, Phase
from ..api.meta import ObjectMeta
from . import messages
from .seen import Seen, SeenSet, change_name
from .status import write_status
from .times import timestamp, unix
from .writes import CreateChange, Emit, Outcome, PatchReplicaSet, Write, add, annotation, remove, test

KNOWN_GOOD_COUNT = 3
KNOWN_GOOD_SECONDS = 30 * 86400


def new_attempt(seen: Seen) -> Outcome | None:
    """A hold value without a Change: stamped just now, or while the operator was down."""
    if not seen.attempt or seen.hold.startswith(names.ABORTED) or seen.change is not None:
        return None
    change = make_change(seen, seen.attempt)
    writes: list[Write] = [CreateChange(change)]
    writes += [Emit("Warning", "MalformedClaim", p.sentence) for p in seen.assessment.problems]
    return Outcome("new-template", writes=(*writes, *supersede(seen, change.metadata.name)), requeue=0)


def make_change(seen: Seen, attempt: str) -> Change:
    """The Change of an attempt: everything in its spec is what was true at sight."""
    meta, assessed = seen.rollout.metadata, seen.assessment
    stable = seen.stable_set
    return Change(
        metadata=ObjectMeta(
            name=change_name(seen.rollout, attempt),
            namespace=meta.namespace,
            labels={names.ROLLOUT_UID_LABEL: meta.uid, names.ROLLOUT_LABEL: meta.name[:63]},
        ),
        spec=ChangeSpec(
            rollout=RolloutRef(name=meta.name, uid=meta.uid, attempt=attempt),
            template_digest=seen.digest,
            match_digest=seen.match_digest,
            stable_digest=stable.digest if stable else "",
            images=seen.images,
            submitter=Submitter(user=seen.submitter),
            claims=assessed.claims,
            classification=assessed.classification,
            decision=assessed.decision,
            mode=Mode.OBSERVE if attempt.startswith("o") else Mode.ENFORCE,
            known_good=is_known_good(seen),
            contact=assessed.contact,
        ),
        status=ChangeStatus(),
    )


def supersede(seen: Seen, by: str) -> tuple[Write, ...]:
    """Older live Changes of this Rollout end; their ReplicaSets are locked, as they carry a released hold value."""
    writes: list[Write] = []
    for change in seen.changes:
        if (
            change.metadata.name == by
            or change.status.phase.final
            or change.spec.rollout.uid != seen.rollout.metadata.uid
        ):
            continue
        message = messages.superseded(change, by)
        writes += write_status(
            change, seen.now, phase=Phase.SUPERSEDED, reason="NewTemplate", waiting_for="", message=message
        )
        writes += lock_set(seen, change.spec.rollout.attempt)
    return tuple(writes)


def lock_set(seen: Seen, attempt: str) -> tuple[PatchReplicaSet, ...]:
    """Takes the released value off the ReplicaSet of an ended attempt that is not the current one."""
    return tuple(
        PatchReplicaSet(
            s.name,
            (
                test(annotation(names.HOLD), s.hold),
                add(annotation(names.HOLD), names.ABORTED + attempt),
            ),
        )
        for s in seen.sets
        if s.hold == names.RELEASED + attempt
        and s.known_good is None
        and s.pod_hash != seen.rollout.status.stable_rs
        and s.pod_hash != seen.rollout.status.current_pod_hash
    )


def is_known_good(seen: Seen) -> bool:
    """The template is stable's, or exactly that of one of the last completed and not revoked revisions."""
    stable = seen.stable_set
    return seen.digest in {s.digest for s in good_sets(seen)} or (stable is not None and stable.digest == seen.digest)


def good_sets(seen: Seen) -> tuple[SeenSet, ...]:
    """The ReplicaSets that count as known good: the latest three marks, none older than 30 days."""
    marked = sorted((s for s in seen.sets if s.known_good is not None), key=lambda s: s.known_good or "", reverse=True)
    fresh = [s for s in marked if seen.now - _marked_at(s) <= KNOWN_GOOD_SECONDS]
    return tuple(fresh[:KNOWN_GOOD_COUNT])


def _marked_at(s: SeenSet) -> float:
    try:
        return unix(s.known_good or "")
    except ValueError:
        return 0.0


def seed_known_good(seen: Seen) -> Outcome | None:
    """Marks the stable ReplicaSet (and, in a newly enforced namespace, the two before it) and unmarks stale ones."""
    status = seen.rollout.status
    stable = seen.stable_set
    if stable is None or status.abort or status.stable_rs != status.current_pod_hash or status.phase != "Healthy":
        return None
    wanted = [stable]
    if not any(s.known_good is not None for s in seen.sets):
        older = [s for s in seen.sets if s.revision < stable.revision and not s.hold]
        wanted += sorted(older, key=lambda s: -s.revision)[: KNOWN_GOOD_COUNT - 1]
    writes: list[Write] = [
        PatchReplicaSet(s.name, (*_head(s), add(annotation(names.KNOWN_GOOD), timestamp(seen.now))))
        for s in wanted
        if s.known_good is None
    ]
    if not writes:
        return None
    kept = {s.name for s in (*wanted, *good_sets(seen)[: KNOWN_GOOD_COUNT - 1])}
    writes += [
        PatchReplicaSet(s.name, (remove(annotation(names.KNOWN_GOOD)),))
        for s in seen.sets
        if s.known_good is not None and s.name not in kept
    ]
    return Outcome("mark-known-good", f"r{stable.revision} is known good", tuple(writes))


def _head(s: SeenSet) -> tuple[dict[str, object], ...]:
    """An annotations map always stands on a ReplicaSet of Argo's: it carries the revision."""
    return (test(annotation(names.ARGO_REVISION), str(s.revision)),)


def revision_of(seen: Seen) -> int:
    """Argo's revision of the current attempt, 0 while Argo has not made its ReplicaSet."""
    current = seen.current_set
    return current.revision if current and current.hold == seen.hold else 0
