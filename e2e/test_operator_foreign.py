"""Rollouts that somebody else wrote: invalid for Argo, a hundred steps, steps the operator knows nothing about.

Argo's own examples and end-to-end manifests come from its Go module. The operator holds and releases what it can,
leaves alone what it cannot, and never stumbles: ``test_operator_rest.py`` counts its errors over the whole session.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.apiclient import ApiError, JsonObject
from e2e.build import module_directory
from e2e.controlplane import ControlPlane
from e2e.operator import failures
from e2e.processes import ManagedProcess
from e2e.programs import BY_NAME
from e2e.shop import Scene, Shop, ai, low, played
from e2e.stage import BARRIER, JUNIOR, hold_of, steps_of

pytestmark = pytest.mark.e2e

FOLDERS = ("examples", "test/e2e")
FEWEST = 60
REALLY_APPLIED = (
    "examples/rollout-analysis-step.yaml",
    "examples/rollout-background-analysis.yaml",
    "examples/rollout-baseline-vs-canary.yaml",
    "examples/rollout-bluegreen.yaml",
    "examples/rollout-canary.yaml",
    "examples/rollout-experiment-step.yaml",
    "examples/rollout-rolling-update.yaml",
    "examples/rollout-template-ref.yaml",
    "test/e2e/functional/canary-scaledownonabortnotrafficrouting.yaml",
    "test/e2e/functional/rollout-background-analysis-inconclusive.yaml",
    "test/e2e/functional/rollout-basic.yaml",
    "test/e2e/functional/rollout-bluegreen.yaml",
    "test/e2e/functional/rollout-canary-with-pause.yaml",
    "test/e2e/functional/rollout-degraded-inline-multiple-analysis.yaml",
    "test/e2e/functional/rollout-experiment-analysis.yaml",
    "test/e2e/functional/rollout-rollback-window.yaml",
    "test/e2e/expectedfailures/malformed-rollout.yaml",
    "test/e2e/expectedfailures/malformed-rollout-ephemeral.yaml",
    "test/e2e/step-plugin/disabled-rollout.yaml",
    "test/e2e/step-plugin/invalid-rollout.yaml",
)
COLLECTIONS = {
    "Rollout": "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts",
    "AnalysisTemplate": "/apis/argoproj.io/v1alpha1/namespaces/{}/analysistemplates",
    "Service": "/api/v1/namespaces/{}/services",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "foreign")
    yield shop
    assert failures(operator) == []
    shop.close()


# -- one Rollout each -----------------------------------------------------------------------------------------------


def hundred_steps(shop: Shop) -> None:
    """All of them are there in the end, in order, after being held and released."""
    steps: list[JsonObject] = [{"setWeight": weight} for weight in range(1, 101)]
    shop.deploy("centipede", steps=steps)
    shop.apply(shop.manifest("centipede", "v2", ai("v2"), steps=steps), JUNIOR)
    assert "100 %" in shop.waits("centipede")["status"]["message"]
    assert steps_of(shop.live("centipede")) == [*BARRIER, *steps]
    shop.apply(shop.manifest("centipede", "v3", low(), steps=steps), JUNIOR)
    shop.completed("centipede", seconds=90)
    assert steps_of(shop.healthy("centipede")) == steps


FOREIGN: dict[str, list[JsonObject]] = {
    "analysis": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "is-not-there"}]}}],
    "canary-scale": [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 50}],
    "experiment": [{"experiment": {"duration": "1h", "templates": [{"name": "b", "specRef": "stable"}]}}],
    "plugin": [{"plugin": {"name": "somebody/step", "config": {"any": ["thing", 1]}}}, {"setWeight": 50}],
    "header-route": [{"setHeaderRoute": {"name": "h"}}, {"setMirrorRoute": {"name": "m"}}, {"setWeight": 50}],
    "odd-weights": [{"setWeight": 90}, {"setWeight": 10}, {"setWeight": 0}, {"pause": {}}, {"setWeight": 100}],
    "zero-first": [{"setWeight": 0}, {"pause": {}}, {"setWeight": 50}],
    "empty": [],
}


def foreign_steps(kind: str, shop: Shop) -> None:
    """Held behind the barrier with every step of the owner's in its place; a return to stable brings them back."""
    name, steps = f"steps-{kind}", FOREIGN[kind]
    shop.apply(shop.manifest(name, "v1", low(), replicas=1))
    shop.completed(name)
    shop.apply(shop.manifest(name, "v2", ai("v2"), replicas=1, steps=steps), JUNIOR)
    change = shop.waits(name)
    assert steps_of(shop.live(name)) == [*BARRIER, *steps]
    assert shop.largest(name, "v2") == 0
    shop.apply(shop.manifest(name, "v1", low(), replicas=1, steps=steps), JUNIOR)
    shop.reach(change, "Superseded")
    shop.reach(shop.change(name), "Canary", "Completed")
    shop.wait("the release", lambda: hold_of(shop.live(name)).startswith("released-"))
    assert steps_of(shop.live(name)) == steps


def invalid_for_argo(shop: Shop) -> None:
    """Argo refuses it in the Rollout's status and runs nothing; once it is mended it goes its way."""
    broken = shop.manifest("broken", "v1", low(), replicas=1)
    broken["spec"]["strategy"]["canary"]["maxSurge"] = 0
    broken["spec"]["strategy"]["canary"]["maxUnavailable"] = 0
    shop.apply(broken)

    def invalid() -> bool:
        conditions = shop.live("broken").get("status", {}).get("conditions", ())
        return any(c["type"] == "InvalidSpec" for c in conditions)

    shop.wait("Argo to refuse it", invalid)
    shop.change("broken")
    shop.apply(shop.manifest("broken", "v1", low(), replicas=1))
    shop.completed("broken")


def long_name(shop: Shop) -> None:
    """Longer than a label may be, and cut right behind a dash."""
    name = "a" * 62 + "-name"
    made = shop.manifest(name, "v1", low(), replicas=1)
    made["spec"]["selector"]["matchLabels"] = {"app": "long"}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "long"}
    shop.apply(made)
    assert shop.completed(name)["spec"]["rollout"]["name"] == name


SCENES: dict[str, Scene] = {
    **{scene.__name__: scene for scene in (hundred_steps, invalid_for_argo, long_name)},
    **{f"steps-{kind}": partial(foreign_steps, kind) for kind in FOREIGN},
}


@pytest.fixture(scope="module")
def scenes(shop: Shop) -> Iterator[dict[str, Future[None]]]:
    with played(shop.cp, SCENES, shop) as results:
        yield results


@pytest.mark.parametrize("scene", SCENES)
def test_foreign(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()


# -- Argo's own -----------------------------------------------------------------------------------------------------


@cache
def documents() -> dict[str, list[JsonObject]]:
    """Every object in the module's YAML files that is meant for a namespace of ours, by file."""
    root = module_directory(BY_NAME["rollouts-controller"])
    found: dict[str, list[JsonObject]] = {}
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*.yaml")):
            objects = [o for o in _parsed(file) if isinstance(o, dict) and o.get("kind") in COLLECTIONS]
            if any(o["kind"] == "Rollout" for o in objects):
                found[str(file.relative_to(root))] = objects
    return found


def _parsed(file: Path) -> list[Any]:
    try:
        return list(yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        return []  # templates of Helm


def _ours(shop: Shop, live: JsonObject) -> JsonObject:
    """As it is, but in our namespace and with a single replica."""
    metadata = {k: v for k, v in live["metadata"].items() if k not in ("namespace", "generateName")}
    made = {**live, "metadata": {"name": live["metadata"].get("generateName", "") + "x", **metadata}}
    if live["kind"] == "Rollout" and isinstance(live.get("spec"), dict):
        made["spec"] = {**live["spec"], "replicas": 1}
    return made


def test_every_manifest_of_argo_is_answered(shop: Shop) -> None:
    """Dry runs in an enforced namespace: each is held as a first revision, or refused by the schema as without us."""
    answers: dict[str, str] = {}
    for file, objects in documents().items():
        for live in (o for o in objects if o["kind"] == "Rollout"):
            answers[f"{file}: {live['metadata'].get('name')}"] = _dry_run(shop, _ours(shop, live))
    assert len(answers) >= FEWEST
    strange = {k: v for k, v in answers.items() if not v.startswith(("held-", "422 Invalid: Rollout.argoproj.io"))}
    assert strange == {}
    assert sum(v.startswith("held-") for v in answers.values()) > FEWEST * 0.8


def _dry_run(shop: Shop, body: JsonObject) -> str:
    path = COLLECTIONS["Rollout"].format(shop.namespace)
    try:
        return hold_of(shop.client(JUNIOR).request("POST", path, body, query={"dryRun": "All"}))
    except ApiError as error:
        return str(error)


def test_argos_own_rollouts(control_plane: ControlPlane, operator: ManagedProcess) -> None:
    """Really applied, then changed twice: each attempt has its Change, whatever Argo thinks of the manifest."""
    shop = Shop(control_plane, "argo")
    objects = [_ours(shop, live) for file in REALLY_APPLIED for live in documents()[file]]
    created = [live for live in objects if _created(shop, live)]
    rollouts = [live for live in created if live["kind"] == "Rollout" and "workloadRef" not in live["spec"]]
    names = sorted(live["metadata"]["name"] for live in rollouts)
    assert len(names) >= 15
    for number in range(2):
        for name in names:
            annotations = {"spec": {"template": {"metadata": {"annotations": {"try": str(number)}}}}}
            shop.merge(name, annotations, JUNIOR)
    for name in names:
        change = shop.change(name)
        shop.wait(f"a phase of {name}", partial(_has_phase, shop, change))
        assert len({c["spec"]["rollout"]["attempt"] for c in shop.changes(name)}) == len(shop.changes(name))
    operator.check()
    assert failures(operator) == []
    shop.close()


def _has_phase(shop: Shop, change: JsonObject) -> bool:
    return "phase" in shop.again(change).get("status", {})


def _created(shop: Shop, body: JsonObject) -> bool:
    """False where the API server refuses the object, or has it from another file."""
    try:
        shop.client().create(COLLECTIONS[body["kind"]].format(shop.namespace), body)
    except ApiError as error:
        if error.code not in (400, 409, 422):
            raise
        return False
    return True
