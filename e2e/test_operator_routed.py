"""A canary behind a mesh: exact weights, read back from the VirtualService that Argo writes, and really followed.

Istio's kinds are installed without Istio; requests are split by the weights that stand. Held at 0 pods:
``test_operator_strategies.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from e2e import istio
from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.processes import ManagedProcess
from e2e.shop import Scene, Shop, ai, low, played
from e2e.stage import JUNIOR, steps_of

pytestmark = pytest.mark.e2e

RATE = 60.0
FIFTH: list[JsonObject] = [{"setWeight": 20}]
BETA: JsonObject = {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]}


@dataclass
class Meshed:
    """A shop whose services are behind VirtualServices, and the requests to them."""

    shop: Shop
    mesh: istio.Mesh
    load: LoadGenerator

    def write(self, name: str, tag: str, owner: dict[str, str], **more: Any) -> JsonObject:
        made = self.shop.manifest(name, tag, owner, **({"steps": FIFTH} | more))
        made["spec"]["strategy"]["canary"] |= istio.routing(name)
        self.shop.apply(made, JUNIOR)
        return made

    def deploy(self, name: str, **more: Any) -> None:
        for path, body in istio.objects(self.shop.namespace, name):
            self.shop.client().create(path, body)
        self.write(name, "v1", low(), **more)
        self.shop.completed(name)
        self.shop.healthy(name)

    def virtual(self, name: str) -> JsonObject:
        return self.shop.client().get(istio.virtual_path(self.shop.namespace, name))

    def canary_weight(self, name: str) -> int:
        weights = istio.weights(self.virtual(name))
        assert sum(weights.values()) == 100
        return weights[f"{name}-canary"]

    def released(self, name: str, **more: Any) -> JsonObject:
        """A new revision that a senior lets go, at its first gate."""
        self.write(name, "v2", ai("v2"), **more)
        change = self.shop.waits(name)
        assert self.canary_weight(name) == 0
        self.shop.decide(change)
        return self.shop.reach(change, "Canary", reason="Evidence")


def one_percent(meshed: Meshed) -> None:
    """Two pods cannot tell 1 % apart, a mesh can; stable stays whole beside the canary, and an abort is at once."""
    shop = meshed.shop
    meshed.deploy("exact")
    change = meshed.released("exact", steps=[{"setWeight": 1}, {"setWeight": 20}])
    planned = change["status"]["release"]["plan"]["gates"]
    assert [(g["weight"], g["exposurePercent"]) for g in planned] == [(1, "1"), (20, "20"), (100, "100")]
    assert meshed.canary_weight("exact") == 1
    assert shop.size("exact", shop.stable("exact")) == 2
    assert shop.largest("exact", "v2") == 1
    shop.status("exact", {"abort": True})
    shop.reach(change, "RolledBack")
    shop.wait("all traffic on stable", lambda: meshed.canary_weight("exact") == 0)
    meshed.write("exact", "v1", low(), steps=[{"setWeight": 1}, {"setWeight": 20}])
    shop.completed("exact")
    assert steps_of(shop.healthy("exact")) == [{"setWeight": 1}, {"setWeight": 20}]


def proven_at_its_weight(meshed: Meshed) -> None:
    """What is measured at a gate counts only while the mesh sends the gate's share; then it is proof, and no less."""
    shop, name = meshed.shop, "shared"
    meshed.deploy(name)
    change = meshed.released(name)
    with _reverted_all_the_time(meshed, name):
        wrong = shop.wait("the wrong weight to be named", lambda: shop.events("WeightNotRouted"))[0]
    assert f'VirtualService "{name}" (route "primary") sends 0 % to the canary instead' in wrong
    shop.wait("Argo's own weight", lambda: meshed.canary_weight(name) == 20)
    meshed.mesh.set_rate(name, RATE)
    done = shop.reach(change, "Completed", seconds=90)
    gate = done["status"]["gates"][0]
    assert (gate["weight"], gate["reason"]) == (20, "Proven")
    assert gate["canaryRequests"] >= gate["neededRequests"] > 0
    meshed.mesh.set_rate(name, 0)
    assert meshed.canary_weight(name) == 0
    assert steps_of(shop.healthy(name)) == FIFTH


@contextmanager
def _reverted_all_the_time(meshed: Meshed, name: str) -> Iterator[None]:
    """A tool that keeps writing the VirtualService of its own manifest, against Argo."""
    client, path = meshed.shop.client(), istio.virtual_path(meshed.shop.namespace, name)
    ((_, manifest),) = [o for o in istio.objects(meshed.shop.namespace, name) if o[1]["kind"] == "VirtualService"]
    stop = threading.Event()

    def revert() -> None:
        while not stop.wait(0.05):
            try:
                client.patch(path, {"spec": manifest["spec"]})
            except ApiError as error:
                if error.code != 409:
                    raise

    thread = threading.Thread(target=revert, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def regression(meshed: Meshed) -> None:
    """A canary that fails at a fifth of the traffic is taken off it."""
    shop, name = meshed.shop, "failing"
    meshed.deploy(name)
    meshed.mesh.set_rate(name, RATE)
    meshed.write(name, "v2", {}, env={"ERROR_PERCENT": 60})
    done = shop.reach(shop.change(name), "RolledBack", seconds=60)
    assert done["status"]["verdict"]["reason"] == "Regression"
    shop.wait("all traffic on stable", lambda: meshed.canary_weight(name) == 0)
    sent = {arm: meshed.load.counts(shop.namespace, f"{name}-{arm}") for arm in ("canary", "stable")}
    assert sent["stable"].failed == 0
    assert sent["canary"].sent < sent["stable"].sent
    meshed.mesh.set_rate(name, 0)


def header_route(meshed: Meshed) -> None:
    """A route of the owner's for some requests stands from the release on, and is gone after an abort."""
    shop, name = meshed.shop, "beta"
    steps: list[JsonObject] = [{"setCanaryScale": {"replicas": 1}}, {"setHeaderRoute": BETA}, {"setWeight": 20}]
    meshed.deploy(name, steps=steps)
    change = meshed.released(name, steps=steps)
    assert istio.weights(meshed.virtual(name), "beta") == {f"{name}-canary": 100}
    assert meshed.canary_weight(name) == 20
    shop.status(name, {"abort": True})
    shop.reach(change, "RolledBack")
    shop.wait("the route to go", lambda: istio.weights(meshed.virtual(name), "beta") == {})


SCENES: dict[str, Scene] = {
    scene.__name__: scene for scene in (one_percent, proven_at_its_weight, regression, header_route)
}


@pytest.fixture(scope="module")
def scenes(
    control_plane: ControlPlane, operator: ManagedProcess, load: LoadGenerator
) -> Iterator[dict[str, Future[None]]]:
    istio.install_istio(control_plane)
    shop = Shop(control_plane, "routed")
    mesh = istio.Mesh(control_plane, shop.namespace, load)
    with played(control_plane, SCENES, Meshed(shop, mesh, load)) as results:
        yield results
    mesh.close()
    shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_routed(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
