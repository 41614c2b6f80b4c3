"""What admission is told about a namespace in one ConfigMap, as CEL cannot look at other objects.

Every value is a string. A list is lines between two line ends, so that ``contains('\\n' + x + '\\n')`` is exact
membership; an absent key is an empty list. A key longer than Kubernetes takes (a Rollout's name of 248 characters or
more) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api import names
from ..api.argo import Rollout, RolloutStatus
from ..api.change import Change, GateStatus, PlannedGate
from ..api.enums import Criticality, Mode, OnNewTemplate, Phase
from ..api.policy import GuardrailPolicySpec
from ..api.profile import ServiceProfile
from .classify import agent_groups, agent_users
from .plan import Step
from .seen import change_name
from .times import argo_seconds, spoken, unix

MAX_KEY = 253
MAX_VALUE = 8192
MAX_BYTES = 500_000
"""Of one Rollout's value, and of all keys and values: a ConfigMap holds 1 MiB, and what CEL may spend on reading it is
limited too. No owner's labels can stop the map from being written, or a policy from being evaluated."""
AGENTS = (names.AGENT_USERS, names.AGENT_GROUPS)
ORDER = (
    *AGENTS,
    names.GOVERNED_CRITICALITY,
    names.GOVERNED_LIVE,
    names.GOVERNED_SELECTOR,
    names.GOVERNED_SERVICES,
    names.GOVERNED_ROUTES,
    names.GOVERNED_PODS,
    names.GOVERNED_TRAIN,
)
"""What is kept first where not everything fits; within one sort, the shortest."""


@dataclass(frozen=True, slots=True)
class Governed:
    """One Rollout of the namespace with all its Changes, its criticality now, and what its profiles say of trains."""

    rollout: Rollout
    criticality: Criticality
    changes: tuple[Change, ...] = ()
    on_new_template: OnNewTemplate = OnNewTemplate.SUPERSEDE


@dataclass(frozen=True, slots=True)
class Told:
    """The map's data, and the keys that found no room in it."""

    data: dict[str, str]
    left_out: tuple[str, ...] = ()


def governed_map(rollouts: Iterable[Governed], policies: Sequence[GuardrailPolicySpec], now: float) -> Told:
    """All that admission is told: the policies in force give the agents, the Rollouts everything else."""
    entries = {names.AGENT_USERS: _lines(agent_users(policies)), names.AGENT_GROUPS: _lines(agent_groups(policies))}
    for one in rollouts:
        entries |= dict(_about(one, now))
    return _fitting({key: value for key, value in entries.items() if value and len(key) <= MAX_KEY})


def on_new_template(profiles: Iterable[ServiceProfile]) -> OnNewTemplate:
    """What all profiles of a Rollout say together: one that refuses is enough."""
    return max((profile.spec.on_new_template for profile in profiles), default=OnNewTemplate.SUPERSEDE)


def with_standing_trains(wanted: Mapping[str, str], standing: Mapping[str, str]) -> dict[str, str]:
    """``wanted`` with the phrases of trains that stand already; new ones come and ended ones go all the same."""
    return {**wanted, **{key: standing.get(key, value) for key, value in trains_of(wanted).items()}}


def trains_of(data: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in data.items() if key.startswith(names.GOVERNED_TRAIN)}


def train_phrase(rollout: Rollout, change: Change, now: float) -> str:
    """How far a canary is and when it ends: ``checkout-1f2e3d4c-42 is at 25 %, about 12 min left``.

    Empty where none is under way: nothing released, aborted, all of it done, or a first revision, which no stable one
    stands beside: whatever is wrong with that is mended by a newer template only.
    """
    canary, status = rollout.spec.strategy.canary, change.status
    if canary is None or status.release is None or status.phase not in (Phase.CANARY, Phase.BAKING):
        return ""
    if not _hold(rollout).startswith(names.RELEASED) or not _is_canary(rollout.status):
        return ""
    index = rollout.status.current_step_index or 0
    at = f"{change.metadata.name} is at {_weight(canary.steps or (), index)} %"
    if status.waiting_for:
        return f"{at}, waiting for {status.waiting_for}"
    left = _seconds_left(change, index, now)
    return f"{at}, how long is left is not known" if left is None else f"{at}, about {_spoken_minutes(left)} left"


def _about(one: Governed, now: float) -> Iterator[tuple[str, str]]:
    rollout, name = one.rollout, one.rollout.metadata.name
    own = [c for c in one.changes if c.spec.rollout.uid == rollout.metadata.uid and c.spec.mode is Mode.ENFORCE]
    unfinished = [c for c in own if not c.status.phase.final]
    now_named = change_name(rollout, names.attempt_of(_hold(rollout)))
    current = next((c for c in own if c.metadata.name == now_named), None)
    # what a live change was seen as is not lowered by an edit made after it
    criticality = max([one.criticality, *(c.spec.classification.criticality for c in unfinished)])
    yield names.GOVERNED_CRITICALITY + name, criticality.lower
    labels = _mapping(_mapping(rollout.spec.template.get("metadata")).get("labels"))
    yield names.GOVERNED_PODS + name, _lines(_items(labels))
    yield names.GOVERNED_SELECTOR + name, _lines(_items(_mapping(_mapping(rollout.spec.selector).get("matchLabels"))))
    yield names.GOVERNED_SERVICES + name, _lines(_services(rollout))
    yield names.GOVERNED_ROUTES + name, _lines(_routes(rollout))
    if unfinished or _stands(rollout, current):
        yield names.GOVERNED_LIVE + name, "true"
    if current is not None and one.on_new_template is OnNewTemplate.REFUSE:
        yield names.GOVERNED_TRAIN + name, train_phrase(rollout, current, now)


def _stands(rollout: Rollout, change: Change | None) -> bool:
    """Its hold value is of a revision that is held or released, and that one is not completed."""
    standing = _hold(rollout).startswith((names.HELD, names.RELEASED))
    return standing and (change is None or change.status.phase is not Phase.COMPLETED)


def _is_canary(status: RolloutStatus) -> bool:
    """Argo has another revision beside the stable one, and goes on with it."""
    return not status.abort and status.stable_rs not in ("", status.current_pod_hash)


def _hold(rollout: Rollout) -> str:
    return rollout.metadata.annotations.get(names.HOLD, "")


def _items(labels: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in sorted(labels.items()))


def _services(rollout: Rollout) -> tuple[str, ...]:
    canary, blue_green = rollout.spec.strategy.canary, _mapping(rollout.spec.strategy.blue_green)
    found = [blue_green.get("activeService"), blue_green.get("previewService")]
    if canary is not None:
        ping_pong = _mapping(canary.ping_pong)
        found += [canary.canary_service, canary.stable_service]
        found += [ping_pong.get("pingService"), ping_pong.get("pongService")]
    return _named(found)


def _routes(rollout: Rollout) -> tuple[str, ...]:
    """VirtualServices and DestinationRules of its own namespace; Argo takes ``name.namespace`` for a VirtualService."""
    canary = rollout.spec.strategy.canary
    istio = _mapping(_mapping(canary.traffic_routing if canary else None).get("istio"))
    several = istio.get("virtualServices")
    virtual = [istio.get("virtualService"), *(several if isinstance(several, list) else ())]
    found = [_mapping(one).get("name") for one in (*virtual, istio.get("destinationRule"))]
    own = f".{rollout.metadata.namespace}"
    return _named(name.removesuffix(own) if isinstance(name, str) else None for name in found)


def _named(found: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str) and name))


def _lines(items: Iterable[str]) -> str:
    """Lines between two line ends; an item with a line end in it would be several, so it is none."""
    kept = [item for item in items if item and "\n" not in item]
    return "\n" + "\n".join(kept) + "\n" if kept else ""


def _fitting(entries: Mapping[str, str]) -> Told:
    """As many entries as fit, the most important first."""

    def rank(key: str) -> tuple[int, int, str]:
        return next(i for i, prefix in enumerate(ORDER) if key.startswith(prefix)), _size(key, entries[key]), key

    data: dict[str, str] = {}
    left_out: list[str] = []
    room = MAX_BYTES
    for key in sorted(entries, key=rank):
        size = _size(key, entries[key])
        if size > room or (size > MAX_VALUE and not key.startswith(AGENTS)):
            left_out.append(key)
            continue
        data[key] = entries[key]
        room -= size
    return Told(data, tuple(left_out))


def _size(key: str, value: str) -> int:
    return len(key) + len(value.encode("utf-8", "surrogatepass"))


def _weight(steps: Sequence[Step], index: int) -> int:
    """The weight that the canary's steps have brought it to; past the last one it is all of it."""
    if index >= len(steps):
        return 100
    weights = [step["setWeight"] for step in steps[: index + 1] if isinstance(step.get("setWeight"), int)]
    return weights[-1] if weights else 0


def _seconds_left(change: Change, index: int, now: float) -> float | None:
    """What the plan's gates and pauses from here on take at today's traffic; None where one of them cannot be said."""
    release = change.status.release
    if release is None or any(pause >= index for pause in release.plan.owner_pauses):
        return None
    total = 0.0
    reached = {gate.index: gate for gate in change.status.gates}
    for gate in release.plan.gates:
        if gate.index < index:
            continue
        left = _gate_left(gate, reached.get(gate.index), now)
        if left is None:
            return None
        total += left
    for step in (release.plan.steps or ())[index:]:
        total += argo_seconds(_mapping(step.get("pause")).get("duration")) or 0.0
    return total


def _gate_left(gate: PlannedGate, reached: GateStatus | None, now: float) -> float | None:
    """Of a gate that was reached: until the time last told, else the planned one from its start."""
    if reached is None:
        return None if gate.eta_seconds is None else float(gate.eta_seconds)
    if reached.passed_at is not None:
        return 0.0
    started = unix(reached.started_at)
    if reached.eta is not None:
        end = max(unix(reached.eta), started + gate.min_soak)
    elif gate.eta_seconds is not None:
        end = started + gate.eta_seconds
    else:
        return None
    return end - now if end > now else None  # it takes longer than was thought


def _spoken_minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return spoken(60 * minutes) if minutes > 1 else "1 min"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
