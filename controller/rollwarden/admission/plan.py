"""Keeping what the operator has put into a Rollout while a revision is held or under way.

Tools that apply the owner's manifest again bring the owner's steps along; those writes succeed and change nothing here.
"""

from __future__ import annotations

from rollwarden.api.names import DROPPED_EDIT, OWNER_STEPS, RELEASED

from .cel import both, literal, mapping, negated
from .conditions import (
    FIRST_HOLD,
    ROLLOUT_UPDATES,
    WORKLOAD_GENERATION,
    annotation_text,
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
    settle,
    without_barrier,
    without_gates,
)
from .policy import ENFORCED, MutatingPolicy
from .steps import bounded, in_short

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


def _dropped_edit() -> dict[str, str]:
    """``wantedDrop`` is what other steps were written and not taken: neither the owner's own nor the ones that stand.

    The same steps again give the same text, so that applying a manifest again changes nothing. Where the steps are
    as they stand, a text that is there stays: the API server applies a policy twice when others act after it.
    """
    given = annotation_text("variables.annotations", DROPPED_EDIT)
    owners = annotation_text("variables.oldAnnotations", OWNER_STEPS)
    analysis = "spec.?strategy.?canary.?analysis"
    return {
        "standingInShort": in_short("variables.oldSteps", "oldObject"),
        # a first revision is held with its owner's steps in place
        "ownersInShort": (
            f"variables.oldHold == {literal(FIRST_HOLD)} ? {bounded('variables.standingInShort')} : {owners}"
        ),
        "writtenInShort": in_short("variables.steps", "object"),
        "edit": bounded("variables.writtenInShort"),
        "wantedDrop": (
            f"variables.steps == variables.oldSteps && object.{analysis} == oldObject.{analysis}"
            f" ? {given}"
            " : !variables.planKept || variables.ownersInShort in ['', variables.edit] ? '' : variables.edit"
        ),
        "wanted": mapping({DROPPED_EDIT: "variables.wantedDrop"}),
    }


def keep_plan(identities: Identities) -> MutatingPolicy:
    """Barrier, plan, analysis and the operator's annotations stay while the template stays."""
    variables = rollout_variables(identities) | {
        "planKept": "variables.governed && variables.canary && oldObject.spec.?strategy.?canary.hasValue()",
        "releasesHold": "variables.breakGlass && variables.wasHeld",
        "freesPlan": both(
            "variables.breakGlass", "variables.planStands", f"variables.oldHold.startsWith({literal(RELEASED)})"
        ),
        **_dropped_edit(),
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
            settle("variables.wanted"),
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
