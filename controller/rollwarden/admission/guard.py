"""What writes to a Rollout are refused, and what to do instead.

The mutating policies have already put back what may be put back silently; the rest is refused here, also when such a
policy is missing or a later webhook has undone its work.
"""

from __future__ import annotations

from rollwarden.api.names import (
    ABORTED,
    BREAK_GLASS,
    BREAK_GLASS_BY,
    HELD,
    HOLD,
    KNOWN_GOOD,
    OWNER_PAUSES,
    RELEASED,
)

from .cel import both, either, literal, negated, sentence, strings
from .conditions import (
    FIRST_HOLD,
    NAMESPACE,
    REQUESTER,
    ROLLOUT,
    ROLLOUT_WRITES,
    VERB_FOR_BREAK_GLASS,
    WORKLOAD_GENERATION,
    annotation,
    annotation_text,
    is_requester,
    not_argo,
    not_deleted,
    not_operator,
    rollout_variables,
    starts_with_barrier,
)
from .identities import Identities
from .policy import ENFORCED, Resources, Rule, ValidatingPolicy

HELP = "kubectl rollwarden explain {rollout} -n {namespace}"
BREAK_GLASS_HELP = 'kubectl rollwarden break-glass {rollout} -n {namespace} -m "why"'
WAITING_HELP = f"{HELP} says what it waits for; in an emergency: {BREAK_GLASS_HELP}"


def _says(template: str, **parts: str) -> str:
    return sentence(template, rollout=ROLLOUT, namespace=NAMESPACE, user=REQUESTER, **parts)


def _guard_variables(identities: Identities) -> dict[str, str]:
    old_value = annotation("variables.oldAnnotations", "k").replace("'k'", "k")
    new_value = old_value.replace("oldAnnotations", "annotations")
    return rollout_variables(identities) | {
        "operator": is_requester(identities.operator),
        "releases": "variables.breakGlass && variables.wasHeld && variables.hold == variables.releasedNow",
        "stamps": f"variables.breakGlass && {annotation_text('variables.annotations', BREAK_GLASS_BY)} == {REQUESTER}",
        "altered": (
            f"variables.operatorOwned.filter(k, {new_value} != {old_value}"
            f" && !(k == {literal(HOLD)} && variables.releases)"
            f" && !(k == {literal(BREAK_GLASS_BY)} && variables.stamps))"
        ),
        "properHold": (
            f"variables.hold == {literal(HELD)} + variables.attempt"
            " || variables.breakGlass && variables.hold == variables.releasedNow"
        ),
        "behindBarrier": both(
            "variables.canary",
            f"variables.hold.startsWith({literal(HELD)})",
            # nothing runs yet, so there is nothing to stay in front of
            f"variables.hold != {literal(FIRST_HOLD)}",
        ),
    }


def _annotation_rules() -> tuple[Rule, ...]:
    known_good = annotation("variables.annotations", KNOWN_GOOD)
    old_known_good = annotation("variables.oldAnnotations", KNOWN_GOOD)
    generation = f"metadata.?annotations[{literal(WORKLOAD_GENERATION)}]"
    return (
        Rule(
            either(negated(f"{known_good}.hasValue()"), f"{known_good} == {old_known_good}"),
            _says(f"{KNOWN_GOOD} stands on ReplicaSets only, where the operator puts it; take it off this Rollout"),
        ),
        Rule(
            "!variables.breakGlassAsked || variables.operator || variables.entitled",
            _says(
                f"setting {BREAK_GLASS} needs {VERB_FOR_BREAK_GLASS} in namespace {{namespace}};"
                " {user} does not hold it, and a wildcard does not count."
                " Leave the annotation out to have the change held and decided: " + HELP
            ),
        ),
        Rule(
            "variables.operator || !variables.breakGlassAsked || variables.newRevision"
            f" || !variables.oldHold.startsWith({literal(ABORTED)})",
            _says(
                "this revision of {rollout} was rolled back, and break-glass does not start it again as it is:"
                f" write a new template together with a new reason in {BREAK_GLASS}"
            ),
        ),
        Rule(
            "variables.operator || variables.newRevision || size(variables.altered) == 0",
            _says(
                "only the operator writes {key}. What is held is released by approval: " + HELP + " says whose;"
                " in an emergency: " + BREAK_GLASS_HELP,
                key="variables.altered[0]",
            ),
        ),
        Rule(
            f"variables.created || object.{generation} == oldObject.{generation}",
            _says(f"{WORKLOAD_GENERATION} belongs to Argo's controller; leave it as it is"),
        ),
    )


# By these Argo turns a Service of its users, or a share of its traffic, to the new pods, whatever the steps say.
ROUTING = {
    "canary": (
        *("canaryService", "stableService", "pingPong", "trafficRouting", "dynamicStableScale"),
        *("canaryMetadata", "stableMetadata"),
    ),
    "blueGreen": ("activeService", "previewService", "activeMetadata", "previewMetadata"),
}


def _same_routing() -> str:
    paths = (f"spec.?strategy.?{kind}.?{name}" for kind, fields in ROUTING.items() for name in fields)
    return both(*(f"object.{path} == oldObject.{path}" for path in paths))


def _hold_rules() -> tuple[Rule, ...]:
    strategy, analysis = "spec.?strategy.?canary.hasValue()", "spec.?strategy.?canary.?analysis"
    return (
        Rule(
            "variables.operator || !variables.newRevision"
            f" || variables.properHold && variables.submitter == {REQUESTER}"
            " && variables.submitterGroups == variables.wantedGroups",
            _says(
                "a new template must carry its hold and its submitter, and this write of {rollout} does not:"
                " the policies that stamp them are missing, unbound or undone by a later webhook;"
                " ask whoever runs Rollwarden here"
            ),
        ),
        Rule(
            "variables.operator || variables.created || !variables.governed"
            f" || object.{strategy} == oldObject.{strategy}",
            _says(
                "the strategy of {rollout} cannot be switched while a revision is held or under way;"
                " wait for its end, or return to the stable template first: " + HELP
            ),
        ),
        Rule(
            "variables.operator || variables.newRevision || !variables.governed"
            f" || variables.oldHold == {literal(FIRST_HOLD)} || {_same_routing()}",
            _says(
                "services and routes of {rollout} stay while a revision is held or under way, and after a rollback:"
                " they could bring it traffic that no step gives it. Write them together with a new template, or when"
                " it has ended: " + HELP
            ),
        ),
        Rule(
            f"variables.operator || !variables.behindBarrier || {starts_with_barrier('variables.steps')}",
            _says(
                "{rollout} is held: the first two steps (setWeight 0, pause) stay until it is released;"
                " your own steps come back then: " + HELP
            ),
        ),
        Rule(
            "variables.operator || variables.newRevision || variables.breakGlass || !variables.governed"
            f" || variables.steps == variables.oldSteps && object.{analysis} == oldObject.{analysis}",
            _says(
                "steps and analysis of {rollout} stay while a revision is held or under way, and after a rollback;"
                " your own come back with its end: " + HELP
            ),
        ),
        Rule(
            "variables.operator || !variables.behindBarrier || !has(object.spec.rollbackWindow)",
            _says(
                "{rollout} is held: rollbackWindow would skip every step,"
                " so it stays off until the release puts it back: " + HELP
            ),
        ),
    )


def guard_rollout(identities: Identities) -> ValidatingPolicy:
    """Nobody but the operator ends a hold or forges what the operator writes; break-glass has a way of its own."""
    return ValidatingPolicy(
        name="rollwarden-guard-rollout",
        resources=ROLLOUT_WRITES,
        when={**not_argo(identities), **not_deleted()},
        variables=_guard_variables(identities),
        namespaces=ENFORCED,
        rules=_annotation_rules() + _hold_rules(),
    )


def _status_rules() -> tuple[Rule, ...]:
    pauses = "'pauseConditions' in variables.moved || 'controllerPause' in variables.moved"
    known = strings(("abort", "promoteFull", "pauseConditions", "controllerPause", "currentStepIndex"))
    return (
        Rule(
            "!('promoteFull' in variables.moved)",
            _says("{rollout} is not promoted past its steps while a revision is held or under way; " + WAITING_HELP),
        ),
        Rule(
            f"!({pauses}) || variables.ownersPauseEnds",
            _says("this pause of {rollout} ends by approval or by evidence, not by promote; " + WAITING_HELP),
        ),
        Rule(
            "!('currentStepIndex' in variables.moved)",
            _says("no step of {rollout} is skipped while a revision is held or under way; " + WAITING_HELP),
        ),
        Rule(
            "!('abort' in variables.moved) || variables.status.?abort.orValue(false)",
            _says(
                "the aborted revision of {rollout} is not tried again as it is: fix forward with a new template,"
                " or return to the stable one; " + HELP + " says why it was aborted"
            ),
        ),
        Rule(
            f"variables.moved.all(k, k in {known})",
            _says(
                "these status fields of {rollout} belong to Argo's controller: {fields}",
                fields="variables.moved.join(', ')",
            ),
        ),
    )


def guard_rollout_status(identities: Identities) -> ValidatingPolicy:
    """While a revision is held, under way or rolled back, others than the operator and Argo may only abort it.

    The owner's own indefinite pauses stay the owner's to end: the operator lists their indices.
    """
    index = "',' + string(variables.oldStatus.?currentStepIndex.orValue(-1)) + ','"
    pauses = annotation_text("variables.oldAnnotations", OWNER_PAUSES)
    return ValidatingPolicy(
        name="rollwarden-guard-rollout-status",
        resources=Resources("argoproj.io", "v1alpha1", ("rollouts/status",), ("UPDATE",)),
        when={
            **not_operator(identities),
            **not_argo(identities),
            "governed": "oldObject.metadata.?annotations.orValue({}).exists(k, k.startsWith('rollwarden.dev/'))",
        },
        variables=rollout_variables(identities)
        | {
            "status": "object.?status.orValue({})",
            "oldStatus": "oldObject.?status.orValue({})",
            "moved": (
                "!variables.governed ? [] : "
                "variables.status.filter(k, variables.oldStatus[?k] != variables.status[?k])"
                " + variables.oldStatus.filter(k, !(k in variables.status))"
            ),
            "ownersPauseEnds": both(
                "variables.moved == ['pauseConditions']",
                "size(variables.status.?pauseConditions.orValue([])) == 0",
                f"variables.oldHold.startsWith({literal(RELEASED)})",
                f"{pauses}.contains({index})",
            ),
        },
        namespaces=ENFORCED,
        rules=_status_rules(),
    )
