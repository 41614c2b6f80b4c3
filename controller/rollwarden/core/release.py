"""The release of a held revision: its plan, what is written down first, and the patch that is the commit point."""

from __future__ import annotations

from typing import Any

import msgspec

from ..api import names
from ..api.change import Base, Change, CountedApproval, Plan, Release, Requirements
from ..api.enums import Phase
from . import messages
from .approvals import counted, lifts_quarantine
from .asked import answers, quarantines, requirements_now
from .base import resolve_base
from .plan import Ground, eta_seconds, make_plan, starting_step
from .seen import Seen
from .status import write_status
from .times import timestamp
from .writes import Emit, Op, Outcome, PatchRollout, Write, add, annotation, remove, test


def plan_now(seen: Seen, change: Change, requirements: Requirements) -> Plan | None:
    if seen.ground is None or not requirements.gated:
        return None
    return _plan_on(seen, base_of(seen, change), requirements, seen.ground.ground)


def _plan_on(seen: Seen, base: Base, requirements: Requirements, ground: Ground) -> Plan:
    """A canary needs a stable to stand beside: before any ran, the new revision comes up whole.

    At any lower weight Argo would first scale up what it calls stable, and that is locked where it never was released.
    """
    if seen.rollout.spec.strategy.canary is None:
        return Plan(notes=(messages.NOT_JUDGED,))
    if seen.stable_set is None:
        note = "nothing serves yet, so this revision comes up at once"
        return Plan(steps=({"setWeight": 100},), starting_step=starting_step(base), notes=(note,))
    return make_plan(base, requirements, ground)


def base_of(seen: Seen, change: Change) -> Base:
    others = [c for c in seen.changes if c.metadata.name != change.metadata.name]
    return resolve_base(seen.rollout, others)


def let_go(seen: Seen, change: Change, rule: str, why: str, requirements: Requirements) -> Outcome:
    """Three steps, each conditional: clear a remembered full promotion, write down the release, the commit point."""
    if seen.rollout.status.promote_full:
        clear = (test("/metadata/uid", seen.rollout.metadata.uid), remove("/status/promoteFull"))
        patch = PatchRollout(clear, subresource="status", purpose="forget a full promotion asked for while held")
        return Outcome(rule, "clears promoteFull first", (patch,), requeue=0, critical=True)
    approvals = counted(answers(seen, change))
    made = _make_release(seen, change, requirements)
    message = messages.released(seen, made.plan)
    intent = write_status(
        change,
        seen.now,
        phase=Phase.CANARY,  # said ahead of the commit point by one write; if that is lost, the hold value decides
        reason="Released",
        release=made,
        approvals=approvals,
        waiting_for="",
        message=message,
    )
    commit = PatchRollout(release_ops(seen, made), purpose="release")
    told = Emit("Normal", "Released", message)
    lifted = _lift(seen, approvals, requirements_now(seen, change))
    return Outcome(rule, f"{why}; {message}", (*intent, commit, told, *lifted), requeue=0, critical=True)


def _make_release(seen: Seen, change: Change, requirements: Requirements) -> Release:
    """From what is true now; where nothing was measured, an intent that a crash left over is taken up again."""
    earlier = change.status.release
    if earlier is not None and seen.ground is None:
        return msgspec.structs.replace(earlier, time=timestamp(seen.now))
    base = base_of(seen, change)
    fallback = Ground(replicas=seen.replicas, routed=_routed(seen))
    ground = seen.ground.ground if seen.ground else fallback
    plan = _plan_on(seen, base, requirements, ground)
    if seen.ground and seen.ground.problem:
        plan = msgspec.structs.replace(plan, notes=(*plan.notes, seen.ground.problem))
    return Release(
        time=timestamp(seen.now),
        base=base,
        plan=plan,
        judge=seen.ground.judge if seen.ground else None,
        replicas=seen.replicas,
        eta_seconds=eta_seconds(plan),
    )


def _routed(seen: Seen) -> bool:
    canary = seen.rollout.spec.strategy.canary
    return bool(canary and canary.traffic_routing)


def release_ops(seen: Seen, made: Release) -> tuple[Op, ...]:
    """One patch: plan, analysis, rollback window and the released hold value, on exactly the spec that was read.

    The generation stands for the spec and the hold value for the attempt. Not the resource version: Argo writes its
    status several times just after a template, and admission lets nobody ask for a full promotion meanwhile.
    """
    meta = seen.rollout.metadata
    ops: list[Op] = [
        test("/metadata/uid", meta.uid),
        test("/metadata/generation", meta.generation),
        test(annotation(names.HOLD), seen.hold),
    ]
    if seen.rollout.spec.strategy.canary is not None:
        ops += strategy_ops(seen, made.plan.steps, _analysis_at(made))
        ops += under_way_ops(seen, made.plan)
    # rollbackWindow stays off while gates stand: Argo would skip every step of the plan.
    if made.base.rollback_window is not None and not made.plan.gates:
        ops.append(add("/spec/rollbackWindow", {"revisions": made.base.rollback_window}))
    # What admission remembered is in the release's base from here on; left standing, it would pass for the next one's.
    ops += _removed(seen, names.MESSAGE, names.BASE_ROLLBACK_WINDOW, names.BASE_STARTING_STEP)
    ops.append(add(annotation(names.HOLD), names.RELEASED + seen.attempt))
    return tuple(ops)


def under_way_ops(seen: Seen, plan: Plan) -> list[Op]:
    """Marks the plan as standing, and which of its pauses are the owner's to end."""
    ops = [add(annotation(names.CHANGE), seen.change_name)]
    if plan.owner_pauses:
        pauses = "".join(f",{index}" for index in plan.owner_pauses) + ","
        ops.append(add(annotation(names.OWNER_PAUSES), pauses))
    return ops


def strategy_ops(seen: Seen, steps: Any, analysis: dict[str, Any] | None) -> list[Op]:
    """Brings the canary's steps and analysis to the given values; nothing where they are that already."""
    canary = seen.rollout.spec.strategy.canary
    ops: list[Op] = []
    live_steps = canary.steps if canary else None
    if steps is not None and live_steps != steps:
        ops.append(add("/spec/strategy/canary/steps", list(steps)))
    elif steps is None and live_steps is not None:
        ops.append(remove("/spec/strategy/canary/steps"))
    live_analysis = canary.analysis if canary else None
    if analysis is not None and analysis != live_analysis:
        ops.append(add("/spec/strategy/canary/analysis", analysis))
    return ops


def _analysis_at(made: Release) -> dict[str, Any] | None:
    """The owner's background analysis, started at the owner's own step's place in the plan."""
    if made.base.analysis is None:
        return None
    rest = {key: value for key, value in made.base.analysis.items() if key != "startingStep"}
    return rest if made.plan.starting_step is None else {**rest, "startingStep": made.plan.starting_step}


def _removed(seen: Seen, *keys: str) -> list[Op]:
    return [remove(annotation(key)) for key in keys if key in seen.rollout.metadata.annotations]


def _lift(seen: Seen, approvals: tuple[CountedApproval, ...], requirements: Requirements) -> tuple[Write, ...]:
    """A quarantine that someone approved knowingly ends with the release; a new rollback makes a new one."""
    by = lifts_quarantine(approvals, requirements)
    if by is None:
        return ()
    return tuple(
        write
        for earlier in quarantines(seen)
        for write in write_status(
            earlier,
            seen.now,
            quarantine=msgspec.structs.replace(earlier.status.quarantine, active=False, lifted_by=by.user),
        )
    )
