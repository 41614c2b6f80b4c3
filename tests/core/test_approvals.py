"""Which votes count for a change, and whether together they are enough."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.api.change import CountedApproval, Requirements
from rollwarden.api.enums import ApprovalSource, Decision, Level, Tier
from rollwarden.api.policy import ApprovalSlot
from rollwarden.core.approvals import (
    accepts_unproven,
    answer,
    counted,
    lifts_quarantine,
    open_slots,
    rejection,
    spoken_slots,
    vote_of,
)
from tests.builders import NOW, approval, author, change, classification, requirements, slots, vote
from tests.strategies import examples, slot_sets

BY_MIA = change(classification=classification(authors=(author("Mia <mia@corp>", Level.MID), author("jo@corp"))))
DAY = 86400


def given_by(user: str, tier: Tier, **fields: Any) -> CountedApproval:
    return CountedApproval(tier=tier, user=user, source=ApprovalSource.OBJECT, **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({}, "Counted", id="a senior of another team"),
        pytest.param({"user": "mia@corp"}, "ApproverIsAuthor", id="an author, by the email of a Git author"),
        pytest.param({"user": "MIA@corp"}, "ApproverIsAuthor", id="an author in other letters"),
        pytest.param({"user": "jo@corp"}, "ApproverIsAuthor", id="the submitter, who is an author here"),
        pytest.param({"user": "system:serviceaccount:ci:bot"}, "ApproverIsMachine", id="a service account"),
        pytest.param({"agent": True}, "ApproverIsMachine", id="a listed agent"),
        pytest.param({"user": ""}, "NoApprover", id="nobody stamped"),
        pytest.param({"change_uid": "change-4"}, "OtherAttempt", id="another attempt"),
        pytest.param({"digest": "sha256:" + 64 * "0"}, "OtherDigest", id="another template"),
        pytest.param({"at": NOW - 8 * DAY}, "Expired", id="older than a week"),
        pytest.param({"at": NOW - 7 * DAY}, "Counted", id="a week old to the second"),
        pytest.param({"tier": Tier.PEER, "level": Level.JUNIOR}, "NotAPeer", id="a peer below an author's level"),
        pytest.param({"tier": Tier.PEER, "level": Level.MID}, "Counted", id="a peer of the highest author's level"),
    ],
)
def test_what_counts(fields: dict[str, Any], reason: str) -> None:
    found = answer(vote(on=BY_MIA, **fields), BY_MIA, requirements(approval_ttl=7 * DAY), NOW)
    assert found.reason == reason
    assert found.counts is (reason == "Counted")
    assert found.message


def test_the_submitter_cannot_approve_who_is_no_author() -> None:
    adopted = change(classification=classification(authors=(author("mia@corp"),)))
    assert answer(vote("jo@corp", on=adopted), adopted, Requirements(), NOW).reason == "ApproverIsSubmitter"


def test_who_became_an_author_later_cannot_approve() -> None:
    """An agent's change that waits for its adopter: the adopter is an author from then on."""
    late = (author("ada@corp", Level.SENIOR),)
    about = change()
    assert answer(vote(on=about), about, Requirements(), NOW).counts
    assert answer(vote(on=about), about, Requirements(), NOW, late).reason == "ApproverIsAuthor"


def test_without_a_time_to_live_nothing_expires() -> None:
    about = change()
    assert answer(vote(on=about, at=NOW - 900 * DAY), about, Requirements(), NOW).counts


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        pytest.param({}, True, id="anyone with a tier may reject"),
        pytest.param({"user": "jo@corp"}, True, id="an author too"),
        pytest.param({"at": NOW - 900 * DAY}, True, id="a rejection does not expire"),
        pytest.param({"change_uid": "change-4"}, False, id="another attempt's does not count"),
        pytest.param({"agent": True}, False, id="an agent's does not count"),
    ],
)
def test_rejections(fields: dict[str, Any], counts: bool) -> None:
    about = change()
    no = vote(on=about, decision=Decision.REJECT, reason="breaks refunds", **fields)
    found = answer(no, about, requirements(approval_ttl=DAY), NOW)
    assert (rejection([found]) is not None) is counts


def test_a_rejection_wins_over_any_number_of_approvals() -> None:
    about = change()
    votes = [vote(f"user{i}@corp", Tier.PRINCIPAL, on=about) for i in range(5)]
    votes.append(vote(on=about, decision=Decision.REJECT, reason="no"))
    found = rejection(answer(one, about, Requirements(), NOW) for one in votes)
    assert found is not None and found.reason == "no"


def test_one_person_counts_once_with_the_highest_tier() -> None:
    about = change()
    votes = (
        vote("ada@corp", Tier.PEER, on=about, acknowledges_quarantine=True),
        vote("ada@corp", Tier.PRINCIPAL, on=about),
    )
    (only,) = counted(answer(one, about, Requirements(), NOW) for one in votes)
    assert (only.user, only.tier, only.acknowledges_quarantine) == ("ada@corp", Tier.PRINCIPAL, True)


def test_the_order_of_votes_means_nothing() -> None:
    about = change()
    votes = [vote("b@corp", on=about), vote("a@corp", on=about), vote("c@corp", Tier.PRINCIPAL, on=about)]
    orders = {
        counted(answer(one, about, Requirements(), NOW) for one in order) for order in itertools.permutations(votes)
    }
    assert [one.user for one in orders.pop()] == ["c@corp", "a@corp", "b@corp"]
    assert not orders


S, P, PEER = Tier.SENIOR, Tier.PRINCIPAL, Tier.PEER


@pytest.mark.parametrize(
    ("asked", "there", "missing"),
    [
        pytest.param((), (), (), id="nothing asked, nothing missing"),
        pytest.param((S,), (), (S,), id="nobody yet"),
        pytest.param((S,), (PEER,), (S,), id="a peer fills no senior's slot"),
        pytest.param((S,), (P,), (), id="a principal may fill a senior's slot"),
        pytest.param((S, P), (P,), (S,), id="one person fills one slot"),
        pytest.param((S, P), (P, P), (), id="two principals fill both"),
        pytest.param((S, P), (S, P), (), id="as asked"),
        pytest.param((PEER, S), (S, PEER), (), id="the lowest that suffices is taken"),
        pytest.param((S, S), (S,), (S,), id="two of one tier need two people"),
    ],
)
def test_open_slots(asked: tuple[Tier, ...], there: tuple[Tier, ...], missing: tuple[Tier, ...]) -> None:
    people = [given_by(f"user{i}", tier) for i, tier in enumerate(there)]
    assert sorted(open_slots(slots(*asked), people), key=lambda s: s.tier.rank) == list(slots(*missing))


@given(slot_sets(), st.lists(st.sampled_from(Tier), max_size=5))
@settings(max_examples=examples(150), deadline=None)
def test_open_slots_finds_an_assignment_whenever_there_is_one(
    asked: tuple[ApprovalSlot, ...], tiers: list[Tier]
) -> None:
    wanted = [slot.tier for slot in asked for _ in range(slot.count)]
    possible = any(
        all(one >= need for one, need in zip(order, wanted, strict=False))
        for order in itertools.permutations(tiers, len(wanted))
    )
    people = [given_by(f"user{i}", tier) for i, tier in enumerate(tiers)]
    assert (open_slots(asked, people) == ()) is possible


@pytest.mark.parametrize(
    ("asked", "tier", "lifts", "accepts"),
    [
        pytest.param((), PEER, True, False, id="nothing needed: a peer lifts a quarantine"),
        pytest.param((S,), PEER, False, False, id="a peer cannot where a senior is needed"),
        pytest.param((S,), S, True, True, id="a senior can do both"),
        pytest.param((P,), S, False, False, id="a senior cannot where a principal is needed"),
        pytest.param((PEER,), PEER, True, False, id="unproven is a senior's to accept at least"),
    ],
)
def test_who_may_take_it_on(asked: tuple[Tier, ...], tier: Tier, lifts: bool, accepts: bool) -> None:
    people = [given_by("ada@corp", tier, acknowledges_quarantine=True, accept_unproven=True)]
    assert (lifts_quarantine(people, requirements(*asked)) is not None) is lifts
    assert (accepts_unproven(people, requirements(*asked)) is not None) is accepts


def test_taking_it_on_is_said_not_implied() -> None:
    people = [given_by("ada@corp", P)]
    assert lifts_quarantine(people, Requirements()) is None
    assert accepts_unproven(people, Requirements()) is None


def test_spoken_slots() -> None:
    assert spoken_slots(slots(PEER, PEER, S)) == "1 senior and 2 peers"


def test_a_vote_is_what_the_api_server_stamped() -> None:
    found = vote_of(approval("ada@corp", S), level=Level.SENIOR)
    assert (found.user, found.tier, found.at) == ("ada@corp", S, NOW - 5)
    assert answer(found, change(), Requirements(), NOW).counts
    unstamped = vote_of(approval(approver=None))
    assert answer(unstamped, change(), Requirements(), NOW).reason == "NoApprover"
