"""Released changes under real traffic: proof and promotion, measured regression, quarantine, the owner's own steps.

Each scene has a Rollout of its own with its own load; all of them play at the same time. The services' objective is
loose (90 %), so that a hundred requests are proof enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.processes import ManagedProcess
from e2e.shop import IMAGE, QUICK, Scene, Shop, ai, condition, low, own_annotations, phase_of, played, refused
from e2e.stage import CI, JUNIOR, PREFIX, SENIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

RATE = 60.0
BAD = {"ERROR_PERCENT": 60}


@dataclass
class Busy:
    """A shop whose services have traffic."""

    shop: Shop
    load: LoadGenerator

    def deploy(self, name: str, **more: Any) -> None:
        self.shop.deploy(name, **more)
        self.shop.serve(name, self.load, RATE)

    def quiet(self, name: str) -> None:
        self.load.set_rate(self.shop.namespace, name, 0)


# -- proof ----------------------------------------------------------------------------------------------------------


def approved(busy: Busy) -> None:
    """Held, approved, proven, baked, promoted, and all of the operator's state gone from the Rollout."""
    shop = busy.shop
    busy.deploy("proven")
    shop.apply(shop.manifest("proven", "v2", ai("v2")), JUNIOR)
    change = shop.waits("proven")
    assert shop.largest("proven", "v2") == 0
    approval = shop.decide(change)
    done = shop.reach(change, "Completed", seconds=120)
    status = done["status"]
    assert [(g["kind"], g["weight"], g["reason"]) for g in status["gates"]] == [
        ("Evidence", 50, "Proven"),
        ("Bake", 100, "Proven"),
    ]
    assert status["gates"][0]["canaryRequests"] >= status["gates"][0]["neededRequests"] > 0
    assert condition(done, "Safe")["status"] == condition(done, "Restored")["status"] == "True"
    live = shop.healthy("proven")
    assert steps_of(live) == QUICK
    assert own_annotations(live) == {"hold", "submitted-by", "submitter-groups"}
    assert PREFIX + "known-good" in annotations_of(shop.sets("proven")[live["status"]["stableRS"]])
    assert shop.answered(approval, "Counted")["status"] == "True"
    busy.quiet("proven")


def restored(busy: Busy) -> None:
    """Analysis, its starting step and the rollback window are off or moved while it is held, and back in the end."""
    shop = busy.shop
    url = shop.cp.prometheus_url
    metric = {
        "name": "one",
        "successCondition": "result[0] == 1",
        "interval": "5s",
        "provider": {"prometheus": {"address": url, "query": "vector(1)"}},
    }
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "one"},
        "spec": {"metrics": [metric]},
    }
    shop.client().create(f"/apis/argoproj.io/v1alpha1/namespaces/{shop.namespace}/analysistemplates", template)
    steps: list[JsonObject] = [
        {"setWeight": 25},
        {"pause": {"duration": "1s"}},
        {"setWeight": 50},
        {"pause": {"duration": 1}},
    ]
    analysis = {"templates": [{"templateName": "one"}], "startingStep": 2}
    busy.deploy("strict", steps=steps, replicas=4)

    def manifest(tag: str, owner: dict[str, str]) -> JsonObject:
        made = shop.manifest("strict", tag, owner, steps=steps, replicas=4, rollbackWindow={"revisions": 3})
        made["spec"]["strategy"]["canary"]["analysis"] = analysis
        return made

    written = manifest("v2", ai("v2"))
    shop.apply(written, JUNIOR)
    change = shop.waits("strict")
    live = shop.live("strict")
    assert live["spec"]["strategy"]["canary"]["analysis"]["startingStep"] == 4
    assert "rollbackWindow" not in live["spec"]
    shop.decide(change)
    shop.reach(change, "Completed", seconds=150)
    live = shop.healthy("strict")
    assert live["spec"]["strategy"] == written["spec"]["strategy"]
    assert live["spec"]["rollbackWindow"] == {"revisions": 3}
    assert own_annotations(live) == {"hold", "submitted-by", "submitter-groups"}
    applied = shop.apply(written, JUNIOR)
    assert applied["metadata"]["generation"] == live["metadata"]["generation"]
    busy.quiet("strict")


def owner_pause(busy: Busy) -> None:
    """The owner's own endless pause is a person's to end; the operator's gate beside it is nobody's."""
    shop = busy.shop
    steps: list[JsonObject] = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}]
    busy.deploy("paused", steps=steps, replicas=4)
    shop.apply(shop.manifest("paused", "v2", steps=steps, replicas=4), JUNIOR)
    change = shop.change("paused")

    def told() -> bool:
        return "the owner's own pause" in str(shop.again(change).get("status", {}).get("waitingFor"))

    shop.wait("the Change to name the owner's pause", told, 60)
    time.sleep(8)
    assert shop.live("paused")["status"]["currentStepIndex"] == 1
    assert told()
    shop.status("paused", {"pauseConditions": None}, CI)
    shop.wait("the gate", lambda: shop.again(change)["status"].get("gates"))
    message = refused(lambda: shop.status("paused", {"pauseConditions": None}, CI)).message
    assert "approval" in message or "gate" in message
    shop.reach(change, "Completed", seconds=120)
    assert steps_of(shop.healthy("paused")) == steps
    busy.quiet("paused")


def autoscaled(busy: Busy) -> None:
    """Scaled three times a second all the way: gates pass and the owner's steps come back all the same."""
    shop = busy.shop
    busy.deploy("elastic")
    with shop.autoscaled("elastic", (2, 3, 4, 3), every=0.33):
        shop.apply(shop.manifest("elastic", "v2", ai("v2")), JUNIOR)
        change = shop.waits("elastic")
        assert shop.largest("elastic", "v2") == 0
        shop.decide(change)
        shop.reach(change, "Completed", seconds=120)
    assert steps_of(shop.healthy("elastic")) == QUICK
    busy.quiet("elastic")


# -- regression -----------------------------------------------------------------------------------------------------


def rolled_back_while_scaled(busy: Busy) -> None:
    """A measured regression is aborted although the object changes all the time."""
    shop = busy.shop
    busy.deploy("failing")
    with shop.autoscaled("failing", (2, 3, 4, 3), every=0.33):
        shop.apply(shop.manifest("failing", "v2", env=BAD), JUNIOR)
        done = shop.reach(shop.change("failing"), "RolledBack", seconds=90)
    verdict = done["status"]["verdict"]
    assert (verdict["result"], verdict["reason"], verdict["indicator"]) == ("Rollback", "Regression", "errors")
    assert verdict["canaryBad"] >= 10
    assert 0.4 < float(verdict["canaryRate"]) < 0.8
    assert float(verdict.get("stableRate") or 0) == 0
    sent = busy.load.counts(shop.namespace, "failing")
    assert verdict["harmed"] <= sent.failed
    live = shop.live("failing")
    assert live["status"]["abort"]
    assert shop.wait("the lock", lambda: hold_of(shop.live("failing")).startswith("aborted-"))
    shop.wait("no bad pod", lambda: (bad := shop.revision("failing", "v2")) and bad["spec"]["replicas"] == 0)
    assert any("rolled back" in note for note in shop.events("RolledBack"))
    busy.quiet("failing")


def quarantined(busy: Busy) -> None:
    """A template that was rolled back stays at 0 pods however it comes back, until a senior takes it on knowingly."""
    shop = busy.shop
    busy.deploy("sticky")
    bad = shop.manifest("sticky", "v2", ai("v2"), env=BAD)
    shop.apply(bad, JUNIOR)
    first = shop.waits("sticky")
    shop.decide(first)
    shop.reach(first, "RolledBack", seconds=90)
    _at_rest_again(shop)
    mark = shop.record.mark()

    shop.apply(bad, JUNIOR)
    time.sleep(3)
    assert shop.live("sticky")["status"]["abort"]
    assert len(shop.changes("sticky")) == 2

    stamped = shop.manifest("sticky", "v2", ai("v2"), env=BAD)
    stamped["spec"]["template"]["metadata"]["annotations"] = {"ci/built-at": "2030-01-01T00:00:00Z"}
    shop.apply(stamped, JUNIOR)
    assert "was rolled back on" in shop.waits("sticky", "Quarantined")["status"]["message"]

    shop.apply(shop.manifest("sticky", "v1", low()), JUNIOR)
    shop.completed("sticky")
    shop.apply(bad, JUNIOR)
    again = shop.waits("sticky", "Quarantined")
    shop.answered(shop.decide(again), "Counted")
    time.sleep(2)
    assert phase_of(shop.again(again)) == "AwaitingApproval"
    assert shop.peak("sticky", shop.stable("sticky"), mark) == 0

    refused(lambda: shop.decide(again, acknowledgesQuarantine=True))
    shop.decide(again, acknowledgesQuarantine=True, reason="the database was the cause")
    released = shop.reach(again, "Canary", "RolledBack", seconds=60)
    assert released["status"]["approvals"][0]["user"] == SENIOR
    shop.wait("the lift", lambda: shop.again(first)["status"]["quarantine"].get("liftedBy") == SENIOR)
    assert not shop.again(first)["status"]["quarantine"].get("active", False)
    shop.reach(again, "RolledBack", seconds=90)
    assert shop.again(again)["status"]["quarantine"]["active"]
    busy.quiet("sticky")


def _at_rest_again(shop: Shop) -> None:
    def look() -> bool:
        sets = shop.sets("sticky").values()
        sizes = {s["spec"]["template"]["spec"]["containers"][0]["image"]: s["spec"]["replicas"] for s in sets}
        return sizes == {IMAGE + "v1": 2, IMAGE + "v2": 0}

    shop.wait("stable alone", look)


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (approved, restored, owner_pause, autoscaled, rolled_back_while_scaled, quarantined)
}


@pytest.fixture(scope="module")
def scenes(
    control_plane: ControlPlane, operator: ManagedProcess, load: LoadGenerator
) -> Iterator[dict[str, Future[None]]]:
    shop = Shop(control_plane, "gates")
    with played(control_plane, SCENES, Busy(shop, load)) as results:
        yield results
    shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_gates(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
