"""Holding and keeping, on the real API server and Argo's real controller, with no operator running.

What is refused to whom is in ``test_admission_guards.py``, break-glass in ``test_admission_break_glass.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.stage import (
    BARRIER,
    CI,
    HOLD,
    PREFIX,
    Stage,
    annotations_of,
    canary,
    hold_of,
    merged,
    pods,
    rollout,
    steps_of,
)

pytestmark = pytest.mark.e2e

STEPS: list[JsonObject] = [{"setWeight": 50}, {"pause": {"duration": "1h"}}, {"setWeight": 75}, {"pause": {}}]
PLAN: list[JsonObject] = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
BLUE_GREEN: JsonObject = {"blueGreen": {"activeService": "active", "autoPromotionEnabled": True}}
RACES = 20

Write = Callable[[Stage, JsonObject], JsonObject]


# -- the three ways people write ------------------------------------------------------------------------------------


def merge_patch(stage: Stage, manifest: JsonObject) -> JsonObject:
    """Only what changes: the template."""
    return stage.merge(manifest["metadata"]["name"], {"spec": {"template": manifest["spec"]["template"]}})


def server_side_apply(stage: Stage, manifest: JsonObject) -> JsonObject:
    return stage.client(CI).apply(stage.path(manifest["metadata"]["name"]), manifest, "gitops")


def client_side_apply(stage: Stage, manifest: JsonObject) -> JsonObject:
    done = stage.cp.kubectl("apply", "-n", stage.namespace, "-f", "-", user=CI, input=json.dumps(manifest))
    assert done.ok, done.err
    return stage.live(manifest["metadata"]["name"])


WRITERS: dict[str, Write] = {"merge": merge_patch, "ssa": server_side_apply, "csa": client_side_apply}
STRATEGIES = {"steps": canary(*STEPS), "nosteps": canary()}


# -- the stage ------------------------------------------------------------------------------------------------------


def _manifests() -> list[JsonObject]:
    """One Rollout per scenario, all brought up together before the namespace is enforced."""
    held = [rollout(f"{kind}-{writer}", strategy=s) for kind, s in STRATEGIES.items() for writer in WRITERS]
    others = [
        rollout("raced", strategy=canary(*STEPS), replicas=3),
        rollout("raced-nosteps", replicas=3),
        rollout("reused", strategy=canary(*STEPS), replicas=3),
        rollout("reused-unmarked", strategy=canary(*STEPS), replicas=3),
        rollout("scaled", strategy=canary(*STEPS)),
        rollout("superseded", strategy=canary(*STEPS), replicas=4),
        rollout("reapplied-ssa", strategy=canary(*STEPS), replicas=4),
        rollout("reapplied-csa", strategy=canary(*STEPS), replicas=4),
        rollout("windowed", strategy=canary(*STEPS), rollbackWindow={"revisions": 3}),
        rollout("aborted", strategy=canary(*STEPS)),
        rollout("colours", strategy=BLUE_GREEN, replicas=3),
        _borrowing_rollout(),
    ]
    return held + others


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "admission")
    service = {"metadata": {"name": "active"}, "spec": {"selector": {"app": "colours"}, "ports": [{"port": 80}]}}
    stage.client().create("/api/v1/namespaces/admission/services", service)
    stage.client(CI).create("/apis/apps/v1/namespaces/admission/deployments", _borrowed_deployment())
    for manifest in _manifests():
        applied_by_client = str(manifest["metadata"]["name"]).endswith("-csa")
        (client_side_apply if applied_by_client else server_side_apply)(stage, manifest)
    for manifest in _manifests():
        stage.healthy(manifest["metadata"]["name"])
    stage.enforce()
    yield stage
    stage.close()


def _borrowed_deployment() -> JsonObject:
    """It lends its template to a Rollout and runs nothing itself."""
    selector = {"matchLabels": {"app": "borrowed"}}
    spec = {"replicas": 0, "selector": selector, "template": pods("borrowed", "v1")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "borrowed"}, "spec": spec}


def _borrowing_rollout() -> JsonObject:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "borrowed"}
    manifest = rollout("borrowed", strategy=canary(*STEPS), workloadRef=reference)
    del manifest["spec"]["template"]
    return manifest


# -- holds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_new_template_is_held_at_no_pods_while_stable_scales(stage: Stage, kind: str, writer: str) -> None:
    name, write, strategy = f"{kind}-{writer}", WRITERS[writer], STRATEGIES[kind]
    own = strategy["canary"]["steps"]
    stable, mark, generation = stage.stable(name), stage.record.mark(), stage.live(name)["metadata"]["generation"]

    live = write(stage, rollout(name, "v2", strategy))
    assert steps_of(live) == BARRIER + own
    assert hold_of(live) == f"held-{generation}"
    assert annotations_of(live)[PREFIX + "submitted-by"] == CI
    settled = stage.settled(name)

    again = write(stage, rollout(name, "v2", strategy))
    assert again["spec"] == settled["spec"], "an identical re-apply changes nothing"
    if writer == "ssa":
        drift = stage.cp.kubectl(
            *("diff", "--server-side", "--field-manager=gitops", "-n", stage.namespace, "-f", "-"),
            user=CI,
            input=json.dumps(rollout(name, "v2", strategy)),
        )
        assert drift.rc == 0, drift.out + drift.err

    attempt = stage.live(name)["metadata"]["generation"]
    live = write(stage, rollout(name, "v3", strategy))
    assert steps_of(live) == BARRIER + own, "one barrier, however often the template changes"
    assert hold_of(live) == f"held-{attempt}"

    stage.scale(name, 3)
    stage.wait("stable to follow the autoscaler", lambda: stage.size(name, stable) == 3)
    stage.settled(name)
    assert stage.peak(name, stable, mark) == 0


def test_a_template_and_replicas_in_one_write_scale_stable_only(stage: Stage) -> None:
    stable, mark = stage.stable("scaled"), stage.record.mark()
    stage.new_template("scaled", "v2", replicas=4)
    stage.wait("stable to scale", lambda: stage.size("scaled", stable) == 4)
    stage.settled("scaled")
    assert stage.peak("scaled", stable, mark) == 0


@pytest.mark.parametrize("name", ["raced", "raced-nosteps"])
def test_an_autoscaler_racing_template_writes_never_starts_a_held_pod(stage: Stage, name: str) -> None:
    stable, mark = stage.stable(name), stage.record.mark()
    with ThreadPoolExecutor(1) as beside:
        for turn in range(RACES):
            # Argo is most easily taken in while its status still calls the revision of the template stable
            stage.new_template(name, "v1")
            stage.settled(name)
            _race(stage, beside, name, f"race-{turn}", turn)
            stage.settled(name)
    stage.wait("stable to follow", lambda: stage.size(name, stable) == 3)
    stage.settled(name)
    assert stage.peak(name, stable, mark) == 0


def _race(stage: Stage, beside: Executor, name: str, tag: str, turn: int) -> None:
    """A template write, and a scaling 10 ms before to 20 ms after it: up to 5 in even turns, down to 3 in odd ones."""
    replicas, moment = (5 if turn % 2 == 0 else 3), turn // 2 % 4
    writing = beside.submit(_write_soon, stage, name, tag, delay=0.01 if moment == 0 else 0)
    if moment > 0:
        writing.result()
        time.sleep(0.01 * (moment - 1))
    stage.scale(name, replicas)
    writing.result()


def _write_soon(stage: Stage, name: str, tag: str, delay: float) -> None:
    time.sleep(delay)
    stage.new_template(name, tag)


def test_a_newer_template_takes_a_running_canary_back_to_stable(stage: Stage) -> None:
    name = "superseded"
    stable = stage.stable(name)
    stage.new_template(name, "v2")
    stage.release(name, PLAN)
    first = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the canary to run", lambda: stage.size(name, first) == 1)
    stage.annotate(name, user=CI, criticality="high")
    mark = stage.record.mark()

    live = stage.new_template(name, "v3")
    assert steps_of(live) == BARRIER + PLAN
    assert PREFIX + "change" not in annotations_of(live), "the change belongs to the attempt before"
    assert annotations_of(live)[PREFIX + "criticality"] == "high"
    second = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the canary to go", lambda: stage.size(name, first) == 0)
    stage.wait("stable to be whole", lambda: stage.size(name, stable) == 4)
    assert stage.size(name, second) == 0
    stage.catch_up()
    assert stage.record.peak([f"{name}-{second}"], mark) == 0


@pytest.mark.parametrize("writer", ["ssa", "csa"])
def test_an_identical_apply_leaves_a_running_canary_alone(stage: Stage, writer: str) -> None:
    name, write = f"reapplied-{writer}", WRITERS[writer]
    manifest = rollout(name, "v2", canary(*STEPS), replicas=4)
    write(stage, manifest)
    stage.release(name, PLAN)
    running = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the canary to run", lambda: stage.size(name, running) == 1)
    before, mark = stage.live(name), stage.record.mark()
    for _ in range(2):
        after = write(stage, manifest)
        assert after["spec"] == before["spec"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        assert hold_of(after) == hold_of(before)
    time.sleep(0.5)
    stage.catch_up()
    assert {size for seen, size in stage.record.sizes[mark:] if seen == f"{name}-{running}"} <= {1}


def test_a_revision_that_comes_by_a_workload_reference_is_held(stage: Stage) -> None:
    name = "borrowed"
    stable, mark = stage.stable(name), stage.record.mark()
    changes = {"spec": {"template": pods(name, "v2")}}
    stage.client(CI).patch("/apis/apps/v1/namespaces/admission/deployments/borrowed", changes)
    stage.wait("the second set", lambda: len(stage.sets(name)) == 2)
    live = stage.settled(name)
    assert hold_of(live).startswith("held-")
    assert steps_of(live) == BARRIER + STEPS
    stage.scale(name, 3)
    stage.wait("stable to scale", lambda: stage.size(name, stable) == 3)
    assert stage.peak(name, stable, mark) == 0


def test_a_rollback_window_is_set_aside_and_remembered(stage: Stage) -> None:
    name = "windowed"
    stable, mark = stage.stable(name), stage.record.mark()
    stage.new_template(name, "v2")
    live = server_side_apply(stage, rollout(name, "v3", canary(*STEPS), rollbackWindow={"revisions": 5}))
    assert "rollbackWindow" not in live["spec"]
    assert annotations_of(live)[PREFIX + "base-rollback-window"] == "5"
    live = stage.new_template(name, "v4")
    assert annotations_of(live)[PREFIX + "base-rollback-window"] == "5", "kept over a second write"
    live = server_side_apply(stage, rollout(name, "v4", canary(*STEPS), rollbackWindow={"revisions": 5}))
    assert "rollbackWindow" not in live["spec"], "an apply of the same template does not bring it back"
    stage.settled(name)
    assert stage.peak(name, stable, mark) == 0


def test_after_an_abort_steps_stay_and_the_next_template_gets_a_barrier(stage: Stage) -> None:
    name = "aborted"
    stable = stage.stable(name)
    server_side_apply(stage, rollout(name, "v2", canary(*STEPS)))
    attempt = hold_of(stage.live(name)).removeprefix("held-")
    stage.release(name, PLAN)
    bad = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the canary to run", lambda: stage.size(name, bad) == 1)
    stage.status(name, {"abort": True})
    stage.wait("the canary to go", lambda: stage.size(name, bad) == 0)
    _operator_annotates(stage, name, HOLD, f"aborted-{attempt}")
    stage.wait("the mark on the set", lambda: annotations_of(stage.sets(name)[bad]).get(HOLD) == f"aborted-{attempt}")
    mark = stage.record.mark()

    live = server_side_apply(stage, rollout(name, "v2", canary(*STEPS)))
    assert steps_of(live) == PLAN, "the owner's steps would clear the abort"
    assert live["status"]["abort"]
    stage.scale(name, 3)
    stage.wait("stable to scale", lambda: stage.size(name, stable) == 3)
    live = stage.new_template(name, "v3")
    assert steps_of(live) == BARRIER + PLAN
    stage.settled(name)
    assert stage.peak(name, stable, mark) == 0


def _operator_annotates(stage: Stage, name: str, key: str, value: str) -> None:
    path = "/metadata/annotations/" + key.replace("/", "~1")
    stage.json_patch(stage.operator, stage.path(name), [{"op": "add", "path": path, "value": value}])


@pytest.mark.parametrize("name, marked", [("reused", True), ("reused-unmarked", False)])
def test_a_rolled_back_template_applied_again_starts_no_pod(stage: Stage, name: str, marked: bool) -> None:
    """With the operator's mark on the bad set, and without it (the operator down since before the abort)."""
    stable = stage.stable(name)
    stage.new_template(name, "bad")
    attempt = hold_of(stage.live(name)).removeprefix("held-")
    stage.release(name, PLAN)
    bad = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the canary to run", lambda: stage.size(name, bad) == 1)
    stage.status(name, {"abort": True})
    stage.wait("the canary to go", lambda: stage.size(name, bad) == 0)
    if marked:
        _operator_annotates(stage, name, HOLD, f"aborted-{attempt}")
        stage.settled(name)
    stage.catch_up()
    mark = stage.record.mark()
    with ThreadPoolExecutor(1) as beside:
        for turn in range(RACES // 2):
            stage.new_template(name, "v1")
            stage.settled(name)
            _race(stage, beside, name, "bad", turn)
            stage.settled(name)
    stage.wait("stable to follow", lambda: stage.size(name, stable) == 3)
    assert stage.peak(name, stable, mark) == 0


# -- first deploys and blueGreen ------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [canary(*STEPS), canary()], ids=["steps", "nosteps"])
def test_a_first_deploy_waits_at_no_pods_and_runs_when_released(stage: Stage, strategy: JsonObject) -> None:
    name = f"first-{len(strategy['canary']['steps'])}"
    forged = {PREFIX + key: "forged" for key in ("hold", "change", "submitted-by", "submitter-groups", "owner-steps")}
    manifest = merged(rollout(name, "v1", strategy), {"metadata": {"annotations": forged}})
    mark = stage.record.mark()
    live = stage.client(CI).create(stage.path(), manifest)
    assert {k: v for k, v in annotations_of(live).items() if k.startswith(PREFIX)} == {
        HOLD: "held-0",
        PREFIX + "submitted-by": CI,
        PREFIX + "submitter-groups": "ci",
    }
    assert steps_of(live) == strategy["canary"]["steps"]
    first = next(iter(stage.wait("its set", lambda: stage.sets(name))))
    live = stage.new_template(name, "v2")
    second = stage.wait("the second set", lambda: sorted(set(stage.sets(name)) - {first}))[0]
    stage.scale(name, 1)
    time.sleep(1)
    assert stage.peak(name, "", mark) == 0
    stage.release(name, strategy["canary"]["steps"])
    stage.healthy(name)
    assert {h: s["spec"]["replicas"] for h, s in stage.sets(name).items()} == {first: 0, second: 1}


def test_a_blue_green_preview_is_held_while_active_scales(stage: Stage) -> None:
    name = "colours"
    stable, mark = stage.stable(name), stage.record.mark()
    live = stage.new_template(name, "v2", replicas=4)
    assert live["spec"]["strategy"] == stage.live(name)["spec"]["strategy"]
    assert hold_of(live).startswith("held-")
    stage.wait("active to scale", lambda: stage.size(name, stable) == 4)
    stage.scale(name, 3)
    stage.wait("active to scale again", lambda: stage.size(name, stable) == 3)
    stage.settled(name)
    assert stage.peak(name, stable, mark) == 0
    stage.release(name, None)
    assert stage.healthy(name)["status"]["stableRS"] != stable
