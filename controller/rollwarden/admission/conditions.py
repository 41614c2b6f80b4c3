"""The vocabulary the policies share: who asks, what a new revision is, what is held, when break-glass counts.

``rollout_variables`` is the library of policy variables on Rollouts. On CREATE ``oldObject`` is null, so whatever
looks at it asks ``variables.created`` first.
"""

from __future__ import annotations

from rollwarden.api.enums import GROUP
from rollwarden.api.names import (
    ABORTED,
    BASE_ROLLBACK_WINDOW,
    BASE_STARTING_STEP,
    BREAK_GLASS,
    CHANGE,
    HELD,
    HOLD,
    OPERATOR_OWNED,
    RELEASED,
    SUBMITTED_BY,
    SUBMITTER_GROUPS,
)

from .cel import allowed, both, either, literal, negated, strings
from .identities import GARBAGE_COLLECTORS, NAMESPACE_CONTROLLERS, Identities
from .policy import Resources

ROLLOUT_UPDATES = Resources("argoproj.io", "v1alpha1", ("rollouts",), ("UPDATE",))
ROLLOUT_CREATIONS = Resources("argoproj.io", "v1alpha1", ("rollouts",), ("CREATE",))
ROLLOUT_WRITES = Resources("argoproj.io", "v1alpha1", ("rollouts",), ("CREATE", "UPDATE"))

WORKLOAD_GENERATION = "rollout.argoproj.io/workload-generation"
FIRST_HOLD = f"{HELD}0"
BARRIER_LENGTH = 2
UNSET = "unset"

REQUESTER = "request.userInfo.username"
ROLLOUT = "object.metadata.name"
NAMESPACE = "object.metadata.namespace"
REQUEST_NAMESPACE = "request.namespace"
"""Also where there is no object, as on DELETE."""

GROUPS_KEPT = 32
LONGEST_GROUP = 253


def is_requester(user: str) -> str:
    return f"{REQUESTER} == {literal(user)}"


# Namespaces must be deletable, and an object whose owner is gone is collected.
TIDIES_UP = either(
    both(f"{REQUESTER} in {strings(NAMESPACE_CONTROLLERS)}", "has(namespaceObject.metadata.deletionTimestamp)"),
    f"{REQUESTER} in {strings(GARBAGE_COLLECTORS)}",
)


def not_operator(identities: Identities) -> dict[str, str]:
    return {"not-the-operator": negated(is_requester(identities.operator))}


def not_argo(identities: Identities) -> dict[str, str]:
    return {"not-the-argo-controller": negated(is_requester(identities.argo))}


def not_deleted() -> dict[str, str]:
    """An object on its way out only loses finalizers; nothing may stand in the way of that."""
    return {"not-being-deleted": "!has(object.metadata.deletionTimestamp)"}


def annotation(owner: str, key: str) -> str:
    """The optional value of an annotation; ``owner`` is a CEL map."""
    return f"{owner}[?{literal(key)}]"


def annotation_text(owner: str, key: str) -> str:
    """The value of an annotation, empty when absent."""
    return f"{annotation(owner, key)}.orValue('')"


def new_revision(identities: Identities) -> str:
    """An update that makes Argo start another revision.

    Argo's own writes normalise the template without changing what runs, so from Argo only the generation of a
    referenced workload counts: Argo writes it before it scales anything.
    """
    generation = f"metadata.?annotations[{literal(WORKLOAD_GENERATION)}].orValue('')"
    return either(
        both(negated(is_requester(identities.argo)), "object.spec.?template != oldObject.spec.?template"),
        "object.spec.?workloadRef != oldObject.spec.?workloadRef",
        both(
            "oldObject.?status.?stableRS.orValue('') != ''",
            f"object.{generation} != oldObject.{generation}",
        ),
    )


def starts_with_barrier(steps: str) -> str:
    return both(
        f"size({steps}) >= {BARRIER_LENGTH}",
        f"{steps}[0].?setWeight.orValue(-1) == 0",
        f"has({steps}[1].pause) && !has({steps}[1].pause.duration)",
    )


def is_indefinite_pause(step: str) -> str:
    return f"has({step}.pause) && !has({step}.pause.duration)"


def no_wildcard(namespace: str) -> str:
    """False for whoever holds every verb: a sentinel verb that nobody is granted tells them apart."""
    return negated(allowed("sentinels", "never-granted", namespace))


def rollout_variables(identities: Identities) -> dict[str, str]:
    steps = "spec.?strategy.?canary.?steps.orValue([])"
    old_hold = "variables.oldHold.startsWith"
    asked = both(
        f"{annotation_text('variables.annotations', BREAK_GLASS)}.trim() != ''",
        f"{annotation('variables.annotations', BREAK_GLASS)} != {annotation('variables.oldAnnotations', BREAK_GLASS)}",
    )
    groups = "request.userInfo.?groups.orValue([])"
    first_groups = f"[{', '.join(map(str, range(GROUPS_KEPT)))}].filter(i, i < size(variables.requesterGroups))"
    entitled = both(allowed("holds", "break-glass", NAMESPACE, ROLLOUT), no_wildcard(NAMESPACE))
    return {
        "created": "oldObject == null",
        "annotations": "object.metadata.?annotations.orValue({})",
        "oldAnnotations": "variables.created ? {} : oldObject.metadata.?annotations.orValue({})",
        "hold": annotation_text("variables.annotations", HOLD),
        "oldHold": annotation_text("variables.oldAnnotations", HOLD),
        "submitter": annotation_text("variables.annotations", SUBMITTED_BY),
        # every authenticated user has the one left out
        "requesterGroups": f"{groups}.filter(g, g != 'system:authenticated' && size(g) <= {LONGEST_GROUP})",
        "wantedGroups": f"{first_groups}.map(i, variables.requesterGroups[i]).join(',')",
        "submitterGroups": annotation_text("variables.annotations", SUBMITTER_GROUPS),
        "newRevision": f"variables.created || ({new_revision(identities)})",
        "operatorOwned": strings(OPERATOR_OWNED),
        # the attempt of a write that makes a new revision, and of the one that is held now
        "attempt": "variables.created ? '0' : string(oldObject.metadata.generation)",
        "heldAttempt": f"variables.oldHold.replace({literal(HELD)}, '', 1)",
        "wasHeld": f"{old_hold}({literal(HELD)})",
        "planStands": f"{literal(CHANGE)} in variables.oldAnnotations",
        "governed": f"variables.wasHeld || {old_hold}({literal(ABORTED)}) || variables.planStands",
        "canary": "object.spec.?strategy.?canary.hasValue()",
        "steps": f"object.{steps}",
        "oldSteps": f"variables.created ? [] : oldObject.{steps}",
        # a first revision is held by its ReplicaSet alone, so steps of that form are its owner's
        "oldBarrier": both(
            "variables.wasHeld",
            f"variables.oldHold != {literal(FIRST_HOLD)}",
            starts_with_barrier("variables.oldSteps"),
        ),
        "breakGlassAsked": asked,
        "entitled": entitled,
        "breakGlass": "variables.breakGlassAsked && variables.entitled",
        "releasedNow": f"{literal(RELEASED)} + (variables.newRevision ? variables.attempt : variables.heldAttempt)",
        "baseWindow": annotation_text("variables.oldAnnotations", BASE_ROLLBACK_WINDOW),
        "baseStart": annotation_text("variables.oldAnnotations", BASE_STARTING_STEP),
    }


VERB_FOR_BREAK_GLASS = f"the verb break-glass on holds (group {GROUP})"
