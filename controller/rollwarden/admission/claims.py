"""Claims stay as they were made while their change lives: they may say more, and worse, but not less.

A new template may carry other claims; what they are worth is decided with it.
"""

from __future__ import annotations

from rollwarden.api import names
from rollwarden.api.enums import Autonomy, Criticality

from .cel import both, either, literal, mapping, negated, sentence, strings
from .conditions import (
    NAMESPACE,
    REQUESTER,
    ROLLOUT,
    ROLLOUT_UPDATES,
    new_revision,
    not_argo,
    not_deleted,
    not_operator,
    rollout_variables,
)
from .governed import MAP, TO_AGENTS, map_variables, rank
from .identities import Identities
from .policy import ENFORCED, Rule, ValidatingPolicy

LISTS = (names.TOOLS, names.AREAS, names.AUTHORS, names.COMMITS)
LONGEST = 1024
MOST_ITEMS = 64
"""Of a longer list, or a longer value, not everything is read any more."""

_WORSE = {
    names.ORIGIN: "only to ai",
    names.AUTONOMY: "only to a higher one",
    names.CRITICALITY: "only to a higher one",
    names.TESTS: "only to failed",
    **dict.fromkeys(LISTS, "only by more entries, at most 64 in 1024 characters"),
}
_NEW_RULE = {
    names.ORIGIN: "only as ai",
    names.AUTONOMY: "only as assisted or agent",
    names.CRITICALITY: "only as medium or higher",
    names.SHARE: "only with a new template",
    names.SUBJECT: "only where it lends no weight to an origin, autonomy or share that did not count",
}


def _words(entries: dict[str, int]) -> str:
    return mapping({word: str(number) for word, number in entries.items()})


UNSAID = Autonomy.ASSISTED.rank
"""What silence about either counts as: AI code is assisted, and a service is of medium criticality."""
_AUTONOMY = {each.lower: each.rank for each in Autonomy}
_CRITICALITY = {each.lower: each.rank for each in Criticality}


def _higher(ranks: dict[str, int]) -> str:
    """The new word is known, and not below the old one."""
    known = _words(ranks)
    now, was = (f"{known}[?{_word(f'variables.{when}[k]')}]" for when in ("now", "was"))
    return f"{now}.orValue(-1) >= {was}.orValue({UNSAID})"


def _word(text: str) -> str:
    return f"{text}.lowerAscii()"


def _listed(text: str) -> str:
    return f"{text}.split(',').map(i, i.trim())"


def _tightens() -> str:
    """Whether the claim under ``k``, which was there before, now says something stricter."""
    grown = both(
        # also keeps the comparison below within what an expression may cost
        f"size(variables.was[k]) <= {LONGEST}",
        f"size(variables.now[k]) <= {LONGEST}",
        f"size({_listed('variables.now[k]')}) <= {MOST_ITEMS}",
        f"{_listed('variables.was[k]')}.all(i, i in {_listed('variables.now[k]')})",
    )
    key = "k == {}".format
    return either(
        both(key(literal(names.ORIGIN)), f"{_word('variables.now[k]')} == 'ai'"),
        both(key(literal(names.AUTONOMY)), _higher(_AUTONOMY)),
        both(key(literal(names.CRITICALITY)), _higher(_CRITICALITY)),
        both(key(literal(names.TESTS)), f"{_word('variables.now[k]')} == 'failed'"),
        both(f"k in {strings(LISTS)}", grown),
    )


def _loosens_anew() -> str:
    """Whether the claim under ``k``, which was not there before, says less than silence did."""
    return either(
        both(f"k == {literal(names.ORIGIN)}", f"{_word('variables.now[k]')} != 'ai'"),
        both(f"k == {literal(names.AUTONOMY)}", f"!({_word('variables.now[k]')} in {strings(('assisted', 'agent'))})"),
        both(f"k == {literal(names.CRITICALITY)}", f"{_word('variables.now[k]')} == {literal(Criticality.LOW.lower)}"),
        f"k == {literal(names.SHARE)}",
        both(f"k == {literal(names.SUBJECT)}", "variables.unbacked"),
    )


def _unbacked() -> str:
    """A claim stands that would begin to count beside a subject, and would loosen."""
    origin, autonomy = (f"variables.was[?{literal(key)}].orValue('')" for key in (names.ORIGIN, names.AUTONOMY))
    return either(
        f"!({_word(origin)} in ['', 'ai'])",
        f"{_word(autonomy)} == {literal(Autonomy.SUGGESTION.lower)}",
        f"{literal(names.SHARE)} in variables.was",
    )


def _claims(annotations: str) -> str:
    """The keys among the CEL map's that are claims."""
    prefixes = either(*(f"k.startsWith({literal(p)})" for p in (names.PROVENANCE_PREFIX, names.EVIDENCE_PREFIX)))
    return f"{annotations}.filter(k, {prefixes} || k == {literal(names.CRITICALITY)})"


def _said(annotations: str) -> str:
    """The CEL map's texts as they are read."""
    return f"{annotations}.transformMap(k, v, v.trim())"


def keep_claims(identities: Identities) -> ValidatingPolicy:
    """What a held or running revision says of itself is not made better after the fact."""
    raw, old_raw = "variables.annotations", "variables.oldAnnotations"
    rules_of = f"{mapping({key: literal(text) for key, text in _WORSE.items()})}[?variables.weakened[0]]"
    new_rules_of = f"{mapping({key: literal(text) for key, text in _NEW_RULE.items()})}[variables.excuses[0]]"
    parts = {"rollout": ROLLOUT, "namespace": NAMESPACE}
    tail = (
        ' while a revision of "{rollout}" is held, under way or rolled back. Apply what you had before,'
        " or other claims together with a new template: kubectl rollwarden explain {rollout} -n {namespace}"
    )
    return ValidatingPolicy(
        name="rollwarden-keep-claims",
        resources=ROLLOUT_UPDATES,
        when={
            **not_operator(identities),
            **not_argo(identities),
            **not_deleted(),
            "same-revision": negated(new_revision(identities)),
            "annotations-change": "object.metadata.?annotations != oldObject.metadata.?annotations",
        },
        variables=rollout_variables(identities)
        | {
            "was": _said(old_raw),
            "now": _said(raw),
            "unbacked": _unbacked(),
            "weakened": (
                f"!variables.governed ? [] : {_claims(old_raw)}"
                f".filter(k, {raw}[?k] != {old_raw}[?k] && !(k in {raw} && ({_tightens()})))"
            ),
            "excuses": (
                f"!variables.governed ? [] : {_claims(raw)}.filter(k, !(k in {old_raw}) && ({_loosens_anew()}))"
            ),
        },
        namespaces=ENFORCED,
        rules=(
            Rule(
                "size(variables.weakened) == 0",
                sentence(
                    "the claim {key} stays: it changes {how}" + tail,
                    key="variables.weakened[0]",
                    how=f"{rules_of}.orValue('only with a new template')",
                    **parts,
                ),
            ),
            Rule(
                "size(variables.excuses) == 0",
                sentence(
                    "the claim {key} comes too late: it is added {how}" + tail,
                    key="variables.excuses[0]",
                    how=new_rules_of,
                    **parts,
                ),
            ),
        ),
    )


def _criticality(owner: str, where: str) -> str:
    return f"{owner}.metadata.?{where}[?{literal(names.CRITICALITY)}].orValue('')"


def keep_criticality(identities: Identities) -> ValidatingPolicy:
    """An AI agent does not make a service less important, with a new template or without."""
    lowered = (
        f"({rank(_criticality('object', where))}) < ({rank(_criticality('oldObject', where))})"
        for where in ("annotations", "labels")
    )
    return ValidatingPolicy(
        name="rollwarden-keep-criticality",
        resources=ROLLOUT_UPDATES,
        param=MAP,
        when={**not_operator(identities), **not_argo(identities), "lowered": either(*lowered)},
        variables=map_variables(),
        namespaces=ENFORCED,
        rules=(
            Rule(
                "!variables.agent",
                sentence(
                    f'lowering {names.CRITICALITY} of rollout "{{rollout}}" is not for AI agents, and {{user}} is'
                    f" listed as one; leave it as it was. {TO_AGENTS}",
                    rollout=ROLLOUT,
                    user=REQUESTER,
                ),
            ),
        ),
    )
