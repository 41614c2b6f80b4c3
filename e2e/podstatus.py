"""The status of a pod as the node agent reports it: pure functions from what a process does to the API's JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e.apiclient import JsonObject

FIRST_BACK_OFF_SECONDS = 2.0
LONGEST_BACK_OFF_SECONDS = 60.0
FORGIVEN_AFTER_SECONDS = 300.0


@dataclass(frozen=True)
class ContainerState:
    """What the one real process of a pod does. ``started`` is seconds since the epoch, None while it does not run."""

    started: float | None = None
    ready: bool = False
    restarts: int = 0
    waiting: tuple[str, str] = ("ContainerCreating", "")
    last_end: JsonObject = field(default_factory=dict)


def back_off(restarts: int) -> float:
    """Seconds to wait before a restart, after ``restarts`` earlier ones: 0 at first, then doubling from 2 to 60."""
    if restarts == 0:
        return 0.0
    return float(min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2 ** (restarts - 1)))


def pod_status(pod: JsonObject, state: ContainerState, pod_ip: str, host_ip: str, scheduled: float) -> JsonObject:
    """The part of ``status`` the node agent owns, for a strategic merge patch.

    Only the first container is a real process; the others are reported to be in the same state.
    """
    containers = pod["spec"]["containers"]
    pending = state.started is None and state.restarts == 0 and state.waiting[0] != "CrashLoopBackOff"
    ready = "True" if state.ready else "False"
    names = ", ".join(c["name"] for c in containers)
    not_ready = {} if state.ready else {"reason": "ContainersNotReady", "message": f"containers not ready: {names}"}
    return {
        "phase": "Pending" if pending else "Running",
        "startTime": timestamp(scheduled),
        "hostIP": host_ip,
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "conditions": [
            {"type": "PodReadyToStartContainers", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": ready, **not_ready},
            {"type": "Ready", "status": ready, **not_ready},
        ],
        "containerStatuses": [_container_status(c, state) for c in containers],
    }


def with_transition_times(status: JsonObject, before: JsonObject | None, now: float) -> JsonObject:
    """``status`` with lastTransitionTime on each condition: ``now`` where its status changed since ``before``."""
    old = {c["type"]: c for c in (before or {}).get("conditions", ())}
    conditions = []
    for condition in status["conditions"]:
        same = old.get(condition["type"], {})
        kept = same.get("lastTransitionTime") if same.get("status") == condition["status"] else None
        cleared = {} if "reason" in condition else {"reason": None, "message": None}
        conditions.append({**cleared, **condition, "lastTransitionTime": kept or timestamp(now)})
    return {**status, "conditions": conditions}


def ended(code: int, started: float, now: float) -> JsonObject:
    """The ``terminated`` state of a process that ended by itself; a negative code is the signal that killed it."""
    return {
        "exitCode": code if code >= 0 else 128 - code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": timestamp(started),
        "finishedAt": timestamp(now),
    }


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _container_status(container: JsonObject, state: ContainerState) -> JsonObject:
    if state.started is None:
        reason, message = state.waiting
        now: JsonObject = {"waiting": {"reason": reason, "message": message}}
    else:
        now = {"running": {"startedAt": timestamp(state.started)}}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"local://{container['image']}",
        "ready": state.ready,
        "started": state.started is not None,
        "restartCount": state.restarts,
        "state": now,
        "lastState": {"terminated": state.last_end} if state.last_end else {},
    }
