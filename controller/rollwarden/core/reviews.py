"""What a broken glass owes: a review that stays open, also after its change has ended, until a principal closes it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..api.change import BreakGlass, BreakGlassReview, Change
from ..api.enums import Decision
from . import messages
from .approvals import Answer, Vote, misaddressed
from .classify import same_person
from .status import write_status
from .times import timestamp, unix
from .writes import Emit, Outcome, Write

MOST_USER, MOST_REASON = 253, 1024


REVIEW_SECONDS = 3 * 86400


def owed(user: str, reason: str, now: float) -> BreakGlass:
    """The record of a break-glass, with the review that it owes from now on."""
    return BreakGlass(
        user=user[:MOST_USER],
        reason=reason[:MOST_REASON],
        time=timestamp(now),
        review_due=timestamp(now + REVIEW_SECONDS),
    )


def open_review(change: Change) -> BreakGlass | None:
    """The break-glass of this change that nobody has reviewed yet."""
    glass = change.status.break_glass
    return glass if glass is not None and glass.review is None else None


def is_overdue(glass: BreakGlass, now: float) -> bool:
    return glass.review is None and now > unix(glass.review_due)


def review_answer(vote: Vote, change: Change) -> Answer:
    """Judges one review. Whoever broke the glass or wrote the change does not review it; admission saw to the tier."""
    for reason, message in _objections(vote, change):
        return Answer(vote, False, reason, f"review by {vote.user or 'nobody'} does not count: {message}")
    return Answer(vote, True, "Counted", f"review by {vote.user} closes the break-glass of {change.metadata.name}")


def _objections(vote: Vote, change: Change) -> Iterable[tuple[str, str]]:
    meta, glass = change.metadata, change.status.break_glass
    if glass is None:
        yield "NothingToReview", f"nobody broke the glass for {meta.name}; {LOOK.format(namespace=meta.namespace)}"
        return
    again = f"review it anew: kubectl rollwarden review {meta.name} -n {meta.namespace}"
    yield from misaddressed(vote, change, again)
    if glass.review is not None and glass.review.ref != vote.ref:
        yield "AlreadyReviewed", f"{glass.review.closed_by} has closed this review on {glass.review.time[:10]}"
    if same_person(glass.user, vote.user):
        yield "ReviewerBrokeGlass", f"{vote.user} broke the glass; another principal reviews it"
    if any(same_person(author.name, vote.user) for author in change.spec.classification.authors):
        yield "ApproverIsAuthor", f"{vote.user} is an author of this change; another principal reviews it"


LOOK = "kubectl rollwarden inbox -n {namespace} shows which reviews are open"


def decide_review(change: Change, votes: Iterable[Vote], now: float) -> Outcome:
    """The first review that counts closes it; one that is overdue is said once."""
    glass = open_review(change)
    if glass is None:
        return Outcome("nothing-owed")
    reviews = [v for v in votes if v.decision is Decision.REVIEW and review_answer(v, change).counts]
    by = min(reviews, key=lambda vote: (vote.at, vote.ref), default=None)
    name = change.spec.rollout.name
    if by is not None:
        review = BreakGlassReview(closed_by=by.user, time=timestamp(now), note=by.reason[:MOST_REASON], ref=by.ref)
        message = messages.reviewed(name, glass, review)
        closed = _with(change, msgspec.structs.replace(glass, review=review), now)
        return Outcome("review-closed", message, (*closed, Emit("Normal", "BreakGlassReviewed", message)))
    if glass.reminded_at is not None:
        return Outcome("review-overdue")
    if not is_overdue(glass, now):
        return Outcome("review-open", requeue=unix(glass.review_due) - now + 1.0)
    message = messages.review_overdue(change, glass)
    told = _with(change, msgspec.structs.replace(glass, reminded_at=timestamp(now)), now)
    return Outcome("review-overdue", message, (*told, Emit("Warning", "BreakGlassReviewOverdue", message)))


def _with(change: Change, glass: BreakGlass, now: float) -> tuple[Write, ...]:
    return write_status(change, now, break_glass=glass)
