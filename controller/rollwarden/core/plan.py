"""The plan: the owner's steps merged with the profile's ladder, a gate after every weight, a bake before the end.

Never looser than the owner's own: every step of theirs stays, in order, pauses and analyses included; only lower
weights and further pauses are put between them. So at every instant since release the canary is at most at the
owner's own weight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..api.change import Base, Pace, Plan, PlannedGate, Requirements
from ..api.enums import GateKind
from .times import argo_seconds, spoken

Step = Mapping[str, Any]

UNMEASURED = "; how long is said once traffic is measured"
_ETA = re.compile(rf", about [0-9]+ (s|min|h|days)( [0-9]+ min)?|{UNMEASURED}")

MOST_STEPS = 128
"""Of an owner's canary: with gates between them they still fit into a Change."""

MOST_WEIGHTS = 10
"""A ladder of more weights is shortened when it is spoken of."""
RECOVERY_WEIGHTS = (25, 50)
"""The steps of a fix while stable is the broken one, where the owner has none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a gate is expected to need: canary requests, and seconds at today's traffic."""

    requests: float
    seconds: float


Estimator = Callable[[float, float], Estimate | None]
"""(canary share now, canary share next), both 0..1 → what the proof takes; None when it cannot be shown."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the plan stands on at release time.

    ``routed``: a traffic router gives exact weights, not pod counts. ``recovery``: stable burns, so the question is
    only whether the canary is no worse: no ladder of ours, no soak.
    """

    replicas: int
    routed: bool
    estimate: Estimator | None = None
    recovery: bool = False


@dataclass
class _Draft:
    steps: list[dict[str, Any]] = field(default_factory=list)
    gates: list[PlannedGate] = field(default_factory=list)
    owner_pauses: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    weight: int = 0
    gate_due: bool = False


def make_plan(base: Base, requirements: Requirements, ground: Ground) -> Plan:
    """The steps to release with. Without gates: the owner's own steps, untouched."""
    steps = base.steps or ()
    owner_start = starting_step(base)
    if not requirements.gated:
        pauses = tuple(i for i, step in enumerate(steps) if is_endless_pause(step))
        return Plan(steps=base.steps, owner_pauses=pauses, starting_step=owner_start)
    pace = requirements.pace
    if ground.recovery:
        pace = msgspec.structs.replace(pace, weights=() if steps else RECOVERY_WEIGHTS, min_soak=0)
    return _gated_plan(base, pace, ground)


def starting_step(base: Base) -> int | None:
    """The step of the owner's at which their background analysis starts."""
    start = base.analysis.get("startingStep") if base.analysis else None
    return start if isinstance(start, int) else None


def _gated_plan(base: Base, pace: Pace, ground: Ground) -> Plan:
    draft, steps, owner_start = _Draft(), base.steps or (), starting_step(base)
    ladder, dropped = _ladder(steps, pace, ground)
    if dropped:
        units = ", ".join(f"{w} %" for w in dropped)
        draft.notes.append(f"{units} cannot be told apart with {ground.replicas} pods; merged into the next weight")
    moved: list[int] = []
    for step in steps:
        target = step.get("setWeight")
        if isinstance(target, int):
            _raise_through(draft, [w for w in ladder if w < target], target, pace)
        _owner_step(draft, step, pace)
        moved.append(len(draft.steps) - 1)
    _raise_through(draft, list(ladder), 100, pace)
    _close(draft, pace)
    gates = _with_estimates(draft.gates, pace, ground)
    start = None if owner_start is None else (moved[owner_start] if owner_start < len(moved) else len(draft.steps))
    return Plan(
        steps=tuple(draft.steps) or base.steps,
        gates=gates,
        owner_pauses=tuple(draft.owner_pauses),
        starting_step=start,
        notes=tuple(draft.notes),
    )


def _owner_step(draft: _Draft, step: Step, pace: Pace) -> None:
    target = step.get("setWeight")
    if isinstance(target, int):
        if target > draft.weight:  # a lower weight never waits for proof
            _gate(draft, target, pace)
        draft.weight = target
        draft.gate_due = 0 < target < 100
    if is_endless_pause(step):
        draft.owner_pauses.append(len(draft.steps))
    draft.steps.append(dict(step))


def _raise_through(draft: _Draft, ladder: list[int], target: int, pace: Pace) -> None:
    """Ladder weights above the one reached and below ``target``, each after the gate of the weight before it."""
    for weight in ladder:
        if draft.weight < weight < target:
            _gate(draft, weight, pace)
            draft.steps.append({"setWeight": weight})
            draft.weight = weight
            draft.gate_due = True


def _gate(draft: _Draft, next_weight: int, pace: Pace) -> None:
    """The evidence gate of the weight that stands, put right before the next one."""
    if not draft.gate_due:
        return
    gate = PlannedGate(
        index=len(draft.steps),
        kind=GateKind.EVIDENCE,
        weight=draft.weight,
        next_weight=next_weight,
        min_soak=pace.min_soak,
        max_seconds=pace.max_step,
    )
    draft.gates.append(gate)
    draft.steps.append({"pause": {}})
    draft.gate_due = False


def _close(draft: _Draft, pace: Pace) -> None:
    """The gate before everything, then the bake: at weight 100 but before Argo promotes, so stable can still return."""
    _gate(draft, 100, pace)
    if pace.bake <= 0:
        return
    if draft.weight != 100:
        draft.steps.append({"setWeight": 100})
    bake = PlannedGate(
        index=len(draft.steps),
        kind=GateKind.BAKE,
        weight=100,
        next_weight=100,
        min_soak=pace.bake,
        max_seconds=max(pace.max_step, pace.bake),
        exposure_percent="100",
        eta_seconds=pace.bake,
    )
    draft.gates.append(bake)
    draft.steps.append({"pause": {}})


def _ladder(steps: Sequence[Step], pace: Pace, ground: Ground) -> tuple[list[int], list[int]]:
    """The profile's weights that can be told apart, and those that cannot (replica-weighted Rollouts count pods)."""
    wanted = sorted(set(pace.weights))
    if ground.routed:
        return wanted, []
    owned = {s["setWeight"] for s in steps if isinstance(s.get("setWeight"), int) and 0 < s["setWeight"] < 100}
    taken = {pods_at(weight, ground.replicas) for weight in owned}
    kept: dict[int, int] = {}
    dropped: list[int] = []
    for weight in wanted:
        pods = pods_at(weight, ground.replicas)
        if pods in taken or pods >= ground.replicas:
            if weight not in owned:
                dropped.append(weight)
            continue
        if pods in kept:
            dropped.append(kept[pods])
        kept[pods] = weight
    return sorted(kept.values()), sorted(dropped)


def pods_at(weight: int, replicas: int) -> int:
    """Canary pods at a weight without traffic routing: nearest count, at least one for 1–99, one left for stable."""
    if weight <= 0 or replicas <= 0:
        return 0
    if weight >= 100:
        return replicas
    return max(1, min(round(replicas * weight / 100), max(1, replicas - 1)))


def share_at(weight: int, ground: Ground) -> float:
    """The share of traffic that a weight really exposes, 0..1."""
    if ground.routed or ground.replicas <= 0:
        return weight / 100
    return pods_at(weight, ground.replicas) / ground.replicas


def _with_estimates(gates: Sequence[PlannedGate], pace: Pace, ground: Ground) -> tuple[PlannedGate, ...]:
    result = []
    for gate in gates:
        share = share_at(gate.weight, ground)
        value = msgspec.structs.replace(gate, exposure_percent=f"{100 * share:.4g}")
        if gate.kind is GateKind.EVIDENCE and ground.estimate is not None:
            estimate = ground.estimate(share, share_at(gate.next_weight, ground))
            if estimate is not None:
                value = msgspec.structs.replace(
                    value,
                    needed_requests=round(estimate.requests),
                    eta_seconds=round(max(estimate.seconds, pace.min_soak)),
                )
        result.append(value)
    return tuple(result)


def is_endless_pause(step: Step) -> bool:
    """A pause that only a promotion ends; one of no seconds ends by itself."""
    pause = step.get("pause")
    return isinstance(pause, Mapping) and pause.get("duration") is None


def without_endless_pauses(steps: Sequence[Step]) -> tuple[dict[str, Any], ...]:
    """What break-glass leaves of a live plan: its gates would never open without the operator."""
    return tuple(dict(step) for step in steps if not is_endless_pause(step))


def eta_seconds(plan: Plan) -> int | None:
    """How long the plan takes at today's traffic; None when a gate cannot be shown at all."""
    total = 0.0
    for gate in plan.gates:
        if gate.eta_seconds is None:
            return None
        total += gate.eta_seconds
    for step in plan.steps or ():
        pause = step.get("pause")
        if isinstance(pause, Mapping):
            total += argo_seconds(pause.get("duration")) or 0.0
    return round(total)


def spoken_plan(plan: Plan) -> str:
    """``33 % → 50 % → 100 %, about 7 min``."""
    path = spoken_weights(list(dict.fromkeys(g.weight for g in plan.gates if g.kind is GateKind.EVIDENCE)))
    eta = eta_seconds(plan)
    return f"{path}, about {spoken(eta)}" if eta is not None else path + UNMEASURED


def spoken_weights(weights: Sequence[int]) -> str:
    """``5 % → 50 % → 100 %``, always to the end; long ladders shortened in the middle."""
    path = [*weights, 100] if not weights or weights[-1] != 100 else list(weights)
    shortened = [*path[:4], "…", *path[-3:]] if len(path) > MOST_WEIGHTS else path
    return " → ".join(w if isinstance(w, str) else f"{w} %" for w in shortened)


def newer_sentence(old: str, new: str) -> str:
    """``new``, unless it differs from ``old`` in nothing but an ETA: one that moves with traffic is no news."""
    same = _ETA.sub("", old) == _ETA.sub("", new)
    return old if same and UNMEASURED not in old else new
