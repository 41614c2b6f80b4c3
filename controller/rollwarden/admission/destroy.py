"""Taking a governed service away from its users: by deleting, emptying or orphaning what serves them.

Scaling above zero, endpoints and a return to the stable revision meet nothing of this.
"""

from __future__ import annotations

from rollwarden.api.enums import GROUP, Mode
from rollwarden.api.names import CRITICALITY, GOVERNED_PODS, GOVERNED_ROUTES, GOVERNED_SERVICES, MODE_LABEL
from rollwarden.api.names import POD_TEMPLATE_HASH as HASH

from .cel import allowed, both, either, literal, sentence
from .conditions import REQUESTER, TIDIES_UP, no_wildcard, not_argo, not_operator
from .governed import MAP, TO_AGENTS, VERB_TO_DESTROY, destruction, is_live, keyed, level, lines, refusals
from .identities import Identities
from .policy import ENFORCED, Resources, Rule, ValidatingPolicy

DELETION = "request.operation == 'DELETE'"
GIVEN_AWAY = "object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences"
LEAVING = "request.operation == 'UPDATE' && has(object.metadata.deletionTimestamp)"
"""Only finalizers go from an object on its way out."""

_REPLICAS = "spec.?replicas.orValue(1)"
_EMPTIED = f"object.{_REPLICAS} == 0 && oldObject.{_REPLICAS} > 0"
_RESELECTED = "object.spec.?selector != oldObject.spec.?selector"


def _when(identities: Identities, name: str, condition: str) -> dict[str, str]:
    return {**not_operator(identities), **not_argo(identities), name: condition, "not-being-deleted": f"!({LEAVING})"}


def keep_rollouts(identities: Identities) -> ValidatingPolicy:
    """A Rollout is deleted, emptied or handed to another owner by those who may; its selector never changes."""
    said = "oldObject.metadata.?annotations[?" + literal(CRITICALITY) + "].orValue('')"
    return ValidatingPolicy(
        name="rollwarden-keep-rollouts",
        resources=Resources("argoproj.io", "v1alpha1", ("rollouts",), ("UPDATE", "DELETE")),
        param=MAP,
        when=_when(identities, "takes-it-away", either(DELETION, _EMPTIED, GIVEN_AWAY)),
        variables=destruction(f"({DELETION}) && ({TIDIES_UP}) ? [] : [oldObject.metadata.name]", level(said)),
        namespaces=ENFORCED,
        rules=refusals(
            '{doing} rollout "{name}"',
            "Running services are not affected: scale it to what it needs, above 0, or leave it.",
            doing=(f"({DELETION} ? 'deleting' : {_EMPTIED} ? 'scaling to 0' : 'changing the owners of')"),
            name="oldObject.metadata.name",
        ),
    )


def keep_scaled(identities: Identities) -> ValidatingPolicy:
    """The same through the scale subresource. An autoscaler that may go to 0 is granted the verb on purpose."""
    replicas = "?spec.?replicas.orValue(0)"
    return ValidatingPolicy(
        name="rollwarden-keep-scaled-above-zero",
        resources=Resources("argoproj.io", "v1alpha1", ("rollouts/scale",), ("UPDATE",)),
        param=MAP,
        when={
            **not_operator(identities),
            "to-zero": f"object.{replicas} == 0 && oldObject.{replicas} > 0",
        },
        variables=destruction("[object.metadata.name]"),
        namespaces=ENFORCED,
        rules=refusals('scaling to 0 rollout "{name}"', "Any size above 0 is fine.", name="object.metadata.name"),
    )


def keep_sets(identities: Identities) -> ValidatingPolicy:
    """A running ReplicaSet of a Rollout is Argo's to end; what cannot be returned to is gone with it.

    A Scale has no owner: Argo's way to name its sets tells whose they are, in both.
    """
    replicas = "?spec.?replicas.orValue(0)"
    name = "oldObject.metadata.name"
    return ValidatingPolicy(
        name="rollwarden-keep-running-replicasets",
        resources=Resources("apps", "v1", ("replicasets",), ("UPDATE", "DELETE")),
        more=(Resources("apps", "v1", ("replicasets/scale",), ("UPDATE",)),),
        param=MAP,
        when=_when(identities, "ends-it", f"oldObject.{replicas} > 0 && ({DELETION} || object.{replicas} == 0)"),
        variables=destruction(
            f"({DELETION}) && ({TIDIES_UP}) ? [] : variables.rollouts.filter(r, {name}.startsWith(r + '-')"
            f" && !{name}.substring(size(r) + 1).contains('-'))"
        ),
        namespaces=ENFORCED,
        rules=refusals(
            '{doing} ReplicaSet "{name}"',
            "To leave a revision: kubectl rollwarden abort {rollout} -n {namespace}.",
            doing=f"({DELETION} ? 'deleting' : 'scaling to 0')",
            name=name,
        ),
    )


def _selected(owner: str) -> str:
    """Names of the Rollouts whose pods the Service ``owner`` selects. Argo's own hash is in no owner's template."""
    items = f"variables.{owner}Items"
    return f"size({items}) == 0 ? [] : variables.rollouts.filter(r, {items}.all(i, i in {lines(keyed(GOVERNED_PODS))}))"


def _items(owner: str) -> str:
    selector = f"{owner}.spec.?selector.orValue({{}})"
    return (
        f"{owner} == null || {owner}.spec.?type.orValue('') == 'ExternalName' ? []"
        f" : {selector}.map(k, k != {literal(HASH)}, k + '=' + {selector}[k])"
    )


def keep_services(identities: Identities) -> ValidatingPolicy:
    """A Service that leads to a governed Rollout is not taken off it, and not redirected while a revision is live."""
    external = "spec.?type.orValue('') == 'ExternalName'"
    named = f"variables.rollouts.filter(r, oldObject.metadata.name in {lines(keyed(GOVERNED_SERVICES))})"
    leads = "r in variables.oldSelected || r in variables.named"
    moved = (
        f"(r in variables.oldSelected) != (r in variables.newSelected) || (({leads}) && {is_live()} && ({_RESELECTED}))"
    )
    found = destruction(
        f"({DELETION}) ? (({TIDIES_UP}) ? [] : variables.rollouts.filter(r, {leads}))"
        f" : variables.rollouts.filter(r, ({GIVEN_AWAY}) ? ({leads}) : ({moved}))"
    )
    touched = found.pop("touched")
    library = {
        "data": found.pop("data"),
        "rollouts": found.pop("rollouts"),
        "oldItems": _items("oldObject"),
        "newItems": _items("object"),
        "oldSelected": _selected("old"),
        "newSelected": _selected("new"),
        "named": named,
        "touched": touched,
        **found,
    }
    return ValidatingPolicy(
        name="rollwarden-keep-services",
        resources=Resources("", "v1", ("services",), ("UPDATE", "DELETE")),
        param=MAP,
        when=_when(
            identities,
            "leads-elsewhere",
            either(DELETION, _RESELECTED, GIVEN_AWAY, f"(object.{external}) != (oldObject.{external})"),
        ),
        variables=library,
        namespaces=ENFORCED,
        rules=refusals(
            '{doing} service "{name}"',
            "A canary gets its share by the steps of its Rollout.",
            doing=f"({DELETION} ? 'deleting' : ({GIVEN_AWAY}) ? 'changing the owners of' : 'changing the selector of')",
            name="oldObject.metadata.name",
        ),
    )


def keep_routes(identities: Identities) -> ValidatingPolicy:
    """While a revision is held or under way, only Argo's controller moves the weights that its routes give it."""
    return ValidatingPolicy(
        name="rollwarden-keep-routes",
        resources=Resources("networking.istio.io", "*", ("virtualservices", "destinationrules"), ("UPDATE", "DELETE")),
        param=MAP,
        when=_when(identities, "moves-traffic", either(DELETION, "object.?spec != oldObject.?spec")),
        variables=destruction(
            f"({DELETION}) && ({TIDIES_UP}) ? [] : variables.rollouts.filter(r, {is_live()}"
            f" && oldObject.metadata.name in {lines(keyed(GOVERNED_ROUTES))})"
        ),
        namespaces=ENFORCED,
        rules=refusals(
            '{doing} {kind} "{name}" while a revision is under way',
            "Argo's controller moves the weights by the steps; edit it again when the revision has ended.",
            doing=f"({DELETION} ? 'deleting' : 'editing')",
            kind="request.kind.kind",
            name="oldObject.metadata.name",
        ),
    )


def keep_namespace() -> ValidatingPolicy:
    """An enforced namespace goes, with every service in it, by a verb of its own.

    No map can be read here, as a namespace lies in none: who is an agent, and what is critical, is not known.
    """
    name = "oldObject.metadata.name"
    return ValidatingPolicy(
        name="rollwarden-keep-namespace",
        resources=Resources("", "v1", ("namespaces",), ("DELETE",)),
        when={
            "enforced": (
                f"oldObject.metadata.?labels[?{literal(MODE_LABEL)}].orValue('') == {literal(Mode.ENFORCE.lower)}"
            ),
            "not-on-its-way-out": "!has(oldObject.metadata.deletionTimestamp)",
        },
        rules=(
            Rule(
                both(allowed("workloads", "destroy", name, name), no_wildcard(name)),
                sentence(
                    "deleting namespace {name} takes every governed service in it away; as it is in mode"
                    f" {Mode.ENFORCE.lower}, that needs {VERB_TO_DESTROY} there, which {{user}} does not hold, and a"
                    " wildcard does not count. Ask a principal (ClusterRole rollwarden-principal or"
                    f" rollwarden-destroyer), who may also set {GROUP}/mode to another mode first."
                    f" If you are an AI agent: {TO_AGENTS[0].lower()}{TO_AGENTS[1:]}",
                    name=name,
                    user=REQUESTER,
                ),
            ),
        ),
    )
