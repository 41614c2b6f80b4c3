"""Services that finish one canary before the next begins: a new template waits outside until then."""

from __future__ import annotations

from rollwarden.api.names import GOVERNED_TRAIN

from .cel import literal, sentence
from .conditions import NAMESPACE, ROLLOUT, ROLLOUT_UPDATES, new_revision, not_argo, not_operator, rollout_variables
from .governed import MAP, TO_AGENTS, map_variables
from .identities import Identities
from .policy import ENFORCED, Rule, ValidatingPolicy


def await_train(identities: Identities) -> ValidatingPolicy:
    """A template that comes while a canary is under way is refused, with the time it takes; break-glass passes."""
    says = sentence(
        '"{rollout}" takes no new template while a canary is under way ({phrase}): apply it again then;'
        " to return to stable at once: kubectl rollwarden abort {rollout} -n {namespace}",
        rollout=ROLLOUT,
        namespace=NAMESPACE,
        phrase="variables.train",
    )
    return ValidatingPolicy(
        name="rollwarden-await-train",
        resources=ROLLOUT_UPDATES,
        param=MAP,
        when={
            **not_operator(identities),
            **not_argo(identities),
            "new-revision": new_revision(identities),
            # the map may be older than the abort: nothing is under way any more
            "not-aborted": "!oldObject.?status.?abort.orValue(false)",
            "canary-under-way": f"({literal(GOVERNED_TRAIN)} + {ROLLOUT}) in params.?data.orValue({{}})",
        },
        variables=rollout_variables(identities)
        | map_variables()
        | {"train": f"params.data[{literal(GOVERNED_TRAIN)} + {ROLLOUT}]"},
        namespaces=ENFORCED,
        rules=(
            Rule(
                "variables.breakGlass",
                f"{says} + (variables.agent ? {literal('. ' + TO_AGENTS)} : '')",
            ),
        ),
    )
