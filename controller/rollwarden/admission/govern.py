"""Who writes the rules: policies are their principals', and neither agents nor wildcards loosen what services say."""

from __future__ import annotations

from rollwarden.api.enums import GROUP, VERSION, Criticality, Mode
from rollwarden.api.names import CRITICALITY, EDITED_BY, MODE_LABEL

from .cel import allowed, both, either, literal, mapping, negated, sentence
from .conditions import (
    REQUEST_NAMESPACE,
    REQUESTER,
    TIDIES_UP,
    annotation,
    annotation_text,
    is_requester,
    no_wildcard,
)
from .governed import MAP, TO_AGENTS, level, map_variables, rank
from .identities import Identities
from .patches import ANNOTATIONS_EXIST, settle
from .policy import ENFORCED, MutatingPolicy, Resources, Rule, ValidatingPolicy

WRITES = ("CREATE", "UPDATE", "DELETE")
CLUSTER = "''"
"""The namespace of a check that a RoleBinding does not pass."""
VERB_TO_LOOSEN = f"the verb loosen on modes (group {GROUP})"

_NAME = "(oldObject == null ? object.metadata.name : oldObject.metadata.name)"
_SPEC_WRITTEN = "oldObject == null || object.?spec != oldObject.?spec"
_ANNOTATIONS = {
    "created": "oldObject == null",
    "annotations": "object.metadata.?annotations.orValue({})",
    "oldAnnotations": "variables.created ? {} : oldObject.metadata.?annotations.orValue({})",
    "specWritten": _SPEC_WRITTEN,
    "editor": (f"variables.specWritten ? {REQUESTER} : {annotation_text('variables.oldAnnotations', EDITED_BY)}"),
}


def stamp_editor() -> MutatingPolicy:
    """A GuardrailPolicy says who wrote its spec last, whatever the payload says."""
    return MutatingPolicy(
        name="rollwarden-stamp-editor",
        resources=Resources(GROUP, VERSION, ("guardrailpolicies",), ("CREATE", "UPDATE")),
        variables=_ANNOTATIONS | {"wanted": mapping({EDITED_BY: "variables.editor"})},
        patches=(ANNOTATIONS_EXIST, settle("variables.wanted")),
    )


def guard_policy(identities: Identities) -> ValidatingPolicy:
    """Policies are written by whoever holds a verb of its own; what was accepted of one is the operator's to say."""
    said = {"name": _NAME, "user": REQUESTER}
    return ValidatingPolicy(
        name="rollwarden-guard-policy",
        resources=Resources(GROUP, VERSION, ("guardrailpolicies", "guardrailpolicies/*"), WRITES),
        when={"not-the-operator-in-the-status": negated(both(_IN_STATUS, is_requester(identities.operator)))},
        variables=_ANNOTATIONS
        | {
            "status": _IN_STATUS,
            "deleted": "request.operation == 'DELETE'",
            "mayGovern": both(allowed("policies", "govern", CLUSTER, _NAME), no_wildcard(CLUSTER)),
        },
        rules=(
            Rule(
                "!variables.status",
                sentence(
                    "only the operator writes the status of a GuardrailPolicy:"
                    " the spec that it accepted there stays in force; edit the spec of {name} instead",
                    **said,
                ),
            ),
            Rule(
                "variables.status || !(variables.deleted || variables.specWritten) || variables.mayGovern",
                sentence(
                    f"writing GuardrailPolicy {{name}} needs the verb govern on policies (group {GROUP}) in the whole"
                    " cluster, which {user} does not hold, and a wildcard does not count: ask a principal"
                    " (ClusterRole rollwarden-principal, bound by a ClusterRoleBinding); an account that applies"
                    " policies from Git may be granted it on purpose",
                    **said,
                ),
            ),
            Rule(
                "variables.status || variables.deleted"
                f" || {annotation_text('variables.annotations', EDITED_BY)} == variables.editor",
                sentence(
                    f"{EDITED_BY} on GuardrailPolicy {{name}} does not name who wrote its spec: the policy"
                    " rollwarden-stamp-editor is missing or unbound; ask whoever runs Rollwarden here",
                    **said,
                ),
            ),
        ),
    )


_IN_STATUS = "request.?subResource.orValue('') != ''"
_PROFILES = ("serviceprofiles",)


def guard_profile() -> ValidatingPolicy:
    """What a service says of itself is for people to say."""
    return ValidatingPolicy(
        name="rollwarden-guard-profile",
        resources=Resources(GROUP, VERSION, _PROFILES, WRITES),
        param=MAP,
        when={"spec-changes": f"request.operation == 'DELETE' || {_SPEC_WRITTEN}"},
        variables=map_variables(),
        namespaces=ENFORCED,
        rules=(
            Rule(
                "!variables.agent",
                sentence(
                    "writing ServiceProfile {name} is not for AI agents, and {user} is listed as one: it says how"
                    f" critical a service is and what counts as harm. Propose the edit to its owners. {TO_AGENTS}",
                    name=_NAME,
                    user=REQUESTER,
                ),
            ),
        ),
    )


def keep_profile_criticality() -> ValidatingPolicy:
    """A ServiceProfile is lowered, narrowed where it matters, or taken away by whoever may loosen."""
    said = "spec.?criticality.orValue('')"
    lowered = f"({rank(f'object.?{said}')}) < ({rank(f'oldObject.?{said}')})"
    narrowed = both(
        f"({rank(f'oldObject.?{said}')}) > {Criticality.MEDIUM.rank}",
        "object.?spec.?rolloutSelector != oldObject.?spec.?rolloutSelector",
    )
    removed = both("request.operation == 'DELETE'", f"({rank(f'oldObject.?{said}')}) > {Criticality.MEDIUM.rank}")
    return ValidatingPolicy(
        name="rollwarden-keep-profile-criticality",
        resources=Resources(GROUP, VERSION, _PROFILES, ("UPDATE", "DELETE")),
        when={"loosens": f"request.operation == 'DELETE' ? ({removed}) : ({either(lowered, narrowed)})"},
        variables={
            "tidying": f"request.operation == 'DELETE' && ({TIDIES_UP})",
            "mayLoosen": both(allowed("modes", "loosen", REQUEST_NAMESPACE), no_wildcard(REQUEST_NAMESPACE)),
        },
        namespaces=ENFORCED,
        rules=(
            Rule(
                "variables.tidying || variables.mayLoosen",
                sentence(
                    "ServiceProfile {name} keeps its criticality {level} and whom it is for: lowering, narrowing or"
                    f" removing it needs {VERB_TO_LOOSEN} in namespace {{namespace}}, which {{user}} does not hold,"
                    " and a wildcard does not count; ask a principal (ClusterRole rollwarden-principal)",
                    name="oldObject.metadata.name",
                    level=level(f"oldObject.?{said}"),
                    namespace=REQUEST_NAMESPACE,
                    user=REQUESTER,
                ),
            ),
        ),
    )


def keep_namespace_criticality() -> ValidatingPolicy:
    """What an enforced namespace says for all its services is lowered by whoever may loosen."""
    label = f"metadata.?labels[?{literal(CRITICALITY)}].orValue('')"
    name = "object.metadata.name"
    return ValidatingPolicy(
        name="rollwarden-keep-namespace-criticality",
        resources=Resources("", "v1", ("namespaces",), ("UPDATE",)),
        when={
            "enforced": annotation("oldObject.metadata.?labels.orValue({})", MODE_LABEL)
            + f".orValue('') == {literal(Mode.ENFORCE.lower)}",
            "lowered": f"({rank(f'object.{label}')}) < ({rank(f'oldObject.{label}')})",
        },
        rules=(
            Rule(
                both(allowed("modes", "loosen", name), no_wildcard(name)),
                sentence(
                    f"lowering {CRITICALITY} of namespace {{name}}, or removing it, needs {VERB_TO_LOOSEN} there,"
                    " which {user} does not hold, and a wildcard does not count: ask a principal"
                    " (ClusterRole rollwarden-principal)",
                    name=name,
                    user=REQUESTER,
                ),
            ),
        ),
    )
