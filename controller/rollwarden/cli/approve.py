"""``approve``, ``reject``, ``retry``: a person's decision on one change, as the caller, at a tier the caller holds."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from rollwarden.api.approval import Approval, ApprovalSpec, ChangeRef
from rollwarden.api.change import Change
from rollwarden.api.enums import Criticality, Decision, Phase, Tier
from rollwarden.api.meta import Condition, ObjectMeta
from rollwarden.cli.changes import (
    QUARANTINED,
    find_change,
    is_live,
    is_waiting,
    newest,
    of_rollout,
    short_name,
    spoken_phase,
)
from rollwarden.cli.cluster import Cluster, connected, sentence_of
from rollwarden.cli.errors import CommandError
from rollwarden.cli.session import Session, facts, say_error, stdout, styled, with_session
from rollwarden.core.approvals import open_slots, spoken_slots
from rollwarden.core.messages import spoken_origin
from rollwarden.kube.errors import AlreadyExists, Forbidden, KubeError
from rollwarden.kube.resources import APPROVALS, CHANGES

ANSWER_SECONDS = 3.0
POLL_SECONDS = 0.1
SHORT_DIGEST = 12
MOST_APPROVALS = 100
MOST_REASON = 1024
_ENDED_BY_REJECTION = (Phase.REJECTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK)

_NAMES = Annotated[list[str], typer.Argument(metavar="NAME", help="Changes, <rollout>-rN, or Rollouts.")]
_COMMIT = Annotated[str, typer.Option(metavar="SHA", help="Only if the change carries this commit.")]
_REASON = Annotated[str, typer.Option("--message", "-m", help="Why; others will read it.")]


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


@with_session
def approve_command(
    session: Session,
    names: _NAMES,
    commit: _COMMIT = "",
    accept_unproven: Annotated[
        bool, typer.Option("--accept-unproven", help="Also let it go on if a gate ends without proof of safety.")
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Approve knowing that this template was rolled back; needs -m.")
    ] = False,
    message: _REASON = "",
) -> None:
    """Approve changes, at the lowest of your tiers that fills an open slot."""
    wish = Wish(Decision.APPROVE, message, commit, accept_unproven, quarantined)
    if quarantined and not message.strip():
        raise CommandError('--quarantined needs a reason: add -m "why it may run although it was rolled back"')
    _decide_all(session, names, wish)


@with_session
def reject_command(session: Session, names: _NAMES, commit: _COMMIT = "", message: _REASON = "") -> None:
    """Reject changes: they stay at 0 pods; one that is already released is rolled back."""
    if not message.strip():
        raise CommandError('a rejection needs a reason, which the author will read: add -m "why"')
    _decide_all(session, names, Wish(Decision.REJECT, message, commit))


@with_session
def retry_command(session: Session, names: _NAMES, message: _REASON = "") -> None:
    """Let a rolled-back template of a low-criticality service run again, as its owner."""
    if not message.strip():
        raise CommandError('a retry needs a reason: add -m "what is different now"')
    _decide_all(session, names, Wish(Decision.APPROVE, message, quarantined=True), only_low=True)


def _decide_all(session: Session, names: Sequence[str], wish: Wish, *, only_low: bool = False) -> None:
    """Each name by itself: one that fails does not keep the others from being decided."""
    if len(wish.reason) > MOST_REASON:
        raise CommandError(f"the reason has {len(wish.reason)} characters; {MOST_REASON} are kept")
    given: list[Given] = []
    failures: list[str] = []
    with connected(session) as cluster:
        for name in dict.fromkeys(names):
            try:
                given.append(_decide(session, cluster, name, wish, only_low=only_low))
            except CommandError as error:
                failures.append(str(error))
            except KubeError as error:
                failures.append(f"{name}: {sentence_of(error)}")
    if not session.is_table:
        session.write({"approvals": [_data(one) for one in given], "errors": failures})
    for failure in failures[:-1]:
        say_error(failure)
    if failures:
        raise CommandError(failures[-1])
    if any(one.counted is False for one in given):
        raise typer.Exit(1)


def _decide(session: Session, cluster: Cluster, name: str, wish: Wish, *, only_low: bool) -> Given:
    change = find_change(cluster, name, is_waiting)
    _check(cluster, change, wish, only_low=only_low)
    user = cluster.client.self_subject_review().username
    tier = _tier(cluster, change, wish)
    if session.is_table:
        _announce(change, wish, user, tier)
    created = _create(cluster, change, wish, user, tier)
    given = _result(cluster, change, wish, created, _await_answer(cluster, created))
    if session.is_table:
        if given.counted is False:
            say_error(given.message)
        else:
            stdout().print(styled(given.message))
    return given


def _check(cluster: Cluster, change: Change, wish: Wish, *, only_low: bool) -> None:
    """What can be said before anything is sent. Raises CommandError."""
    name, status, namespace = short_name(change), change.status, cluster.namespace
    if status.phase.final:
        raise CommandError(f"{name} is {spoken_phase(change)}; {_instead(cluster, change)}")
    if wish.commit and not _carries(change, wish.commit):
        carried = ", ".join(change.spec.classification.commits) or "no commit that anybody named"
        raise CommandError(
            f"{name} carries {carried}, not {wish.commit}; kubectl rollwarden explain {name} -n {namespace}"
        )
    if wish.decision is Decision.REJECT:
        return
    if status.reason == QUARANTINED and not wish.quarantined:
        why = status.message or 'this template was rolled back; to approve it knowingly add --quarantined -m "why"'
        raise CommandError(f"{name} is quarantined: {why}")
    if only_low and status.reason != QUARANTINED:
        raise CommandError(
            f"{name} is not held for a rollback ({spoken_phase(change)}), so there is nothing to retry; "
            "apply the template again first"
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
    return f"{name} waits: kubectl rollwarden approve {name} -n {cluster.namespace}"


def _carries(change: Change, commit: str) -> bool:
    wanted = commit.strip().lower()
    return any(c.lower().startswith(wanted) or wanted.startswith(c.lower()) for c in change.spec.classification.commits)


def _tier(cluster: Cluster, change: Change, wish: Wish) -> Tier:
    held = cluster.tiers()
    if not held:
        needs = _spoken_need(change)
        of = f"; ask {change.spec.contact}" if change.spec.contact else ""
        why = (
            "you may do everything here, and a wildcard is not a tier: have the ClusterRole of a tier bound to you"
            if cluster.holds_everything
            else f"you hold no tier in namespace {cluster.namespace}"
        )
        verb = "approval" if wish.decision is Decision.APPROVE else "rejection"
        raise CommandError(f"{verb} refused: {why}; {short_name(change)} needs {needs}{of}")
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


def _spoken_need(change: Change) -> str:
    missing = open_slots(change.spec.decision.requirements.approvals, change.status.approvals)
    return spoken_slots(missing) or change.status.waiting_for or "nobody's approval"


def _announce(change: Change, wish: Wish, user: str, tier: Tier) -> None:
    console = stdout()
    doing = "approving" if wish.decision is Decision.APPROVE else "rejecting"
    spec = change.spec
    rules = ", ".join(f'"{rule}"' for rule in spec.decision.rules)
    needs = _spoken_need(change) + (f" (rule{'s' if len(spec.decision.rules) > 1 else ''} {rules})" if rules else "")
    rows = [
        ("change", change.metadata.name),
        ("template", spec.template_digest[: len("sha256:") + SHORT_DIGEST]),
        ("images", ", ".join(dict.fromkeys(spec.images)) or "none"),
        ("origin", f"{spoken_origin(spec.classification)}, to a {spec.classification.criticality.lower} service"),
        ("submitter", spec.submitter.user or "unknown"),
        ("needs", needs),
        ("as", f"{tier.lower}, {user}"),
    ]
    if spec.classification.commits:
        rows.insert(3, ("commits", ", ".join(spec.classification.commits)))
    console.print(styled(f"{doing} {short_name(change)} in {change.metadata.namespace}", "bold"))
    console.print(facts(rows))


def _create(cluster: Cluster, change: Change, wish: Wish, user: str, tier: Tier) -> Approval:
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
            return cluster.client.create(APPROVALS, approval, namespace=cluster.namespace, type=Approval)
        except AlreadyExists:
            continue
        except Forbidden as error:
            verb = "approval" if wish.decision is Decision.APPROVE else "rejection"
            raise CommandError(f"{verb} refused: {sentence_of(error)}") from error
    raise CommandError(
        f"{user} has decided {MOST_APPROVALS} times on {short_name(change)}; kubectl get approvals shows it"
    )


def _await_answer(cluster: Cluster, approval: Approval) -> Condition | None:
    """The operator's word on whether it counts; None if it does not say so in a few seconds."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        live = cluster.client.get(APPROVALS, approval.metadata.name, namespace=cluster.namespace, type=Approval)
        answer = next((c for c in live.status.conditions if c.type == "Counted"), None)
        if answer is not None:
            return answer
        time.sleep(POLL_SECONDS)
    return None


def _result(cluster: Cluster, change: Change, wish: Wish, created: Approval, answer: Condition | None) -> Given:
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
        verb = "approval" if wish.decision is Decision.APPROVE else "rejection"
        ask = f" Eligible: {live.spec.contact}." if live.spec.contact else ""
        why = answer.message.partition("does not count: ")[2] or answer.message or answer.reason
        return f"{verb} refused: {why.rstrip('.')}; {name} needs {_spoken_need(live)}, not an author.{ask}"
    if wish.decision is Decision.REJECT:
        then = "it stays at 0 pods" if live.status.release is None else "it is rolled back"
        return f"counted: {name} is rejected, {then}"
    if live.status.phase.waiting and live.status.waiting_for:
        return f"counted; {name} still waits for {live.status.waiting_for}"
    return f"counted; {name} goes on: kubectl rollwarden wait {name} -n {namespace}"


def _data(given: Given) -> dict[str, Any]:
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
