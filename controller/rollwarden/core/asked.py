"""What a change needs now, what people answered to it, and whether its template was rolled back before."""

from __future__ import annotations

from ..api.change import Change, Requirements
from .approvals import Answer, answer
from .policy import strictest
from .seen import Seen


def requirements_now(seen: Seen, change: Change) -> Requirements:
    """The strictest of what held at sight and what holds now: no policy edit frees a change that is already held."""
    return strictest([change.spec.decision.requirements, seen.assessment.decision.requirements])


def answers(seen: Seen, change: Change) -> tuple[Answer, ...]:
    needed = requirements_now(seen, change)
    adopters = seen.assessment.classification.authors
    return tuple(answer(vote, change, needed, seen.now, adopters, seen.guard) for vote in seen.votes)


def quarantined_by(seen: Seen) -> Change | None:
    """The latest Change whose rolled-back template this is, by what its containers run."""
    return max(quarantines(seen), key=lambda c: c.status.quarantine.since or "", default=None)


def quarantines(seen: Seen) -> tuple[Change, ...]:
    return tuple(
        c
        for c in seen.changes
        if c.status.quarantine.active
        and c.status.quarantine.match_digest == seen.match_digest
        and c.metadata.name != seen.change_name
    )
