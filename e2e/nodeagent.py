"""The node agent: registers one node and runs one real HTTP process for each pod bound to it.

    python -m e2e.nodeagent --kubeconfig FILE --node NAME --program SERVICE --address-block 16 --logs DIRECTORY

A pod's process listens on a loopback address of its own, 127.B.y.z, and the pod says 10.B.y.z in its status, because
EndpointSlices refuse loopback addresses. B is the address block. The agent acts as ``system:node:NAME`` with the rights
of a kubelet. It runs the sample service whatever the image is: behaviour comes from the pod template's environment.
Volumes, init containers, further containers and liveness probes are ignored.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import yaml

from e2e.apiclient import STRATEGIC, ApiClient, ApiError, JsonObject, follow
from e2e.podrunner import Node, PodRunner
from e2e.podstatus import timestamp

LEASE_SECONDS = 40
HEARTBEAT_SECONDS = 10.0
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "300", "ephemeral-storage": "1Ti"}


class NodeAgent:
    """Keeps the runners of the node's pods in step with the API server."""

    def __init__(self, node: Node, address_block: int) -> None:
        self._node = node
        self._addresses = addresses(address_block)
        self._runners: dict[str, PodRunner] = {}
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def run(self) -> None:
        """Registers the node, then watches its pods until ``stopped`` is set."""
        self._register()
        threading.Thread(target=self._keep_alive, daemon=True, name="heartbeat").start()
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self._node.name}"
        follow(self._node.client, path, self._on_list, self._on_event, self.stopped)

    def _register(self) -> None:
        labels = {"kubernetes.io/hostname": self._node.name, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._node.name, "labels": labels}}
        try:
            self._node.client.create("/api/v1/nodes", {**node, "status": self._status()})
        except ApiError as error:
            if error.code != 409:
                raise
        self._node.client.patch(f"/api/v1/nodes/{self._node.name}/status", {"status": self._status()}, STRATEGIC)

    def _status(self) -> JsonObject:
        now = timestamp(time.time())
        ready = {"type": "Ready", "status": "True", "reason": "AgentReady", "message": "the node agent runs"}
        return {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "addresses": [{"type": "InternalIP", "address": self._node.host_ip}],
            "conditions": [{**ready, "lastHeartbeatTime": now}],
            "nodeInfo": _node_info(),
        }

    def _keep_alive(self) -> None:
        """Renews the node's lease every 10 s, as a kubelet does; an unreachable API server is tried again."""
        while not self.stopped.is_set():
            try:
                self._renew_lease()
                self._node.client.patch(
                    f"/api/v1/nodes/{self._node.name}/status", {"status": self._status()}, STRATEGIC
                )
                self.stopped.wait(HEARTBEAT_SECONDS)
            except ApiError as error:
                print(f"heartbeat not sent, will be tried again: {error}", file=sys.stderr, flush=True)
                self.stopped.wait(1.0)

    def _renew_lease(self) -> None:
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        renewed = timestamp(time.time()).replace("Z", ".000000Z")
        spec = {"holderIdentity": self._node.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._node.name}}
        try:
            self._node.client.patch(f"{leases}/{self._node.name}", {"spec": spec})
        except ApiError as error:
            if error.code != 404:
                raise
            self._node.client.create(leases, {**lease, "spec": spec})

    def _on_list(self, pods: list[JsonObject]) -> None:
        """Everything at once, after a start or a broken watch: what is not listed is gone."""
        with self._lock:
            listed = {p["metadata"]["uid"] for p in pods}
            for uid in set(self._runners) - listed:
                self._runners.pop(uid).forget()
            for pod in pods:
                self._take(pod)

    def _on_event(self, kind: str, pod: JsonObject) -> None:
        with self._lock:
            if kind != "DELETED":
                self._take(pod)
            elif runner := self._runners.pop(pod["metadata"]["uid"], None):
                runner.forget()

    def _take(self, pod: JsonObject) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._runners:
            self._runners[uid].pod = pod
            return
        known = (pod.get("status") or {}).get("podIP")
        used = {runner.pod_ip for runner in self._runners.values()}
        runner = PodRunner(self._node, pod, known or next(a for a in self._addresses if a not in used))
        self._runners[uid] = runner
        runner.start()


def addresses(block: int) -> Iterator[str]:
    """10.B.0.1, 10.B.0.2, … round and round; never .0 or .255, nor 10.B.255.x, by which the block is claimed."""
    return itertools.cycle(f"10.{block}.{third}.{fourth}" for third in range(255) for fourth in range(1, 255))


def _node_info() -> dict[str, str]:
    empty = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion")
    known = {"containerRuntimeVersion": "process://1", "kubeletVersion": "v1.36.0-agent"}
    return {**dict.fromkeys(empty, ""), **known, "operatingSystem": "linux", "architecture": "amd64"}


def client_from(kubeconfig: Path) -> ApiClient:
    """An API client from a kubeconfig with one context and a token."""
    loaded = yaml.safe_load(kubeconfig.read_text())
    cluster = loaded["clusters"][0]["cluster"]
    return ApiClient(cluster["server"], Path(cluster["certificate-authority"]), loaded["users"][0]["user"]["token"])


def main() -> None:
    """Runs until SIGTERM or Ctrl-C; every process ends with it."""
    parser = argparse.ArgumentParser(description="Runs one real HTTP process for each pod of a node.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--program", required=True, help="the sample service")
    parser.add_argument("--address-block", type=int, required=True, help="pods are 10.B.y.z, processes 127.B.y.z")
    parser.add_argument("--logs", type=Path, required=True)
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    node = Node(
        options.node,
        client_from(options.kubeconfig),
        options.program,
        options.logs,
        host_ip=f"10.{options.address_block}.255.254",
    )
    agent = NodeAgent(node, options.address_block)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    agent.run()


if __name__ == "__main__":
    main()
