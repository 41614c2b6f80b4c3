"""Holding new revisions: the barrier in a canary's steps, the hold that Argo carries to the ReplicaSet, the submitter.

Both policies also let a break-glass write through, so that it works with the operator down. Applying either twice to
one request changes nothing: the API server does so whenever a policy has changed the object.
"""

from __future__ import annotations

from rollwarden.api.names import (
    APPROVAL_PREFIX,
    BASE_ROLLBACK_WINDOW,
    BASE_STARTING_STEP,
    BREAK_GLASS_BY,
    CHANGE,
    DROPPED_EDIT,
    HELD,
    HOLD,
    KNOWN_GOOD,
    MESSAGE,
    OWNER_PAUSES,
    OWNER_STEPS,
    SUBMITTED_BY,
    SUBMITTER_GROUPS,
)

from .cel import both, literal, mapping
from .conditions import (
    BARRIER_LENGTH,
    REQUESTER,
    ROLLOUT_CREATIONS,
    ROLLOUT_UPDATES,
    UNSET,
    WORKLOAD_GENERATION,
    annotation_text,
    new_revision,
    not_operator,
    rollout_variables,
    starts_with_barrier,
)
from .identities import Identities
from .patches import (
    ANNOTATIONS_EXIST,
    ANY_POINTER,
    BARRIER,
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

STARTING_STEP = "/spec/strategy/canary/analysis/startingStep"
ROLLBACK_WINDOW = "/spec/rollbackWindow"

# They belong to the attempt before this one, or may never stand on a Rollout.
NOT_CARRIED_OVER = dict.fromkeys((CHANGE, MESSAGE, OWNER_PAUSES, DROPPED_EDIT, KNOWN_GOOD), "''")

STAMPS = {
    HOLD: "variables.wantedHold",
    SUBMITTED_BY: REQUESTER,
    SUBMITTER_GROUPS: "variables.wantedGroups",
    BREAK_GLASS_BY: f"variables.breakGlass ? {REQUESTER} : ''",
    **NOT_CARRIED_OVER,
}


# An approval by annotation spoke for the template before; left standing, it would bar the next approver from the key.
NO_OLD_APPROVALS = (
    f"variables.annotations.map(k, k.startsWith({literal(APPROVAL_PREFIX)})"
    " && variables.annotations[?k] == variables.oldAnnotations[?k],"
    f" JSONPatch{{op: 'remove', path: {ANY_POINTER}}})"
)


def _variables(identities: Identities) -> dict[str, str]:
    given_start = annotation_text("variables.annotations", BASE_STARTING_STEP)
    given_window = annotation_text("variables.annotations", BASE_ROLLBACK_WINDOW)
    analysis = "spec.?strategy.?canary.?analysis"
    base_start = f"variables.stamped ? {given_start} : variables.baseStart"
    moved_now = (
        f"string(variables.start - {BARRIER_LENGTH}) == ({given_start} == {literal(UNSET)} ? '0' : {given_start})"
    )
    moved_before = both(
        "variables.baseStart != ''", f"object.{analysis}.?startingStep == oldObject.{analysis}.?startingStep"
    )
    return rollout_variables(identities) | {
        "wantedHold": f"variables.breakGlass ? variables.releasedNow : {literal(HELD)} + variables.attempt",
        # this policy has already been applied to this request
        "stamped": both("variables.hold == variables.wantedHold", "variables.submitter == request.userInfo.username"),
        # the predecessor's barrier or plan came along because the writer left the steps alone
        "inherited": "!variables.stamped && variables.steps == variables.oldSteps",
        "barred": (
            f"variables.stamped ? {starts_with_barrier('variables.steps')}"
            " : variables.oldBarrier && variables.inherited"
        ),
        "analysed": f"object.{analysis}.hasValue()",
        "start": f"object.{analysis}.?startingStep.orValue(0)",
        "startMoved": f"variables.stamped ? {moved_now} : {moved_before}",
        "wantedStart": (
            f"!variables.analysed ? '' : variables.startMoved ? ({base_start}) : variables.breakGlass ? '' "
            f": object.{analysis}.?startingStep.hasValue() ? string(variables.start) : {literal(UNSET)}"
        ),
        "givenSteps": annotation_text("variables.annotations", OWNER_STEPS),
        "keptSteps": annotation_text("variables.oldAnnotations", OWNER_STEPS),
        "stepsInShort": in_short("variables.steps", "object"),
        "wantedSteps": (
            "!variables.canary ? '' : variables.stamped ? variables.givenSteps"
            " : variables.inherited && (variables.oldBarrier || variables.planStands) ? variables.keptSteps"
            f" : {bounded('variables.stepsInShort')}"
        ),
        "windowTaken": "variables.canary && has(object.spec.rollbackWindow) && !variables.breakGlass",
        "wantedWindow": (
            "variables.windowTaken ? string(object.spec.rollbackWindow.?revisions.orValue(0)) "
            f": variables.stamped ? {given_window} : variables.baseWindow"
        ),
    }


def hold_new_revision(identities: Identities) -> MutatingPolicy:
    """A new template waits behind the barrier, at no pods, until it is released."""
    variables = _variables(identities)
    wanted = STAMPS | {
        BASE_ROLLBACK_WINDOW: "variables.wantedWindow",
        BASE_STARTING_STEP: "variables.wantedStart",
        OWNER_STEPS: "variables.wantedSteps",
    }
    return MutatingPolicy(
        name="rollwarden-hold-new-revision",
        resources=ROLLOUT_UPDATES,
        when={**not_operator(identities), "new-revision": new_revision(identities)},
        variables=variables | {"wanted": mapping(wanted)},
        namespaces=ENFORCED,
        patches=(
            ANNOTATIONS_EXIST,
            put_back(f"[{literal(WORKLOAD_GENERATION)}]"),
            settle("variables.wanted"),
            NO_OLD_APPROVALS,
            f"!variables.canary || variables.breakGlass || variables.barred ? [] : {BARRIER}",
            "!variables.breakGlass || !variables.inherited ? []"
            f" : variables.oldBarrier ? ({without_barrier('variables.steps')})"
            f" : variables.planStands ? ({without_gates('variables.steps')}) : []",
            only_if(
                "variables.analysed && !variables.startMoved && !variables.breakGlass",
                add(STARTING_STEP, f"variables.start + {BARRIER_LENGTH}"),
            ),
            only_if("variables.windowTaken", remove(ROLLBACK_WINDOW)),
        ),
    )


def hold_first_revision(identities: Identities) -> MutatingPolicy:
    """A new Rollout brings no operator state along. Argo sends it to 100 % at once: only its ReplicaSet is held."""
    wanted = STAMPS | dict.fromkeys((BASE_ROLLBACK_WINDOW, BASE_STARTING_STEP, OWNER_STEPS), "''")
    return MutatingPolicy(
        name="rollwarden-hold-first-revision",
        resources=ROLLOUT_CREATIONS,
        when=not_operator(identities),
        variables=_variables(identities) | {"wanted": mapping(wanted)},
        namespaces=ENFORCED,
        patches=(ANNOTATIONS_EXIST, settle("variables.wanted")),
    )
