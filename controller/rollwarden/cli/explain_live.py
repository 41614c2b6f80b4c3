"""``explain NAME``: a change in the cluster, in the words of ``explain`` on a manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rollwarden.api.argo import Namespace, Rollout
from rollwarden.api.change import Base, Change, Freeze, Plan, PolicyRef
from rollwarden.api.policy import GuardrailPolicy
from rollwarden.api.profile import ServiceProfile
from rollwarden.cli.changes import detail, find_change, next_steps, of_rollout
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.explain_view import plan_data, show_claims, show_needs, show_next, show_notes, show_plan
from rollwarden.cli.explanation import RuleAsk, rule_asks, train_notes
from rollwarden.cli.freezes import freezes_data, show_freezes
from rollwarden.cli.session import Session, stdout
from rollwarden.cli.status import show_change
from rollwarden.core.base import resolve_base
from rollwarden.core.plan import Ground, make_plan
from rollwarden.core.policy import Place, Policy, decide_policy, expanded, in_force, join
from rollwarden.core.presets import PRESETS
from rollwarden.kube.errors import Forbidden, NotFound
from rollwarden.kube.resources import GUARDRAILPOLICIES, NAMESPACES, ROLLOUTS, SERVICEPROFILES

MEMO = "preset:memo"


def explain_live(session: Session, name: str) -> None:
    with connected(session) as cluster:
        change = find_change(cluster, name)
        rollout = _rollout(cluster, change)
        base, plan = _plan(cluster, change, rollout)
        asks = _asks(cluster, change, rollout)
        freezes = _freezes(cluster, change, rollout)
        notes = train_notes(_profiles(cluster, rollout))
    if not session.is_table:
        data = detail(change)
        data["decision"]["asks"] = [{"policy": a.policy, "rule": a.rule, "asks": a.asks} for a in asks]
        data["freezes"] = freezes_data(freezes, time.time())
        session.write(data | {"plan": plan_data(plan, base), "notes": list(notes)})
        return
    console = stdout()
    show_change(change, console, time.time(), follow=False)
    show_claims(console, change.spec.claims, ())
    show_needs(console, asks, change.spec.decision.requirements, change.spec.contact)
    show_freezes(console, freezes, time.time())
    if plan is not None:
        show_plan(console, plan, base)
    show_notes(console, notes)
    show_next(console, next_steps(change))


def _rollout(cluster: Cluster, change: Change) -> Rollout | None:
    """The Rollout, if it is still the one and the caller may see it."""
    try:
        found = cluster.client.get(ROLLOUTS, change.spec.rollout.name, namespace=cluster.namespace, type=Rollout)
    except (NotFound, Forbidden):
        return None
    return found if found.metadata.uid == change.spec.rollout.uid else None


def _profiles(cluster: Cluster, rollout: Rollout | None) -> Sequence[ServiceProfile]:
    """The profiles that select the Rollout, if it is there and the caller may see them."""
    if rollout is None:
        return ()
    try:
        found = cluster.client.list(SERVICEPROFILES, namespace=cluster.namespace, type=ServiceProfile)
    except Forbidden:
        return ()
    return [one for one in found.items if one.spec.rollout_selector.matches(rollout.metadata.labels)]


def _plan(cluster: Cluster, change: Change, rollout: Rollout | None) -> tuple[Base, Plan | None]:
    """What was released with; before a release, the plan that today's replicas would get, without times."""
    release = change.status.release
    if release is not None:
        return release.base, release.plan
    canary = rollout.spec.strategy.canary if rollout else None
    if rollout is None or canary is None or change.status.phase.final:
        return Base(), None
    others = [c for c in of_rollout(cluster, rollout.metadata.name) if c.metadata.uid != change.metadata.uid]
    base = resolve_base(rollout, others)
    replicas = 1 if rollout.spec.replicas is None else rollout.spec.replicas
    ground = Ground(replicas=replicas, routed=bool(canary.traffic_routing))
    return base, make_plan(base, change.spec.decision.requirements, ground)


def _asks(cluster: Cluster, change: Change, rollout: Rollout | None) -> tuple[RuleAsk, ...]:
    """Each rule that matched and what it asks for, where the caller may read the policy as it was; else its name."""
    decision = change.spec.decision
    policies = [policy for ref in decision.policies if (policy := _policy(cluster, ref)) is not None]
    labels = rollout.metadata.labels if rollout else {}
    place = Place(labels=labels, namespace_labels=_labels(cluster))
    known = rule_asks(change.spec.classification, policies, place)
    listed = {ask.rule for ask in known}
    return (*(a for a in known if a.rule in decision.rules), *_unread(decision.rules, listed))


def _freezes(cluster: Cluster, change: Change, rollout: Rollout | None) -> tuple[Freeze, ...]:
    """Those it is held under and, where the caller may read the policies, those declared since."""
    at_sight = change.spec.decision.requirements
    if rollout is None:
        return at_sight.freezes
    try:
        listed = cluster.client.list(GUARDRAILPOLICIES, type=GuardrailPolicy)
    except Forbidden:
        return at_sight.freezes
    place = Place(labels=rollout.metadata.labels, namespace_labels=_labels(cluster))
    used = in_force([Policy(PolicyRef(name=p.metadata.name), p.spec) for p in listed.items], place)
    return join(at_sight, decide_policy(change.spec.classification, used, place).requirements).freezes


def _unread(rules: Sequence[str], listed: set[str]) -> tuple[RuleAsk, ...]:
    return tuple(
        RuleAsk("", rule, "its policy is not yours to read, or was changed since")
        for rule in rules
        if rule not in listed
    )


def _policy(cluster: Cluster, ref: PolicyRef) -> Policy | None:
    if ref.name == MEMO:
        return Policy(ref, PRESETS["Memo"])
    try:
        found = cluster.client.get(GUARDRAILPOLICIES, ref.name, type=GuardrailPolicy)
    except (NotFound, Forbidden):
        return None
    return Policy(ref, expanded(found.spec)) if found.metadata.generation == ref.generation else None


def _labels(cluster: Cluster) -> dict[str, str]:
    try:
        return cluster.client.get(NAMESPACES, cluster.namespace, type=Namespace).metadata.labels
    except (NotFound, Forbidden):
        return {}
