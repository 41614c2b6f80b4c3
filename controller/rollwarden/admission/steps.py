"""Steps of a canary in short, such as ``weight 20, pause 10m``: CEL can neither hash a list nor write it as JSON.

What a step of another kind than weight, pause, scale or analysis says in detail is not told apart.
"""

from __future__ import annotations

from rollwarden.api.names import DROPPED_EDIT

from .cel import literal, sentence
from .conditions import NAMESPACE, ROLLOUT, ROLLOUT_UPDATES, annotation, not_argo, not_operator
from .identities import Identities
from .policy import NOT_OFF, Rule, ValidatingPolicy

LONGEST = 1024
"""Characters."""

_TEMPLATES = "{where}.?templates.orValue([]).map(t, ' ' + t.?templateName.orValue('')).join('')"
_STEP = (
    "has(s.setWeight) ? 'weight ' + string(s.setWeight)"
    " : has(s.pause) ? 'pause' + (has(s.pause.duration) ? ' ' + string(s.pause.duration) : '')"
    " : has(s.setCanaryScale) ? 'scale'"
    " + (has(s.setCanaryScale.replicas) ? ' ' + string(s.setCanaryScale.replicas) : '')"
    " + (has(s.setCanaryScale.weight) ? ' ' + string(s.setCanaryScale.weight) + ' %' : '')"
    f" : has(s.analysis) ? 'analysis' + {_TEMPLATES.format(where='s.analysis')}"
    " : has(s.experiment) ? 'experiment' : has(s.setHeaderRoute) ? 'header route'"
    " : has(s.setMirrorRoute) ? 'mirror route' : has(s.plugin) ? 'plugin' : 'another step'"
)


def in_short(steps: str, owner: str) -> str:
    """The CEL list ``steps`` and the background analysis of the Rollout ``owner`` as one text, never empty."""
    analysis = f"{owner}.spec.?strategy.?canary.?analysis"
    background = f"'; background analysis' + {_TEMPLATES.format(where=analysis)}"
    return (
        f"(size({steps}) == 0 ? 'no steps' : {steps}.map(s, {_STEP}).join(', '))"
        f" + ({analysis}.hasValue() ? {background} : '')"
    )


def bounded(text: str) -> str:
    """The beginning of a CEL text."""
    return f"(size({text}) > {LONGEST} ? {text}.substring(0, {LONGEST}) : {text})"


def announce_dropped_edit(identities: Identities) -> ValidatingPolicy:
    """Whoever edits steps that stay reads so at once, and once: the same edit again is nothing new."""
    dropped = annotation("metadata.?annotations.orValue({})", DROPPED_EDIT)
    return ValidatingPolicy(
        name="rollwarden-announce-dropped-edit",
        resources=ROLLOUT_UPDATES,
        when={
            **not_operator(identities),
            **not_argo(identities),
            "edit-dropped": f"object.{dropped}.hasValue() && object.{dropped} != oldObject.{dropped}",
        },
        namespaces=NOT_OFF,
        action="Warn",
        rules=(
            Rule(
                "false",
                sentence(
                    'your edit of the steps of rollout "{rollout}" was not taken ({edit}): steps and analysis stay'
                    " while a revision is held or under way, and after a rollback. Apply it again when that has ended:"
                    " kubectl rollwarden explain {rollout} -n {namespace}",
                    rollout=ROLLOUT,
                    namespace=NAMESPACE,
                    edit=f"object.metadata.annotations[{literal(DROPPED_EDIT)}]",
                ),
            ),
        ),
    )
