"""Break-glass with no operator running: what is released at once, what is stamped, and what a reason does not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.stage import (
    BARRIER,
    CI,
    HOLD,
    ON_CALL,
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
SHORT: list[JsonObject] = [{"setWeight": 50}, {"pause": {"duration": "1s"}}]
PLAN: list[JsonObject] = [
    {"setWeight": 25},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
    {"pause": {"duration": "1s"}},
]
UNGATED: list[JsonObject] = [{"setWeight": 25}, {"setWeight": 50}, {"pause": {"duration": "1s"}}]
OWN_STEPS = {"glass-template": STEPS, "glass-held": SHORT, "glass-plan": SHORT, "glass-fix": SHORT, "glass-own": STEPS}
BLUE_GREEN: JsonObject = {"blueGreen": {"activeService": "active", "autoPromotionEnabled": True}}


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "glass")
    service = {"metadata": {"name": "active"}, "spec": {"selector": {"app": "glass-blue"}, "ports": [{"port": 80}]}}
    stage.client().create("/api/v1/namespaces/glass/services", service)
    manifests = [rollout(name, strategy=canary(*steps), replicas=4) for name, steps in OWN_STEPS.items()]
    manifests.append(rollout("glass-blue", strategy=BLUE_GREEN))
    for manifest in manifests:
        stage.client(CI).create(stage.path(), manifest)
    for manifest in manifests:
        stage.healthy(manifest["metadata"]["name"])
    stage.enforce()
    yield stage
    stage.close()


def fix(name: str, tag: str, reason: str) -> JsonObject:
    """A new template and a reason in one write."""
    return {"metadata": {"annotations": {PREFIX + "break-glass": reason}}, "spec": {"template": pods(name, tag)}}


def test_break_glass_with_a_new_template_runs_at_once(stage: Stage) -> None:
    name = "glass-template"
    stage.new_template(name, "v2")
    generation = stage.live(name)["metadata"]["generation"]
    live = stage.merge(name, fix(name, "fix", "pool exhaustion, INC-812"), ON_CALL)
    assert steps_of(live) == STEPS, "the predecessor's barrier is gone"
    stamped = annotations_of(live)
    assert stamped[HOLD] == f"released-{generation}"
    assert stamped[PREFIX + "break-glass-by"] == stamped[PREFIX + "submitted-by"] == ON_CALL
    fixed = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("its pods", lambda: stage.size(name, fixed) == 2)

    live = stage.new_template(name, "v4", user=ON_CALL)
    assert steps_of(live) == BARRIER + STEPS, "the reason counts once: it stays in the manifest"
    assert PREFIX + "break-glass-by" not in annotations_of(live)
    assert hold_of(live).startswith("held-")


def test_break_glass_releases_what_is_held(stage: Stage) -> None:
    name = "glass-held"
    stage.new_template(name, "v2")
    attempt = hold_of(stage.live(name)).removeprefix("held-")
    stage.settled(name)
    done = stage.cp.kubectl(
        *("annotate", "rollout", name, "-n", stage.namespace, f"{PREFIX}break-glass=INC-813"), user=ON_CALL
    )
    assert done.ok, done.err
    live = stage.live(name)
    assert steps_of(live) == SHORT
    assert hold_of(live) == f"released-{attempt}"
    assert annotations_of(live)[PREFIX + "break-glass-by"] == ON_CALL
    stage.healthy(name)


def test_break_glass_over_a_live_plan_takes_the_gates_out(stage: Stage) -> None:
    name = "glass-plan"
    stage.new_template(name, "v2")
    attempt = hold_of(stage.live(name)).removeprefix("held-")
    stage.release(name, PLAN)
    canary_hash = str(stage.settled(name)["status"]["currentPodHash"])
    stage.wait("the first gate", lambda: stage.size(name, canary_hash) == 1)
    live = stage.annotate(name, user=ON_CALL, break_glass="INC-814")
    assert steps_of(live) == UNGATED
    assert hold_of(live) == f"released-{attempt}"
    assert annotations_of(live)[PREFIX + "break-glass-by"] == ON_CALL
    assert annotations_of(live)[PREFIX + "change"] == "a-change"
    stage.healthy(name)


def test_break_glass_creates_a_rollout_that_runs(stage: Stage) -> None:
    manifest = merged(rollout("glass-first"), {"metadata": {"annotations": {PREFIX + "break-glass": "INC-815"}}})
    live = stage.client(ON_CALL).create(stage.path(), manifest)
    assert hold_of(live) == "released-0"
    assert annotations_of(live)[PREFIX + "break-glass-by"] == ON_CALL
    stage.healthy("glass-first")


def test_break_glass_with_a_new_template_over_a_live_plan_leaves_no_gate(stage: Stage) -> None:
    name = "glass-fix"
    stage.new_template(name, "v2")
    stage.release(name, PLAN)
    stage.settled(name)
    generation = stage.live(name)["metadata"]["generation"]
    live = stage.merge(name, fix(name, "fix", "INC-816"), ON_CALL)
    assert steps_of(live) == UNGATED
    assert hold_of(live) == f"released-{generation}"
    assert PREFIX + "change" not in annotations_of(live), "the change belongs to the attempt before"
    stage.healthy(name)


def test_break_glass_keeps_the_steps_its_writer_brings(stage: Stage) -> None:
    name = "glass-own"
    stage.new_template(name, "v2")
    manifest = merged(rollout(name, "fix", canary(*STEPS), replicas=4), fix(name, "fix", "INC-817"))
    live = stage.client(ON_CALL).apply(stage.path(name), manifest, "hand")
    assert steps_of(live) == STEPS
    assert hold_of(live).startswith("released-")


def test_break_glass_releases_a_blue_green_preview(stage: Stage) -> None:
    name = "glass-blue"
    stable = stage.stable(name)
    stage.new_template(name, "v2")
    stage.settled(name)
    stage.annotate(name, user=ON_CALL, break_glass="INC-818")
    assert stage.healthy(name)["status"]["stableRS"] != stable
