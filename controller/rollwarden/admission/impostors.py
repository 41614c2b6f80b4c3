"""No second workload behind a governed Rollout's labels: its pods would serve the same users, unwatched."""

from __future__ import annotations

from rollwarden.api.names import GOVERNED_PODS, GOVERNED_SELECTOR

from .cel import both, negated, strings
from .conditions import REQUESTER, not_argo, not_operator
from .governed import MAP, destruction, keyed, lines, refusals
from .identities import WORKLOAD_CONTROLLERS, Identities
from .policy import ENFORCED, Resources, ValidatingPolicy

OPERATIONS = ("CREATE", "UPDATE")
_NAME = "object.metadata.?name.orValue('')"


def _labels(owner: str) -> str:
    """For each sort of pod that the object makes, its labels; of a pod its own."""
    template = "?template.?metadata.?labels.orValue({})"
    return (
        f"(request.kind.kind == 'Pod' ? [{owner}.metadata.?labels.orValue({{}})]"
        f" : request.kind.kind == 'Experiment' ? {owner}.spec.?templates.orValue([]).map(t, t.{template})"
        f" : request.kind.kind == 'CronJob' ? [{owner}.spec.?jobTemplate.?spec.{template}]"
        f" : [{owner}.spec.{template}])"
    )


def _selector(owner: str) -> str:
    return f"(request.kind.kind == 'Pod' ? {{}} : {owner}.spec.?selector.?matchLabels.orValue({{}}))"


def _items(labels: str) -> str:
    return f"{labels}.map(k, k + '=' + string({labels}[k]))"


def _behind(owner: str) -> str:
    """Names of other Rollouts whose whole selector its pods carry, or whose pods its own selector takes in."""
    labels, selector = f"variables.{owner}Labels", f"variables.{owner}Selector"
    whole = lines(keyed(GOVERNED_SELECTOR))
    carries = both(f"size({whole}) > 1", f"{labels}.exists(l, {whole}.all(i, i == '' || i in l))")
    shares = both(f"size({selector}) > 0", f"{selector}.all(i, i in {lines(keyed(GOVERNED_PODS))})")
    itself = f"request.kind.kind == 'Rollout' && r == {_NAME}"
    return f"variables.rollouts.filter(r, !({itself}) && (({carries}) || ({shares})))"


def no_second_workload(identities: Identities) -> ValidatingPolicy:
    """Whoever is stopped on one Rollout does not run the same beside it.

    What the controllers of Kubernetes make comes from a workload that was looked at itself.
    """
    found = destruction("variables.behind.filter(r, !(r in variables.behindBefore))")
    library = {
        "data": found.pop("data"),
        "rollouts": found.pop("rollouts"),
        "newLabels": f"{_labels('object')}.map(l, {_items('l')})",
        "newSelector": _items(_selector("object")),
        "oldLabels": f"oldObject == null ? [] : {_labels('oldObject')}.map(l, {_items('l')})",
        "oldSelector": f"oldObject == null ? [] : {_items(_selector('oldObject'))}",
        "behind": _behind("new"),
        "behindBefore": f"oldObject == null ? [] : {_behind('old')}",
        **found,
    }
    return ValidatingPolicy(
        name="rollwarden-no-second-workload",
        resources=Resources("argoproj.io", "v1alpha1", ("rollouts",), OPERATIONS),
        more=(
            Resources("apps", "v1", ("deployments", "statefulsets", "daemonsets", "replicasets"), OPERATIONS),
            Resources("", "v1", ("pods", "replicationcontrollers"), OPERATIONS),
            Resources("batch", "v1", ("jobs", "cronjobs"), OPERATIONS),
            Resources("argoproj.io", "v1alpha1", ("experiments",), OPERATIONS),
        ),
        param=MAP,
        when={
            **not_operator(identities),
            **not_argo(identities),
            "not-a-controller": negated(f"{REQUESTER} in {strings(WORKLOAD_CONTROLLERS)}"),
            "other-labels": f"oldObject == null || {_labels('object')} != {_labels('oldObject')}",
        },
        variables=library,
        namespaces=ENFORCED,
        rules=refusals(
            'running {kind} "{name}" behind the labels of rollout "{rollout}"',
            "Change that Rollout instead, or give the new workload labels of its own.",
            kind="request.kind.kind",
            name=_NAME,
        ),
    )
