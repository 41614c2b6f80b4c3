"""The policies in force: each GuardrailPolicy's current spec if it can be used, else its last accepted one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ..api.change import PolicyRef
from ..api.policy import GuardrailPolicySpec, GuardrailPolicyStatus
from ..core.policy import Policy, contradiction
from .stores import RawPolicy

# Learnt here, before any thread: msgspec crashes the process when two threads learn a type at once.
msgspec.json.Decoder(GuardrailPolicySpec)
msgspec.json.Decoder(GuardrailPolicyStatus)


@dataclass(frozen=True, slots=True)
class Reading:
    """One policy read: what is in force of it, and what is wrong with its current spec, if anything."""

    policy: Policy | None
    problem: str = ""


def read_policy(raw: RawPolicy) -> Reading:
    meta = raw.metadata
    spec, problem = _usable(raw.spec)
    if spec is not None:
        ref = PolicyRef(name=meta.name, uid=meta.uid, generation=meta.generation)
        return Reading(Policy(ref, spec, status_of(raw).history))
    accepted = raw.status.get("accepted")
    if not isinstance(accepted, dict):
        return Reading(None, problem)
    earlier, worse = _usable(accepted.get("spec"))
    if earlier is None:
        return Reading(None, f"{problem}; the last accepted spec cannot be read either: {worse}")
    generation = int(accepted.get("generation", 0))
    ref = PolicyRef(name=meta.name, uid=meta.uid, generation=generation)
    return Reading(Policy(ref, earlier, status_of(raw).history), problem)


def status_of(raw: RawPolicy) -> GuardrailPolicyStatus:
    """The status as it was written; an empty one where it cannot be read."""
    try:
        return msgspec.convert(raw.status, GuardrailPolicyStatus)
    except msgspec.ValidationError:
        return GuardrailPolicyStatus()


def policies(raws: Iterable[RawPolicy]) -> tuple[Policy, ...]:
    return tuple(found.policy for raw in raws if (found := read_policy(raw)).policy is not None)


def _usable(spec: object) -> tuple[GuardrailPolicySpec | None, str]:
    try:
        decoded = msgspec.convert(spec, GuardrailPolicySpec)
    except msgspec.ValidationError as error:
        return None, f"spec cannot be read: {error}"
    problem = contradiction(decoded)
    return (decoded, "") if problem is None else (None, f"{problem.field} {problem.what}")
