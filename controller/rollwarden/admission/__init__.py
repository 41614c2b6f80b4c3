"""The admission policies as data, and their rendering as Kubernetes objects.

Here: what the API server itself does with writes to Rollouts, ReplicaSets, Approvals, Changes and namespaces. Not
here: deciding about a change (``core``); installing the policies (``deploy/admission.yaml`` is applied like any other).
"""

from __future__ import annotations

from .guard import guard_rollout, guard_rollout_status
from .hold import hold_first_revision, hold_new_revision
from .identities import Identities, service_account
from .modes import announce_hold, guard_mode
from .plan import keep_owner_spec, keep_plan
from .policy import Manifest, MutatingPolicy, ValidatingPolicy
from .records import guard_approval, guard_approval_annotation, keep_approval, keep_changes, stamp_approver
from .replicasets import hold_replicasets, scale_through_rollout

__all__ = ["Identities", "Manifest", "policies", "render", "service_account"]


def policies(identities: Identities) -> tuple[MutatingPolicy | ValidatingPolicy, ...]:
    """Every policy, the mutating ones first, as the API server runs them."""
    return (
        hold_new_revision(identities),  # a new template waits behind the barrier
        hold_first_revision(identities),  # a new Rollout waits at 0
        keep_plan(identities),  # barrier and plan outlive a re-apply
        keep_owner_spec(identities),  # Argo's rewriting is no new template
        stamp_approver(),  # an approval speaks for who sent it
        guard_rollout(identities),  # nobody else ends a hold
        guard_rollout_status(identities),  # nobody promotes past it
        hold_replicasets(identities),  # a held set stays at 0
        scale_through_rollout(identities),  # also through the scale subresource
        guard_approval(identities),  # tiers are RBAC verbs
        keep_approval(),  # approvals stay on record
        guard_approval_annotation(identities),  # the same for approvals by annotation
        keep_changes(identities),  # the operator's records are the operator's
        announce_hold(identities),  # nobody is surprised
        guard_mode(),  # looser takes a principal
    )


def render(identities: Identities) -> list[Manifest]:
    """All policies and bindings, each policy followed by its binding."""
    return [manifest for policy in policies(identities) for manifest in policy.manifests()]
