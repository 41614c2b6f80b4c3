"""The records of a decision: Approvals speak for whoever made them and stay; Changes are the operator's."""

from __future__ import annotations

from rollwarden.api.enums import GROUP, VERSION, Decision, Tier
from rollwarden.api.names import APPROVAL_PREFIX, approval_annotation

from .cel import allowed, either, literal, sentence, strings
from .conditions import (
    NAMESPACE,
    REQUESTER,
    ROLLOUT,
    ROLLOUT_WRITES,
    TIDIES_UP,
    is_requester,
    no_wildcard,
    not_operator,
    rollout_variables,
)
from .identities import Identities
from .patches import add
from .policy import ENFORCED, MutatingPolicy, Resources, Rule, ValidatingPolicy

APPROVER = "/spec/approver"
SERVICE_ACCOUNTS = "system:serviceaccount:"
IS_PERSON = f"!{REQUESTER}.startsWith({literal(SERVICE_ACCOUNTS)})"
TIERS = ", ".join(tier.lower for tier in Tier)


def _says(template: str, **parts: str) -> str:
    return sentence(template, user=REQUESTER, namespace=NAMESPACE, **parts)


def _holds(tier: str, namespace: str) -> str:
    """The requester may approve at the tier that the CEL expression ``tier`` names in lower case."""
    return allowed("tiers", "approve", namespace, tier)


def _records(*names: str, operations: tuple[str, ...]) -> Resources:
    return Resources(GROUP, VERSION, names, operations)


TIER_RULE = (
    f"{{user}} does not hold tier {{tier}} in namespace {{namespace}} (verb approve on tiers, group {GROUP});"
    " kubectl rollwarden inbox shows what waits for you"
)
PERSON_RULE = "approvals are given by people; {user} is a service account: approve as yourself"
REVIEW_RULE = (
    f"{{user}} does not hold the verb review on holds (group {GROUP}) in namespace {{namespace}}, by which the review"
    " of a break-glass is closed; ask a principal (ClusterRole rollwarden-principal)"
)
WILDCARD_RULE = (
    "{user} may do everything here, and a wildcard is not a tier: bind the ClusterRole of a tier to a person instead"
)


def stamp_approver() -> MutatingPolicy:
    """Whatever the payload says, the approver is who sent the request."""
    uid = "request.userInfo.?uid.orValue('')"
    return MutatingPolicy(
        name="rollwarden-stamp-approver",
        resources=_records("approvals", operations=("CREATE",)),
        when={"has-a-spec": "has(object.spec)"},
        patches=(
            f"[{add(APPROVER, '{}')}, {add(f'{APPROVER}/user', REQUESTER)}, {add(f'{APPROVER}/groups', '[]')}]",
            f"{uid} == '' ? [] : [{add(f'{APPROVER}/uid', uid)}]",
            f"request.userInfo.?groups.orValue([]).map(g, {add(f'{APPROVER}/groups/-', 'g')})",
        ),
    )


def guard_approval(identities: Identities) -> ValidatingPolicy:
    """An approval counts for a tier its author holds as an RBAC verb, and is never rewritten."""
    references = "metadata.?ownerReferences"
    return ValidatingPolicy(
        name="rollwarden-guard-approval",
        resources=_records("approvals", "approvals/*", operations=("CREATE", "UPDATE")),
        variables={
            "created": "oldObject == null",
            "operator": is_requester(identities.operator),
            "tier": "object.spec.tier.lowerAscii()",
        },
        rules=(
            Rule(
                "request.?subResource.orValue('') == '' || variables.operator",
                _says("only the operator answers an approval in its status; it has no authority"),
            ),
            Rule(
                f"!variables.created || object.spec.?approver.?user.orValue('') == {REQUESTER}",
                _says(
                    "an approval speaks for {user} only, and this one does not:"
                    " the policy rollwarden-stamp-approver is missing or unbound; ask whoever runs Rollwarden here"
                ),
            ),
            Rule(f"!variables.created || {IS_PERSON}", _says(PERSON_RULE)),
            Rule(
                f"!variables.created || {_holds('variables.tier', NAMESPACE)}",
                _says(TIER_RULE, tier="variables.tier"),
            ),
            Rule(f"!variables.created || {no_wildcard(NAMESPACE)}", _says(WILDCARD_RULE)),
            Rule(
                f"!variables.created || object.spec.decision != {literal(str(Decision.REVIEW))}"
                f" || {allowed('holds', 'review', NAMESPACE)}",
                _says(REVIEW_RULE),
            ),
            Rule(
                "variables.created || object.spec == oldObject.spec",
                _says("an approval is not rewritten; make another one, or reject: kubectl rollwarden reject"),
            ),
            Rule(
                f"variables.operator || (variables.created ? !object.{references}.hasValue()"
                f" : object.{references} == oldObject.{references})",
                _says("only the operator ties an approval to its change; leave ownerReferences alone"),
            ),
        ),
    )


def keep_approval() -> ValidatingPolicy:
    """What somebody approved stays on record."""
    return ValidatingPolicy(
        name="rollwarden-keep-approval",
        resources=_records("approvals", operations=("DELETE",)),
        rules=(
            Rule(
                TIDIES_UP,
                sentence('approvals stay on record; to take yours back: kubectl rollwarden reject -m "why"'),
            ),
        ),
    )


def keep_changes(identities: Identities) -> ValidatingPolicy:
    """Aggregated roles of namespace admins do not reach what the operator has seen and decided."""
    return ValidatingPolicy(
        name="rollwarden-keep-changes",
        resources=_records("changes", "changes/*", operations=("CREATE", "UPDATE", "DELETE")),
        when=not_operator(identities),
        rules=(
            Rule(
                f"request.operation == 'DELETE' && ({TIDIES_UP})",
                sentence(
                    "changes are written by the operator only: they say what it saw and decided."
                    " To decide, kubectl rollwarden approve or reject; to stop one, kubectl rollwarden abort"
                ),
            ),
        ),
    )


def _annotation_rules() -> tuple[Rule, ...]:
    key = "variables.written[0]"
    tiers = [
        Rule(
            f"!({literal(approval_annotation(tier))} in variables.written) || {_holds(literal(tier.lower), NAMESPACE)}",
            _says(TIER_RULE, tier=literal(tier.lower)),
        )
        for tier in Tier
    ]
    return (
        Rule(
            f"variables.written.all(k, k in {strings(approval_annotation(tier) for tier in Tier)})",
            _says("{key} names no tier; the tiers are " + TIERS, key=key),
        ),
        Rule(
            "variables.written.all(k, variables.annotations[k].startsWith(variables.author)"
            " && variables.annotations[k].substring(size(variables.author)).matches('^(sha256:)?[0-9a-f]{32,64}$'))",
            _says(
                '{key} speaks for its author only and reads "{user} <template digest, 32 hex or more>";'
                " kubectl rollwarden approve {rollout} -n {namespace} writes it for you",
                key=key,
                rollout=ROLLOUT,
            ),
        ),
        Rule(f"size(variables.written) == 0 || {IS_PERSON}", _says(PERSON_RULE)),
        Rule(f"size(variables.written) == 0 || {no_wildcard(NAMESPACE)}", _says(WILDCARD_RULE)),
        *tiers,
        Rule(
            "variables.newRevision || variables.lost.all(k, variables.oldAnnotations[k].startsWith(variables.author))",
            _says(
                "{key} is somebody else's approval and stays; yours goes beside it:"
                " kubectl rollwarden approve {rollout} -n {namespace}",
                key="variables.lost[0]",
                rollout=ROLLOUT,
            ),
        ),
    )


def guard_approval_annotation(identities: Identities) -> ValidatingPolicy:
    """An approval by annotation is admitted only from the person it names, at a tier that person holds."""
    mine = f"k.startsWith({literal(APPROVAL_PREFIX)}) && variables.annotations[?k] != variables.oldAnnotations[?k]"
    return ValidatingPolicy(
        name="rollwarden-guard-approval-annotation",
        resources=ROLLOUT_WRITES,
        when={
            **not_operator(identities),
            "carries-approval": either(
                *(
                    f"{owner}.metadata.?annotations.orValue({{}}).exists(k, k.startsWith({literal(APPROVAL_PREFIX)}))"
                    for owner in ("object", "oldObject != null && oldObject")
                )
            ),
        },
        variables=rollout_variables(identities)
        | {
            "author": f"{REQUESTER} + ' '",
            "written": f"variables.annotations.filter(k, {mine})",
            "lost": f"variables.oldAnnotations.filter(k, {mine})",
        },
        namespaces=ENFORCED,
        rules=_annotation_rules(),
    )
