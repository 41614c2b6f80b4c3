"""The owner's own strategy, found again under what admission and the last plan put over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..api import names
from ..api.argo import Rollout
from ..api.change import Base, Change
from ..api.enums import Phase
from .numerals import whole_number
from .plan import is_endless_pause, without_endless_pauses

FIRST_HOLD = f"{names.HELD}0"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BARRIER_LENGTH = 2
Steps = tuple[dict[str, Any], ...] | None


def resolve_base(rollout: Rollout, changes: Iterable[Change]) -> Base:
    """The owner's steps, analysis and rollback window.

    Live steps without the barrier; if the rest is the plan of an earlier Change, that Change's base, unless
    ``last-applied-configuration`` shows that the owner has since written other steps (client-side apply merges leave
    our plan in place when the owner's manifest did not change).
    """
    annotations = rollout.metadata.annotations
    steps = without_barrier(rollout)
    analysis = _analysis(rollout)
    window = _window(rollout, annotations)
    earlier = _planned_by(steps, changes, names.BREAK_GLASS in annotations)
    if earlier is None or earlier.status.release is None:
        return Base(steps=steps, analysis=analysis, rollback_window=window)
    base = earlier.status.release.base
    own = _last_applied_steps(annotations.get(LAST_APPLIED, ""))
    return Base(
        steps=base.steps if own is None else own,
        analysis=base.analysis if _same_but_start(analysis, base.analysis) else analysis,
        rollback_window=window if window is not None else base.rollback_window,
    )


def without_barrier(rollout: Rollout) -> Steps:
    """Live steps less the two that hold a revision; None when nothing is left and the barrier stood alone."""
    canary = rollout.spec.strategy.canary
    steps = canary.steps if canary else None
    if not is_barred(rollout) or steps is None:
        return steps
    return steps[BARRIER_LENGTH:] or None


def is_barred(rollout: Rollout) -> bool:
    """Held, with ``setWeight: 0`` and an endless pause in front; before a first revision admission puts none."""
    canary = rollout.spec.strategy.canary
    steps = (canary.steps if canary else None) or ()
    hold = rollout.metadata.annotations.get(names.HOLD, "")
    held = hold.startswith(names.HELD) and hold != FIRST_HOLD
    return held and len(steps) >= BARRIER_LENGTH and steps[0].get("setWeight") == 0 and is_endless_pause(steps[1])


def _planned_by(steps: Steps, changes: Iterable[Change], glass_broken: bool) -> Change | None:
    """The latest Change whose plan these steps are: whole, or as break-glass left it, where it was used.

    A completed one has put its base back, so steps like its plan are the owner's own.
    """
    standing = (c for c in changes if c.status.phase is not Phase.COMPLETED)
    for change in sorted(standing, key=lambda c: c.metadata.creation_timestamp or "", reverse=True):
        release = change.status.release
        plan = release.plan.steps if release else None
        if not (steps and plan and release) or steps == release.base.steps:
            continue  # nothing of ours stands in such steps
        pruned = glass_broken or change.status.break_glass is not None
        if steps == plan or (pruned and steps == without_endless_pauses(plan)):
            return change
    return None


def _analysis(rollout: Rollout) -> dict[str, Any] | None:
    """Background analysis with the owner's own ``startingStep``, which admission moved behind the barrier.

    What admission remembered says nothing of a step that the owner has written since, which break-glass makes possible.
    """
    canary = rollout.spec.strategy.canary
    analysis = canary.analysis if canary else None
    remembered = rollout.metadata.annotations.get(names.BASE_STARTING_STEP)
    if analysis is None or remembered is None:
        return analysis
    own = whole_number(remembered)
    if analysis.get("startingStep", 0) != (own or 0) + BARRIER_LENGTH:
        return analysis
    rest = {key: value for key, value in analysis.items() if key != "startingStep"}
    return rest if own is None else {**rest, "startingStep": own}


def _same_but_start(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> bool:
    def strip(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else {k: v for k, v in value.items() if k != "startingStep"}

    return strip(a) == strip(b)


def _window(rollout: Rollout, annotations: Mapping[str, str]) -> int | None:
    if rollout.spec.rollback_window is not None:
        return rollout.spec.rollback_window.revisions
    remembered = annotations.get(names.BASE_ROLLBACK_WINDOW, "")
    return whole_number(remembered)


def _last_applied_steps(text: str) -> Steps:
    """The steps in ``last-applied-configuration``; None where there is none or it cannot be read."""
    try:
        manifest = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    value: Any = manifest
    for key in ("spec", "strategy", "canary", "steps"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return tuple(value) if isinstance(value, list) and all(isinstance(s, dict) for s in value) else None
