"""GitOps tools apply the same manifest again and again, in every phase of a change, and find nothing to do.

One scene per way of applying: kubectl on the client's side, and server-side apply as Argo CD and Flux do it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import pytest

from e2e import argocd
from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.flux import FluxHealth
from e2e.load import LoadGenerator
from e2e.processes import ManagedProcess
from e2e.shop import QUICK, Scene, Shop, ai, low, own_annotations, phase_of, played
from e2e.stage import ADMIN, steps_of

pytestmark = pytest.mark.e2e

RATE = 60.0
HEALTH = {
    "first revision": ("Healthy", "current"),
    "held": ("Suspended", "inProgress"),
    "canary at a gate": ("Progressing", "inProgress"),
    "after an edit of steps": ("Progressing", "inProgress"),
    "baking": ("Progressing", "inProgress"),
    "completed": ("Healthy", "current"),
    "aborted": ("Degraded", "failed"),
    "back on stable": ("Healthy", "current"),
}
"""What the health checks of the how-tos show in Argo CD and in Flux, by phase."""
OTHER_STEPS: list[JsonObject] = [{"setWeight": 25}, {"setWeight": 50}]
APPLIES = 2
FLUX = "kustomize-controller"


@dataclass
class Tool:
    """Applies the manifest in Git; ``manager`` is empty for client-side apply."""

    shop: Shop
    load: LoadGenerator
    name: str
    manager: str
    flux: FluxHealth | None = None

    def write(self, tag: str, owner: dict[str, str], steps: list[JsonObject] = QUICK) -> JsonObject:
        """A commit, and the first sync of it."""
        self.manifest = self.shop.manifest(self.name, tag, owner, steps=steps, rollbackWindow={"revisions": 2})
        return self.sync()

    def sync(self) -> JsonObject:
        done = self.shop.cp.kubectl(*self._command("apply"), input=json.dumps(self.manifest), user=ADMIN)
        assert done.rc == 0, done.err
        self.said = done.err
        return self.shop.live(self.name)

    def drift(self) -> str:
        """What a diff by server-side dry run shows; empty where it shows nothing.

        kubectl reads the object and asks for the dry run one after the other: a write of Argo's or the operator's in
        between would pass for a difference, so then it is asked again.
        """
        arguments = self._command("diff", self.manager or "kubectl-client-side-apply")
        while True:
            version = self._version()
            done = self.shop.cp.kubectl(*arguments, input=json.dumps(self.manifest), user=ADMIN)
            assert done.rc in (0, 1), done.err
            if done.rc == 0 or self._version() == version:
                return done.out

    def _version(self) -> str:
        return str(self.shop.live(self.name)["metadata"]["resourceVersion"])

    def _at_rest(self) -> None:
        """Argo has taken up what stands, and nobody has written for a moment."""
        self.shop.settled(self.name)
        self.shop.wait(f"{self.name} to be at rest", self._unwritten)

    def _unwritten(self) -> bool:
        version = self._version()
        time.sleep(0.4)
        return self._version() == version

    def _command(self, verb: str, manager: str | None = None) -> tuple[str, ...]:
        manager = self.manager if manager is None else manager
        server = ("--server-side", "--force-conflicts", f"--field-manager={manager}") if manager else ()
        return (verb, *server, "-n", self.shop.namespace, "-f", "-")

    def finds_nothing_to_do(self, phase: str) -> None:
        """Neither a diff nor any number of applies changes the spec, the canary or an abort."""
        self._at_rest()
        before = self.shop.live(self.name)
        for _ in range(APPLIES):
            after = self.sync()
        assert after["spec"] == before["spec"], phase
        assert after["metadata"]["generation"] == before["metadata"]["generation"], phase
        assert own_annotations(after) == own_annotations(before), phase
        for key in ("currentStepIndex", "currentPodHash", "abort", "stableRS"):
            assert after["status"].get(key) == before["status"].get(key), (phase, key)
        assert self.drift() == "", phase
        in_argo_cd, in_flux = HEALTH[phase]
        assert argocd.health(after)[0] == in_argo_cd, (phase, argocd.health(after))
        if self.flux is not None:
            assert self.shop.wait("Flux's answer", self.flux.of_it) == in_flux, phase

    def at_gate(self, tag: str) -> JsonObject:
        """A new template, let go by a senior, at its gate; nobody sends it requests."""
        self.load.set_rate(self.shop.namespace, self.name, 0)
        self.write(tag, ai(tag))
        change = self.shop.waits(self.name)
        self.finds_nothing_to_do("held")
        assert self.shop.largest(self.name, tag) == 0
        self.shop.decide(change)
        self.shop.reach(change, "Canary", reason="Evidence")
        self.finds_nothing_to_do("canary at a gate")
        return self.shop.again(change)


def every_phase(manager: str, shop_and_load: tuple[Shop, LoadGenerator]) -> None:
    """Held, at a gate, baking, completed, aborted, and back again."""
    shop, load = shop_and_load
    name = manager or "client-side"
    tool = Tool(shop, load, name, manager)
    tool.write("v1", low())
    shop.completed(name)
    shop.healthy(name)
    tool.finds_nothing_to_do("first revision")
    if manager == FLUX:
        tool.flux = FluxHealth(shop.client(), shop.namespace, name)
    shop.serve(name, load, 0)

    change = tool.at_gate("v2")
    _edits_steps_midway(tool)
    load.set_rate(shop.namespace, name, RATE)
    shop.reach(change, "Baking", seconds=60)
    tool.finds_nothing_to_do("baking")
    assert phase_of(shop.again(change)) == "Baking"
    shop.reach(change, "Completed", seconds=60)
    tool.finds_nothing_to_do("completed")
    assert steps_of(shop.healthy(name)) == QUICK

    change = tool.at_gate("v3")
    shop.status(name, {"abort": True})
    shop.reach(change, "RolledBack")
    shop.wait("the bad pods to go", partial(_gone, shop, name, "v3"))
    mark = shop.record.mark()
    tool.finds_nothing_to_do("aborted")
    assert shop.live(name)["status"]["abort"]
    bad = shop.revision(name, "v3")
    shop.catch_up()
    assert bad is not None and shop.record.peak([bad["metadata"]["name"]], mark) == 0

    tool.write("v2", ai("v2"), OTHER_STEPS)
    shop.completed(name)
    assert steps_of(shop.healthy(name)) == OTHER_STEPS
    tool.finds_nothing_to_do("back on stable")
    if tool.flux is not None:
        tool.flux.close()


def _edits_steps_midway(tool: Tool) -> None:
    """Other steps in the middle of a canary are dropped; Git goes back before the canary ends."""
    before = steps_of(tool.shop.live(tool.name))
    kept = tool.manifest
    tool.manifest = json.loads(json.dumps(kept))
    tool.manifest["spec"]["strategy"]["canary"]["steps"] = OTHER_STEPS
    assert steps_of(tool.sync()) == before
    assert "was not taken" in tool.said
    tool.manifest = kept
    tool.sync()
    tool.finds_nothing_to_do("after an edit of steps")


def converges(manager: str, shop_and_load: tuple[Shop, LoadGenerator]) -> None:
    """Steps that were edited midway are dropped then, and take effect when they are applied after the end."""
    shop, load = shop_and_load
    name = f"edited-{manager or 'client-side'}"
    tool = Tool(shop, load, name, manager)
    tool.write("v1", low())
    shop.completed(name)
    shop.healthy(name)
    tool.write("v2", ai("v2"))
    change = shop.waits(name)
    before = shop.live(name)["spec"]
    assert tool.write("v2", ai("v2"), OTHER_STEPS)["spec"] == before
    assert "was not taken" in tool.said
    assert tool.drift() == ""
    tool.write("v1", low(), OTHER_STEPS)
    shop.reach(change, "Superseded")
    shop.completed(name)
    shop.healthy(name)
    assert steps_of(tool.sync()) == OTHER_STEPS
    shop.wait("no drift", lambda: tool.drift() == "")


def _gone(shop: Shop, name: str, tag: str) -> bool:
    found = shop.revision(name, tag)
    return found is not None and found["spec"]["replicas"] == 0


MANAGERS = ("", "argocd-controller", FLUX)
"""Server-side apply of Argo CD and of Flux; the empty one is client-side apply."""

SCENES: dict[str, Scene] = {
    **{f"every-phase-{manager or 'client-side'}": partial(every_phase, manager) for manager in MANAGERS},
    **{f"converges-{manager or 'client-side'}": partial(converges, manager) for manager in ("", FLUX)},
}


@pytest.fixture(scope="module")
def scenes(
    control_plane: ControlPlane, operator: ManagedProcess, load: LoadGenerator
) -> Iterator[dict[str, Future[None]]]:
    shop = Shop(control_plane, "gitops", policy={"bake": "12s"})
    with played(control_plane, SCENES, (shop, load)) as results:
        yield results
    shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_gitops(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
