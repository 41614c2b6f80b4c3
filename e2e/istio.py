"""Istio as far as Argo Rollouts needs it: its two kinds, and requests that follow the weights of a VirtualService.

There is no data plane: ``Mesh`` reads the weights that Argo writes and tells the load generator to split by them.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from e2e.apiclient import ApiClient, ApiError, JsonObject, follow
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.manifests import service

KINDS = Path(__file__).parent / "istio.yaml"
SERVED = "/apis/networking.istio.io/v1alpha3"
ROUTE = "primary"


@cache
def install_istio(cp: ControlPlane) -> None:
    """The kinds, once per control plane; Argo is started anew, for it looks for them every ten minutes only."""
    done = cp.kubectl("apply", "--server-side", "-f", str(KINDS))
    if not done.ok:
        raise RuntimeError(f"kubectl apply -f {KINDS.name} failed: {done.err}")
    cp.wait_for("Istio's kinds to be served", lambda: _served(cp.api))
    cp.restart_component("rollouts-controller")
    argo = cp.process("rollouts-controller")
    cp.wait_for("Argo to find Istio", lambda: "Istio detected" in argo.log_since_start())


def _served(api: ApiClient) -> bool:
    try:
        return {"virtualservices", "destinationrules"} <= {r["name"] for r in api.get(SERVED)["resources"]}
    except ApiError as error:
        if error.code == 404:
            return False
        raise


def routing(name: str) -> JsonObject:
    """The fields of a canary strategy that split traffic by the VirtualService of ``objects``."""
    return {
        "canaryService": f"{name}-canary",
        "stableService": f"{name}-stable",
        "trafficRouting": {
            "managedRoutes": [{"name": "beta"}],
            "istio": {"virtualService": {"name": name, "routes": [ROUTE]}},
        },
    }


def objects(namespace: str, name: str) -> list[tuple[str, JsonObject]]:
    """Two Services and a VirtualService that sends all to stable, each with the path it is created at."""
    services = [service(namespace, f"{name}-{arm}") for arm in ("stable", "canary")]
    for each in services:
        each["spec"]["selector"] = {"app": name}
    weights = {"stable": 100, "canary": 0}
    route = [{"destination": {"host": f"{name}-{arm}"}, "weight": weight} for arm, weight in weights.items()]
    virtual: JsonObject = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [name], "http": [{"name": ROUTE, "route": route}]},
    }
    return [*((f"/api/v1/namespaces/{namespace}/services", s) for s in services), (virtual_path(namespace), virtual)]


def virtual_path(namespace: str, name: str = "") -> str:
    path = f"{SERVED}/namespaces/{namespace}/virtualservices"
    return f"{path}/{name}" if name else path


def weights(virtual: JsonObject, route: str = ROUTE) -> dict[str, int]:
    """The weight of each host of one HTTP route; empty where there is no such route."""
    found = next((r for r in virtual["spec"]["http"] if r.get("name") == route), {"route": ()})
    return {d["destination"]["host"]: d.get("weight", 0) for d in found["route"]}


class Mesh:
    """Real requests to the Services of a namespace, split by its VirtualServices as they stand."""

    def __init__(self, cp: ControlPlane, namespace: str, load: LoadGenerator) -> None:
        self._namespace = namespace
        self._load = load
        self._lock = threading.Lock()
        self._rates: dict[str, float] = {}
        self._virtual: dict[str, JsonObject] = {}
        self._stop = threading.Event()
        watch = (cp.access.client(), virtual_path(namespace), self._on_list, self._on_event, self._stop)
        threading.Thread(target=follow, args=watch, daemon=True, name="virtual-services").start()

    def set_rate(self, name: str, rps: float) -> None:
        """Requests per second to the VirtualService of that name from now on."""
        with self._lock:
            self._rates[name] = rps
            self._split(name)

    def close(self) -> None:
        """Ends all requests."""
        self._stop.set()
        for name in list(self._rates):
            self.set_rate(name, 0)

    def _on_list(self, items: list[JsonObject]) -> None:
        for item in items:
            self._on_event("LISTED", item)

    def _on_event(self, kind: str, item: JsonObject) -> None:
        with self._lock:
            self._virtual[item["metadata"]["name"]] = item
            self._split(item["metadata"]["name"])

    def _split(self, name: str) -> None:
        rate, virtual = self._rates.get(name), self._virtual.get(name)
        if rate is None or virtual is None:
            return
        for host, weight in weights(virtual).items():
            self._load.set_rate(self._namespace, host, rate * weight / 100)
