"""The policies in force: each GuardrailPolicy's current spec if it can be used, else its last accepted one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ..api.change import PolicyRef
from ..api.policy import GuardrailPolicySpec
from ..core.policy import Policy, expanded
from .stores import RawPolicy


@dataclass(frozen=True, slots=True)
class Reading:
    """One policy read: what is in force of it, and what is wrong with its current spec, if anything."""

    policy: Policy | None
    problem: str = ""


def read_policy(raw: RawPolicy) -> Reading:
    meta = raw.metadata
    spec, problem = _usable(raw.spec)
    if spec is not None:
        return Reading(Policy(PolicyRef(name=meta.name, uid=meta.uid, generation=meta.generation), spec))
    accepted = raw.status.get("accepted")
    if not isinstance(accepted, dict):
        return Reading(None, problem)
    earlier, worse = _usable(accepted.get("spec"))
    if earlier is None:
        return Reading(None, f"{problem}; the last accepted spec cannot be read either: {worse}")
    generation = int(accepted.get("generation", 0))
    return Reading(Policy(PolicyRef(name=meta.name, uid=meta.uid, generation=generation), earlier), problem)


def policies(raws: Iterable[RawPolicy]) -> tuple[Policy, ...]:
    return tuple(found.policy for raw in raws if (found := read_policy(raw)).policy is not None)


def _usable(spec: object) -> tuple[GuardrailPolicySpec | None, str]:
    try:
        decoded = msgspec.convert(spec, GuardrailPolicySpec)
    except msgspec.ValidationError as error:
        return None, f"spec cannot be read: {error}"
    problem = contradiction(decoded)
    return (None, problem) if problem else (decoded, "")


def contradiction(spec: GuardrailPolicySpec) -> str:
    """What a schema cannot refuse, naming the field; empty when the policy makes sense."""
    whole = expanded(spec)
    known = {profile.name for profile in whole.profiles}
    seen: set[str] = set()
    for rule in whole.rules:
        where = f'rules["{rule.name}"]'
        if rule.name in seen:
            return f"{where} is given twice (the preset may bring one of that name): rename it"
        seen.add(rule.name)
        if rule.require.profile is not None and rule.require.profile not in known:
            return f'{where}.require.profile "{rule.require.profile}" is none of {", ".join(sorted(known)) or "none"}'
        if rule.require.deny is not None and rule.require.approvals:
            return f"{where} denies and asks for approvals; nothing lifts a denial: remove one"
    for profile in whole.profiles:
        if list(profile.weights) != sorted(set(profile.weights)):
            return f'profiles["{profile.name}"].weights must ascend, for example [5, 25, 50]'
    return ""
