"""(d) The bad template comes back, as a GitOps tool would bring it: three ways, and never a pod."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from e2e.apiclient import JsonObject
from e2e.demo import scene_rollback
from e2e.demo.failure import must
from e2e.demo.services import CI, LEDGER, owners_steps
from e2e.demo.world import Stage, World

VERSION = scene_rollback.VERSION
WATCHED_SECONDS = 6.0


def play(world: World) -> None:
    stage = Stage(world, "d", LEDGER)
    stable = str(stage.live()["status"]["stableRS"])
    stage.say("Git still holds the bad ledger, and a GitOps tool applies what Git holds. Three times:")
    pods = {
        "identical": _identical(stage, stable),
        "new_timestamp": _with_timestamp(stage, stable),
        "after_revert": _after_revert(stage, stable),
    }
    stage.kubectl(CI, "get", "replicasets")
    stage.say(f"Pods of the bad template over all three: {sum(pods.values())}. Stable never stopped serving.", "green")
    stage.note(pods_of_bad_template=pods)


def _identical(stage: Stage, stable: str) -> int:
    """The very same manifest; it brings the owner's steps along, which would clear Argo's abort."""
    mark = stage.world.watching.mark()
    stage.say("1. The identical manifest, owner's steps and all (a changed step would clear Argo's abort).")
    stage.apply(CI, scene_rollback.manifest(), "ledger.yaml")
    peak = _peak(stage, stable, mark)
    live = stage.live()
    must(live["status"].get("abort") is True, "the identical apply cleared the abort of the rolled-back ledger")
    steps = live["spec"]["strategy"]["canary"]["steps"]
    must(steps != owners_steps(LEDGER), "the identical apply replaced the plan's steps, which clears an abort")
    stage.say(f"The abort still stands; {peak} pods of the bad template.")
    return peak


def _with_timestamp(stage: Stage, stable: str) -> int:
    mark = stage.world.watching.mark()
    generation = stage.live()["metadata"]["generation"]
    stage.say("2. The same with a new timestamp annotation in the pod template: another ReplicaSet, the same code.")
    stamp = {"deploy.example.com/at": datetime.now(UTC).isoformat(timespec="seconds")}
    stage.apply(CI, scene_rollback.manifest(stamp), "ledger.yaml", quiet=True)
    message = _quarantined(stage, generation)
    peak = _peak(stage, stable, mark)
    stage.say(message, "yellow")
    return peak


def _after_revert(stage: Stage, stable: str) -> int:
    stage.say("3. A revert to 1.0.0, which is known good and needs nobody; and then the bad one once more.")
    generation = stage.live()["metadata"]["generation"]
    stage.apply(CI, LEDGER.manifest(LEDGER.first), "ledger-1.0.0.yaml", quiet=True)
    stage.wait_for_change(LEDGER.first, "Completed", 30, after=generation)
    mark = stage.world.watching.mark()
    generation = stage.live()["metadata"]["generation"]
    stage.apply(CI, scene_rollback.manifest(), "ledger.yaml", quiet=True)
    _quarantined(stage, generation)
    peak = _peak(stage, stable, mark)
    stage.rollwarden(CI, "status")
    return peak


def _quarantined(stage: Stage, generation: int) -> str:
    """The message of the new attempt, once it says that it is in quarantine."""

    def look() -> JsonObject | None:
        found = stage.change_of(VERSION, after=generation)
        return found if found is not None and found.get("status", {}).get("reason") == "Quarantined" else None

    return str(stage.wait("the bad template to be quarantined", look, 20)["status"]["message"])


def _peak(stage: Stage, stable: str, mark: int) -> int:
    """The most pods any set but stable had within some seconds from the mark; DidNotHappen unless that is 0."""
    time.sleep(WATCHED_SECONDS)
    sets = [pod_hash for pod_hash in stage.sets() if pod_hash != stable]
    peak = max(stage.world.watching.peak(stage.key(pod_hash), mark) for pod_hash in sets)
    must(peak == 0, f"the quarantined template of ledger got {peak} pods")
    whole = stage.sets()[stable].get("status", {}).get("readyReplicas", 0)
    must(whole == LEDGER.replicas, f"stable of ledger has {whole} of {LEDGER.replicas} ready pods")
    return peak
