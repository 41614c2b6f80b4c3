"""The second lock: a held ReplicaSet stays at 0 whoever asks, also through its scale subresource.

Argo copies the Rollout's annotations to the ReplicaSet before it scales it, so the hold stands there by itself. This
catches what no policy on Rollouts can see: an autoscaler's write in the moment after a template write, a promotion
that skips steps, a preview, a first deploy.
"""

from __future__ import annotations

from rollwarden.api.names import HOLD, KNOWN_GOOD, POD_TEMPLATE_HASH, RELEASED

from .cel import both, either, literal, negated, sentence, strings
from .conditions import (
    REQUESTER,
    annotation,
    annotation_text,
    is_requester,
    not_argo,
    not_deleted,
)
from .identities import GARBAGE_COLLECTORS, Identities
from .policy import ENFORCED, Resources, Rule, ValidatingPolicy

# Argo's hash in the selector stays when owner references and labels are taken away: a selector cannot be changed.
OF_A_ROLLOUT = either(
    f"{literal(POD_TEMPLATE_HASH)} in object.spec.?selector.?matchLabels.orValue({{}})",
    "object.metadata.?ownerReferences.orValue([])"
    ".exists(o, o.kind == 'Rollout' && o.apiVersion.startsWith('argoproj.io/'))",
)
# A known-good mark on any other set could come into Argo's hands when it adopts that set.
CARRIES_KNOWN_GOOD = f"{literal(KNOWN_GOOD)} in object.metadata.?annotations.orValue({{}})"


def _says(template: str, **parts: str) -> str:
    return sentence(
        template, name="object.metadata.name", namespace="object.metadata.namespace", user=REQUESTER, **parts
    )


def _variables(identities: Identities) -> dict[str, str]:
    hold = annotation_text("variables.annotations", HOLD)
    return {
        "created": "oldObject == null",
        "annotations": "object.metadata.?annotations.orValue({})",
        "oldAnnotations": "variables.created ? {} : oldObject.metadata.?annotations.orValue({})",
        "operator": is_requester(identities.operator),
        "argo": is_requester(identities.argo),
        "locked": both(f"{hold} != ''", f"!{hold}.startsWith({literal(RELEASED)})", negated(CARRIES_KNOWN_GOOD)),
        "startsPods": (
            "object.spec.?replicas.orValue(1) > 0 && (variables.created || oldObject.spec.?replicas.orValue(1) == 0)"
        ),
    }


def _unchanged(key: str) -> str:
    return f"{annotation('variables.annotations', key)} == {annotation('variables.oldAnnotations', key)}"


def hold_replicasets(identities: Identities) -> ValidatingPolicy:
    """A ReplicaSet of a Rollout goes from 0 to more only when its revision is released or known to be good."""
    return ValidatingPolicy(
        name="rollwarden-hold-replicasets",
        resources=Resources("apps", "v1", ("replicasets",), ("CREATE", "UPDATE")),
        when={**not_deleted(), "of-a-rollout": either(OF_A_ROLLOUT, CARRIES_KNOWN_GOOD)},
        variables=_variables(identities),
        namespaces=ENFORCED,
        rules=(
            Rule(
                "!variables.locked || !variables.startsPods",
                _says(
                    "ReplicaSet {name} belongs to a revision that is held or was rolled back;"
                    " it stays at 0 pods until that revision is released: kubectl rollwarden status -n {namespace}"
                ),
            ),
            Rule(
                "variables.argo || !variables.startsPods",
                _says(
                    "ReplicaSet {name} belongs to a Rollout, and only Argo's controller starts its pods:"
                    " change the Rollout, or kubectl scale rollout"
                ),
            ),
            Rule(
                f"variables.operator || {_unchanged(KNOWN_GOOD)}",
                _says(f"only the operator writes {KNOWN_GOOD}; it stands on sets whose revision once completed"),
            ),
            Rule(
                f"variables.argo || variables.operator || {_unchanged(HOLD)}",
                _says(
                    f"{HOLD} on ReplicaSet {{name}} comes from its Rollout;"
                    " only Argo's controller and the operator write it"
                ),
            ),
            Rule(
                "variables.argo || variables.created || object.spec.template == oldObject.spec.template",
                _says("the pod template of ReplicaSet {name} comes from its Rollout; change it there"),
            ),
            Rule(
                f"variables.argo || variables.created || {REQUESTER} in {strings(GARBAGE_COLLECTORS)}"
                " || object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
                _says(
                    "the owner of ReplicaSet {name} is its Rollout;"
                    " only Argo's controller and the garbage collector change that"
                ),
            ),
        ),
    )


def scale_through_rollout(identities: Identities) -> ValidatingPolicy:
    """A Scale carries no annotations, so here the requester decides: Argo itself never uses this subresource."""
    return ValidatingPolicy(
        name="rollwarden-scale-through-the-rollout",
        resources=Resources("apps", "v1", ("replicasets/scale",), ("UPDATE",)),
        when={
            **not_argo(identities),
            "of-a-rollout": f"object.?status.?selector.orValue('').contains({literal(POD_TEMPLATE_HASH + '=')})",
        },
        namespaces=ENFORCED,
        rules=(
            Rule(
                "object.?spec.?replicas.orValue(0) == 0 || oldObject.?spec.?replicas.orValue(0) > 0",
                _says(
                    "ReplicaSet {name} belongs to a Rollout, and only Argo's controller starts its pods:"
                    " change the Rollout, or kubectl scale rollout"
                ),
            ),
        ),
    )
