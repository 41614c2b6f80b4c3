"""The admission policies as data, and their rendering as Kubernetes objects.

Here: what the API server itself does with writes to Rollouts and what serves beside them, to ReplicaSets, namespaces
and Rollwarden's own kinds. Not here: deciding about a change (``core``); installing the policies
(``deploy/admission.yaml`` is applied like any other).
"""

from __future__ import annotations

from .claims import keep_claims, keep_criticality
from .destroy import keep_namespace, keep_rollouts, keep_routes, keep_scaled, keep_services, keep_sets
from .govern import (
    guard_policy,
    guard_profile,
    keep_namespace_criticality,
    keep_profile_criticality,
    stamp_editor,
)
from .governed import keep_governed_map
from .guard import guard_rollout, guard_rollout_status
from .hold import hold_first_revision, hold_new_revision
from .identities import Identities, service_account
from .impostors import no_second_workload
from .modes import announce_hold, guard_mode
from .plan import keep_owner_spec, keep_plan
from .policy import Manifest, MutatingPolicy, ValidatingPolicy
from .records import guard_approval, guard_approval_annotation, keep_approval, keep_changes, stamp_approver
from .replicasets import hold_replicasets, scale_through_rollout
from .steps import announce_dropped_edit
from .train import await_train
from .witness import keep_witness

__all__ = ["Identities", "Manifest", "policies", "render", "service_account"]


def policies(identities: Identities) -> tuple[MutatingPolicy | ValidatingPolicy, ...]:
    """Every policy, the mutating ones first, as the API server runs them."""
    return (
        hold_new_revision(identities),  # a new template waits behind the barrier
        hold_first_revision(identities),  # a new Rollout waits at 0
        keep_plan(identities),  # barrier and plan outlive a re-apply
        keep_owner_spec(identities),  # Argo's rewriting is no new template
        stamp_approver(),  # an approval speaks for who sent it
        stamp_editor(),  # a policy names who wrote it
        guard_rollout(identities),  # nobody else ends a hold
        guard_rollout_status(identities),  # nobody promotes past it
        hold_replicasets(identities),  # a held set stays at 0
        scale_through_rollout(identities),  # also through the scale subresource
        guard_approval(identities),  # tiers are RBAC verbs
        keep_approval(),  # approvals stay on record
        guard_approval_annotation(identities),  # the same for approvals by annotation
        keep_changes(identities),  # the operator's records are the operator's
        keep_governed_map(identities),  # what admission is told is the operator's word
        keep_witness(identities),  # nor is what it saw of these policies rewritten
        keep_claims(identities),  # a live change is not talked down
        keep_criticality(identities),  # nor a service by an agent
        keep_rollouts(identities),  # what serves people is not deleted or emptied in passing
        keep_scaled(identities),  # also through the scale subresource
        keep_sets(identities),  # nor set by set
        keep_services(identities),  # nor cut off
        keep_routes(identities),  # nor routed past the plan
        keep_namespace(),  # nor deleted with all around it
        no_second_workload(identities),  # nor replaced from beside
        await_train(identities),  # where asked for, one canary at a time
        guard_policy(identities),  # rules are their principals'
        guard_profile(),  # agents do not say what is critical
        keep_profile_criticality(),  # nor does anybody lower it in passing
        keep_namespace_criticality(),  # for one service or for all
        announce_hold(identities),  # nobody is surprised
        announce_dropped_edit(identities),  # nor loses an edit unawares
        guard_mode(),  # looser takes a principal
    )


def render(identities: Identities) -> list[Manifest]:
    """All policies and bindings, each policy followed by its binding."""
    return [manifest for policy in policies(identities) for manifest in policy.manifests()]
