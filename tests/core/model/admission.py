"""The admission policies of an enforced namespace: functions from (old, new) to what is stored, or a refusal."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from rollwarden.api import names
from tests.builders import BARRIER

Json = dict[str, Any]
OWNED = names.OPERATOR_OWNED
ARGO_STATUS = ("promoteFull", "pauseConditions", "controllerPause", "currentStepIndex", "abort")


class Refused(Exception):
    """The API server's answer to a write that a policy forbids."""


@dataclass(frozen=True, slots=True)
class Request:
    user: str
    breaks_glass: bool = False
    """Whether this user holds the verb."""


def admit_rollout(old: Json | None, new: Json, request: Request) -> Json:
    """What is stored of a write to the main resource by anyone but the operator and Argo."""
    new = copy.deepcopy(new)
    new["metadata"].setdefault("annotations", {})
    if old is None:
        return _hold_first(new, request)
    _put_back_dropped(old, new)
    if old["spec"]["template"] != new["spec"]["template"]:
        return _hold_new(old, new, request)
    return _keep_plan(old, new, request)


def admit_status(old: Json, new: Json) -> None:
    """Refuses what people may not do to Argo's status while a revision is governed."""
    before, after = old.get("status", {}), new.get("status", {})
    moved = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if not moved or not _governed(old):
        return
    if moved == {"abort"} and after.get("abort"):
        return
    if moved == {"pauseConditions"} and not after.get("pauseConditions") and _owners_pause(old):
        return
    raise Refused(f"{sorted(moved)} of a governed Rollout")


def admit_scale_up(annotations: dict[str, str]) -> None:
    """The ReplicaSet lock: from 0 to more only when released or known to be good."""
    hold = annotations.get(names.HOLD, "")
    if hold and not hold.startswith(names.RELEASED) and names.KNOWN_GOOD not in annotations:
        raise Refused(f"the ReplicaSet is locked by {hold}")


def _hold_first(new: Json, request: Request) -> Json:
    annotations = new["metadata"]["annotations"]
    for key in (*OWNED, names.KNOWN_GOOD):
        annotations.pop(key, None)
    annotations |= {names.HOLD: f"{names.HELD}0", names.SUBMITTED_BY: request.user}
    return new


def _hold_new(old: Json, new: Json, request: Request) -> Json:
    annotations, old_annotations = new["metadata"]["annotations"], old["metadata"]["annotations"]
    attempt = str(old["metadata"]["generation"])
    glass = _breaks_glass(old, new, request)
    for key in (names.CHANGE, names.MESSAGE, names.OWNER_PAUSES, names.KNOWN_GOOD, names.BREAK_GLASS_BY):
        annotations.pop(key, None)
    annotations |= {
        names.HOLD: (names.RELEASED if glass else names.HELD) + attempt,
        names.SUBMITTED_BY: request.user,
        **({names.BREAK_GLASS_BY: request.user} if glass else {}),
    }
    canary = new["spec"]["strategy"]["canary"]
    inherited = _steps(new) == _steps(old)
    if not glass and not (inherited and _barred(old)):
        canary["steps"] = [*copy.deepcopy(BARRIER), *_steps(new)]
    elif glass and inherited and _barred(old):
        _put_steps(new, _steps(old)[2:])
    elif glass and inherited and names.CHANGE in old_annotations:
        _put_steps(new, _without_gates(_steps(old)))
    _take_window(new, old_annotations, glass)
    _move_start(old, new, glass)
    return new


def _take_window(new: Json, old_annotations: dict[str, str], glass: bool) -> None:
    annotations = new["metadata"]["annotations"]
    if "rollbackWindow" in new["spec"] and not glass:
        annotations[names.BASE_ROLLBACK_WINDOW] = str(new["spec"].pop("rollbackWindow")["revisions"])
    elif names.BASE_ROLLBACK_WINDOW in old_annotations:
        annotations[names.BASE_ROLLBACK_WINDOW] = old_annotations[names.BASE_ROLLBACK_WINDOW]


def _move_start(old: Json, new: Json, glass: bool) -> None:
    """Background analysis starts behind the barrier; where it was moved already, it stays."""
    annotations, canary = new["metadata"]["annotations"], new["spec"]["strategy"]["canary"]
    analysis = canary.get("analysis")
    base = old["metadata"]["annotations"].get(names.BASE_STARTING_STEP, "")
    old_start = (old["spec"]["strategy"]["canary"].get("analysis") or {}).get("startingStep")
    if analysis is None:
        annotations.pop(names.BASE_STARTING_STEP, None)
        return
    moved = bool(base) and analysis.get("startingStep") == old_start
    if moved:
        annotations[names.BASE_STARTING_STEP] = base
    elif glass:
        annotations.pop(names.BASE_STARTING_STEP, None)
    else:
        start = analysis.get("startingStep")
        annotations[names.BASE_STARTING_STEP] = "unset" if start is None else str(start)
        analysis["startingStep"] = (start or 0) + len(BARRIER)


def _keep_plan(old: Json, new: Json, request: Request) -> Json:
    old_annotations, annotations = old["metadata"]["annotations"], new["metadata"]["annotations"]
    hold = old_annotations.get(names.HOLD, "")
    glass = _breaks_glass(old, new, request)
    if glass and hold.startswith(names.ABORTED):
        raise Refused("this revision was rolled back; break-glass needs a new template")
    if any(annotations.get(key) != old_annotations.get(key) for key in OWNED):
        raise Refused("only the operator writes these annotations")
    if _governed(old):
        _put_back_strategy(old, new)
    if not glass:
        return new
    attempt = names.attempt_of(hold)
    if hold.startswith(names.HELD):
        annotations |= {names.HOLD: names.RELEASED + attempt, names.BREAK_GLASS_BY: request.user}
        if _barred(old):
            _put_steps(new, _steps(old)[2:])
    elif hold.startswith(names.RELEASED) and names.CHANGE in old_annotations:
        annotations[names.BREAK_GLASS_BY] = request.user
        _put_steps(new, _without_gates(_steps(old)))
    return new


def _put_back_strategy(old: Json, new: Json) -> None:
    canary, old_canary = new["spec"]["strategy"]["canary"], old["spec"]["strategy"]["canary"]
    for key in ("steps", "analysis"):
        canary.pop(key, None)
        if key in old_canary:
            canary[key] = copy.deepcopy(old_canary[key])
    if "rollbackWindow" not in old["spec"]:
        new["spec"].pop("rollbackWindow", None)


def _put_back_dropped(old: Json, new: Json) -> None:
    annotations = new["metadata"]["annotations"]
    for key in OWNED:
        if key in old["metadata"]["annotations"] and key not in annotations:
            annotations[key] = old["metadata"]["annotations"][key]


def _breaks_glass(old: Json, new: Json, request: Request) -> bool:
    reason = new["metadata"]["annotations"].get(names.BREAK_GLASS, "").strip()
    asked = bool(reason) and reason != old["metadata"]["annotations"].get(names.BREAK_GLASS, "").strip()
    if asked and not request.breaks_glass:
        raise Refused("break-glass needs its verb")
    return asked


def _governed(rollout: Json) -> bool:
    annotations = rollout["metadata"].get("annotations", {})
    return annotations.get(names.HOLD, "").startswith((names.HELD, names.ABORTED)) or names.CHANGE in annotations


def _owners_pause(rollout: Json) -> bool:
    annotations, status = rollout["metadata"]["annotations"], rollout.get("status", {})
    released = annotations.get(names.HOLD, "").startswith(names.RELEASED)
    return released and f",{status.get('currentStepIndex', -1)}," in annotations.get(names.OWNER_PAUSES, "")


def _steps(rollout: Json) -> list[Json]:
    return list(rollout["spec"]["strategy"]["canary"].get("steps") or [])


def _put_steps(rollout: Json, steps: list[Json]) -> None:
    canary = rollout["spec"]["strategy"]["canary"]
    canary.pop("steps", None)
    if steps:
        canary["steps"] = copy.deepcopy(steps)


def _barred(rollout: Json) -> bool:
    hold = rollout["metadata"]["annotations"].get(names.HOLD, "")
    held = hold.startswith(names.HELD) and hold != f"{names.HELD}0"
    return held and _steps(rollout)[:2] == list(BARRIER)


def _without_gates(steps: list[Json]) -> list[Json]:
    return [step for step in steps if not ("pause" in step and step["pause"].get("duration") is None)]
