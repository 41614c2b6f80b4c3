"""Whether a decision of one person fits a change: what an inbox lists, and what a decision on a commit takes up."""

from __future__ import annotations

from rollwarden.api.change import Change
from rollwarden.api.enums import Tier
from rollwarden.cli.changes import EVIDENCE_MISSING, QUARANTINED, UNPROVEN
from rollwarden.core.approvals import open_slots
from rollwarden.core.classify import same_person
from rollwarden.core.reviews import open_review


def wrote(change: Change, user: str) -> bool:
    authors = change.spec.classification.authors
    return user == change.spec.submitter.user or any(same_person(author.name, user) for author in authors)


def may_decide(change: Change, user: str, held: tuple[Tier, ...]) -> bool:
    """Whether a decision of this person, at one of these tiers, would bring the change on."""
    status, requirements = change.status, change.spec.decision.requirements
    if not held or wrote(change, user) or status.reason == EVIDENCE_MISSING:
        return False
    highest = max((slot.tier for slot in requirements.approvals), default=Tier.PEER)
    if status.reason == UNPROVEN:
        return max(held) >= max(highest, Tier.SENIOR)
    if status.reason == QUARANTINED:
        return max(held) >= highest
    if any(approval.user == user for approval in status.approvals):
        return False
    return any(max(held) >= slot.tier for slot in open_slots(requirements.approvals, status.approvals))


def may_review(change: Change, user: str, held: tuple[Tier, ...]) -> bool:
    """Whether this person could close the review that a break-glass of this change owes."""
    glass = open_review(change)
    if glass is None or Tier.PRINCIPAL not in held:
        return False
    authors = change.spec.classification.authors
    return not same_person(glass.user, user) and not any(same_person(author.name, user) for author in authors)
