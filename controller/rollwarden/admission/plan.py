"""Keeping what the operator has put into a Rollout while a revision is held or under way.

Tools that apply the owner's manifest again bring the owner's steps along; those writes succeed and change nothing here.
"""

from __future__ import annotations

from rollwarden.api.names import RELEASED

from .cel import both, literal, negated
from .conditions import (
    ROLLOUT_UPDATES,
    WORKLOAD_GENERATION,
    is_requester,
    new_revision,
    not_argo,
    not_operator,
    rollout_variables,
)
from .hold import ROLLBACK_WINDOW
from .identities import Identities
from .patches import (
    ANNOTATIONS_EXIST,
    BREAK_GLASS_STAMPS,
    add,
    only_if,
    put_back,
    remove,
    without_barrier,
    without_gates,
)
from .policy import ENFORCED, MutatingPolicy

CANARY = "spec.strategy.canary"


def _back(name: str) -> str:
    """A field of the canary strategy returns to what it was."""
    old, path = f"oldObject.{CANARY}.{name}", f"/spec/strategy/canary/{name}"
    unchanged = f"object.{CANARY}.?{name} == oldObject.{CANARY}.?{name}"
    addition = f"JSONPatch{{op: 'add', path: {literal(path)}, value: {old}}}"
    return f"!variables.planKept || {unchanged} ? [] : has({old}) ? [{addition}] : [{remove(path)}]"


def keep_owner_spec(identities: Identities) -> MutatingPolicy:
    """Argo's controller leaves the spec as its owner wrote it.

    Argo writes its revision annotation as a whole object, in the form its Go types give it (``resources: {}`` added,
    ``cpu: 0.5`` become ``500m``, empty values gone). Stored like that, the owner's next identical apply would differ
    from it and count as a new template.
    """
    return MutatingPolicy(
        name="rollwarden-keep-owner-spec",
        resources=ROLLOUT_UPDATES,
        when={
            "the-argo-controller": is_requester(identities.argo),
            "same-revision": negated(new_revision(identities)),
            "spec-rewritten": "object.spec != oldObject.spec",
        },
        namespaces=ENFORCED,
        patches=(f"[{add('/spec', 'oldObject.spec')}]",),
    )


def keep_plan(identities: Identities) -> MutatingPolicy:
    """Barrier, plan, analysis and the operator's annotations stay while the template stays."""
    variables = rollout_variables(identities) | {
        "planKept": "variables.governed && variables.canary && oldObject.spec.?strategy.?canary.hasValue()",
        "releasesHold": "variables.breakGlass && variables.wasHeld",
        "freesPlan": both(
            "variables.breakGlass", "variables.planStands", f"variables.oldHold.startsWith({literal(RELEASED)})"
        ),
    }
    return MutatingPolicy(
        name="rollwarden-keep-plan",
        resources=ROLLOUT_UPDATES,
        when={
            **not_operator(identities),
            **not_argo(identities),
            "same-revision": negated(new_revision(identities)),
            "known-to-the-operator": (
                "oldObject.metadata.?annotations.orValue({}).exists(k, k.startsWith('rollwarden.dev/'))"
                f" || {literal(WORKLOAD_GENERATION)} in oldObject.metadata.?annotations.orValue({{}})"
            ),
        },
        variables=variables,
        namespaces=ENFORCED,
        patches=(
            ANNOTATIONS_EXIST,
            put_back(f"(variables.operatorOwned + [{literal(WORKLOAD_GENERATION)}])"),
            _back("steps"),
            _back("analysis"),
            only_if(
                "variables.planKept && has(object.spec.rollbackWindow) && !has(oldObject.spec.rollbackWindow)",
                remove(ROLLBACK_WINDOW),
            ),
            f"!variables.releasesHold ? [] : [{', '.join(BREAK_GLASS_STAMPS)}]"
            f" + (!variables.planKept || !variables.oldBarrier ? [] : {without_barrier('variables.oldSteps')})",
            f"!variables.freesPlan ? [] : [{BREAK_GLASS_STAMPS[1]}] + ({without_gates('variables.oldSteps')})",
        ),
    )
