"""No metrics, no proof: Prometheus frozen, gone, without the wanted series; counters that start anew; dead canaries.

Missing data neither promotes nor aborts; the Change says what is missing, and the gate goes on when it is back. Only
pods that never come up are rolled back without a request counted.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator, process_address
from e2e.processes import ManagedProcess
from e2e.shop import QUICK, Shop, lenient_profile, low, phase_of, played
from e2e.stage import JUNIOR, steps_of

pytestmark = pytest.mark.e2e

RATE = 60.0
BAD = {"ERROR_PERCENT": 60}
ABSENT = {"total": "no_such_total", "bad": 'no_such_total{code="500"}'}


def freeze(control_plane: ControlPlane) -> None:
    os.kill(control_plane.process("prometheus").pid, signal.SIGSTOP)


def thaw(control_plane: ControlPlane) -> None:
    os.kill(control_plane.process("prometheus").pid, signal.SIGCONT)


def stop(control_plane: ControlPlane) -> None:
    control_plane.stop_component("prometheus")


def start(control_plane: ControlPlane) -> None:
    control_plane.start_component("prometheus")


Switch = Callable[[ControlPlane], None]
OUTAGES: Mapping[str, tuple[Switch, Switch, str]] = {
    "frozen": (freeze, thaw, "did not answer"),
    "stopped": (stop, start, "cannot be reached"),
}


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "blind")
    yield shop
    shop.close()


def busy(shop: Shop, load: LoadGenerator, *names: str) -> None:
    for name in names:
        shop.apply(shop.manifest(name, "v1", low()))
    for name in names:
        shop.completed(name)
        shop.healthy(name)
        shop.serve(name, load, RATE)


@pytest.mark.parametrize("outage", OUTAGES)
def test_prometheus_is_away(shop: Shop, load: LoadGenerator, control_plane: ControlPlane, outage: str) -> None:
    """A good and a bad canary wait alike, and say why; when it is back, one completes and one is rolled back."""
    away, back, why = OUTAGES[outage]
    good, bad = f"good-{outage}", f"bad-{outage}"
    busy(shop, load, good, bad)
    away(control_plane)
    try:
        shop.apply(shop.manifest(good, "v2"), JUNIOR)
        shop.apply(shop.manifest(bad, "v2", env=BAD), JUNIOR)
        changes = [shop.change(good), shop.change(bad)]
        for change in changes:
            told = shop.reach(change, "Canary", reason="Blind", seconds=45)
            assert why in told["status"]["message"] or "calls failed" in told["status"]["message"]
            assert "no data is neither pass nor fail" in told["status"]["message"]
        time.sleep(3)
        for change in changes:
            now = shop.again(change)
            assert phase_of(now) == "Canary"
            assert "verdict" not in now["status"]
            assert [g for g in now["status"]["gates"] if "passedAt" in g] == []
        assert not shop.live(bad)["status"].get("abort")
    finally:
        back(control_plane)
    shop.reach(changes[1], "RolledBack", seconds=120)
    shop.reach(changes[0], "Completed", seconds=120)
    assert steps_of(shop.healthy(good)) == QUICK
    for name in (good, bad):
        load.set_rate(shop.namespace, name, 0)


def no_such_series(shop: Shop, load: LoadGenerator) -> None:
    """Prometheus answers, and knows nothing: held with the metric it looked for."""
    other = Shop(shop.cp, "empty", profile=lenient_profile(query=ABSENT), policy={"onNoIndicators": "Hold"})
    busy(other, load, "mute")
    other.apply(other.manifest("mute", "v2"), JUNIOR)
    change = other.reach(other.change("mute"), "Canary", reason="NoIndicators", seconds=60)
    assert "no_such_total" in change["status"]["message"]
    assert other.live("mute")["status"]["currentStepIndex"] == 1
    assert "verdict" not in change["status"]
    load.set_rate(other.namespace, "mute", 0)
    other.close()


def counters_start_anew(shop: Shop, load: LoadGenerator) -> None:
    """Processes of both arms are killed in the middle of a gate: their counters fall to 0, and nobody is blamed."""
    busy(shop, load, "reborn")
    load.set_rate(shop.namespace, "reborn", 4)
    shop.apply(shop.manifest("reborn", "v2"), JUNIOR)
    change = shop.reach(shop.change("reborn"), "Canary", reason="Evidence")
    shop.wait("requests at the gate", lambda: _gate(shop, change).get("canaryRequests", 0) > 0, 40)
    for pod in shop.ready_pods("reborn"):
        os.kill(process_of(process_address(pod["status"]["podIP"])), signal.SIGKILL)
    load.set_rate(shop.namespace, "reborn", RATE)
    done = shop.reach(change, "Completed", seconds=90)
    assert "verdict" not in done["status"]
    load.set_rate(shop.namespace, "reborn", 0)


def _gate(shop: Shop, change: JsonObject) -> JsonObject:
    gates = shop.again(change)["status"].get("gates") or [{}]
    return dict(gates[0])


def process_of(address: str) -> int:
    """The process id of the sample service that listens on that address."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if any(re.fullmatch(rf"-address={re.escape(address)}:\d+", part.decode(errors="replace")) for part in line):
            return int(path.parent.name)
    raise LookupError(f"nothing listens on {address}")


def never_ready(shop: Shop, load: LoadGenerator) -> None:
    done = _dead(shop, "never-ready", {"NEVER_READY": "true"})
    assert done["status"]["verdict"]["reason"] == "NeverReady"
    assert "was ready within 8 s" in done["status"]["verdict"]["message"]


def crash_loop(shop: Shop, load: LoadGenerator) -> None:
    done = _dead(shop, "crash-loop", {"CRASH_AFTER_SECONDS": "0.2"})
    assert done["status"]["verdict"]["reason"] == "CrashLoop"
    assert "crash in a loop" in done["status"]["verdict"]["message"]


def late_start(shop: Shop, load: LoadGenerator) -> None:
    """The owner waits before the first pod, for longer than the pods may take: that is no failure to start."""
    slow = {"START_DELAY_SECONDS": 3}
    steps: list[JsonObject] = [{"pause": {"duration": "10s"}}, {"setWeight": 50}]
    shop.deploy("late", progressDeadlineSeconds=8, steps=steps)
    shop.apply(shop.manifest("late", "v2", low(), env=slow, progressDeadlineSeconds=8, steps=steps), JUNIOR)
    assert "verdict" not in shop.completed("late", seconds=90)["status"]


def _dead(shop: Shop, name: str, env: Mapping[str, str | int]) -> JsonObject:
    """Pods that never come up are rolled back with no request counted, and stable serves."""
    shop.deploy(name, progressDeadlineSeconds=8)
    shop.apply(shop.manifest(name, "v2", env=env, progressDeadlineSeconds=8), JUNIOR)
    done = shop.reach(shop.change(name), "RolledBack", seconds=60)
    assert done["status"]["quarantine"]["active"]
    assert len(shop.ready_pods(name)) >= 1
    return done


SCENES = {scene.__name__: scene for scene in (no_such_series, counters_start_anew, never_ready, crash_loop, late_start)}


@pytest.fixture(scope="module")
def scenes(shop: Shop, load: LoadGenerator) -> Iterator[dict[str, Future[None]]]:
    parts = {name: partial(_on, scene, load) for name, scene in SCENES.items()}
    with played(shop.cp, parts, shop) as results:
        yield results


def _on(scene: Callable[[Shop, LoadGenerator], None], load: LoadGenerator, shop: Shop) -> None:
    scene(shop, load)


@pytest.mark.parametrize("scene", SCENES)
def test_without_proof(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
