"""Held at 0 new pods, by a table: every kind of strategy through every situation, under the running operator.

While a revision is held its stable set scales, restarts and is returned to; the last of these without the operator
too. Weights of a mesh: ``test_operator_routed.py``; with no operator at all: ``test_admission.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

import pytest

from e2e import istio
from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import Desk
from e2e.processes import ManagedProcess
from e2e.shop import IMAGE, Scene, Shop, ai, low, phase_of, played
from e2e.stage import BARRIER, CI, JUNIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

ARGO = "/apis/argoproj.io/v1alpha1/namespaces"
MEASURED: JsonObject = {"templates": [{"templateName": "one"}]}
HALF: list[JsonObject] = [{"setWeight": 50}, {"pause": {"duration": "1h"}}]
BESIDE: JsonObject = {"duration": "1h", "templates": [{"name": "beside", "specRef": "canary", "replicas": 1}]}
BETA: JsonObject = {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]}


@dataclass(frozen=True)
class Row:
    """One kind of strategy. ``canary``: fields of it, None for ``blue_green``; ``starts``: startingStep while held.

    ``restarts``: its pods are restarted too, which takes Argo a while.
    """

    canary: JsonObject | None = None
    blue_green: JsonObject | None = None
    routed: bool = False
    starts: int | None = None
    restarts: bool = False
    spec: JsonObject = field(default_factory=dict)

    def strategy(self, name: str) -> JsonObject:
        if self.canary is None:
            return {"blueGreen": {"activeService": f"{name}-stable", **(self.blue_green or {})}}
        return {"canary": self.canary | (istio.routing(name) if self.routed else {})}


ROWS: dict[str, Row] = {
    "no-steps": Row({}),
    "steps": Row({"steps": HALF}, restarts=True, spec={"rollbackWindow": {"revisions": 5}}),
    "analysis-step": Row({"steps": [{"analysis": MEASURED}, {"setWeight": 50}]}),
    "background": Row({"steps": HALF, "analysis": MEASURED}, starts=2),
    "background-later": Row({"steps": HALF, "analysis": {**MEASURED, "startingStep": 1}}, starts=3),
    "experiment": Row({"steps": [{"experiment": BESIDE}, {"setWeight": 50}]}),
    "plugin": Row({"steps": [{"plugin": {"name": "somebody/step", "config": {"any": 1}}}, {"setWeight": 50}]}),
    "routed": Row({"steps": [{"setWeight": 1}, {"pause": {}}]}, routed=True),
    "canary-scale-and-header-route": Row(
        {"steps": [{"setCanaryScale": {"replicas": 2}}, {"setHeaderRoute": BETA}, {"setWeight": 50}]}, routed=True
    ),
    "blue-green": Row(blue_green={"previewReplicaCount": 1, "autoPromotionSeconds": 1}),
}


@dataclass
class Held:
    """A Rollout of one row whose new templates are all held."""

    shop: Shop
    name: str
    row: Row

    def write(self, tag: str, owner: dict[str, str], replicas: int) -> JsonObject:
        made = self.shop.manifest(self.name, tag, owner, replicas=replicas, **self.row.spec)
        made["spec"]["strategy"] = self.row.strategy(self.name)
        return self.shop.apply(made, JUNIOR)

    def stable(self) -> JsonObject:
        found = self.shop.revision(self.name, "v1")
        assert found is not None
        return found

    def sized(self, replicas: int) -> None:
        """Stable gets that size within seconds.

        Where an autoscaler's write met the template's, Argo may have tried the held set first: each try that is refused
        doubles the wait before its next one, up to 10 s.
        """
        self.shop.wait(f"{self.name} at {replicas}", lambda: self.stable()["spec"]["replicas"] == replicas, 30)

    def nothing_new(self) -> None:
        """No pod of any new template ever ran, no analysis and no experiment began for one."""
        for tag in ("v2", "v3"):
            assert self.shop.largest(self.name, tag) == 0, tag
        for kind in ("analysisruns", "experiments"):
            listed = self.shop.client().get(f"{ARGO}/{self.shop.namespace}/{kind}")["items"]
            owners = [o["name"] for item in listed for o in item["metadata"].get("ownerReferences", ())]
            assert self.name not in owners, kind


# -- situations, in the order they are played -----------------------------------------------------------------------


def template_and_replicas_with_an_autoscaler(held: Held) -> None:
    """One write changes both, and an autoscaler goes on writing through its first second."""
    with held.shop.autoscaled(held.name, (4, 3), every=0.4):
        live = held.write("v2", ai("v2"), replicas=3)
        time.sleep(1)
    change = held.shop.waits(held.name)
    assert phase_of(change) == "AwaitingApproval"
    if held.row.canary is not None:
        assert steps_of(live) == [*BARRIER, *held.row.canary.get("steps", [])]
        assert live["spec"]["strategy"]["canary"].get("analysis", {}).get("startingStep") == held.row.starts
    assert "rollbackWindow" not in held.shop.live(held.name)["spec"]


def autoscaled_while_held(held: Held) -> None:
    for size in (4, 2):
        held.shop.scale(held.name, size)
        held.sized(size)


def another_template_and_back(held: Held) -> None:
    """Also within a rollback window: the first template was never approved, so coming back to it changes nothing."""
    for tag in ("v3", "v2"):
        older = held.shop.waits(held.name)
        held.write(tag, ai(tag), replicas=2)
        held.shop.reach(older, "Superseded")
    held.shop.waits(held.name)


def restarted_while_held(held: Held) -> None:
    restarted(held)
    assert hold_of(held.shop.live(held.name)).startswith("held-")


def aborted_while_held(held: Held) -> None:
    shop, change = held.shop, held.shop.change(held.name)
    shop.settled(held.name)
    shop.status(held.name, {"abort": True})
    assert shop.reach(change, "RolledBack")["status"]["quarantine"]["active"]
    shop.scale(held.name, 3)
    held.sized(3)


def returned_to_stable(held: Held) -> None:
    held.write("v1", low(), replicas=2)
    held.shop.completed(held.name)
    live = held.shop.healthy(held.name)
    assert live["spec"]["strategy"] == held.row.strategy(held.name)
    assert live["spec"].get("rollbackWindow") == held.row.spec.get("rollbackWindow")
    held.sized(2)


def restarted(held: Held) -> None:
    """Stable's pods are replaced one after the other; that is no new revision."""
    if not held.row.restarts:
        return
    shop, name = held.shop, held.name
    before = shop.live(name)
    old = {pod["metadata"]["uid"] for pod in shop.ready_pods(name)}
    sets = set(shop.sets(name))
    shop.merge(name, {"spec": {"restartAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}})

    def replaced() -> bool:
        now = {pod["metadata"]["uid"] for pod in shop.ready_pods(name)}
        return len(now) == 2 and not now & old

    shop.wait(f"other pods of {name}", replaced, 60)
    assert set(shop.sets(name)) == sets
    assert hold_of(shop.live(name)) == hold_of(before)


SITUATIONS: tuple[Callable[[Held], None], ...] = (
    template_and_replicas_with_an_autoscaler,
    autoscaled_while_held,
    another_template_and_back,
    restarted_while_held,
    aborted_while_held,
    returned_to_stable,
    restarted,
)


def held_through(kind: str, shop: Shop) -> None:
    held = Held(shop, kind, ROWS[kind])
    for path, body in istio.objects(shop.namespace, kind):
        shop.client().create(path, body)
    held.write("v1", low(), replicas=2)
    shop.completed(kind)
    shop.healthy(kind)
    for situation in SITUATIONS:
        try:
            situation(held)
            held.nothing_new()
        except Exception as error:
            error.add_note(f"{kind}: {situation.__name__}")
            raise


# -- what else a strategy may be ------------------------------------------------------------------------------------


def blue_green_released(shop: Shop) -> None:
    """Held and approved as a canary is; then all traffic switches at once, and the Change says so."""
    held = Held(shop, "colours", Row(blue_green={}))
    for path, body in istio.objects(shop.namespace, "colours"):
        shop.client().create(path, body)
    held.write("v1", low(), replicas=2)
    shop.completed("colours")
    held.write("v2", ai("v2"), replicas=2)
    change = shop.waits("colours")
    assert shop.largest("colours", "v2") == 0
    shop.decide(change)
    done = shop.reach(change, "Completed")
    assert "held and approved, but not judged" in done["status"]["release"]["plan"]["notes"][0]
    assert any("not judged" in note for note in shop.events("Released"))
    assert done["status"]["unproven"]
    assert "gates" not in done["status"] or done["status"]["gates"] == []


def workload_reference(shop: Shop) -> None:
    """Not supported: its new revisions stay held while stable scales, which its message and an Event say."""
    name = "borrowed"
    lent = shop.manifest(name, "v1")
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": lent["spec"]["selector"], "template": lent["spec"].pop("template")},
    }
    path = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments"
    shop.client().create(path, deployment)
    lent["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    shop.apply(lent, JUNIOR)

    def told() -> bool:
        return "(workloadRef), which is not supported" in annotations_of(shop.live(name)).get(
            "rollwarden.dev/message", ""
        )

    shop.wait("the message", told)
    assert any('from Deployment "borrowed"' in note for note in shop.events("WorkloadRefUnsupported"))
    assert shop.largest(name, "v1") == 0
    assert shop.changes(name) == []
    for command in ("status", "explain"):
        assert "not supported" in Desk(shop, shop).run(JUNIOR, command, name).said
    shop.apply(shop.manifest(name, "v1", low()), JUNIOR)
    shop.merge(name, {"spec": {"workloadRef": None}}, JUNIOR)
    shop.completed(name)
    assert len(shop.ready_pods(name)) == 2


# -- a new template while an older one is further on ----------------------------------------------------------------

Bring = Callable[[Shop, JsonObject], None]


def to_gate(shop: Shop, change: JsonObject) -> None:
    shop.decide(change)
    shop.reach(change, "Canary", reason="Unproven")


def to_bake(shop: Shop, change: JsonObject) -> None:
    to_gate(shop, change)
    shop.decide(change, acceptUnproven=True, reason="no traffic at night")
    shop.reach(change, "Baking")


def to_abort(shop: Shop, change: JsonObject) -> None:
    to_gate(shop, change)
    shop.status(change["spec"]["rollout"]["name"], {"abort": True})
    shop.reach(change, "RolledBack")


OVERTAKEN: dict[str, tuple[Bring, str]] = {
    "overtaken-baking": (to_bake, "Superseded"),
    "overtaken-aborted": (to_abort, "RolledBack"),
}
"""How far the older change is, and how it ends. In hold and in canary: ``test_operator_life.py``."""


def overtaken(name: str, shop: Shop) -> None:
    bring, end = OVERTAKEN[name]
    shop.deploy(name)
    shop.apply(shop.manifest(name, "v2", ai("v2")), JUNIOR)
    older = shop.waits(name)
    bring(shop, older)
    shop.apply(shop.manifest(name, "v3", ai("v3")), JUNIOR)
    shop.reach(older, end)
    newer = shop.waits(name)
    assert newer["status"].get("approvals", []) == []
    assert steps_of(shop.live(name))[:2] == BARRIER
    shop.wait("stable alone", partial(_serves_alone, shop, name, "v1", 2))
    shop.scale(name, 3)
    shop.wait("stable to scale", partial(_serves_alone, shop, name, "v1", 3))
    assert shop.largest(name, "v3") == 0
    shop.decide(newer)
    shop.wait("its pods", lambda: shop.largest(name, "v3") > 0)
    shop.apply(shop.manifest(name, "v1", low()), JUNIOR)
    shop.completed(name)
    assert steps_of(shop.healthy(name)) == [{"setWeight": 50}]


def _serves_alone(shop: Shop, name: str, tag: str, replicas: int) -> bool:
    sizes = {
        s["spec"]["template"]["spec"]["containers"][0]["image"]: (
            s["spec"]["replicas"],
            s["status"].get("readyReplicas", 0),
        )
        for s in shop.sets(name).values()
    }
    return sizes.pop(IMAGE + tag) == (replicas, replicas) and all(size == (0, 0) for size in sizes.values())


@dataclass
class Stages:
    """``shop`` has patient gates; those of ``hasty`` may be taken on unproven at once, and its bake is long."""

    shop: Shop
    hasty: Shop


def _in_shop(scene: Scene, stages: Stages) -> None:
    scene(stages.shop)


def _in_hasty(scene: Scene, stages: Stages) -> None:
    scene(stages.hasty)


SCENES: dict[str, Scene] = {
    **{f"held-{kind}": partial(_in_shop, partial(held_through, kind)) for kind in ROWS},
    **{name: partial(_in_hasty, partial(overtaken, name)) for name in OVERTAKEN},
    "blue-green-released": partial(_in_shop, blue_green_released),
    "workload-reference": partial(_in_shop, workload_reference),
}


@pytest.fixture(scope="module")
def stages(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Stages]:
    istio.install_istio(control_plane)
    shop = Shop(control_plane, "strategies")
    hasty = Shop(control_plane, "bakes", policy={"maxStep": "1s", "bake": "30m"})
    shop.client().create(f"{ARGO}/{shop.namespace}/analysistemplates", always_one(control_plane.prometheus_url))
    yield Stages(shop, hasty)
    hasty.close()
    shop.close()


def always_one(url: str) -> JsonObject:
    """An AnalysisTemplate whose one measurement always succeeds."""
    metric = {
        "name": "one",
        "successCondition": "result[0] == 1",
        "count": 1,
        "provider": {"prometheus": {"address": url, "query": "vector(1)"}},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "one"},
        "spec": {"metrics": [metric]},
    }


@pytest.fixture(scope="module")
def scenes(stages: Stages) -> Iterator[dict[str, Future[None]]]:
    with played(stages.shop.cp, SCENES, stages) as results:
        yield results


@pytest.mark.parametrize("scene", SCENES)
def test_strategies(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()


# -- without the operator -------------------------------------------------------------------------------------------


def to_hold(shop: Shop, change: JsonObject) -> None:
    """It stays where it is."""


WITHOUT_OPERATOR: dict[str, Bring] = {"left-held": to_hold, "left-at-gate": to_gate, "left-baking": to_bake}


def test_stable_comes_back_without_the_operator(stages: Stages, operator: ManagedProcess) -> None:
    """Scaling, abort and the old template work at once while nobody runs; later the operator only tidies up."""
    shop, cp = stages.hasty, stages.hasty.cp
    for name in WITHOUT_OPERATOR:
        shop.apply(shop.manifest(name, "v1", low()))
    for name in WITHOUT_OPERATOR:
        shop.completed(name)
        shop.apply(shop.manifest(name, "v2", ai("v2")), JUNIOR)
    for name, bring in WITHOUT_OPERATOR.items():
        bring(shop, shop.waits(name))
    operator.stop()
    try:
        shop.scale("left-held", 3)
        shop.wait("stable to scale", partial(_serves_alone, shop, "left-held", "v1", 3))
        shop.status("left-at-gate", {"abort": True})
        shop.wait("stable after the abort", partial(_serves_alone, shop, "left-at-gate", "v1", 2))
        for name in WITHOUT_OPERATOR:
            shop.apply(shop.manifest(name, "v1", low()), CI)
        for name in WITHOUT_OPERATOR:
            shop.wait(f"{name} to be stable", partial(_serves_alone, shop, name, "v1", 2), 30)
    finally:
        operator.start()
    for name in WITHOUT_OPERATOR:
        shop.completed(name)
        assert steps_of(shop.healthy(name)) == [{"setWeight": 50}]
    assert cp.process("rollouts-controller").running
