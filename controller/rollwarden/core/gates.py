"""Gates: pauses of the plan that end when safety was shown, or when a person takes it on; never silently."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..api.change import Change, GateStatus, PlannedGate, Verdict
from ..api.enums import AtMaximum, GateKind, OnBlind, OnNoIndicators, Phase, Tier, VerdictResult
from . import messages
from .approvals import accepts_unproven, counted
from .asked import answers, requirements_now
from .attempt import revision_of
from .freeze import frozen, spoken_freeze
from .seen import Evidence, Seen
from .status import write_status
from .times import spoken, timestamp, unix
from .writes import Emit, Outcome, PatchRollout, Write, remove, test

FROZEN = str(Phase.FROZEN)
TELL_AGAIN = 1.25
"""A waiting gate's figures are written again when its requests have grown by this factor."""
ON_COURSE = frozenset(
    {"NotProven", "Soaking", "BetweenGates", "SafetyShown", "SoakPassed", "BakePassed", "NoCanaryRequests", "NoData"}
)
"""The judge's reasons while a gate simply takes its time (a tick or two without data too); any other is said."""
UNMEASURED_SOAK_SECONDS = 60.0


def current_gate(seen: Seen) -> tuple[Change, PlannedGate] | None:
    """The gate at which Argo pauses now. Gates count only while the live steps are the plan's own."""
    change, canary, status = seen.change, seen.rollout.spec.strategy.canary, seen.rollout.status
    if change is None or canary is None or change.status.release is None or not status.pause_conditions:
        return None
    plan = change.status.release.plan
    if canary.steps != plan.steps or seen.strayed:
        return None
    gate = next((g for g in plan.gates if g.index == status.current_step_index), None)
    return (change, gate) if gate else None


def arrived(seen: Seen) -> Outcome | None:
    """Argo reached a gate: from now on its proof is gathered anew."""
    at, current = current_gate(seen), seen.current_set
    if at is None or _status_of(*at) is not None or current is None or current.ready == 0:
        return None
    change, gate = at
    entry = GateStatus(
        index=gate.index,
        kind=gate.kind,
        weight=gate.weight,
        started_at=timestamp(seen.now),
        needed_requests=gate.needed_requests,
    )
    phase = Phase.BAKING if gate.kind is GateKind.BAKE else Phase.CANARY
    message = _progress_message(seen, gate, None)
    stable = seen.stable_set
    writes = write_status(
        change,
        seen.now,
        phase=phase,
        reason=str(gate.kind),
        gates=(*change.status.gates, entry),
        message=message,
        waiting_for="",
        revision=revision_of(seen),
        stable_revision=stable.revision if stable else 0,
        pod_hash=seen.rollout.status.current_pod_hash,
    )
    return Outcome("gate-reached", message, writes, requeue=1.0)


def passed_already(seen: Seen) -> Outcome | None:
    """The pass is written, the promotion was lost: do it again; an index already advanced is no gate any more."""
    at = current_gate(seen)
    entry = _status_of(*at) if at else None
    if entry is None or entry.passed_at is None:
        return None
    return Outcome("promote-gate", "the gate has passed", (promote_patch(seen),), requeue=1.0, critical=True)


def promoted_outside(seen: Seen) -> Outcome | None:
    """Argo left a gate that never passed: somebody promoted it where admission did not see it. Said, and unproven."""
    change, canary = seen.change, seen.rollout.spec.strategy.canary
    index = seen.rollout.status.current_step_index
    if change is None or canary is None or change.status.release is None or index is None or seen.strayed:
        return None
    left = [g for g in change.status.gates if g.passed_at is None and g.index < index]
    if not left or canary.steps != change.status.release.plan.steps:
        return None
    end = {"passed_at": timestamp(seen.now), "reason": "PromotedOutside", "eta": None}
    closed = tuple(msgspec.structs.replace(g, **end) if g in left else g for g in change.status.gates)
    message = messages.promoted_outside(seen, left[-1].weight)
    writes = write_status(
        change, seen.now, reason="PromotedOutside", gates=closed, message=message, waiting_for="", unproven=True
    )
    return Outcome("promoted-outside", message, (*writes, Emit("Warning", "PromotedOutside", message)), requeue=1.0)


def off_limits_since(seen: Seen) -> Outcome | None:
    """A denial that came after the release holds the next gate; what runs goes on."""
    at = current_gate(seen)
    denials = requirements_now(seen, at[0]).denials if at else ()
    if at is None or not denials:
        return None
    change, gate = at
    message = messages.denied_at_gate(seen, denials[0], gate.weight)
    writes: list[Write] = list(
        write_status(change, seen.now, reason="OffLimits", waiting_for="the rule to be changed", message=message)
    )
    if change.status.reason != "OffLimits":
        writes.append(Emit("Warning", "OffLimits", message))
    return Outcome("off-limits-since", message, tuple(writes), requeue=60.0)


def misrouted(seen: Seen) -> Outcome | None:
    """The mesh sends the canary another share than the gate is about, so what is measured proves something else.

    Argo puts its weight back within a second; one that stays wrong is written by somebody again and again.
    """
    at = current_gate(seen)
    wrong = next((r for r in seen.routed if r.weight != at[1].weight), None) if at else None
    if at is None or wrong is None:
        return None
    change, gate = at
    message = messages.misrouted(seen, wrong, gate.weight)
    waiting = f"VirtualService {wrong.router} to route {gate.weight} % to the canary"
    writes: list[Write] = list(
        write_status(change, seen.now, reason="WeightNotRouted", waiting_for=waiting, message=message)
    )
    if change.status.reason != "WeightNotRouted":
        writes.append(Emit("Warning", "WeightNotRouted", message))
    return Outcome("misrouted", message, tuple(writes), requeue=2.0)


def frozen_since(seen: Seen) -> Outcome | None:
    """A freeze that is on holds the next gate; what runs goes on, and what broke the glass passes."""
    at = current_gate(seen)
    if at is None or at[0].status.break_glass is not None:
        return None
    change, gate = at
    freezes = requirements_now(seen, change).freezes
    ice = frozen(freezes, seen.now)
    if ice is None:
        return _thawed(seen, change, gate) if change.status.reason == FROZEN else None
    message = messages.frozen_at_gate(seen, ice, gate.weight)
    writes: list[Write] = list(
        write_status(change, seen.now, reason=FROZEN, waiting_for=spoken_freeze(ice), message=message)
    )
    if change.status.reason != FROZEN:
        writes.append(Emit("Normal", FROZEN, message))
    return Outcome("frozen-since", message, tuple(writes), requeue=min(max(ice.until - seen.now, 0.1), 60.0))


def _thawed(seen: Seen, change: Change, gate: PlannedGate) -> Outcome:
    message = _progress_message(seen, gate, seen.evidence)
    writes = write_status(change, seen.now, reason=str(gate.kind), waiting_for="", message=message)
    return Outcome("thawed", message, writes, requeue=0)


def proven(seen: Seen) -> Outcome | None:
    """Safety was shown for the exposure that comes next, and the soak is over."""
    at, found = current_gate(seen), seen.evidence
    if at is None or found is None or found.gate_index != at[1].index:
        return None
    if found.result is not VerdictResult.PROMOTE or _age(seen, *at) < at[1].min_soak:
        return None
    return _pass(seen, *at, reason="Proven", sentence=found.message)


def accepted(seen: Seen) -> Outcome | None:
    """Past its maximum, and somebody of the needed tier takes it on that it is unproven."""
    at = current_gate(seen)
    if at is None or _age(seen, *at) < at[1].max_seconds:
        return None
    requirements = requirements_now(seen, at[0])
    by = accepts_unproven(counted(answers(seen, at[0])), requirements)
    if by is None:
        return None
    return _pass(seen, *at, reason="AcceptedUnproven", sentence=f"{by.user} accepts it unproven", unproven=True)


def nothing_to_measure(seen: Seen) -> Outcome | None:
    """No usable metric exists and the profile lets such a service pass, marked unproven, after its soak."""
    at, found = current_gate(seen), seen.evidence
    if at is None or found is None or not found.no_indicators:
        return None
    pace = requirements_now(seen, at[0]).pace
    if pace.on_no_indicators is not OnNoIndicators.PROMOTE or _age(seen, *at) < max(
        at[1].min_soak, UNMEASURED_SOAK_SECONDS
    ):
        return None
    return _pass(seen, *at, reason="NoIndicators", sentence=found.message, unproven=True)


def at_maximum(seen: Seen) -> Outcome | None:
    """The maximum passed without proof: hold for a person, or pass as unproven, if the policy says so."""
    at = current_gate(seen)
    if at is None or _age(seen, *at) < at[1].max_seconds:
        return None
    change, gate = at
    pace = requirements_now(seen, change).pace
    found = seen.evidence
    blind = found is None or found.blind_since is not None or found.gate_index != gate.index
    if not blind and pace.at_maximum is AtMaximum.PROMOTE:
        return _pass(seen, change, gate, reason="Unproven", sentence="its maximum time passed", unproven=True)
    entry = _status_of(change, gate)
    if change.status.reason == "Unproven" and (entry is None or found is None or _told_lately(entry, found)):
        return Outcome("unproven", change.status.message, requeue=30.0)
    slots = requirements_now(seen, change).approvals
    who = f"a {max([Tier.SENIOR, *(slot.tier for slot in slots)]).lower}"
    requests = found.canary_requests if found else 0
    needed = _needed(found, gate)
    message = messages.unproven(seen, revision_of(seen), requests, needed, gate.weight, _age(seen, change, gate), who)
    told = tuple(
        msgspec.structs.replace(g, canary_requests=requests) if g.index == gate.index else g
        for g in change.status.gates
    )
    writes: list[Write] = list(
        write_status(
            change,
            seen.now,
            reason="Unproven",
            waiting_for=f"{who} to accept it unproven",
            message=message,
            gates=told,
        )
    )
    if change.status.reason != "Unproven":
        writes.append(Emit("Warning", "Unproven", message))
    return Outcome("unproven", message, tuple(writes), requeue=30.0)


def blind_too_long(seen: Seen) -> Verdict | None:
    """Metrics stayed away for the gate's whole maximum, and the profile returns to stable then."""
    at, found = current_gate(seen), seen.evidence
    if at is None or found is None or found.blind_since is None or _status_of(*at) is None:
        return None
    change, gate = at
    blind = min(seen.now - found.blind_since, _age(seen, change, gate))
    if requirements_now(seen, change).pace.on_blind is not OnBlind.RETURN_TO_STABLE or blind < gate.max_seconds:
        return None
    message = f"no metrics came for {spoken(blind)}, and its profile returns to stable then: {found.message}"
    return Verdict(
        result=VerdictResult.ROLLBACK, reason="Blind", message=message[:2048], decided_at=timestamp(seen.now)
    )


def progress(seen: Seen) -> Outcome | None:
    """Says how far the proof is, now and then."""
    at = current_gate(seen)
    if at is None:
        return None
    change, gate = at
    found = seen.evidence if seen.evidence and seen.evidence.gate_index == gate.index else None
    entry = _status_of(change, gate)
    if found is not None and found.reason not in ON_COURSE:
        return _obstructed(seen, change, gate, found)
    message = _progress_message(seen, gate, found)
    recovered = change.status.reason != str(gate.kind)
    if entry is None or found is None or (_told_lately(entry, found) and not recovered):
        return Outcome("at-gate", message, requeue=15.0)
    eta = timestamp(seen.now + found.eta_seconds) if found.eta_seconds is not None else None
    told = msgspec.structs.replace(
        entry,
        canary_requests=found.canary_requests,
        needed_requests=_needed(found, gate),
        log_safety="" if found.log_safety is None else f"{found.log_safety:.2f}",
        eta=eta,
    )
    gates = tuple(told if g.index == gate.index else g for g in change.status.gates)
    writes = write_status(change, seen.now, gates=gates, reason=str(gate.kind), message=message, waiting_for="")
    return Outcome("at-gate", message, writes, requeue=15.0)


def _obstructed(seen: Seen, change: Change, gate: PlannedGate, found: Evidence) -> Outcome:
    """Something other than time is in the way (no data, stable burns, a common cause): said once per reason."""
    message = f'"{seen.rollout.metadata.name}" holds at {gate.weight} %: {found.message}'
    if change.status.reason == found.reason:
        return Outcome("at-gate", message, requeue=15.0)
    writes = write_status(change, seen.now, reason=found.reason, message=message, waiting_for="")
    event = Emit("Warning" if found.page else "Normal", found.reason, message)
    return Outcome("at-gate", message, (*writes, event), requeue=15.0)


gate_rules: tuple[Callable[[Seen], Outcome | None], ...] = (
    arrived,
    passed_already,
    promoted_outside,
    off_limits_since,
    frozen_since,
    misrouted,
    proven,
    accepted,
    nothing_to_measure,
    at_maximum,
    progress,
)


def promote_patch(seen: Seen) -> PatchRollout:
    """Ends exactly this pause: a stale promotion must never open the next change's barrier."""
    status = seen.rollout.status
    ops = (
        test("/metadata/uid", seen.rollout.metadata.uid),
        test("/status/currentPodHash", status.current_pod_hash),
        test("/status/currentStepIndex", status.current_step_index),
        test("/status/currentStepHash", status.current_step_hash),
        remove("/status/pauseConditions"),
    )
    return PatchRollout(ops, subresource="status", purpose="promote past the gate")


def _pass(
    seen: Seen, change: Change, gate: PlannedGate, *, reason: str, sentence: str, unproven: bool = False
) -> Outcome:
    entry = _status_of(change, gate)
    if entry is None:
        return Outcome("gate-reached", requeue=1.0)
    found = seen.evidence
    done = msgspec.structs.replace(
        entry,
        passed_at=timestamp(seen.now),
        reason=reason,
        canary_requests=found.canary_requests if found else entry.canary_requests,
        needed_requests=_needed(found, gate),
        log_safety="" if found is None or found.log_safety is None else f"{found.log_safety:.2f}",
        eta=None,
    )
    gates = tuple(done if g.index == gate.index else g for g in change.status.gates)
    name = seen.rollout.metadata.name
    what = "bake" if gate.kind is GateKind.BAKE else f"gate at {gate.weight} %"
    message = f'"{name}" passed its {what} after {spoken(_age(seen, change, gate))}: {sentence}'
    writes = write_status(
        change,
        seen.now,
        gates=gates,
        reason=reason,
        message=message,
        waiting_for="",
        unproven=change.status.unproven or unproven,
    )
    event = Emit("Warning" if unproven else "Normal", "GatePassed", message)
    rule = "gate-passed" if not unproven else "gate-passed-unproven"
    return Outcome(rule, message, (*writes, promote_patch(seen), event), requeue=1.0, critical=True)


def _status_of(change: Change, gate: PlannedGate) -> GateStatus | None:
    return next((g for g in change.status.gates if g.index == gate.index), None)


def _age(seen: Seen, change: Change, gate: PlannedGate) -> float:
    entry = _status_of(change, gate)
    return seen.now - unix(entry.started_at) if entry else 0.0


def _needed(found: Evidence | None, gate: PlannedGate) -> int:
    return round(found.needed) if found and found.needed is not None else gate.needed_requests


def _told_lately(entry: GateStatus, found: Evidence) -> bool:
    """Less than a quarter more requests than last said: a gate of any length is written a few dozen times at most."""
    return found.canary_requests <= entry.canary_requests * TELL_AGAIN


def _progress_message(seen: Seen, gate: PlannedGate, found: Evidence | None) -> str:
    name = seen.rollout.metadata.name
    if gate.kind is GateKind.BAKE:
        return f'"{name}" bakes at 100 % for {spoken(gate.min_soak)}; Argo can still return to stable at once'
    needed, got = _needed(found, gate), found.canary_requests if found else 0
    of = f"{got:,} of about {needed:,} canary requests needed" if needed else f"{got:,} canary requests so far"
    return f'"{name}" is at {gate.weight} %, gathering proof of safety: {of}'
