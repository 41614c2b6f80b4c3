"""Changes: finding the one a person means, its short name, what comes next for it, and its JSON form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Change
from rollwarden.api.enums import Phase
from rollwarden.cli.cluster import Cluster
from rollwarden.cli.errors import CommandError
from rollwarden.cli.nextstep import AGENT_STEP, NextStep, next_data
from rollwarden.cli.plain import plain
from rollwarden.core.approvals import rollouts_meant
from rollwarden.core.reviews import open_review
from rollwarden.core.times import unix
from rollwarden.kube.errors import Forbidden, NotFound
from rollwarden.kube.resources import CHANGES, NAMESPACES, ROLLOUTS

_BY_REVISION = re.compile(r"(?P<rollout>.+)-r(?P<revision>[0-9]+)$")
UNPROVEN, QUARANTINED, EVIDENCE_MISSING = "Unproven", "Quarantined", "EvidenceMissing"


def short_name(change: Change) -> str:
    """``checkout-r42``, which every command takes; the Change's own name while there is no revision."""
    revision = change.status.revision
    return f"{change.spec.rollout.name}-r{revision}" if revision else change.metadata.name


def spoken_phase(change: Change) -> str:
    """``awaiting approval``, ``rolled back``."""
    return re.sub(r"(?<!^)([A-Z])", r" \1", str(change.status.phase)).lower()


def is_waiting(change: Change) -> bool:
    """A person can do something for it: it is held, or it is unproven at its gate's maximum."""
    status = change.status
    waits = status.phase.waiting and status.phase is not Phase.FROZEN
    return not status.phase.final and (waits or status.reason == UNPROVEN)


def newest(changes: Iterable[Change]) -> Change | None:
    return max(changes, key=order, default=None)


def order(change: Change) -> tuple[float, int]:
    """By age, and within a second by attempt."""
    created = change.metadata.creation_timestamp
    return (unix(created) if created else 0.0, int(change.spec.rollout.attempt.lstrip("o")))


def by_urgency(change: Change) -> tuple[int, tuple[float, int]]:
    """Sorts the most critical first, and of these what waits longest."""
    return (-change.spec.classification.criticality.rank, order(change))


def waited(change: Change, now: float) -> float:
    """Seconds since it was made."""
    created = change.metadata.creation_timestamp
    return max(0.0, now - unix(created)) if created else 0.0


@dataclass(frozen=True, slots=True)
class Reach:
    """The changes of every namespace the caller may list; ``left_out`` says what could not be looked at, if so."""

    changes: tuple[Change, ...]
    left_out: str = ""


def reachable(cluster: Cluster, namespace: str | None) -> Reach:
    """The changes of one namespace; None: of all, or of those the caller may list, or of the context's own."""
    if namespace is not None:
        return Reach(_listed(cluster, namespace))
    try:
        return Reach(_listed(cluster, None))
    except Forbidden:
        pass
    try:
        spaces = [one["metadata"]["name"] for one in cluster.client.list(NAMESPACES).items]
    except Forbidden:
        only = f"you may not list changes in every namespace, so this is {cluster.namespace} alone; name another by -n"
        try:
            return Reach(_listed(cluster, cluster.namespace), only)
        except Forbidden as error:
            nowhere = f"you may list changes neither in every namespace nor in {cluster.namespace}; name one with -n"
            raise CommandError(nowhere) from error
    found: list[Change] = []
    closed = 0
    for one in spaces:
        try:
            found += _listed(cluster, one)
        except Forbidden:
            closed += 1
    return Reach(tuple(found), f"{closed} of {len(spaces)} namespaces are not yours to look at" if closed else "")


def _listed(cluster: Cluster, namespace: str | None) -> tuple[Change, ...]:
    return tuple(cluster.client.list(CHANGES, namespace=namespace, type=Change).items)


def of_rollout(cluster: Cluster, rollout: str) -> list[Change]:
    selector = f"{names.ROLLOUT_LABEL}={names.rollout_label(rollout)}"
    found = cluster.client.list(CHANGES, namespace=cluster.namespace, label_selector=selector, type=Change)
    return [change for change in found.items if change.spec.rollout.name == rollout]


def is_live(change: Change) -> bool:
    return not change.status.phase.final


def find_change(cluster: Cluster, name: str, prefer: Callable[[Change], bool] = is_live) -> Change:
    """The Change of that name; else, of the Rollout of that name, the newest preferred one, else the newest; else the
    one of that revision. CommandError says what there is instead."""
    if exact := _named(cluster, name):
        return exact
    if own := of_rollout(cluster, name) if _is_label(name) else []:
        chosen = newest(filter(prefer, own)) or newest(own)
        assert chosen is not None
        return chosen
    match = _BY_REVISION.fullmatch(name)
    if match:
        revision = int(match["revision"])
        same = [c for c in of_rollout(cluster, match["rollout"]) if c.status.revision == revision]
        if chosen := newest(same):
            return chosen
    raise CommandError(_unknown(cluster, name))


def _named(cluster: Cluster, name: str) -> Change | None:
    if not name:
        raise CommandError("the name is empty; name a change or a Rollout")
    try:
        return cluster.client.get(CHANGES, name, namespace=cluster.namespace, type=Change)
    except NotFound as error:
        if "could not find the requested resource" in error.message:
            raise
        return None


def _is_label(name: str) -> bool:
    """Names that a label selector can carry; no Rollout has another."""
    return re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", name) is not None


def _unknown(cluster: Cluster, name: str) -> str:
    where = f"namespace {cluster.namespace}"
    rollout = _rollout(cluster, name)
    if rollout is not None and rollout.spec.workload_ref is not None:
        return (
            f'Rollout "{name}" in {where} has a workloadRef, which is not supported: its new revisions stay held and '
            "have no change; put the pod template into the Rollout (spec.template) to have it judged"
        )
    if rollout is not None:
        return f'Rollout "{name}" in {where} has no change: no new template was written since Rollwarden looks after it'
    changes = _listed(cluster, cluster.namespace)
    meant = rollouts_meant(name)
    if of_it := newest(c for c in changes if is_waiting(c) and c.spec.rollout.name in meant):
        now = f"{short_name(of_it)} waits now: kubectl rollwarden approve {short_name(of_it)} -n {cluster.namespace}"
        return f'there is no change "{name}" in {where}; {now}'
    waiting = [short_name(change) for change in changes if is_waiting(change)]
    there = f"waiting there: {', '.join(sorted(waiting))}" if waiting else "nothing waits there; is it another -n?"
    return f'there is no change and no Rollout "{name}" in {where}; {there}'


def _rollout(cluster: Cluster, name: str) -> Rollout | None:
    """The Rollout of that name; None where there is none, or the caller may not read it."""
    try:
        return cluster.client.get(ROLLOUTS, name, namespace=cluster.namespace, type=Rollout)
    except (NotFound, Forbidden):
        return None


def next_steps(change: Change) -> tuple[NextStep, ...]:
    """Who does what for this change to go on; ``nobody`` where it goes on by itself."""
    first, glass = (*_agent_step(change), next_of_phase(change)), open_review(change)
    if glass is None:
        return first
    review = f'kubectl rollwarden review {short_name(change)} -n {change.metadata.namespace} -m "what was found"'
    due = f"review the break-glass by {glass.user} by {glass.review_due[:10]}: {review}"
    return (*first, NextStep("a principal", due))


def _agent_step(change: Change) -> tuple[NextStep, ...]:
    """What comes before all else for an AI agent whose own change waits or is denied."""
    held = change.status.phase in (Phase.HELD, Phase.AWAITING_APPROVAL, Phase.FROZEN, Phase.DENIED)
    return (AGENT_STEP,) if held and change.spec.classification.agent_submitter else ()


def next_of_phase(change: Change) -> NextStep:
    """What people do next, or nobody, as its phase and reason say."""
    status, namespace = change.status, change.metadata.namespace
    approve = f"kubectl rollwarden approve {short_name(change)} -n {namespace}"
    who = status.waiting_for
    match status.phase:
        case Phase.AWAITING_APPROVAL if status.reason == EVIDENCE_MISSING:
            return NextStep("the author", f"bring {who}")
        case Phase.AWAITING_APPROVAL if status.reason == QUARANTINED:
            return NextStep(who or "whoever may approve", f'revert it in Git, or {approve} --quarantined -m "why"')
        case Phase.AWAITING_APPROVAL if who:
            return NextStep(who, approve)
        case Phase.HELD | Phase.AWAITING_APPROVAL:
            return NextStep("nobody", "Rollwarden decides within moments")
        case Phase.FROZEN:
            return NextStep("nobody", f"it waits for {who} and is released by itself then")
        case Phase.DENIED:
            return NextStep("the author", "bring another template, or ask a principal")
        case Phase.REJECTED:
            return NextStep("the author", "bring another template, or talk to whoever rejected it")
        case Phase.ROLLED_BACK:
            return NextStep("the author", "revert it in Git or fix forward; the same template stays quarantined")
        case Phase.SUPERSEDED:
            return NextStep("nobody", f"a newer template took over: kubectl rollwarden status -n {namespace}")
        case Phase.CANARY | Phase.BAKING if status.reason == UNPROVEN:
            return NextStep(who or "a senior", f"{approve} --accept-unproven")
        case Phase.CANARY | Phase.BAKING if status.reason == str(Phase.FROZEN):
            return NextStep("nobody", f"it waits for {who} and goes on by itself then")
        case Phase.CANARY | Phase.BAKING if who:
            return NextStep(who, "")
        case Phase.ROLLING_BACK:
            return NextStep("nobody", "traffic returns to the stable revision")
        case Phase.CANARY | Phase.BAKING:
            gated = status.release is not None and status.release.plan.gates
            on = "once safety is shown" if gated else "at its owner's own pace, watched for regression"
            return NextStep("nobody", f"it goes on by itself {on}")
        case _:
            return NextStep("nobody", "nothing is left to do")


def summary(change: Change) -> dict[str, Any]:
    """One change in a list, for JSON."""
    c, status = change.spec.classification, change.status
    return {
        "name": change.metadata.name,
        "namespace": change.metadata.namespace,
        "rollout": change.spec.rollout.name,
        "shortName": short_name(change),
        "revision": status.revision,
        "phase": status.phase.value,
        "reason": status.reason,
        "waitingFor": status.waiting_for,
        "message": status.message,
        "unproven": status.unproven,
        "origin": c.origin.value,
        "criticality": c.criticality.value,
        "submitter": change.spec.submitter.user,
        "commits": list(c.commits),
        "created": change.metadata.creation_timestamp,
        "finished": status.finished_at,
        "next": next_data(next_steps(change)),
    }


def detail(change: Change) -> dict[str, Any]:
    """One change with all that is known of it, for JSON."""
    status = change.status
    decision = change.spec.decision
    release = status.release
    return {
        **summary(change),
        "images": list(change.spec.images),
        "templateDigest": change.spec.template_digest,
        "classification": plain(change.spec.classification),
        "claims": plain(change.spec.claims),
        "decision": plain(decision),
        "plan": plain(release.plan) if release else None,
        "approvals": plain(status.approvals),
        "gates": plain(status.gates),
        "verdict": plain(status.verdict),
        "quarantine": plain(status.quarantine),
        "breakGlass": plain(status.break_glass),
        "conditions": plain(status.conditions),
    }
