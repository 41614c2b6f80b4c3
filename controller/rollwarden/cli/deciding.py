"""One decision of the caller's on one change: what can be said before, the Approval, and the operator's answer."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rollwarden.api.approval import Approval, ApprovalSpec, ChangeRef
from rollwarden.api.change import Change
from rollwarden.api.enums import Criticality, Decision, Phase, Tier
from rollwarden.api.meta import Condition, ObjectMeta
from rollwarden.cli.changes import QUARANTINED, is_live, is_waiting, newest, of_rollout, short_name, spoken_phase
from rollwarden.cli.cluster import Cluster, sentence_of
from rollwarden.cli.commits import carried
from rollwarden.cli.errors import CommandError
from rollwarden.cli.patience import patiently
from rollwarden.core.approvals import open_slots, spoken_slots
from rollwarden.kube.errors import AlreadyExists, Forbidden
from rollwarden.kube.resources import APPROVALS, CHANGES

ANSWER_SECONDS = 3.0
POLL_SECONDS = 0.1
MOST_APPROVALS = 100
MOST_REASON = 1024
NOUNS = {Decision.APPROVE: "approval", Decision.REJECT: "rejection", Decision.REVIEW: "review"}
_ENDED_BY_REJECTION = (Phase.REJECTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Wish:
    decision: Decision
    reason: str = ""
    commit: str = ""
    accept_unproven: bool = False
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """An approval that was recorded. ``counted`` None: the operator has not answered yet."""

    change: Change
    approval: str
    tier: Tier
    counted: bool | None
    reason: str
    message: str


def check(cluster: Cluster, change: Change, wish: Wish, *, only_low: bool) -> None:
    """What can be said before anything is sent. Raises CommandError."""
    name, status, namespace = short_name(change), change.status, cluster.namespace
    if status.phase.final:
        raise CommandError(f"{name} is {spoken_phase(change)}; {_instead(cluster, change)}")
    if wish.commit and not carried(change, wish.commit):
        named = ", ".join(change.spec.classification.commits) or "no commit that anybody named"
        raise CommandError(
            f"{name} carries {named}, not {wish.commit}; kubectl rollwarden explain {name} -n {namespace}"
        )
    if wish.decision is Decision.REJECT:
        return
    if status.reason == QUARANTINED and not wish.quarantined:
        why = status.message or 'this template was rolled back; to approve it knowingly add --quarantined -m "why"'
        raise CommandError(f"{name} is quarantined: {why}")
    if only_low and status.reason != QUARANTINED:
        waits = f"it waits for {status.waiting_for}: kubectl rollwarden approve {name} -n {namespace}"
        then = waits if is_waiting(change) and status.waiting_for else "apply the template again first"
        raise CommandError(
            f"{name} is not held for a rollback ({spoken_phase(change)}), so there is nothing to retry; {then}"
        )
    if only_low and change.spec.classification.criticality is not Criticality.LOW:
        raise CommandError(
            f"{name} is of {change.spec.classification.criticality.lower} criticality, where a retry takes approval: "
            f'kubectl rollwarden approve {name} -n {namespace} --quarantined -m "why"'
        )
    if not status.phase.waiting and not wish.accept_unproven:
        raise CommandError(
            f"{name} is already released ({status.phase}) and waits for nobody's approval; "
            "if its gate ends unproven, add --accept-unproven"
        )


def _instead(cluster: Cluster, change: Change) -> str:
    """Which change of the same Rollout waits, and what to type."""
    rollout = change.spec.rollout.name
    waiting = newest(other for other in of_rollout(cluster, rollout) if is_waiting(other))
    if waiting is None:
        return f"nothing of {rollout} waits; kubectl rollwarden inbox shows what does"
    name = short_name(waiting)
    return f"{name} waits now: kubectl rollwarden approve {name} -n {cluster.namespace}"


def tier_for(cluster: Cluster, change: Change, wish: Wish) -> Tier:
    held = cluster.tiers()
    if not held:
        needs = spoken_need(change)
        of = f"; ask {change.spec.contact}" if change.spec.contact else ""
        why = (
            "you may do everything here, and a wildcard is not a tier: have the ClusterRole of a tier bound to you"
            if cluster.holds_everything
            else f"you hold no tier in namespace {cluster.namespace}"
        )
        raise CommandError(f"{NOUNS[wish.decision]} refused: {why}; {short_name(change)} needs {needs}{of}")
    return choose_tier(held, change, wish)


def choose_tier(held: Sequence[Tier], change: Change, wish: Wish) -> Tier:
    """The lowest held tier that fills an open slot (or takes on what the wish says), else the highest held."""
    slots = change.spec.decision.requirements.approvals
    highest = [slot.tier for slot in slots]
    if wish.decision is Decision.REJECT:
        return max(held)
    if wish.accept_unproven:
        least = max([Tier.SENIOR, *highest])
    elif wish.quarantined:
        least = max([Tier.PEER, *highest])
    else:
        missing = open_slots(slots, change.status.approvals)
        least = min((slot.tier for slot in missing), default=Tier.PEER)
    enough = [tier for tier in held if tier >= least]
    return min(enough) if enough else max(held)


def spoken_need(change: Change) -> str:
    missing = open_slots(change.spec.decision.requirements.approvals, change.status.approvals)
    return spoken_slots(missing) or change.status.waiting_for or "nobody's approval"


def record(cluster: Cluster, change: Change, wish: Wish, user: str, tier: Tier) -> Approval:
    """The Approval, bound to this change's uid and digest. CommandError says why the API server does not take it."""
    slug = re.sub(r"[^a-z0-9]+", "-", user.lower()).strip("-")[:60] or "user"
    for number in range(1, MOST_APPROVALS + 1):
        name = f"{change.metadata.name[:180]}-{slug}-{number}"
        approval = Approval(
            metadata=ObjectMeta(name=name, namespace=cluster.namespace),
            spec=ApprovalSpec(
                change_ref=ChangeRef(name=change.metadata.name, uid=change.metadata.uid),
                template_digest=change.spec.template_digest,
                decision=wish.decision,
                tier=tier,
                reason=wish.reason.strip(),
                accept_unproven=wish.accept_unproven,
                acknowledges_quarantine=wish.quarantined,
            ),
        )
        try:
            return patiently(partial(_create, cluster, approval))
        except AlreadyExists:
            continue
        except Forbidden as error:
            raise CommandError(f"{NOUNS[wish.decision]} refused: {sentence_of(error)}") from error
    raise CommandError(
        f"{user} has decided {MOST_APPROVALS} times on {short_name(change)}; kubectl get approvals shows it"
    )


def _create(cluster: Cluster, approval: Approval) -> Approval:
    return cluster.client.create(APPROVALS, approval, namespace=cluster.namespace, type=Approval)


def await_answer(cluster: Cluster, approval: Approval, deadline: float) -> Condition | None:
    """The operator's word on whether it counts; None if it has not said so by then (monotonic seconds)."""
    while True:
        live = cluster.client.get(APPROVALS, approval.metadata.name, namespace=cluster.namespace, type=Approval)
        answer = next((c for c in live.status.conditions if c.type == "Counted"), None)
        if answer is not None or time.monotonic() >= deadline:
            return answer
        time.sleep(POLL_SECONDS)


def settled(cluster: Cluster, change: Change, wish: Wish, created: Approval, seconds: float = ANSWER_SECONDS) -> Given:
    """What became of it, as far as the operator says so in time."""
    answer = await_answer(cluster, created, time.monotonic() + seconds)
    live = _await_effect(cluster, change, created, answer)
    counted = None if answer is None else answer.status == "True"
    # A rejection that took effect ends the change, and the operator may say of it that it came to a finished one.
    if wish.decision is Decision.REJECT and live.status.phase in _ENDED_BY_REJECTION and is_live(change):
        counted = True
    message = _spoken_result(cluster, live, wish, counted, answer)
    reason = answer.reason if answer else ""
    return Given(live, created.metadata.name, created.spec.tier, counted, reason, message)


def _await_effect(cluster: Cluster, change: Change, created: Approval, answer: Condition | None) -> Change:
    """The change once a decision that counts shows in it, or as it is after a few seconds: the operator answers the
    approval and moves the change in two writes."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        live = cluster.client.get(CHANGES, change.metadata.name, namespace=cluster.namespace, type=Change)
        shown = any(one.ref == created.metadata.name for one in live.status.approvals)
        moved = live.status.phase is not change.status.phase
        if answer is None or answer.status != "True" or shown or moved or time.monotonic() >= deadline:
            return live
        time.sleep(POLL_SECONDS)


def _spoken_result(cluster: Cluster, live: Change, wish: Wish, counted: bool | None, answer: Condition | None) -> str:
    name, namespace = short_name(live), cluster.namespace
    if counted is None or answer is None:
        look = f"kubectl rollwarden status {name} -n {namespace}"
        return f"recorded; the operator has not said yet whether it counts: {look}"
    if not counted:
        said = answer.message.partition("does not count: ")[2] or answer.message or answer.reason
        why, _, may = said.partition(" Eligible: ")
        who, why = may.rstrip(".") or live.spec.contact, why.rstrip(".")
        ask = f" Eligible: {who}." if who else ""
        needs = "." if live.status.phase.final else f"; {name} needs {spoken_need(live)}, not an author.{ask}"
        return f"{NOUNS[wish.decision]} refused: {why}{needs}"
    if wish.decision is Decision.REJECT:
        then = "it stays at 0 pods" if live.status.release is None else "it is rolled back"
        return f"counted: {name} is rejected, {then}"
    if live.status.phase.waiting and live.status.waiting_for:
        return f"counted; {name} still waits for {live.status.waiting_for}"
    return f"counted; {name} goes on: kubectl rollwarden wait {name} -n {namespace}"


def given_data(given: Given) -> dict[str, Any]:
    return {
        "change": given.change.metadata.name,
        "shortName": short_name(given.change),
        "namespace": given.change.metadata.namespace,
        "approval": given.approval,
        "tier": given.tier.value,
        "counted": given.counted,
        "reason": given.reason,
        "message": given.message,
    }
