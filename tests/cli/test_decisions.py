"""Which tier an approval is given at, what is in whose inbox, which exit code a wait ends with."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollwarden.api.change import BreakGlass, BreakGlassReview, Change
from rollwarden.api.enums import Criticality, Decision, Phase, Tier
from rollwarden.cli.changes import is_waiting, next_steps, short_name
from rollwarden.cli.deciding import Wish, choose_tier
from rollwarden.cli.fitting import may_decide, may_review
from rollwarden.cli.inbox import inbox_data, sort
from rollwarden.cli.status import live_first
from rollwarden.cli.wait import Code, Goal, at_time_out, outcome
from tests.cli.builders import change

PEER, SENIOR, PRINCIPAL = Tier.PEER, Tier.SENIOR, Tier.PRINCIPAL
ALL = (PEER, SENIOR, PRINCIPAL)
APPROVE = Wish(Decision.APPROVE)
LONG_AGO = "2025-01-04T00:00:00.000Z"
TIERS: dict[str, tuple[Change, tuple[Tier, ...], Wish, Tier]] = {
    "the lowest that fills the open slot": (change(SENIOR), ALL, APPROVE, SENIOR),
    "of two open slots the lower": (change(SENIOR, PRINCIPAL), ALL, APPROVE, SENIOR),
    "the lower slot is filled, so the higher": (
        change(SENIOR, PRINCIPAL, approved=(("ada", SENIOR),)),
        ALL,
        APPROVE,
        PRINCIPAL,
    ),
    "nothing fills it, so the highest held": (change(PRINCIPAL), (PEER, SENIOR), APPROVE, SENIOR),
    "a higher tier fills a lower slot": (change(PEER), (PRINCIPAL,), APPROVE, PRINCIPAL),
    "nothing is asked for": (change(), ALL, APPROVE, PEER),
    "unproven takes a senior": (change(PEER), ALL, Wish(Decision.APPROVE, accept_unproven=True), SENIOR),
    "unproven takes the tier the change needed": (
        change(SENIOR, PRINCIPAL),
        ALL,
        Wish(Decision.APPROVE, accept_unproven=True),
        PRINCIPAL,
    ),
    "quarantine takes the tier the change needed": (
        change(SENIOR),
        ALL,
        Wish(Decision.APPROVE, reason="x", quarantined=True),
        SENIOR,
    ),
    "quarantine of what needed nobody takes a peer": (change(), ALL, Wish(Decision.APPROVE, quarantined=True), PEER),
    "a rejection is given at the highest": (change(PEER), ALL, Wish(Decision.REJECT, "no"), PRINCIPAL),
}


@pytest.mark.parametrize("name", TIERS)
def test_the_tier_of_an_approval(name: str) -> None:
    one, held, wish, tier = TIERS[name]
    assert choose_tier(held, one, wish) is tier


INBOX: dict[str, tuple[Change, tuple[Tier, ...], bool]] = {
    "an open slot of my tier": (change(SENIOR), (PEER, SENIOR), True),
    "an open slot above my tier": (change(PRINCIPAL), (PEER, SENIOR), False),
    "no tier at all": (change(SENIOR), (), False),
    "I submitted it": (change(SENIOR, submitter="ada"), (SENIOR,), False),
    "I have approved it": (change(SENIOR, PEER, approved=(("ada", SENIOR),)), (SENIOR,), False),
    "somebody else filled the slot": (change(SENIOR, approved=(("sam", SENIOR),)), (SENIOR,), False),
    "the author has to bring something": (change(SENIOR, reason="EvidenceMissing"), (SENIOR,), False),
    "quarantined, and my tier lifts it": (change(SENIOR, reason="Quarantined"), (SENIOR,), True),
    "quarantined, and it takes more": (change(PRINCIPAL, reason="Quarantined"), (SENIOR,), False),
    "unproven at its maximum": (change(phase=Phase.CANARY, reason="Unproven"), (SENIOR,), True),
    "unproven takes more than a peer": (change(phase=Phase.CANARY, reason="Unproven"), (PEER,), False),
}


@pytest.mark.parametrize("name", INBOX)
def test_what_waits_for_me(name: str) -> None:
    one, held, mine = INBOX[name]
    assert may_decide(one, "ada", held) is mine


def test_an_inbox_tells_mine_from_my_own_and_from_the_rest() -> None:
    mine, own, other = change(SENIOR), change(SENIOR, submitter="ada"), change(PRINCIPAL)
    found = sort([mine, own, other], "ada", {"market": (SENIOR,)})
    assert (found.mine, found.own, found.others) == ((mine,), (own,), (other,))
    data = inbox_data(found, "ada")
    assert (len(data["items"]), len(data["own"]), data["others"], data["reviews"]) == (1, 1, 1, [])


def test_an_inbox_begins_with_the_most_critical() -> None:
    low, high = change(SENIOR, name="a-1", criticality=Criticality.LOW), change(SENIOR, name="b-1")
    assert sort([low, high], "ada", {"market": (SENIOR,)}).mine == (high, low)


def glass(**fields: Any) -> Change:
    """A completed change that owes a review of olli's break-glass."""
    broken = BreakGlass(user="olli", reason="INC-1", time=LONG_AGO, review_due=LONG_AGO, **fields)
    done = change(SENIOR, phase=Phase.COMPLETED, reason="Promoted")
    return msgspec.structs.replace(done, status=msgspec.structs.replace(done.status, break_glass=broken))


REVIEWS: dict[str, tuple[Change, str, tuple[Tier, ...], bool]] = {
    "a principal": (glass(), "pia", ALL, True),
    "a senior": (glass(), "ada", (PEER, SENIOR), False),
    "who broke it": (glass(), "olli", ALL, False),
    "nobody broke it": (change(SENIOR), "pia", ALL, False),
    "it is closed": (glass(review=BreakGlassReview(closed_by="pia", time=LONG_AGO, note="fine")), "pia", ALL, False),
}


@pytest.mark.parametrize("name", REVIEWS)
def test_whose_inbox_an_open_review_is_in(name: str) -> None:
    one, user, held, mine = REVIEWS[name]
    assert may_review(one, user, held) is mine
    assert bool(sort([one], user, {"market": held}).reviews) is mine


def test_an_open_review_is_in_the_inbox_with_its_due_date_and_first_among_what_has_ended() -> None:
    (owed,) = inbox_data(sort([glass()], "pia", {"market": ALL}), "pia")["reviews"]
    assert (owed["by"], owed["due"], owed["overdue"]) == ("olli", LONG_AGO, True)
    assert next_steps(glass())[-1].action.endswith('kubectl rollwarden review shop-r7 -n market -m "what was found"')
    ended = change(phase=Phase.COMPLETED)
    assert live_first([ended, glass()]) == [glass(), ended]


OUTCOMES: list[tuple[Change, Goal, Code | None]] = [
    (change(phase=Phase.AWAITING_APPROVAL), Goal.RELEASED, None),
    (change(phase=Phase.HELD), Goal.COMPLETED, None),
    (change(phase=Phase.CANARY), Goal.RELEASED, Code.DONE),
    (change(phase=Phase.CANARY), Goal.COMPLETED, None),
    (change(phase=Phase.BAKING), Goal.RELEASED, Code.DONE),
    (change(phase=Phase.COMPLETED), Goal.COMPLETED, Code.DONE),
    (change(phase=Phase.COMPLETED, unproven=True), Goal.COMPLETED, Code.UNPROVEN),
    (change(phase=Phase.COMPLETED, unproven=True), Goal.RELEASED, Code.DONE),
    (change(phase=Phase.DENIED), Goal.RELEASED, Code.REFUSED),
    (change(phase=Phase.REJECTED), Goal.COMPLETED, Code.REFUSED),
    (change(phase=Phase.ROLLED_BACK), Goal.RELEASED, Code.ROLLED_BACK),
    (change(phase=Phase.ROLLING_BACK), Goal.COMPLETED, None),
    (change(phase=Phase.SUPERSEDED), Goal.COMPLETED, Code.FAILED),
    (change(phase=Phase.ABANDONED), Goal.COMPLETED, Code.FAILED),
]


@pytest.mark.parametrize(("one", "goal", "code"), OUTCOMES)
def test_what_a_wait_ends_with(one: Change, goal: Goal, code: Code | None) -> None:
    assert outcome(one, goal) is code


def test_what_a_wait_ends_with_at_its_time_out() -> None:
    assert at_time_out(None) is Code.TIME_OUT
    assert at_time_out(change(waiting_for="1 senior")) is Code.WAITING_FOR_PEOPLE
    assert at_time_out(change(phase=Phase.CANARY, reason="Evidence")) is Code.TIME_OUT
    assert at_time_out(change(phase=Phase.CANARY, reason="Unproven", waiting_for="a senior")) is Code.UNPROVEN


def test_the_exit_codes_are_those_that_pipelines_know() -> None:
    assert [code.value for code in Code] == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_says_who_does_what_next(phase: Phase) -> None:
    for reason in ("", "Unproven", "Quarantined", "EvidenceMissing"):
        for waiting_for in ("", "1 senior"):
            steps = next_steps(change(SENIOR, phase=phase, reason=reason, waiting_for=waiting_for))
            assert all(step.who for step in steps)


def test_a_change_is_named_by_its_revision_once_it_has_one() -> None:
    assert short_name(change()) == "shop-r7"
    assert short_name(change(revision=0)) == "shop-1f2e3d4c-7"


def test_live_changes_come_first() -> None:
    done, live = change(phase=Phase.COMPLETED), change(phase=Phase.CANARY, criticality=Criticality.LOW)
    assert live_first([done, live]) == [live, done]
    assert not is_waiting(done)
