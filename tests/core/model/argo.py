"""Argo Rollouts 1.10, basic canary without a traffic router, one write per step.

Kept as it really is: the new ReplicaSet is made at 0 and takes the Rollout's annotations before anything is scaled; a
scaling event runs before the new template is noticed, with the weight of the old one; a change of template or steps
resets the status and with it an abort; ``promoteFull`` and the rollback window skip every step; a first revision is
called stable at once, at 0 pods; after an abort the weight is 0; stable is scaled before the canary, and a refusal
stops everything after it. Simplified: pods move in one go, analyses succeed at once.
"""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import suppress
from typing import Any

from rollwarden.api import names
from rollwarden.core.times import argo_seconds, timestamp, unix

from .admission import Refused
from .apiserver import ApiServer, Json

NOT_COPIED = frozenset({names.ARGO_REVISION, "kubectl.kubernetes.io/last-applied-configuration"})
DESIRED = "rollout.argoproj.io/desired-replicas"


def step(api: ApiServer) -> bool:
    """Makes the controller's next write; False when it has nothing to do, or is stuck on a refusal."""
    if api.live.rollout is None:
        return False
    try:
        return _Reconcile(api).run()
    except Refused:
        return False


def settle(api: ApiServer, most: int = 60) -> None:
    """Argo and the kubelets until they rest."""
    for _ in range(most):
        moved = step(api)
        if not (kubelets(api) or moved):
            return
    raise AssertionError("Argo does not come to rest")


def kubelets(api: ApiServer, broken: frozenset[str] = frozenset()) -> bool:
    """Pods that were asked for become ready, but for those of ``broken`` images."""
    moved = False
    for item in api.live.sets.values():
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        ready = 0 if image in broken else item["spec"]["replicas"]
        moved |= item["status"]["readyReplicas"] != ready
        item["status"]["readyReplicas"] = ready
    return moved


def pod_hash(template: Json) -> str:
    text = json.dumps({"labels": template["metadata"].get("labels"), **template}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:9]


def stored_template(template: Json, label: str) -> Json:
    """A template as the API server stores it in a ReplicaSet: labelled, with defaults."""
    body = copy.deepcopy(template)
    body["metadata"]["creationTimestamp"] = None
    body["metadata"].setdefault("labels", {})[names.POD_TEMPLATE_HASH] = label
    body["spec"] |= {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }
    for container in body["spec"]["containers"]:
        container |= {
            "imagePullPolicy": "IfNotPresent",
            "resources": container.get("resources", {}),
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    return body


class _Reconcile:
    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.rollout = api.rollout
        self.status: Json = copy.deepcopy(self.rollout.get("status", {}))
        self.steps: list[Json] = list(self.rollout["spec"]["strategy"]["canary"].get("steps") or [])
        self.replicas: int = self.rollout["spec"].get("replicas", 1)
        self.hash = pod_hash(self.rollout["spec"]["template"])
        self.new = self._set(self.hash)
        self.stable = self._set(self.status.get("stableRS", ""))

    def run(self) -> bool:
        if self.new is None:
            return self._create()
        if self._annotations_differ(self.new):
            return self._annotate(self.new)
        if self._is_scaling_event():
            return self._sync_replicas_only()
        if self._template_or_steps_changed():
            return self._reset()
        if self._scale_sets():
            return True
        return self._advance()

    # ReplicaSets

    def _set(self, label: str) -> Json | None:
        sets = self.api.live.sets.values()
        return next((s for s in sets if s["metadata"]["labels"][names.POD_TEMPLATE_HASH] == label), None)

    def _create(self) -> bool:
        revision = 1 + self._highest_revision()
        meta = self.rollout["metadata"]
        annotations = {k: v for k, v in meta.get("annotations", {}).items() if k not in NOT_COPIED}
        self.api.create_set(
            {
                "metadata": {
                    "name": f"{meta['name']}-{self.hash}",
                    "labels": {names.POD_TEMPLATE_HASH: self.hash},
                    "annotations": {**annotations, names.ARGO_REVISION: str(revision), DESIRED: str(self.replicas)},
                    "ownerReferences": [{"uid": meta["uid"]}],
                    "creation": len(self.api.live.sets) + self.api.version,
                },
                "spec": {"replicas": 0, "template": stored_template(self.rollout["spec"]["template"], self.hash)},
                "status": {"readyReplicas": 0},
            }
        )
        return True

    def _highest_revision(self, but: Json | None = None) -> int:
        others = (s for s in self.api.live.sets.values() if s is not but)
        return max((int(s["metadata"]["annotations"][names.ARGO_REVISION]) for s in others), default=0)

    def _wanted_annotations(self, item: Json) -> dict[str, str]:
        own: dict[str, str] = dict(item["metadata"]["annotations"])
        given = self.rollout["metadata"].get("annotations", {})
        own |= {key: value for key, value in given.items() if key not in NOT_COPIED}
        revision = max(int(own[names.ARGO_REVISION]), 1 + self._highest_revision(but=item))
        return own | {names.ARGO_REVISION: str(revision)}

    def _annotations_differ(self, item: Json) -> bool:
        differ: bool = self._wanted_annotations(item) != item["metadata"]["annotations"]
        return differ

    def _annotate(self, item: Json) -> bool:
        self.api.annotate_set(item["metadata"]["name"], self._wanted_annotations(item))
        return True

    def _weight(self) -> int:
        status = self.status
        current, stable = status.get("currentPodHash", ""), status.get("stableRS", "")
        if status.get("promoteFull") or not stable or current == stable:
            return 100
        index = status.get("currentStepIndex")
        if status.get("abort"):
            return 0
        if index is None or index >= len(self.steps):
            return 100
        below = [s["setWeight"] for s in self.steps[: index + 1] if "setWeight" in s]
        return int(below[-1]) if below else 0

    def _desired(self) -> tuple[int, int]:
        """Canary and stable counts; stable goes down only as far as ready canaries replace it."""
        weight = self._weight()
        if weight >= 100 or self.stable is None or self.stable is self.new:
            canary = self.replicas
        elif weight <= 0:
            canary = 0
        else:
            canary = max(1, min(round(self.replicas * weight / 100), max(1, self.replicas - 1)))
        ready: int = self.new["status"]["readyReplicas"] if self.new else 0
        return canary, max(self.replicas - canary, self.replicas - min(ready, canary))

    def _is_scaling_event(self) -> bool:
        active = (s for s in (self.new, self.stable) if s is not None and s["spec"]["replicas"] > 0)
        return any(s["metadata"]["annotations"][DESIRED] != str(self.replicas) for s in active)

    def _sync_replicas_only(self) -> bool:
        """With the weight that the old status gives: a new set may be asked for all of it."""
        canary, stable = self._desired()
        if self.stable is not None and self.stable is not self.new:
            self._scale(self.stable, stable)
        assert self.new is not None
        with suppress(Refused):  # Argo requeues; the next reconcile is no scaling event any more
            self._scale(self.new, canary)
        if self.new["spec"]["replicas"] > 0:
            self.new["metadata"]["annotations"][DESIRED] = str(self.replicas)
        return self._persist(self.status) or True

    def _scale_sets(self) -> bool:
        canary, stable = self._desired()
        if self.stable is not None and self.stable is not self.new and self._scale(self.stable, stable):
            return True
        assert self.new is not None
        if self._scale(self.new, canary):
            return True
        others = (s for s in self.api.live.sets.values() if s is not self.new and s is not self.stable)
        return any(self._scale(s, 0) for s in others if s["spec"]["replicas"] > 0)

    def _scale(self, item: Json, count: int) -> bool:
        annotations = item["metadata"]["annotations"]
        if item["spec"]["replicas"] == count and annotations.get(DESIRED) == str(self.replicas):
            return False
        if item["spec"]["replicas"] == count == 0:
            return False
        self.api.scale_set(item["metadata"]["name"], count, self.replicas)
        return True

    # status

    def _template_or_steps_changed(self) -> bool:
        current = self.status.get("currentPodHash", "")
        return self.status.get("currentStepHash") != self._step_hash() or (bool(current) and current != self.hash)

    def _step_hash(self) -> str:
        return pod_hash({"metadata": {}, "steps": self.steps})

    def _reset(self) -> bool:
        status = self.status
        for key in ("abort", "abortedAt", "promoteFull", "pauseConditions", "controllerPause", "message"):
            status.pop(key, None)
        status |= {"currentPodHash": self.hash, "currentStepHash": self._step_hash()}
        self._index(0 if self.steps else None)
        back = status.get("stableRS") == self.hash
        assert self.new is not None
        if self.steps and (back or (self._within_window() and self.new["spec"]["replicas"] > 0)):
            self._index(len(self.steps))
        return self._persist(status) or True

    def _index(self, value: int | None) -> None:
        self.status.pop("currentStepIndex", None)
        if value is not None:
            self.status["currentStepIndex"] = value

    def _within_window(self) -> bool:
        window = self.rollout["spec"].get("rollbackWindow", {}).get("revisions", 0)
        if self.new is None or self.stable is None or not window:
            return False
        born = {id(s): s["metadata"]["creation"] for s in self.api.live.sets.values()}
        mine, theirs = born[id(self.new)], born[id(self.stable)]
        return bool(mine < theirs and sum(mine < other < theirs for other in born.values()) < window)

    def _advance(self) -> bool:
        status = self.status
        if status.get("promoteFull") or self._within_window():
            self._clear_pause()
            status.pop("abort", None)
            self._index(len(self.steps) or None)
        if self._promotes():
            self._clear_pause()
            status.pop("promoteFull", None)
            status.pop("abort", None)
            status["stableRS"] = status["currentPodHash"]
            self._index(len(self.steps) or None)
        elif status.get("abort"):
            self._clear_pause()
            if self.steps:
                self._index(len(self.steps) if status.get("stableRS") == status["currentPodHash"] else 0)
        else:
            self._next_step()
        return self._persist(status)

    def _promotes(self) -> bool:
        status = self.status
        if self.stable is None:
            return True
        if status.get("abort") or self.new is None or self.new["status"]["readyReplicas"] < self.replicas:
            return False
        if status.get("promoteFull") or self._within_window() or self.stable is self.new:
            return True
        return not self.steps or bool(status.get("currentStepIndex") == len(self.steps))

    def _next_step(self) -> None:
        status, index = self.status, self.status.get("currentStepIndex")
        if index is None or index >= len(self.steps):
            return
        now = self.steps[index]
        if "pause" in now:
            self._at_pause(now["pause"], index)
        elif "setWeight" not in now or self._at_weight():
            self._index(index + 1)
        status.setdefault("currentPodHash", self.hash)

    def _at_weight(self) -> bool:
        canary, _ = self._desired()
        assert self.new is not None
        return bool(self.new["spec"]["replicas"] == canary and self.new["status"]["readyReplicas"] >= canary)

    def _at_pause(self, pause: Json, index: int) -> None:
        status, conditions = self.status, self.status.get("pauseConditions")
        if not conditions and not status.get("controllerPause"):
            status["pauseConditions"] = [{"reason": "CanaryPauseStep", "startTime": timestamp(self.api.now)}]
            status["controllerPause"] = True
            return
        over = not conditions
        duration = argo_seconds(pause.get("duration"))
        if conditions and duration is not None:
            over = self.api.now >= unix(conditions[0]["startTime"]) + duration
        if over:
            self._clear_pause()
            self._index(index + 1)

    def _clear_pause(self) -> None:
        self.status.pop("pauseConditions", None)
        self.status.pop("controllerPause", None)

    def _persist(self, status: Json) -> bool:
        status["observedGeneration"] = str(self.rollout["metadata"]["generation"])
        status["phase"], status["message"] = self._phase(status)
        status["readyReplicas"] = sum(s["status"]["readyReplicas"] for s in self.api.live.sets.values())
        if not status["message"]:
            status.pop("message")
        if status == self.rollout.get("status", {}):
            return False
        self.api.argo_writes_status(status)
        return True

    def _phase(self, status: Json) -> tuple[str, str]:
        if status.get("abort"):
            return "Degraded", "RolloutAborted: Rollout aborted update"
        if status.get("pauseConditions"):
            return "Paused", "CanaryPauseStep"
        running = {key: s["spec"]["replicas"] for key, s in self.api.live.sets.items() if s["spec"]["replicas"]}
        own: Any = self.new
        updated = own["spec"]["replicas"] if own else 0
        done = status.get("stableRS") == status.get("currentPodHash") and bool(status.get("stableRS"))
        ready = own is not None and own["status"]["readyReplicas"] >= updated
        if done and updated >= self.replicas and ready and sum(running.values()) == updated:
            return "Healthy", ""
        return "Progressing", "more replicas need to be updated"
