"""What a broken glass owes: who may close its review, and when it is said to be overdue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollwarden.api.change import BreakGlass, BreakGlassReview, Change, ChangeStatus
from rollwarden.api.enums import Decision, Phase, Tier
from rollwarden.core.approvals import Vote
from rollwarden.core.decide import decide
from rollwarden.core.reviews import decide_review, is_overdue, open_review, review_answer
from rollwarden.core.seen import SeenSet
from rollwarden.core.times import timestamp
from rollwarden.core.writes import Emit, WriteChangeStatus
from tests.builders import NOW, author, change, classification, new_set, rollout, seen, stable_set, vote

DAY = 86400
REVIEW = BreakGlassReview(closed_by="pia@corp", time=timestamp(NOW), note="pool was too small", ref="approval-pia@corp")


def broken(phase: Phase = Phase.COMPLETED, *, due: float = NOW + DAY, **fields: Any) -> Change:
    """A change that was released by break-glass and has ended."""
    glass = BreakGlass(
        user="olli@corp", reason="INC-812", time=timestamp(NOW - DAY), review_due=timestamp(due), **fields
    )
    return change(
        classification=classification(authors=(author("jo@corp"),)),
        status=ChangeStatus(phase=phase, break_glass=glass, finished_at=timestamp(NOW - 100)),
    )


def review(user: str = "pia@corp", **fields: Any) -> Vote:
    given: dict[str, Any] = {"decision": Decision.REVIEW, "reason": "pool was too small"}
    return vote(user, Tier.PRINCIPAL, **(given | fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({}, "Counted", id="a principal who had no part in it"),
        pytest.param({"user": "olli@corp"}, "ReviewerBrokeGlass", id="who broke it"),
        pytest.param({"user": "OLLI@corp"}, "ReviewerBrokeGlass", id="who broke it, in other letters"),
        pytest.param({"user": "jo@corp"}, "ApproverIsAuthor", id="an author"),
        pytest.param({"user": "system:serviceaccount:ci:bot"}, "ApproverIsMachine", id="a service account"),
        pytest.param({"user": ""}, "NoApprover", id="nobody stamped"),
        pytest.param({"agent": True}, "ApproverIsMachine", id="a listed agent"),
        pytest.param({"change_uid": "change-4"}, "OtherAttempt", id="another attempt"),
        pytest.param({"digest": "sha256:" + 64 * "0"}, "OtherDigest", id="another template"),
    ],
)
def test_who_may_close_it(fields: dict[str, Any], reason: str) -> None:
    found = review_answer(review(**fields), broken())
    assert (found.reason, found.counts) == (reason, reason == "Counted")
    assert found.message
    closed = decide_review(broken(), (review(**fields),), NOW)
    assert (closed.rule == "review-closed") is found.counts


def test_where_nobody_broke_the_glass_there_is_nothing_to_review() -> None:
    found = review_answer(review(), change())
    assert (found.counts, found.reason) == (False, "NothingToReview")
    assert "kubectl rollwarden inbox -n pay" in found.message
    assert decide_review(change(), (review(),), NOW).writes == ()


def test_the_one_that_closed_it_counts_for_good_and_a_second_does_not() -> None:
    about = broken(review=REVIEW)
    assert review_answer(review(ref=REVIEW.ref), about).counts
    late = review_answer(review("dan@corp"), about)
    assert (late.counts, late.reason) == (False, "AlreadyReviewed")
    assert decide_review(about, (review("dan@corp"),), NOW + 9 * DAY).writes == ()


@pytest.mark.parametrize("phase", list(Phase))
def test_it_stays_open_and_can_be_closed_in_every_phase(phase: Phase) -> None:
    about = broken(phase)
    assert open_review(about)
    outcome = decide_review(about, (review(), review("dan@corp", at=NOW - 1)), NOW)
    write, event = outcome.writes
    assert isinstance(write, WriteChangeStatus)
    assert isinstance(event, Emit)
    assert write.status.phase is phase
    assert write.status.break_glass is not None
    assert write.status.break_glass.review == REVIEW
    assert write.status.break_glass.reason == "INC-812"
    assert (event.kind, event.reason) == ("Normal", "BreakGlassReviewed")


def test_an_approval_closes_nothing() -> None:
    assert decide_review(broken(), (vote("pia@corp", Tier.PRINCIPAL),), NOW).rule == "review-open"


def test_it_is_looked_at_again_when_it_is_due() -> None:
    waiting = decide_review(broken(due=NOW + DAY), (), NOW)
    assert waiting.writes == ()
    assert waiting.requeue is not None
    assert waiting.requeue == pytest.approx(DAY, abs=2)


def test_an_overdue_one_is_said_once() -> None:
    about = broken(due=NOW - 60)
    glass = open_review(about)
    assert glass is not None
    assert is_overdue(glass, NOW)
    outcome = decide_review(about, (), NOW)
    write, event = outcome.writes
    assert isinstance(event, Emit)
    assert (event.kind, event.reason) == ("Warning", "BreakGlassReviewOverdue")
    assert "kubectl rollwarden review checkout-1f2e3d4c-5 -n pay" in event.message
    assert isinstance(write, WriteChangeStatus)
    told = change(status=write.status)
    assert decide_review(told, (), NOW + 9 * DAY).writes == ()
    assert decide_review(told, (review(),), NOW + 9 * DAY).rule == "review-closed"


GLASS_ON_SET = new_set(hold="released-5", break_glass="INC-812", break_glass_by="olli@corp")


def moved_on(*changes: Change, left: SeenSet = GLASS_ON_SET) -> dict[str, ChangeStatus]:
    """A newer template came: the status each of these Changes is given, by name."""
    newer = rollout(hold="held-9", generation=10)
    standing = change(attempt="9", of=newer, uid="change-9")
    outcome = decide(seen(of=newer, sets=(stable_set(), left), changes=(standing, *changes)))
    return {w.name: w.status for w in outcome.writes if isinstance(w, WriteChangeStatus)}


def test_a_break_glass_that_the_operator_did_not_see_is_recorded_when_the_next_template_has_come() -> None:
    waiting = change()
    ended = moved_on(waiting)[waiting.metadata.name]
    assert ended.phase is Phase.SUPERSEDED
    assert ended.break_glass is not None
    assert (ended.break_glass.user, ended.break_glass.reason, ended.break_glass.review) == (
        "olli@corp",
        "INC-812",
        None,
    )


def test_a_mark_that_is_left_of_a_recorded_break_glass_is_none_of_the_next_attempt() -> None:
    recorded = change(attempt="3", uid="change-3", status=broken().status)
    waiting = change()
    assert moved_on(waiting, recorded)[waiting.metadata.name].break_glass is None


@pytest.mark.parametrize(
    "left", [new_set(), replace(GLASS_ON_SET, hold="held-5"), replace(GLASS_ON_SET, break_glass_by="")]
)
def test_what_nobody_broke_owes_nothing(left: SeenSet) -> None:
    waiting = change()
    assert moved_on(waiting, left=left)[waiting.metadata.name].break_glass is None
