"""The local control plane itself: real pods behind a Service, real load, real scrapes, a canary, restarts, the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import NewNamespace
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.manifests import rollout, service
from e2e.watchdog import start_time

pytestmark = pytest.mark.e2e

NAME = "shop"


@pytest.fixture
def load(control_plane: ControlPlane) -> Iterator[LoadGenerator]:
    generator = control_plane.load(max_seconds=300)
    yield generator
    generator.stop()


def apply(cp: ControlPlane, *objects: dict[str, Any]) -> None:
    for each in objects:
        done = cp.kubectl("apply", "-f", "-", input=json.dumps(each))
        assert done.ok, done.err


def get_rollout(cp: ControlPlane, namespace: str) -> dict[str, Any]:
    return cp.api.get(f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/{NAME}")


def ready_pods(cp: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    pods: list[dict[str, Any]] = cp.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return [p for p in pods if {"type": "Ready", "status": "True"}.items() <= conditions(p).get("Ready", {}).items()]


def conditions(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["type"]: c for c in item.get("status", {}).get("conditions", ())}


def deploy(cp: ControlPlane, namespace: str, replicas: int = 3, **env: str | int | float) -> list[dict[str, Any]]:
    apply(cp, service(namespace, NAME), rollout(namespace, NAME, replicas, [{"setWeight": 20}, {"pause": {}}], env=env))
    cp.wait_for("the first pods", lambda: len(ready_pods(cp, namespace)) == replicas)
    cp.wait_for("the stable revision", lambda: get_rollout(cp, namespace).get("status", {}).get("phase") == "Healthy")
    return ready_pods(cp, namespace)


def test_load_is_spread_over_real_pods_and_prometheus_sees_each(
    control_plane: ControlPlane, new_namespace: NewNamespace, load: LoadGenerator
) -> None:
    namespace = new_namespace()
    pods = {p["metadata"]["name"] for p in deploy(control_plane, namespace, ERROR_PERCENT=10)}
    load.set_rate(namespace, NAME, 60)
    query = f'sum by (namespace, pod, job) (http_requests_total{{namespace="{namespace}"}})'
    control_plane.wait_for("a series of every pod", lambda: len(control_plane.query(query)) == 3)
    series = control_plane.query(query)
    assert {s["metric"]["pod"] for s in series} == pods
    assert {(s["metric"]["namespace"], s["metric"]["job"]) for s in series} == {(namespace, "rollout-pods")}

    time.sleep(8)
    load.stop()
    counts = load.counts(namespace, NAME)
    assert set(counts.pods) == pods
    assert counts.sent >= 8 * 60 * 0.7
    assert 0.04 < counts.failed / counts.sent < 0.2
    total = f'sum(http_requests_total{{namespace="{namespace}"}})'
    control_plane.wait_for(
        "Prometheus to have counted what was sent",
        lambda: float(control_plane.query(total)[0]["value"][1]) == counts.sent,
    )


def test_a_canary_of_20_percent_goes_through_without_a_failed_request(
    control_plane: ControlPlane, new_namespace: NewNamespace, load: LoadGenerator
) -> None:
    namespace = new_namespace()
    deploy(control_plane, namespace)
    load.set_rate(namespace, NAME, 60)
    changed = rollout(namespace, NAME, 3, [{"setWeight": 20}, {"pause": {"duration": "2s"}}], env={"LATENCY_MS": 4})
    apply(control_plane, changed)
    control_plane.wait_for(
        "one canary pod beside the stable ones",
        lambda: (
            len({p["metadata"]["labels"]["rollouts-pod-template-hash"] for p in ready_pods(control_plane, namespace)})
            == 2
        ),
    )

    def promoted() -> bool:
        status = get_rollout(control_plane, namespace)["status"]
        return bool(status["phase"] == "Healthy" and status["stableRS"] == status["currentPodHash"])

    control_plane.wait_for("the canary's promotion", promoted)
    control_plane.wait_for(
        "the old pods to go",
        lambda: len(control_plane.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]) == 3,
        seconds=90,
    )
    load.stop()
    counts = load.counts(namespace, NAME)
    assert counts.sent > 100
    assert (counts.failed, counts.unserved) == (0, 0)


def test_a_pod_that_is_never_ready_gets_no_request(
    control_plane: ControlPlane, new_namespace: NewNamespace, load: LoadGenerator
) -> None:
    namespace = new_namespace()
    deploy(control_plane, namespace)
    load.set_rate(namespace, NAME, 60)
    apply(control_plane, rollout(namespace, NAME, 3, [{"setWeight": 34}, {"pause": {}}], env={"NEVER_READY": "true"}))
    time.sleep(6)
    ready = {p["metadata"]["name"] for p in ready_pods(control_plane, namespace)}
    pods = control_plane.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    assert len(pods) > len(ready)
    running = [p for p in pods if p["metadata"]["name"] not in ready]
    assert {p["status"]["phase"] for p in running} == {"Running"}
    load.stop()
    assert not {p["metadata"]["name"] for p in running} & set(load.counts(namespace, NAME).pods)


def test_a_pod_fails_above_a_load_and_not_below(
    control_plane: ControlPlane, new_namespace: NewNamespace, load: LoadGenerator
) -> None:
    namespace = new_namespace()
    deploy(control_plane, namespace, replicas=1, FAULT_ABOVE_RPS=60, FAULT_ERROR_PERCENT=50)
    load.set_rate(namespace, NAME, 20)
    time.sleep(6)
    below = load.counts(namespace, NAME)
    assert below.sent > 60
    assert below.failed == 0
    load.set_rate(namespace, NAME, 120)
    time.sleep(10)
    above = load.counts(namespace, NAME)
    assert above.failed > 0.2 * (above.sent - below.sent)


def test_a_crashing_process_is_restarted_with_back_off(
    control_plane: ControlPlane, new_namespace: NewNamespace
) -> None:
    namespace = new_namespace()
    apply(control_plane, rollout(namespace, NAME, 1, [], env={"CRASH_AFTER_SECONDS": 0.3}))

    def crashing() -> dict[str, Any] | None:
        for pod in control_plane.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
            for status in pod["status"].get("containerStatuses", ()):
                waiting = status["state"].get("waiting", {}).get("reason")
                if waiting == "CrashLoopBackOff" and status["restartCount"] >= 2:
                    return dict(status)
        return None

    status = control_plane.wait_for("CrashLoopBackOff", crashing)
    assert status["lastState"]["terminated"]["exitCode"] == 1


def test_the_api_server_can_be_restarted_under_load(
    control_plane: ControlPlane, new_namespace: NewNamespace, load: LoadGenerator
) -> None:
    namespace = new_namespace()
    before = {p["metadata"]["uid"] for p in deploy(control_plane, namespace)}
    load.set_rate(namespace, NAME, 60)
    control_plane.restart_component("kube-apiserver")
    assert {p["metadata"]["uid"] for p in ready_pods(control_plane, namespace)} == before
    assert control_plane.kubectl("scale", f"rollout/{NAME}", "-n", namespace, "--replicas=4").ok
    control_plane.wait_for("a fourth pod", lambda: len(ready_pods(control_plane, namespace)) == 4)
    control_plane.wait_for("load on it", lambda: len(load.counts(namespace, NAME).pods) == 4)
    load.stop()
    assert load.counts(namespace, NAME).failed == 0


def test_prometheus_can_be_stopped_and_started_again(control_plane: ControlPlane, new_namespace: NewNamespace) -> None:
    namespace = new_namespace()
    deploy(control_plane, namespace, replicas=1)
    up = f'up{{namespace="{namespace}"}}'
    control_plane.wait_for("a scrape", lambda: control_plane.query(up))
    control_plane.stop_component("prometheus")
    control_plane.start_component("prometheus")
    assert control_plane.query(f"count_over_time({up}[5m])"), "what was scraped before is still there"


def test_people_are_who_they_are_and_may_do_nothing_by_themselves(control_plane: ControlPlane) -> None:
    who = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", user="ada@example.com").out)["status"]
    assert who["userInfo"]["username"] == "ada@example.com"
    assert "payments-seniors" in who["userInfo"]["groups"]
    refused = control_plane.kubectl("get", "rollouts", "-A", user="ada@example.com")
    assert "forbidden" in refused.err


def test_a_service_account_has_a_real_token(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.service_account_kubeconfig("argo-rollouts", "argo-rollouts")
    text = kubeconfig.read_text()
    assert "token: ey" in text
    assert kubeconfig.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_running_when_the_parent_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import signal, time
        from e2e.controlplane import ControlPlane, Parts
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
        with ControlPlane(Parts(argo=False, prometheus=False)) as cp:
            print(cp.directory, *cp.pids.values(), cp.watchdog_pid, flush=True)
            time.sleep(120)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=_root())
    assert parent.stdout is not None
    directory, *rest = parent.stdout.readline().split()
    pids = [int(p) for p in rest]
    assert len(pids) == 6
    assert all(start_time(p) for p in pids)
    os.kill(parent.pid, number)
    parent.wait(30)
    deadline = time.monotonic() + 15
    while any(start_time(p) for p in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [p for p in pids if start_time(p)] == []
    assert not Path(directory).exists()


def test_the_processes_of_the_pods_end_with_the_control_plane() -> None:
    with ControlPlane() as cp:
        cp.api.create("/api/v1/namespaces", {"metadata": {"name": "ending"}})
        apply(cp, service("ending", NAME), rollout("ending", NAME, 2, []))
        cp.wait_for("pods", lambda: len(ready_pods(cp, "ending")) == 2)
        children = _children_of(cp.process("node-agent").pid)
        assert len(children) == 2
        pids = [*cp.pids.values(), *children, cp.watchdog_pid]
    assert [p for p in pids if start_time(p)] == []


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _root() -> Path:
    return Path(__file__).parent.parent
