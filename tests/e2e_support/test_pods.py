"""What the node agent says about a pod, where its process listens, and where the load goes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.components import Layout, prometheus_settings
from e2e.load import process_address, ready_endpoints
from e2e.nodeagent import addresses
from e2e.podrunner import environment, http_port, readiness_probe
from e2e.podstatus import ContainerState, back_off, ended, pod_status, with_transition_times

POD = {"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "app", "image": "shop:v1"}]}}


def status(state: ContainerState) -> dict[str, Any]:
    return pod_status(POD, state, "10.16.0.1", "10.16.255.254", scheduled=0.0)


def condition(of: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(c for c in of["conditions"] if c["type"] == kind)


@pytest.mark.parametrize(
    ("state", "phase", "ready", "container"),
    [
        (ContainerState(), "Pending", "False", "waiting"),
        (ContainerState(started=1.0), "Running", "False", "running"),
        (ContainerState(started=1.0, ready=True), "Running", "True", "running"),
        (ContainerState(restarts=2, waiting=("CrashLoopBackOff", "")), "Running", "False", "waiting"),
    ],
    ids=["before the start", "running, not ready", "ready", "crashed"],
)
def test_the_status_follows_the_process(state: ContainerState, phase: str, ready: str, container: str) -> None:
    said = status(state)
    assert said["phase"] == phase
    assert condition(said, "Ready")["status"] == ready
    assert container in said["containerStatuses"][0]["state"]


def test_a_transition_time_changes_with_its_condition_only() -> None:
    first = with_transition_times(status(ContainerState(started=1.0)), None, now=10.0)
    second = with_transition_times(status(ContainerState(started=1.0, ready=True)), first, now=20.0)
    assert condition(second, "Initialized")["lastTransitionTime"] == "1970-01-01T00:00:10Z"
    assert condition(second, "Ready")["lastTransitionTime"] == "1970-01-01T00:00:20Z"
    assert condition(second, "Ready")["reason"] is None, "the merge takes the old reason away"


def test_back_off_doubles_up_to_a_minute() -> None:
    assert [back_off(n) for n in range(8)] == [0, 2, 4, 8, 16, 32, 60, 60]


def test_a_signal_becomes_an_exit_code() -> None:
    assert ended(-9, 0.0, 1.0)["exitCode"] == 137
    assert ended(0, 0.0, 1.0)["reason"] == "Completed"


def test_the_http_port_is_the_named_one() -> None:
    assert http_port({"ports": [{"name": "admin", "containerPort": 1}, {"name": "http", "containerPort": 2}]}) == 2
    assert http_port({"ports": [{"containerPort": 3}]}) == 3
    assert http_port({}) == 8080


def test_a_container_without_a_probe_is_ready_when_it_runs() -> None:
    assert readiness_probe({}).path is None
    probe = readiness_probe(
        {"ports": [{"name": "http", "containerPort": 9}], "readinessProbe": {"httpGet": {"path": "/h", "port": "http"}}}
    )
    assert (probe.path, probe.port, probe.period, probe.failures) == ("/h", 9, 10.0, 3)


def test_only_plain_variables_are_understood() -> None:
    assert environment({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}) == {"A": "1", "B": ""}
    with pytest.raises(ValueError, match="plain env values only"):
        environment({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]})


def test_every_pod_has_an_address_of_its_own_that_maps_to_loopback() -> None:
    some = list(itertools.islice(addresses(16), 255 * 254 + 1))
    assert some[0] == some[-1] == "10.16.0.1"
    assert len(set(some)) == 255 * 254
    assert process_address("10.16.3.7") == "127.16.3.7"
    with pytest.raises(ValueError, match="not in 10"):
        process_address("192.168.0.1")


def test_load_goes_to_the_ready_endpoints_of_the_named_service_only() -> None:
    def endpoint(address: str, ready: bool) -> dict[str, Any]:
        return {"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"name": f"pod-{address}"}}

    def slice_of(name: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
        labels = {"kubernetes.io/service-name": name}
        return {
            "metadata": {"namespace": "shop", "labels": labels},
            "ports": [{"port": 8080}],
            "endpoints": list(endpoints),
        }

    slices = {
        "1": slice_of("web", endpoint("10.16.0.1", True), endpoint("10.16.0.2", False)),
        "2": slice_of("api", endpoint("10.16.0.3", True)),
        "3": {**slice_of("web"), "ports": None, "endpoints": None},
    }
    assert ready_endpoints(slices, ("shop", "web")) == [{"pod": "pod-10.16.0.1", "address": "127.16.0.1:8080"}]


def test_prometheus_keeps_pods_with_a_port_named_http_and_maps_their_address() -> None:
    layout = Layout(Path("/d"), {}, 1, 2, 3, 4, 16)
    settings = yaml.safe_load(prometheus_settings(layout, Path("/d/token"), 2.5))
    assert settings["global"]["scrape_interval"] == "2500ms"
    (job,) = settings["scrape_configs"]
    assert job["job_name"] == "rollout-pods"
    assert {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"} in job["relabel_configs"]
