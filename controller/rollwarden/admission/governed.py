"""What admission knows of a namespace beside the object at hand: one ConfigMap, which policies read as their param.

CEL cannot look at other objects. The operator keeps the map in every enforced namespace; before it has written one,
the policies that read it stand aside. A list in it is lines between two line ends.
"""

from __future__ import annotations

from rollwarden.api.enums import GROUP, Criticality
from rollwarden.api.names import (
    AGENT_GROUPS,
    AGENT_USERS,
    CRITICALITY,
    GOVERNED_CRITICALITY,
    GOVERNED_LIVE,
    GOVERNED_MAP,
)

from .cel import allowed, both, literal, negated, sentence, strings
from .conditions import REQUEST_NAMESPACE, REQUESTER, TIDIES_UP, is_requester, no_wildcard
from .identities import Identities
from .policy import ENFORCED, Param, Resources, Rule, ValidatingPolicy

MAP = Param("v1", "ConfigMap", GOVERNED_MAP)
TO_AGENTS = "This is a deliberate hold, not a failure: do not retry, delete or recreate; report it to your human."
VERB_TO_DESTROY = f"the verb destroy on workloads (group {GROUP})"
HEAVY = (Criticality.HIGH, Criticality.CRITICAL)


def lines(key: str) -> str:
    """The list under the CEL text ``key``, with empty texts in it."""
    return f"variables.data[?{key}].orValue('').split('\\n')"


def keyed(prefix: str, rollout: str = "r") -> str:
    """The key of a Rollout's entry; ``rollout`` is CEL."""
    return f"({literal(prefix)} + {rollout})"


def level(text: str) -> str:
    """A criticality as somebody wrote it, in lower case."""
    return f"{text}.trim().lowerAscii()"


def rank(text: str) -> str:
    """A criticality as a number; one that nobody said or that cannot be read counts as medium, as it does elsewhere."""
    ranks = ", ".join(f"{literal(each.lower)}: {each.rank}" for each in Criticality)
    return f"{{{ranks}}}[?{level(text)}].orValue({Criticality.MEDIUM.rank})"


def map_variables() -> dict[str, str]:
    """``agent``: the requester is listed as an AI agent. ``rollouts``: the names of those that the map tells of."""
    prefix = literal(GOVERNED_CRITICALITY)
    return {
        "data": "params.?data.orValue({})",
        "agentUsers": lines(literal(AGENT_USERS)),
        "agentGroups": lines(literal(AGENT_GROUPS)),
        "agent": (
            f"{REQUESTER} in variables.agentUsers"
            " || request.userInfo.?groups.orValue([]).exists(g, g in variables.agentGroups)"
        ),
        "rollouts": f"variables.data.map(k, k.startsWith({prefix}), k.substring({len(GOVERNED_CRITICALITY)}))",
        "namespaceLevel": level(f"namespaceObject.metadata.?labels[?{literal(CRITICALITY)}].orValue('')"),
    }


def destruction(touched: str, own_level: str = "''") -> dict[str, str]:
    """Variables about a request that takes Rollouts away from their users: ``touched`` is the CEL list of their names.

    ``own_level`` is what the object at hand says of its criticality itself. ``heavy`` are the high and critical ones;
    the verb for one of them does not do for several.
    """
    heavy = strings(each.lower for each in HEAVY)
    said = f"[variables.data[?{keyed(GOVERNED_CRITICALITY)}].orValue(''), variables.namespaceLevel, {own_level}]"
    return map_variables() | {
        "touched": touched,
        "heavy": f"variables.touched.filter(r, {said}.exists(l, l in {heavy}))",
        "heavyName": "size(variables.heavy) == 1 ? variables.heavy[0] : ''",
        "mayDestroy": both(
            allowed("workloads", "destroy", REQUEST_NAMESPACE, "variables.heavyName"), no_wildcard(REQUEST_NAMESPACE)
        ),
    }


def refusals(deed: str, instead: str, /, **parts: str) -> tuple[Rule, Rule]:
    """Agents never do ``deed``, and for high and critical services it takes a verb.

    ``deed`` is the beginning of a sentence, ``instead`` a sentence; ``parts`` are CEL for the places in both.
    """
    given = {"user": REQUESTER, "namespace": REQUEST_NAMESPACE, "rollout": "variables.touched[0]", **parts}
    return (
        Rule(
            "size(variables.touched) == 0 || !variables.agent",
            sentence(
                f'{deed} is not for AI agents, and {{user}} is listed as one: rollout "{{rollout}}" is governed.'
                f" {instead} {TO_AGENTS}",
                **given,
            ),
        ),
        Rule(
            "size(variables.heavy) == 0 || variables.mayDestroy",
            sentence(
                f'{deed} needs {VERB_TO_DESTROY} in namespace {{namespace}}: rollout "{{rollout}}" is of high or'
                " critical importance. {user} does not hold it, and a wildcard does not count;"
                f" ask a principal (ClusterRole rollwarden-principal or rollwarden-destroyer). {instead}",
                **{**given, "rollout": "variables.heavy[0]"},
            ),
        ),
    )


def is_live(rollout: str = "r") -> str:
    return f"{keyed(GOVERNED_LIVE, rollout)} in variables.data"


def keep_governed_map(identities: Identities) -> ValidatingPolicy:
    """Whoever could write the map could take agents off the list, or services off the guarded ones."""
    return ValidatingPolicy(
        name="rollwarden-keep-governed-map",
        resources=Resources("", "v1", ("configmaps",), ("CREATE", "UPDATE", "DELETE")),
        when={
            "the-governed-map": (
                f"(oldObject == null ? object.metadata.name : oldObject.metadata.name) == {literal(GOVERNED_MAP)}"
            ),
            "not-the-operator": negated(is_requester(identities.operator)),
        },
        namespaces=ENFORCED,
        rules=(
            Rule(
                f"request.operation == 'DELETE' && ({TIDIES_UP})",
                sentence(
                    f"{GOVERNED_MAP} is written by the operator only: it tells admission what runs in this namespace."
                    " Change the Rollouts, the ServiceProfiles or the GuardrailPolicy; the map follows"
                ),
            ),
        ),
    )
