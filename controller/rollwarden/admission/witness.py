"""The operator's own record of these policies: written by it alone, also where somebody may write every ConfigMap."""

from __future__ import annotations

from rollwarden.api.names import WITNESS

from .cel import literal, negated, sentence
from .conditions import TIDIES_UP, is_requester
from .identities import Identities
from .policy import Resources, Rule, ValidatingPolicy

SYSTEM_NAMESPACE = "rollwarden-system"


def keep_witness(identities: Identities) -> ValidatingPolicy:
    """Whoever could write the record could hide that a policy was weakened for a while."""
    return ValidatingPolicy(
        name="rollwarden-keep-witness",
        resources=Resources("", "v1", ("configmaps",), ("CREATE", "UPDATE", "DELETE")),
        when={
            "the-witness": f"(oldObject == null ? object : oldObject).metadata.name == {literal(WITNESS)}",
            "not-the-operator": negated(is_requester(identities.operator)),
        },
        namespaces={"matchLabels": {"kubernetes.io/metadata.name": identities.namespace or SYSTEM_NAMESPACE}},
        rules=(
            Rule(
                f"request.operation == 'DELETE' && ({TIDIES_UP})",
                sentence(
                    f"{WITNESS} is written by the operator only: it tells since when the admission policies are intact."
                    " To have approvals count again, put the policies back as installed and approve again"
                ),
            ),
        ),
    )
