"""Real load on the pods: a Go program sends the requests, this side tells it which endpoints are ready.

Requests per second are spread uniformly at random over the ready endpoints of a Service, open-loop (a slow answer
does not slow the sending down), as a Poisson stream. Every endpoint is counted by pod, so that the number of harmed
requests is known for sure and not estimated.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from e2e.apiclient import ApiClient, JsonObject, follow
from e2e.processes import Command, Supervisor

ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SERVICE_LABEL = "kubernetes.io/service-name"
Key = tuple[str, str]


@dataclass(frozen=True)
class PodCount:
    """Requests sent to one pod, and how many of them failed: answered 500 or more, or not at all within 5 s."""

    sent: int = 0
    failed: int = 0


@dataclass(frozen=True)
class ServiceLoad:
    """Counts of one service. ``unserved`` requests were due while no endpoint was ready, or too many were open."""

    unserved: int
    pods: dict[str, PodCount]

    @property
    def sent(self) -> int:
        return sum(p.sent for p in self.pods.values())

    @property
    def failed(self) -> int:
        return sum(p.failed for p in self.pods.values())


class LoadGenerator:
    """``set_rate`` per service, ``counts`` at any time, ``stop``. Ends by itself after ``max_seconds``."""

    def __init__(
        self, supervisor: Supervisor, program: str, client: ApiClient, number: int, max_seconds: float
    ) -> None:
        self._stats = supervisor.logs / f"load-{number}.json"
        self._lock = threading.Lock()
        self._rates: dict[Key, tuple[float, str]] = {}
        self._slices: dict[str, JsonObject] = {}
        self._stopped = threading.Event()
        self._process = supervisor.start(
            Command(
                f"load-{number}",
                (program, f"-stats={self._stats}", f"-max-seconds={max_seconds:g}"),
                input_pipe=True,
            )
        )
        watcher = (client, ENDPOINT_SLICES, self._on_list, self._on_event, self._stopped)
        threading.Thread(target=follow, args=watcher, daemon=True, name="endpoint-slices").start()

    @property
    def running(self) -> bool:
        """False after ``stop`` or after ``max_seconds``."""
        return self._process.running

    def set_rate(self, namespace: str, service: str, rps: float, path: str = "/") -> None:
        """Requests per second for one service from now on; 0 ends it. Raises ProcessFailedError when it ended."""
        self._process.check()
        with self._lock:
            self._rates[namespace, service] = (rps, path)
            self._send()

    def counts(self, namespace: str, service: str) -> ServiceLoad:
        """What was sent to a service so far; at most half a second old while running, exact after ``stop``."""
        if not self._stats.exists():
            return ServiceLoad(0, {})
        seen: dict[str, Any] = json.loads(self._stats.read_text()).get(f"{namespace}/{service}", {})
        pods = {name: PodCount(p["sent"], p["failed"]) for name, p in seen.get("pods", {}).items()}
        return ServiceLoad(seen.get("unserved", 0), pods)

    def stop(self) -> None:
        """Ends it; the counts stay readable until the control plane's directory is removed."""
        self._stopped.set()
        self._process.stop()

    def _on_list(self, slices: list[JsonObject]) -> None:
        with self._lock:
            self._slices = {s["metadata"]["uid"]: s for s in slices}
            self._send()

    def _on_event(self, kind: str, item: JsonObject) -> None:
        with self._lock:
            if kind == "DELETED":
                self._slices.pop(item["metadata"]["uid"], None)
            else:
                self._slices[item["metadata"]["uid"]] = item
            self._send()

    def _send(self) -> None:
        if not self._process.running:
            return
        targets = [
            {"name": "/".join(key), "rps": rps, "path": path, "endpoints": ready_endpoints(self._slices, key)}
            for key, (rps, path) in self._rates.items()
        ]
        self._process.input.write(json.dumps(targets).encode() + b"\n")
        self._process.input.flush()


def ready_endpoints(slices: dict[str, JsonObject], service: Key) -> list[dict[str, str]]:
    """``{"pod", "address"}`` of each ready endpoint of a service, the address on loopback."""
    found = []
    for each in slices.values():
        meta = each["metadata"]
        if (meta["namespace"], meta.get("labels", {}).get(SERVICE_LABEL)) != service or not each.get("ports"):
            continue
        port = each["ports"][0]["port"]
        for endpoint in each.get("endpoints") or ():
            if endpoint.get("conditions", {}).get("ready"):
                pod = endpoint.get("targetRef", {}).get("name", "")
                found.append({"pod": pod, "address": f"{process_address(endpoint['addresses'][0])}:{port}"})
    return found


def process_address(pod_ip: str) -> str:
    """Where the process of a pod listens: 127.x.y.z for pod IP 10.x.y.z."""
    first, _, rest = pod_ip.partition(".")
    if first != "10":
        raise ValueError(f"pod IP {pod_ip} is not in 10.0.0.0/8; the node agent gives no other")
    return f"127.{rest}"
