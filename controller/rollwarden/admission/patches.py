"""JSONPatch lists in CEL, as used by more than one mutating policy.

A list of typed objects as one patch value crashes the request in kube-apiserver 1.36; a list is therefore written as an
empty one and then filled element by element.
"""

from __future__ import annotations

from rollwarden.api.names import BREAK_GLASS_BY, HOLD

from .cel import literal
from .conditions import BARRIER_LENGTH, REQUESTER, is_indefinite_pause

STEPS = "/spec/strategy/canary/steps"
STEP = "Object.spec.strategy.canary.steps"


def pointer(key: str) -> str:
    """JSON pointer to an annotation with a key known when the policy is written."""
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")


ANY_POINTER = "'/metadata/annotations/' + jsonpatch.escapeKey(k)"


def add(path: str, value: str) -> str:
    return f"JSONPatch{{op: 'add', path: {literal(path)}, value: {value}}}"


def remove(path: str) -> str:
    return f"JSONPatch{{op: 'remove', path: {literal(path)}}}"


def only_if(condition: str, *operations: str) -> str:
    """The operations when the condition holds, else none."""
    return f"{condition} ? [{', '.join(operations)}] : []"


ANNOTATIONS_EXIST = only_if("!has(object.metadata.annotations)", add("/metadata/annotations", "{}"))


def settle(wanted: str) -> str:
    """Annotations become what the CEL map ``wanted`` says; an empty text removes the annotation."""
    return (
        f"{wanted}.map(k, {wanted}[k] != '', JSONPatch{{op: 'add', path: {ANY_POINTER}, value: {wanted}[k]}})"
        f" + {wanted}.map(k, {wanted}[k] == '' && k in variables.annotations,"
        f" JSONPatch{{op: 'remove', path: {ANY_POINTER}}})"
    )


def put_back(keys: str) -> str:
    """Annotations among ``keys`` that this write drops return with their old values."""
    return (
        f"{keys}.map(k, k in variables.oldAnnotations && !(k in variables.annotations),"
        f" JSONPatch{{op: 'add', path: {ANY_POINTER}, value: variables.oldAnnotations[k]}})"
    )


BARRIER = (
    f"(size(variables.steps) > 0 ? [] : [{add(STEPS, '[]')}]) + "
    f"[{add(f'{STEPS}/0', f'{STEP}{{pause: {STEP}.pause{{}}}}')}, {add(f'{STEPS}/0', f'{STEP}{{setWeight: 0}}')}]"
)


def without_barrier(steps: str) -> str:
    """Takes the barrier off a list that starts with it; a list that is nothing else goes altogether."""
    first = remove(f"{STEPS}/0")
    return f"size({steps}) > {BARRIER_LENGTH} ? [{first}, {first}] : [{remove(STEPS)}]"


def without_gates(steps: str) -> str:
    """Leaves the steps but those that wait for somebody to end them."""
    pause = is_indefinite_pause("s")
    kept = f"{steps}.map(s, !({pause}), JSONPatch{{op: 'add', path: {literal(f'{STEPS}/-')}, value: s}})"
    return f"{steps}.exists(s, {pause}) ? [{add(STEPS, '[]')}] + {kept} : []"


BREAK_GLASS_STAMPS = (add(pointer(HOLD), "variables.releasedNow"), add(pointer(BREAK_GLASS_BY), REQUESTER))
