"""``break-glass``, ``abort``, ``undo``: what works at 3 a.m., also with the operator down.

Each is one JSON Patch with tests, sent as the caller; the API server's policies decide whether it may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rollwarden.api import names
from rollwarden.api.argo import ReplicaSet, Rollout
from rollwarden.cli.changes import find_change
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.errors import CommandError
from rollwarden.cli.patience import patiently
from rollwarden.cli.rehearsal import break_glass_ops, entitlement, rehearsed, show_rehearsal
from rollwarden.cli.session import Session, stdout, styled, with_session
from rollwarden.core import messages
from rollwarden.core.digest import images
from rollwarden.core.restored import restored_template
from rollwarden.core.reviews import REVIEW_SECONDS
from rollwarden.core.times import timestamp
from rollwarden.core.writes import Op, add, test
from rollwarden.kube.errors import Conflict, NotFound, PatchTestFailed
from rollwarden.kube.resources import REPLICASETS, ROLLOUTS

TRIES = 5
MOST_REASON = 1000

_NAME = Annotated[str, typer.Argument(metavar="NAME", help="A Rollout, or one of its changes.")]


@with_session
def break_glass_command(
    session: Session,
    name: _NAME,
    message: Annotated[str, typer.Option("--message", "-m", help="Why it cannot wait; it stays on record.")] = "",
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Write nothing: say what would happen. Exit code 1 if it would not work.")
    ] = False,
) -> None:
    """Release a held revision at once, without approval, on record. Works with the operator down."""
    reason = message.strip()
    if not reason:
        raise CommandError('break-glass needs a reason, which stays on record: add -m "why it cannot wait"')
    if len(reason) > MOST_REASON:
        raise CommandError(f"the reason has {len(reason)} characters; {MOST_REASON} are kept")
    with connected(session, show_warnings=False) as cluster:
        rollout = _rollout(cluster, name)
        if rehearse:
            show_rehearsal(session, rehearsed(cluster, rollout, reason))
            return
        _check_break_glass(cluster, rollout)
        user = cluster.client.self_subject_review().username
        done = _patched(cluster, rollout, lambda live: break_glass_ops(live, reason, time.time()))
    now = time.time()
    at, due = timestamp(now), timestamp(now + REVIEW_SECONDS)
    sentence = messages.break_glass(rollout.metadata.name, user, reason, at, due)
    held = done.metadata.annotations.get(names.HOLD, "").startswith(names.HELD)
    if held:
        raise CommandError(
            f'the reason is set on rollout "{rollout.metadata.name}", but it is still held: is the policy '
            "rollwarden-keep-plan bound? kubectl get mutatingadmissionpolicybindings"
        )
    _say(session, rollout, sentence, f"kubectl rollwarden status {rollout.metadata.name} -n {cluster.namespace}")


@with_session
def abort_command(session: Session, name: _NAME) -> None:
    """Bring all traffic back to the stable revision; the aborted template is quarantined."""
    with connected(session) as cluster:
        rollout = _rollout(cluster, name)
        _check_abort(cluster, rollout)
        _patched(cluster, rollout, _abort_ops_for(rollout.status.current_pod_hash), subresource="status")
    sentence = (
        f'aborting "{rollout.metadata.name}": all traffic returns to the stable revision, and this template is '
        "quarantined. Revert it in Git or fix forward."
    )
    _say(session, rollout, sentence, f"kubectl rollwarden status {rollout.metadata.name} -n {cluster.namespace}")


@with_session
def undo_command(session: Session, name: _NAME) -> None:
    """Bring back the last known good template, which needs no approval."""
    with connected(session, show_warnings=False) as cluster:
        rollout = _rollout(cluster, name)
        good = last_known_good(rollout, _sets(cluster), cluster.namespace)
        template = restored_template(good)
        current = rollout.status.current_pod_hash
        _patched(cluster, rollout, lambda live: undo_ops(live, template, current))
    revision = good.metadata.annotations.get(names.ARGO_REVISION, "?")
    running = ", ".join(dict.fromkeys(images(template)))
    sentence = (
        f'"{rollout.metadata.name}" has the template of r{revision} again ({running}): '
        "known good, so it needs no approval. Revert it in Git too, or the next sync brings the other one back."
    )
    _say(session, rollout, sentence, f"kubectl rollwarden status {rollout.metadata.name} -n {cluster.namespace}")


def _say(session: Session, rollout: Rollout, sentence: str, then: str) -> None:
    if session.is_table:
        console = stdout()
        console.print(styled(sentence))
        console.print(styled(then, "dim"), soft_wrap=True)
        return
    meta = rollout.metadata
    following = [{"who": "you", "action": then}]
    session.write({"rollout": meta.name, "namespace": meta.namespace, "message": sentence, "next": following})


def _rollout(cluster: Cluster, name: str) -> Rollout:
    """The Rollout of that name, else the one of the change of that name."""
    found = _get(cluster, name)
    if found is not None:
        return found
    change = find_change(cluster, name)
    found = _get(cluster, change.spec.rollout.name)
    if found is None or found.metadata.uid != change.spec.rollout.uid:
        raise CommandError(f"the Rollout of {name} no longer exists in namespace {cluster.namespace}")
    return found


def _get(cluster: Cluster, name: str) -> Rollout | None:
    if not name:
        raise CommandError("the name is empty; name a Rollout")
    try:
        return cluster.client.get(ROLLOUTS, name, namespace=cluster.namespace, type=Rollout)
    except NotFound as error:
        if "could not find the requested resource" in error.message:
            raise
        return None


def _patched(
    cluster: Cluster, rollout: Rollout, ops_for: Callable[[Rollout], tuple[Op, ...]], *, subresource: str | None = None
) -> Rollout:
    """Patches the Rollout as it was read; autoscalers write to it all the time, so it is read again a few times."""
    live = rollout
    for _ in range(TRIES):
        ops = ops_for(live)
        try:
            return patiently(partial(_patch, cluster, live.metadata.name, ops, subresource))
        except (PatchTestFailed, Conflict):
            live = cluster.client.get(ROLLOUTS, live.metadata.name, namespace=cluster.namespace, type=Rollout)
            if live.status.current_pod_hash != rollout.status.current_pod_hash:
                break
    raise CommandError(
        f'rollout "{rollout.metadata.name}" is being changed by somebody else just now, and nothing was done; '
        f"look at it, then try again: kubectl rollwarden status {rollout.metadata.name} -n {cluster.namespace}"
    )


def _patch(cluster: Cluster, name: str, ops: tuple[Op, ...], subresource: str | None) -> Rollout:
    return cluster.client.json_patch(
        ROLLOUTS, name, ops, namespace=cluster.namespace, subresource=subresource, type=Rollout
    )


def _check_break_glass(cluster: Cluster, rollout: Rollout) -> None:
    name, hold = rollout.metadata.name, rollout.metadata.annotations.get(names.HOLD, "")
    under_way = names.CHANGE in rollout.metadata.annotations and hold.startswith(names.RELEASED)
    if not hold.startswith(names.HELD) and not under_way:
        raise CommandError(
            f'rollout "{name}" is not held and no canary of it is under way, so there is nothing to release; for a new '
            f'template put the annotation {names.BREAK_GLASS}: "why" into the same write'
        )
    for check in entitlement(cluster, name):
        if not check.ok:
            raise CommandError(check.says)


def _check_abort(cluster: Cluster, rollout: Rollout) -> None:
    name, status = rollout.metadata.name, rollout.status
    if rollout.metadata.annotations.get(names.HOLD, "").startswith(names.HELD):
        raise CommandError(
            f'"{name}" is held at 0 pods, so there is no traffic to bring back; to refuse this revision: '
            f'kubectl rollwarden reject {name} -n {cluster.namespace} -m "why"'
        )
    if status.abort:
        raise CommandError(f'"{name}" is already aborted: {status.message or "traffic is on the stable revision"}')
    if not status.current_pod_hash or status.current_pod_hash == status.stable_rs:
        raise CommandError(
            f'"{name}" has no canary under way; to go back to the revision before: '
            f"kubectl rollwarden undo {name} -n {cluster.namespace}"
        )


def _abort_ops_for(pod_hash: str) -> Callable[[Rollout], tuple[Op, ...]]:
    """Tests only whose canary it is: it must not starve under an autoscaler's writes."""
    return lambda live: (
        test("/metadata/uid", live.metadata.uid),
        test("/status/currentPodHash", pod_hash),
        add("/status/abort", True),
    )


def undo_ops(rollout: Rollout, template: Mapping[str, Any], pod_hash: str) -> tuple[Op, ...]:
    meta = rollout.metadata
    if rollout.status.current_pod_hash != pod_hash:
        return (test("/status/currentPodHash", pod_hash),)
    return (
        test("/metadata/uid", meta.uid),
        test("/metadata/resourceVersion", meta.resource_version),
        {"op": "replace", "path": "/spec/template", "value": dict(template)},
    )


def _sets(cluster: Cluster) -> list[ReplicaSet]:
    page = cluster.client.list(
        REPLICASETS, namespace=cluster.namespace, label_selector=names.POD_TEMPLATE_HASH, type=ReplicaSet
    )
    return page.items


def last_known_good(rollout: Rollout, sets: Iterable[ReplicaSet], namespace: str) -> ReplicaSet:
    """The newest known good ReplicaSet of the Rollout that is not its current one. CommandError if there is none."""
    name = rollout.metadata.name
    if rollout.spec.workload_ref is not None:
        raise CommandError(f'"{name}" has a workloadRef: bring the earlier template back in the workload it refers to')
    good = [
        one
        for one in sets
        if any(owner.uid == rollout.metadata.uid for owner in one.metadata.owner_references)
        and names.KNOWN_GOOD in one.metadata.annotations
        and one.metadata.labels.get(names.POD_TEMPLATE_HASH) != rollout.status.current_pod_hash
    ]
    if not good:
        raise CommandError(
            f'"{name}" has no known good revision besides the one it has now; kubectl get replicasets -n {namespace} '
            "shows what there is, and a template applied anew is held as usual"
        )
    return max(good, key=_revision)


def _revision(one: ReplicaSet) -> int:
    text = one.metadata.annotations.get(names.ARGO_REVISION, "")
    return int(text) if text.isdigit() else 0
