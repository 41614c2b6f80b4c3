"""Approvals by annotation, ``approval.rollwarden.dev/<tier>: "<user> <digest>"``, as votes with a time.

Admission admits one only from the person it names, at a tier that person holds; an annotation of an earlier template
goes with it. It carries no time of its own: it dates from when it was first seen, and that stays in the Change's status
for good, so that neither a restart nor a re-apply makes an old one new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..api import names
from ..api.change import Change
from ..api.enums import ApprovalSource, Decision, Mode, Tier
from ..api.policy import GuardrailPolicySpec
from .approvals import Vote
from .classify import is_agent, level_of
from .seen import Seen
from .times import unix

LEAST_DIGEST = 32
"""Hex digits to which an annotation may shorten the digest."""
MOST_USER = 253
MOST_DATED = 64
"""As many are dated on one Change; further ones take an Approval object."""


def annotation_votes(seen: Seen, change: Change, specs: Sequence[GuardrailPolicySpec]) -> Iterable[Vote]:
    """None outside of enforced namespaces: there anybody may write anybody's name."""
    if seen.mode is not Mode.ENFORCE:
        return
    for tier in Tier:
        ref = names.approval_annotation(tier)
        user, _, digest = seen.rollout.metadata.annotations.get(ref, "").rpartition(" ")
        at = first_seen(change, tier, user)
        full = at is None and len(change.status.annotation_approvals) >= MOST_DATED
        if not user or len(user) > MOST_USER or full:
            continue
        yield Vote(
            user=user,
            tier=tier,
            decision=Decision.APPROVE,
            source=ApprovalSource.ANNOTATION,
            ref=ref,
            change_uid=change.metadata.uid,
            digest=change.spec.template_digest if _names(digest, change.spec.template_digest) else digest,
            at=seen.now if at is None else at,
            level=level_of(user, specs),
            agent=is_agent(user, specs),
        )


def _names(shortened: str, digest: str) -> bool:
    wanted = shortened.removeprefix("sha256:")
    return len(wanted) >= LEAST_DIGEST and digest.removeprefix("sha256:").startswith(wanted)


def first_seen(change: Change, tier: Tier, user: str) -> float | None:
    """When this person's approval by annotation was first seen; None where it is new."""
    known = (a for a in change.status.annotation_approvals if (a.tier, a.user) == (tier, user))
    return next((unix(a.first_seen) for a in known), None)


def undated(votes: Iterable[Vote], change: Change) -> tuple[Vote, ...]:
    """The approvals by annotation of this very template that are seen for the first time."""
    room = MOST_DATED - len(change.status.annotation_approvals)
    new = [
        vote
        for vote in votes
        if vote.source is ApprovalSource.ANNOTATION
        and vote.digest == change.spec.template_digest
        and first_seen(change, vote.tier, vote.user) is None
    ]
    return tuple(new[:room])
