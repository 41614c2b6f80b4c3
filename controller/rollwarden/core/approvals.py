"""Which approvals count for a change, and whether together they are enough.

An approval counts for one Change uid and one template digest. Requirements are a set, all to be met; a higher tier may
fill a lower slot; one person fills one slot; authors, the submitter and AI agents may not approve; a rejection wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..api.approval import Approval
from ..api.change import Author, Change, CountedApproval, Requirements
from ..api.enums import ApprovalSource, Decision, Level, Tier
from ..api.policy import ApprovalSlot
from .classify import SERVICE_ACCOUNT, same_person
from .integrity import INTACT, Guard, unguarded
from .times import spoken, unix

MAX_EVIDENCE = 1024
_CHANGE_NAME = re.compile(r"(?P<rollout>.+)-(?:[0-9a-f]{8}-o?[0-9]+|r[0-9]+)")


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's decision as it was read from the API server, whichever way it was given.

    ``evidence``: what gives the tier; ``lost_tier``: nothing does any more.
    """

    user: str
    tier: Tier
    decision: Decision
    source: ApprovalSource
    ref: str
    change_uid: str
    digest: str
    at: float
    reason: str = ""
    accept_unproven: bool = False
    acknowledges_quarantine: bool = False
    level: Level = Level.JUNIOR
    agent: bool = False
    lost_tier: bool = False
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a vote counts, with a CamelCase reason and a sentence for its author."""

    vote: Vote
    counts: bool
    reason: str
    message: str


def vote_of(approval: Approval, *, level: Level = Level.JUNIOR, agent: bool = False) -> Vote:
    spec = approval.spec
    return Vote(
        user=spec.approver.user if spec.approver else "",
        tier=spec.tier,
        decision=spec.decision,
        source=ApprovalSource.OBJECT,
        ref=approval.metadata.name,
        change_uid=spec.change_ref.uid,
        digest=spec.template_digest,
        at=unix(approval.metadata.creation_timestamp or "1970-01-01T00:00:00Z"),
        reason=spec.reason,
        accept_unproven=spec.accept_unproven,
        acknowledges_quarantine=spec.acknowledges_quarantine,
        level=level,
        agent=agent,
    )


def answer(
    vote: Vote,
    change: Change,
    requirements: Requirements,
    now: float,
    adopters: tuple[Author, ...] = (),
    guard: Guard = INTACT,
) -> Answer:
    """Judges one vote on one change; ``adopters`` became authors after the change was first seen.

    The order of the objections is the order in which a person would want to be told.
    """
    authors = (*change.spec.classification.authors, *adopters)
    for reason, message in (*_objections(vote, change, requirements, now, authors), *_unproven(vote, guard, change)):
        return Answer(
            vote, False, reason, f"{vote.decision.lower} by {vote.user or 'nobody'} does not count: {message}"
        )
    return Answer(vote, True, "Counted", f"{vote.decision.lower} by {vote.user} as {vote.tier.lower} counts")


def _objections(
    vote: Vote, change: Change, requirements: Requirements, now: float, authors: tuple[Author, ...]
) -> Iterable[tuple[str, str]]:
    yield from misaddressed(vote, change, what_to_type(change))
    if vote.decision is Decision.REJECT:
        return
    if any(same_person(author.name, vote.user) for author in authors):
        yield "ApproverIsAuthor", f"{vote.user} is an author of this change; ask someone who is not"
    if vote.user == change.spec.submitter.user:
        yield "ApproverIsSubmitter", f"{vote.user} submitted this change; ask someone else"
    if requirements.approval_ttl and now - vote.at > requirements.approval_ttl:
        yield "Expired", f"it is older than {spoken(requirements.approval_ttl)}; {what_to_type(change)}"
    highest = max((author.level for author in change.spec.classification.authors), default=Level.JUNIOR)
    if vote.tier is Tier.PEER and vote.level < highest:
        yield "NotAPeer", f"a peer is at least of the author's level ({highest.lower})"


def _unproven(vote: Vote, guard: Guard, change: Change) -> Iterable[tuple[str, str]]:
    """What keeps a vote from being known for genuine. A rejection counts all the same: it only tightens."""
    if vote.decision is Decision.REJECT:
        return
    if vote.lost_tier:
        where = f"tier {vote.tier.lower} in namespace {change.metadata.namespace}"
        yield "TierLost", f"{vote.user} does not hold {where} any more; ask someone who does"
    if vote.at < guard.since:
        yield "GivenUnguarded", unguarded(guard)


def may_not_approve(user: str, change: Change, adopters: tuple[Author, ...] = ()) -> bool:
    """Whether nobody would count an approval of this person: an author or the submitter."""
    authors = (*change.spec.classification.authors, *adopters)
    return user == change.spec.submitter.user or any(same_person(author.name, user) for author in authors)


def misaddressed(vote: Vote, change: Change, instead: str) -> Iterable[tuple[str, str]]:
    """What is wrong with a vote before anybody asks what it says; ``instead``: which change waits, and what to type."""
    name = change.metadata.name
    if not vote.user:
        yield "NoApprover", "the API server stamped no approver; is the policy rollwarden-stamp-approver bound?"
    if vote.change_uid != change.metadata.uid:
        yield "OtherAttempt", f"it names another attempt than {name} is; {instead}"
    if vote.digest != change.spec.template_digest:
        yield "OtherDigest", f"it names another template than {name} carries; {instead}"
    if vote.user.startswith(SERVICE_ACCOUNT) or vote.agent:
        yield "ApproverIsMachine", "service accounts and AI agents cannot approve; ask a person"


def what_to_type(change: Change) -> str:
    """``checkout-1f2e3d4c-43 waits now: kubectl rollwarden approve …``; how it stands, where it waits for nobody."""
    meta, phase = change.metadata, change.status.phase
    if phase.final or not phase.waiting:
        return f"{meta.name} is {phase} and waits for nobody"
    return f"{meta.name} waits now: kubectl rollwarden approve {meta.name} -n {meta.namespace}"


def rollouts_meant(name: str) -> tuple[str, ...]:
    """The Rollouts that somebody may mean who names a change that is not there."""
    cut = _CHANGE_NAME.fullmatch(name)
    return (cut["rollout"], name) if cut else (name,)


def counted(answers: Iterable[Answer]) -> tuple[CountedApproval, ...]:
    """The approvals that count, one per person (their highest tier), in a stable order."""
    best: dict[str, Vote] = {}
    for one in answers:
        vote = one.vote
        if one.counts and vote.decision is Decision.APPROVE:
            held = best.get(vote.user)
            best[vote.user] = vote if held is None else _merged(held, vote)
    return tuple(
        CountedApproval(
            tier=vote.tier,
            user=vote.user,
            source=vote.source,
            ref=vote.ref,
            accept_unproven=vote.accept_unproven,
            acknowledges_quarantine=vote.acknowledges_quarantine,
            evidence=vote.evidence[:MAX_EVIDENCE],
        )
        for vote in sorted(best.values(), key=lambda vote: (-vote.tier.rank, vote.user))
    )


def _merged(a: Vote, b: Vote) -> Vote:
    higher, other = (a, b) if a.tier >= b.tier else (b, a)
    return Vote(
        user=higher.user,
        tier=higher.tier,
        decision=higher.decision,
        source=higher.source,
        ref=higher.ref,
        change_uid=higher.change_uid,
        digest=higher.digest,
        at=higher.at,
        reason=higher.reason or other.reason,
        accept_unproven=higher.accept_unproven or other.accept_unproven,
        acknowledges_quarantine=higher.acknowledges_quarantine or other.acknowledges_quarantine,
        evidence=higher.evidence,
    )


def rejection(answers: Iterable[Answer]) -> Vote | None:
    """The first rejection that counts; it wins over any number of approvals."""
    return next((a.vote for a in answers if a.counts and a.vote.decision is Decision.REJECT), None)


def open_slots(slots: Iterable[ApprovalSlot], approvals: Iterable[CountedApproval]) -> tuple[ApprovalSlot, ...]:
    """The slots still to fill. Highest slots first, each with the lowest tier that suffices: optimal, as tiers nest."""
    left = sorted(approvals, key=lambda approval: approval.tier.rank)
    missing: list[ApprovalSlot] = []
    for slot in sorted(slots, key=lambda slot: -slot.tier.rank):
        lacking = slot.count
        for approval in [a for a in left if a.tier >= slot.tier][: slot.count]:
            left.remove(approval)
            lacking -= 1
        if lacking:
            missing.append(ApprovalSlot(tier=slot.tier, count=lacking))
    return tuple(missing)


def accepts_unproven(approvals: Iterable[CountedApproval], requirements: Requirements) -> CountedApproval | None:
    """Who took it on that a gate passes without proof: at least a senior, and of the tier the change needed."""
    needed = max([Tier.SENIOR, *(slot.tier for slot in requirements.approvals)])
    return next((a for a in approvals if a.accept_unproven and a.tier >= needed), None)


def lifts_quarantine(approvals: Iterable[CountedApproval], requirements: Requirements) -> CountedApproval | None:
    """Who approves a quarantined template knowingly: of the tier the change needs, else at least a peer."""
    needed = max([Tier.PEER, *(slot.tier for slot in requirements.approvals)])
    return next((a for a in approvals if a.acknowledges_quarantine and a.tier >= needed), None)


def spoken_slots(slots: Iterable[ApprovalSlot]) -> str:
    """``1 senior and 2 peers``."""
    parts = [f"{s.count} {s.tier.lower}{'s' if s.count > 1 else ''}" for s in sorted(slots, key=lambda s: -s.tier.rank)]
    return " and ".join(parts)
