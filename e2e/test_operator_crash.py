"""The operator killed at random moments, the API server restarted under it, a Rollout deleted under it.

Whatever happens, a change ends as it would have ended, nothing is done twice, and no unapproved revision gets a pod.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.processes import ManagedProcess
from e2e.shop import QUICK, Shop, ai, low, own_annotations, phase_of
from e2e.stage import BARRIER, JUNIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

RATE = 60.0
BAD = {"ERROR_PERCENT": 60}
SEED = 20
KILLING_SECONDS = 45.0


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "crash")
    yield shop
    shop.close()


@contextmanager
def killed_again_and_again(operator: ManagedProcess) -> Iterator[list[float]]:
    """SIGKILL after one to three seconds of each life, for at most 45 s; afterwards it runs. Yields the lives."""
    rng, stop, lives = random.Random(SEED), threading.Event(), list[float]()

    def kill() -> None:
        while sum(lives) < KILLING_SECONDS and not stop.is_set():
            life = rng.uniform(1.0, 3.0)
            stop.wait(life)
            operator.kill()
            operator.start()
            lives.append(life)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(kill)
        try:
            yield lives
        finally:
            stop.set()
            done.result()


def busy(shop: Shop, load: LoadGenerator, *names: str) -> None:
    for name in names:
        shop.apply(shop.manifest(name, "v1", low()))
    for name in names:
        shop.completed(name)
        shop.healthy(name)
        shop.serve(name, load, RATE)


def test_killed_at_random_moments(shop: Shop, load: LoadGenerator, operator: ManagedProcess) -> None:
    """Two waves some seconds apart, so that every kind of write is met; one more waits for approval all the while."""
    names = ("good", "bad", "waiting", "good-too", "bad-too")
    busy(shop, load, *names)
    with killed_again_and_again(operator) as lives:
        shop.apply(shop.manifest("waiting", "v2", ai("v2")), JUNIOR)
        approvals = {}
        for good, bad in (("good", "bad"), ("good-too", "bad-too")):
            shop.apply(shop.manifest(good, "v2", ai("v2")), JUNIOR)
            shop.apply(shop.manifest(bad, "v2", env=BAD), JUNIOR)
            approvals[good] = shop.decide(shop.waits(good))
        for bad in ("bad", "bad-too"):
            _rolled_back(shop, shop.reach(shop.change(bad), "RolledBack", seconds=150))
        for good, approval in approvals.items():
            _completed(shop, shop.reach(shop.change(good), "Completed", seconds=150), approval)
    assert len(lives) >= 6

    waiting = shop.waits("waiting")
    assert "approvals" not in waiting["status"]
    assert steps_of(shop.live("waiting")) == [*BARRIER, *QUICK]
    assert shop.largest("waiting", "v2") == 0
    for name in names:
        attempts = [c["spec"]["rollout"]["attempt"] for c in shop.changes(name)]
        assert attempts[0] == "0" and len(attempts) == len(set(attempts)) == 2
        load.set_rate(shop.namespace, name, 0)


def _completed(shop: Shop, good: JsonObject, approval: str) -> None:
    """Every gate once, the approval once, the owner's steps back."""
    assert [(g["kind"], g["weight"]) for g in good["status"]["gates"]] == [("Evidence", 50), ("Bake", 100)]
    assert [a["ref"] for a in good["status"]["approvals"]] == [approval]
    live = shop.healthy(good["spec"]["rollout"]["name"])
    assert steps_of(live) == QUICK
    assert own_annotations(live) == {"hold", "submitted-by", "submitter-groups"}


def _rolled_back(shop: Shop, bad: JsonObject) -> None:
    name = bad["spec"]["rollout"]["name"]
    assert bad["status"]["verdict"]["reason"] == "Regression"
    shop.wait("the lock", lambda: hold_of(shop.live(name)).startswith("aborted-"))
    shop.wait("no bad pod", lambda: (found := shop.revision(name, "v2")) and found["spec"]["replicas"] == 0)
    assert shop.live(name)["status"]["abort"]


def test_quarantine_outlives_its_rollout(shop: Shop) -> None:
    """After the test before: the Rollout is deleted, and what was rolled back comes again under the same name."""
    before = shop.changes("bad")
    shop.client(JUNIOR).delete(shop.path("bad"))
    shop.wait("its sets to be gone", lambda: not shop.sets("bad"))
    mark = shop.record.mark()
    shop.apply(shop.manifest("bad", "v2", env=BAD), JUNIOR)
    again = shop.waits("bad", "Quarantined")
    assert again["spec"]["rollout"]["uid"] != before[-1]["spec"]["rollout"]["uid"]
    assert shop.peak("bad", "", mark) == 0
    shop.client(JUNIOR).delete(shop.path("bad"))
    shop.reach(again, "Abandoned")


def test_deleted_mid_flight(shop: Shop, load: LoadGenerator) -> None:
    """The Change ends with its Rollout; one of the same name inherits neither approval nor known good."""
    busy(shop, load, "doomed")
    manifest = shop.manifest("doomed", "v2", ai("v2"))
    load.set_rate(shop.namespace, "doomed", 0)
    shop.apply(manifest, JUNIOR)
    change = shop.waits("doomed")
    shop.decide(change)
    shop.reach(change, "Canary", reason="Evidence")
    shop.client(JUNIOR).delete(shop.path("doomed"))
    gone = shop.reach(change, "Abandoned")
    assert "was deleted while this change was Canary" in gone["status"]["message"]
    shop.wait("its sets to be gone", lambda: not shop.sets("doomed"))
    mark = shop.record.mark()
    shop.apply(manifest, JUNIOR)
    again = shop.waits("doomed")
    assert again["metadata"]["name"] != change["metadata"]["name"]
    assert "approvals" not in again["status"]
    (only,) = shop.sets("doomed").values()
    assert "rollwarden.dev/known-good" not in annotations_of(only)
    assert shop.peak("doomed", "", mark) == 0


def test_recreated_at_once(shop: Shop) -> None:
    """Deleted and made again faster than anybody looks: the old Change ends all the same."""
    shop.deploy("swift")
    shop.apply(shop.manifest("swift", "v2", ai("v2")), JUNIOR)
    change = shop.waits("swift")
    shop.client(JUNIOR).delete(shop.path("swift"), {"propagationPolicy": "Background"})
    shop.apply(shop.manifest("swift", "v2", ai("v2")), JUNIOR)
    shop.reach(change, "Abandoned")
    assert phase_of(shop.waits("swift")) == "AwaitingApproval"


def test_api_server_restarted(shop: Shop, load: LoadGenerator, control_plane: ControlPlane) -> None:
    """Held, at a gate and just written: each goes on where it was."""
    busy(shop, load, "across", "kept")
    shop.apply(shop.manifest("kept", "v2", ai("v2")), JUNIOR)
    held = shop.waits("kept")
    load.set_rate(shop.namespace, "across", 0)
    shop.apply(shop.manifest("across", "v2"), JUNIOR)
    change = shop.reach(shop.change("across"), "Canary", reason="Evidence")
    control_plane.restart_component("kube-apiserver")
    control_plane.wait_for("its access rules", lambda: _readable(shop))
    load.set_rate(shop.namespace, "across", RATE)
    shop.reach(change, "Completed", seconds=120)
    assert steps_of(shop.healthy("across")) == QUICK
    assert phase_of(shop.again(held)) == "AwaitingApproval"
    shop.decide(held)
    shop.reach(held, "Completed", seconds=120)
    for name in ("across", "kept"):
        load.set_rate(shop.namespace, name, 0)


def _readable(shop: Shop) -> JsonObject | None:
    """For a second or so a fresh API server refuses those who may."""
    try:
        shop.client(JUNIOR).get(shop.path("across"))
        return shop.live("across")
    except ApiError as error:
        if error.code not in (0, 401, 403, 429, 500, 503):
            raise
        return None
