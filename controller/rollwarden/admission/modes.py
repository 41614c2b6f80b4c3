"""What people read when they apply, and who may loosen a namespace's mode."""

from __future__ import annotations

from rollwarden.api.enums import GROUP, Mode
from rollwarden.api.names import BREAK_GLASS, BREAK_GLASS_BY, MODE_LABEL

from .cel import allowed, both, either, literal, sentence, strings
from .conditions import (
    NAMESPACE,
    REQUESTER,
    ROLLOUT,
    ROLLOUT_WRITES,
    annotation_text,
    new_revision,
    no_wildcard,
    not_argo,
    not_operator,
    rollout_variables,
)
from .identities import Identities
from .policy import NOT_OFF, Resources, Rule, ValidatingPolicy

MODES = tuple(mode.lower for mode in Mode)
LABEL = f"[?{literal(MODE_LABEL)}]"


def _says(template: str, **parts: str) -> str:
    return sentence(template, rollout=ROLLOUT, namespace=NAMESPACE, user=REQUESTER, **parts)


def announce_hold(identities: Identities) -> ValidatingPolicy:
    """One line at apply time: held, released by break-glass, or merely watched."""
    help_text = "kubectl rollwarden explain {rollout} -n {namespace}"
    held = _says(
        'rollout "{rollout}" is held at 0 new pods until Rollwarden has decided; what runs keeps serving and scaling. '
        "Who must approve, if anyone: " + help_text
    )
    first = _says(
        'rollout "{rollout}" is new: its first revision is held at 0 pods until Rollwarden has decided. '
        "Who must approve, if anyone: " + help_text
    )
    released = _says(
        'BREAK-GLASS: {user} released rollout "{rollout}" without approval: "{why}". '
        "The judge still watches and will act on regression. A principal owes a review: " + help_text,
        why=annotation_text("variables.annotations", BREAK_GLASS),
    )
    watched = _says(
        'rollout "{rollout}" runs as written: Rollwarden only watches namespace {namespace} (mode observe). '
        "What it would ask for: " + help_text
    )
    reason = f"metadata.?annotations[{literal(BREAK_GLASS)}]"
    enforced = f"namespaceObject.metadata.?labels{LABEL}.orValue('') == {literal(Mode.ENFORCE.lower)}"
    return ValidatingPolicy(
        name="rollwarden-announce-hold",
        resources=ROLLOUT_WRITES,
        when={
            **not_operator(identities),
            **not_argo(identities),
            "worth-a-word": either(
                "oldObject == null", new_revision(identities), f"object.{reason} != oldObject.{reason}"
            ),
        },
        variables=rollout_variables(identities)
        | {
            "glassBroken": both(
                "variables.breakGlassAsked",
                f"{annotation_text('variables.annotations', BREAK_GLASS_BY)} == {REQUESTER}",
                either("variables.newRevision", "variables.wasHeld", "variables.planStands"),
            ),
        },
        namespaces=NOT_OFF,
        action="Warn",
        rules=(
            Rule(
                "!variables.newRevision && !variables.glassBroken",
                f"variables.glassBroken ? {released} : !({enforced}) ? {watched}"
                f" : variables.created ? {first} : {held}",
            ),
        ),
    )


def _rank(labels: str) -> str:
    """How strict a namespace is; an absent label, or one of no known value, is observe."""
    value = f"{labels}.metadata.?labels{LABEL}.orValue('')"
    return f"{value} == {literal(Mode.ENFORCE.lower)} ? 2 : {value} == {literal(Mode.OFF.lower)} ? 0 : 1"


def guard_mode() -> ValidatingPolicy:
    """Anyone who may edit a namespace may make it stricter; looser takes a verb, which no wildcard implies."""
    name = "object.metadata.name"
    return ValidatingPolicy(
        name="rollwarden-guard-mode",
        resources=Resources("", "v1", ("namespaces",), ("CREATE", "UPDATE")),
        when={
            "mode-changes": f"oldObject == null ? object.metadata.?labels{LABEL}.hasValue()"
            f" : object.metadata.?labels{LABEL} != oldObject.metadata.?labels{LABEL}"
        },
        variables={
            "mode": f"object.metadata.?labels{LABEL}.orValue({literal(Mode.OBSERVE.lower)})",
            "oldMode": f"oldObject.metadata.?labels{LABEL}.orValue({literal(Mode.OBSERVE.lower)})",
            "looser": f"oldObject != null && ({_rank('object')}) < ({_rank('oldObject')})",
            "mayLoosen": both(allowed("modes", "loosen", name), no_wildcard(name)),
        },
        rules=(
            Rule(
                f"variables.mode in {strings(MODES)}",
                sentence(f"{MODE_LABEL} is one of {', '.join(MODES)}; {{mode}} is none of them", mode="variables.mode"),
            ),
            Rule(
                "!variables.looser || variables.mayLoosen",
                sentence(
                    f"loosening {MODE_LABEL} of namespace {{name}} from {{old}} to {{new}} needs the verb loosen"
                    f" on modes (group {GROUP}), and a wildcard does not count: ask a principal"
                    " (ClusterRole rollwarden-principal); to uninstall, delete the binding rollwarden-guard-mode first",
                    name=name,
                    old="variables.oldMode",
                    new="variables.mode",
                ),
            ),
        ),
    )
