"""Which claims count, who an author is, and which approvals serve: tables of sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollwarden.api import names
from rollwarden.api.change import (
    Author,
    Change,
    ChangeSpec,
    Classification,
    CountedApproval,
    PolicyDecision,
    Requirements,
    RolloutRef,
    Submitter,
)
from rollwarden.api.enums import ApprovalSource, Autonomy, Criticality, Decision, Level, Origin, Tier
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.policy import Agents, ApprovalSlot, GuardrailPolicySpec, People
from rollwarden.core.approvals import Vote, answer, counted, open_slots, rejection
from rollwarden.core.classify import Subject, classify

IMAGE = "registry.example.com/shop@sha256:" + "a" * 64
TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "app", "image": IMAGE}]}}
HUMAN = {names.ORIGIN: "human"}
SUBJECT = {names.SUBJECT: IMAGE}
POLICY = GuardrailPolicySpec(
    people=(People(level=Level.SENIOR, users=("ada@example.com",)),), agents=Agents(users=("robot",))
)


def origin_of(annotations: dict[str, str], submitter: str = "jun@example.com") -> Classification:
    subject = Subject(annotations, TEMPLATE, TEMPLATE, {}, {}, submitter)
    return classify(subject, [POLICY]).classification


@pytest.mark.parametrize(
    ("annotations", "origin"),
    [
        pytest.param({}, Origin.UNKNOWN, id="no marker is unknown, never human"),
        pytest.param(HUMAN, Origin.UNKNOWN, id="human without its subject does not count"),
        pytest.param(HUMAN | SUBJECT, Origin.HUMAN, id="human for exactly this image counts"),
        pytest.param(HUMAN | {names.SUBJECT: "sha256:" + "a" * 64}, Origin.HUMAN, id="the digest alone names it too"),
        pytest.param(HUMAN | {names.SUBJECT: "shop:1"}, Origin.UNKNOWN, id="yesterday's image covers nothing today"),
        pytest.param({names.ORIGIN: "AI"}, Origin.AI, id="ai tightens, so it always counts, in any case of letters"),
        pytest.param({names.AUTONOMY: "agent"}, Origin.AI, id="an autonomy implies AI"),
        pytest.param({names.ORIGIN: "robot"}, Origin.UNKNOWN, id="a malformed origin counts as not there"),
    ],
)
def test_origin(annotations: dict[str, str], origin: Origin) -> None:
    assert origin_of(annotations).origin is origin


def test_a_malformed_claim_is_a_problem_that_names_its_annotation() -> None:
    subject = Subject({names.SHARE: "many"}, TEMPLATE, TEMPLATE, {}, {}, "jun@example.com")
    (problem,) = classify(subject, [POLICY]).problems
    assert names.SHARE in problem.sentence
    assert "0 to 100" in problem.sentence


def test_what_a_listed_agent_submits_is_agent_written_whatever_it_claims() -> None:
    c = origin_of(HUMAN | SUBJECT, submitter="robot")
    assert (c.origin, c.autonomy, c.agent_submitter) == (Origin.AI, Autonomy.AGENT, True)


def test_an_authors_level_counts_only_under_a_matching_subject() -> None:
    authors = {names.AUTHORS: "Ada <ada@example.com>"}
    assert origin_of(authors).authors[0].level is Level.JUNIOR
    assert origin_of({names.AUTHORS: "ada@example.com"} | SUBJECT).authors[0].level is Level.SENIOR


def test_criticality_is_the_highest_that_anybody_says() -> None:
    subject = Subject({names.CRITICALITY: "low"}, TEMPLATE, TEMPLATE, {}, {names.CRITICALITY: "high"}, "jun")
    assert classify(subject, [POLICY]).classification.criticality is Criticality.HIGH
    assert origin_of({}).criticality is Criticality.MEDIUM


DIGEST = "sha256:" + "b" * 64
CHANGE = Change(
    metadata=ObjectMeta(name="shop-1-2", uid="uid-2"),
    spec=ChangeSpec(
        rollout=RolloutRef(name="shop", uid="r", attempt="2"),
        template_digest=DIGEST,
        match_digest=DIGEST,
        classification=Classification(
            origin=Origin.AI, criticality=Criticality.HIGH, authors=(Author(name="jun@example.com"),)
        ),
        decision=PolicyDecision(),
        submitter=Submitter(user="ci-bot"),
    ),
)
VOTE = Vote("ada@example.com", Tier.SENIOR, Decision.APPROVE, ApprovalSource.OBJECT, "a", "uid-2", DIGEST, 1000.0)
NEEDS = Requirements(approvals=(ApprovalSlot(tier=Tier.SENIOR),), approval_ttl=3600)


@pytest.mark.parametrize(
    ("vote", "reason"),
    [
        pytest.param(VOTE, "Counted", id="a senior who is no author counts"),
        pytest.param(replace(VOTE, change_uid="uid-1"), "OtherAttempt", id="never for another attempt"),
        pytest.param(replace(VOTE, digest="sha256:" + "c" * 64), "OtherDigest", id="never for another template"),
        pytest.param(replace(VOTE, user="jun@example.com"), "ApproverIsAuthor", id="never an author's own"),
        pytest.param(replace(VOTE, user="ci-bot"), "ApproverIsSubmitter", id="never the submitter's own"),
        pytest.param(replace(VOTE, agent=True), "ApproverIsMachine", id="never an agent's"),
        pytest.param(
            replace(VOTE, user="system:serviceaccount:ci:bot"), "ApproverIsMachine", id="never a service account's"
        ),
        pytest.param(replace(VOTE, at=1000.0 - 3601), "Expired", id="not when it is older than it may be"),
        pytest.param(replace(VOTE, user=""), "NoApprover", id="not without a stamped approver"),
    ],
)
def test_a_vote_counts_or_is_told_why_not(vote: Vote, reason: str) -> None:
    assert answer(vote, CHANGE, NEEDS, now=1000.0).reason == reason


def test_an_author_may_reject_their_own_change() -> None:
    no = replace(VOTE, user="jun@example.com", decision=Decision.REJECT)
    assert rejection([answer(no, CHANGE, NEEDS, now=1000.0)]) == no


def approval(user: str, tier: Tier) -> CountedApproval:
    return CountedApproval(tier=tier, user=user, source=ApprovalSource.OBJECT)


@pytest.mark.parametrize(
    ("slots", "given", "missing"),
    [
        pytest.param({Tier.SENIOR: 1}, [("p", Tier.PRINCIPAL)], [], id="a higher tier fills a lower slot"),
        pytest.param({Tier.SENIOR: 1}, [("p", Tier.PEER)], [(Tier.SENIOR, 1)], id="a lower tier does not"),
        pytest.param(
            {Tier.SENIOR: 1, Tier.PRINCIPAL: 1},
            [("p", Tier.PRINCIPAL)],
            [(Tier.SENIOR, 1)],
            id="one person fills one slot",
        ),
        pytest.param(
            {Tier.SENIOR: 1, Tier.PRINCIPAL: 1},
            [("s", Tier.SENIOR), ("p", Tier.PRINCIPAL)],
            [],
            id="the principal is kept for the principal's slot",
        ),
        pytest.param({Tier.PEER: 2}, [("s", Tier.SENIOR)], [(Tier.PEER, 1)], id="a count needs as many people"),
    ],
)
def test_slots(slots: dict[Tier, int], given: list[tuple[str, Tier]], missing: list[tuple[Tier, int]]) -> None:
    wanted = [ApprovalSlot(tier=tier, count=count) for tier, count in slots.items()]
    left = open_slots(wanted, [approval(user, tier) for user, tier in given])
    assert [(slot.tier, slot.count) for slot in left] == missing


def test_two_approvals_of_one_person_are_one() -> None:
    twice = [answer(replace(VOTE, ref=ref), CHANGE, NEEDS, now=1000.0) for ref in ("a", "b")]
    assert [one.user for one in counted(twice)] == ["ada@example.com"]
