"""The ReplicaSet lock, on the real API server: which sizes and marks of a Rollout's ReplicaSet are admitted from whom.

The sets here belong to a Rollout that Argo's controller leaves alone; its requests are made with its own real token.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from e2e.apiclient import ApiClient, JsonObject
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.stage import ADMIN, CI, HOLD, PREFIX, Stage, annotations_of, merged, pods, refusal, rollout

pytestmark = pytest.mark.e2e

KNOWN_GOOD = PREFIX + "known-good"
HASH = "rollouts-pod-template-hash"
UNMANAGED = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"}}}
HELD_TEXT = "belongs to a revision that is held or was rolled back; it stays at 0 pods"
ARGO_TEXT = "only Argo's controller starts its pods"

_numbers = itertools.count(1)

Ask = Callable[[Stage, str], JsonObject]


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "sets", labels={PREFIX + "mode": "enforce"})
    dry = {"dryRun": "All"}
    probe = replica_set("probe", 1)
    control_plane.wait_for(
        "enforcement", lambda: _refused(lambda: stage.client(CI).request("POST", stage.set_path(), probe, query=dry))
    )
    stage.client(CI).create(stage.path(), merged(rollout("shop"), UNMANAGED))
    yield stage
    stage.close()


def _refused(ask: Callable[[], object]) -> bool:
    try:
        refusal(ask)
    except AssertionError:
        return False
    return True


def argo(stage: Stage) -> ApiClient:
    return stage.service_account("argo-rollouts", "argo-rollouts")


def replica_set(name: str, replicas: int, annotations: dict[str, str] | None = None) -> JsonObject:
    """A set as Argo makes it, but for its owner."""
    template = merged(pods("shop", "v1"), {"metadata": {"labels": {HASH: name}}})
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "labels": {"app": "shop", HASH: name}, "annotations": annotations or {}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "shop", HASH: name}}, "template": template},
    }


def owned(stage: Stage, manifest: JsonObject) -> JsonObject:
    uid = stage.live("shop")["metadata"]["uid"]
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop", "uid": uid, "controller": True}
    return merged(manifest, {"metadata": {"ownerReferences": [owner]}})


def made(stage: Stage, hold: str | None, *, known_good: bool = False) -> str:
    """The name of a fresh set at 0 with that hold, made by Argo; the operator marks it if it is known to be good."""
    name = f"shop-{next(_numbers)}"
    annotations = {} if hold is None else {HOLD: hold}
    argo(stage).create(stage.set_path(), owned(stage, replica_set(name, 0, annotations)))
    if known_good:
        stage.operator.patch(stage.set_path(name), {"metadata": {"annotations": {KNOWN_GOOD: "true"}}})
    return name


def _sized(client: Callable[[Stage], ApiClient], replicas: int) -> Ask:
    return lambda stage, name: client(stage).patch(stage.set_path(name), {"spec": {"replicas": replicas}})


def _marked(client: Callable[[Stage], ApiClient], key: str, value: str | None) -> Ask:
    return lambda stage, name: client(stage).patch(stage.set_path(name), {"metadata": {"annotations": {key: value}}})


def _person(stage: Stage) -> ApiClient:
    return stage.client(CI)


def _admin(stage: Stage) -> ApiClient:
    return stage.client(ADMIN)


def _scaled(stage: Stage, name: str) -> JsonObject:
    return stage.client(CI).patch(stage.set_path(name, "scale"), {"spec": {"replicas": 2}})


def _created(client: Callable[[Stage], ApiClient], replicas: int, annotations: dict[str, str]) -> Ask:
    return lambda stage, name: client(stage).create(
        stage.set_path(), owned(stage, replica_set(name + "-x", replicas, annotations))
    )


def _orphaned(stage: Stage, name: str) -> JsonObject:
    return stage.client(CI).patch(stage.set_path(name), {"metadata": {"ownerReferences": None}})


def _swapped(stage: Stage, name: str) -> JsonObject:
    template = merged(pods("shop", "other"), {"metadata": {"labels": {HASH: name}}})
    return stage.client(CI).patch(stage.set_path(name), {"spec": {"template": template}})


def _bare_with_mark(stage: Stage, name: str) -> JsonObject:
    """A set of nobody, waiting to be adopted by a Rollout."""
    manifest = replica_set(name + "-x", 0, {KNOWN_GOOD: "true"})
    for labels in (manifest["metadata"]["labels"], manifest["spec"]["selector"]["matchLabels"]):
        del labels[HASH]
    return stage.client(CI).create(stage.set_path(), manifest)


REFUSED: dict[str, tuple[str | None, Ask, str]] = {
    "a held set, by Argo": ("held-7", _sized(argo, 1), HELD_TEXT),
    "a rolled-back set, by Argo": ("aborted-7", _sized(argo, 1), HELD_TEXT),
    "a hold of no known form, by Argo": ("whatever", _sized(argo, 1), HELD_TEXT),
    "a held set, by an administrator": ("held-7", _sized(_admin, 1), HELD_TEXT),
    "a held set, through its scale": ("held-7", _scaled, ARGO_TEXT),
    "a held set made with pods, by Argo": ("held-7", _created(argo, 2, {HOLD: "held-8"}), HELD_TEXT),
    "a released set, by a person": ("released-7", _sized(_person, 1), ARGO_TEXT),
    "an old set, by a person": (None, _sized(_person, 1), ARGO_TEXT),
    "an old set, through its scale": (None, _scaled, ARGO_TEXT),
    "a set with pods made by a person": (None, _created(_person, 1, {}), ARGO_TEXT),
    "a hold taken off by a person": ("held-7", _marked(_person, HOLD, None), "comes from its Rollout"),
    "a hold lifted by a person": ("held-7", _marked(_person, HOLD, "released-7"), "comes from its Rollout"),
    "a hold brought by a person": ("held-7", _created(_person, 0, {HOLD: "released-8"}), "comes from its Rollout"),
    "known-good from a person": (
        "held-7",
        _marked(_person, KNOWN_GOOD, "true"),
        "only the operator writes " + KNOWN_GOOD,
    ),
    "known-good from Argo": ("held-7", _marked(argo, KNOWN_GOOD, "true"), "only the operator writes " + KNOWN_GOOD),
    "known-good on a set to be adopted": ("held-7", _bare_with_mark, "only the operator writes " + KNOWN_GOOD),
    "an owner taken away": ("held-7", _orphaned, "the owner of ReplicaSet"),
    "other pods in the same set": ("released-7", _swapped, "comes from its Rollout; change it there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(stage: Stage, case: str) -> None:
    hold, ask, words = REFUSED[case]
    name = made(stage, hold)
    before = stage.client().get(stage.set_path(name))
    assert words in refusal(lambda: ask(stage, name))
    after = stage.client().get(stage.set_path(name))
    assert (after["spec"], after["metadata"].get("annotations")) == (
        before["spec"],
        before["metadata"].get("annotations"),
    )


ADMITTED: dict[str, tuple[str | None, bool, Ask]] = {
    "a released set, by Argo": ("released-7", False, _sized(argo, 1)),
    "a set from before Rollwarden, by Argo": (None, False, _sized(argo, 1)),
    "a known good set under a new hold, by Argo": ("held-7", True, _sized(argo, 1)),
    "a new hold, by Argo": ("released-7", False, _marked(argo, HOLD, "held-8")),
    "known-good taken off by the operator": ("released-7", True, _marked(lambda s: s.operator, KNOWN_GOOD, None)),
    "any other annotation": ("held-7", False, _marked(_person, "team", "pay")),
}


@pytest.mark.parametrize("case", ADMITTED)
def test_admitted(stage: Stage, case: str) -> None:
    hold, known_good, ask = ADMITTED[case]
    name = made(stage, hold, known_good=known_good)
    ask(stage, name)


def test_a_running_set_scales_whatever_it_carries(stage: Stage) -> None:
    name = made(stage, "released-7")
    argo(stage).patch(stage.set_path(name), {"spec": {"replicas": 2}})
    argo(stage).patch(stage.set_path(name), {"metadata": {"annotations": {HOLD: "held-9"}}, "spec": {"replicas": 5}})
    stage.client(CI).patch(stage.set_path(name, "scale"), {"spec": {"replicas": 1}})
    live = stage.client().get(stage.set_path(name))
    assert (live["spec"]["replicas"], annotations_of(live)[HOLD]) == (1, "held-9")


def test_sets_of_others_are_left_alone(stage: Stage) -> None:
    labels = {"app": "other"}
    template = {"metadata": {"labels": labels}, "spec": pods("other", "v1")["spec"]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "other", "annotations": {HOLD: "held-1"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    stage.client(CI).create("/apis/apps/v1/namespaces/sets/deployments", deployment)

    def its_sets() -> list[JsonObject]:
        listed = stage.client().get(stage.set_path(), labelSelector="app=other")["items"]
        return [s for s in listed if s["spec"]["replicas"] == 1]

    stage.wait("its set", its_sets)


def test_an_orphaned_set_stays_locked(stage: Stage) -> None:
    stage.client(CI).create(stage.path(), merged(rollout("left"), UNMANAGED))
    uid = stage.live("left")["metadata"]["uid"]
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "left", "uid": uid, "controller": True}
    manifest = merged(replica_set("left-1", 0, {HOLD: "held-1"}), {"metadata": {"ownerReferences": [owner]}})
    argo(stage).create(stage.set_path(), manifest)
    stage.client(CI).delete(stage.path("left"), {"propagationPolicy": "Orphan"})
    stage.wait(
        "the garbage collector to let go of the set",
        lambda: "ownerReferences" not in stage.client().get(stage.set_path("left-1"))["metadata"],
    )
    assert ARGO_TEXT in refusal(lambda: _scaled(stage, "left-1"))
    assert HELD_TEXT in refusal(lambda: _sized(_admin, 1)(stage, "left-1"))
