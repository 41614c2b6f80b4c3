"""What the admission policies add to a write: `python -m tests.perf.admission_latency [--writes N]`.

On a control plane of its own. Every kind of write is made in two namespaces in turn, one in mode enforce and one in
mode off, where no policy on workloads is evaluated; the order changes every time, so that other load meets both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from e2e.apiclient import ApiClient, JsonObject
from e2e.controlplane import ControlPlane, Parts
from e2e.install import install_rollwarden
from e2e.stage import CI, PREFIX, Stage, canary, hold_of, merged, pods, rollout

WARM_UP = 30
UNMANAGED = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"}}}
STEPS: list[JsonObject] = [{"setWeight": 20}, {"pause": {"duration": "1m"}}, {"setWeight": 50}, {"pause": {}}]

Write = Callable[["Place", int], object]


@dataclass(frozen=True)
class Place:
    """A namespace with one Rollout that Argo leaves alone and a ReplicaSet of it."""

    stage: Stage
    argo: ApiClient

    def patch(self, body: JsonObject, client: ApiClient, *, subresource: str = "") -> None:
        client.patch(self.stage.path("shop", subresource), body)


def _template(place: Place, number: int) -> None:
    place.patch({"spec": {"template": pods("shop", f"v{number}")}}, place.stage.client(CI))


def _label(place: Place, number: int) -> None:
    place.patch({"metadata": {"labels": {"number": str(number)}}}, place.stage.client(CI))


def _replicas(place: Place, number: int) -> None:
    place.patch({"spec": {"replicas": 2 + number % 2}}, place.stage.client(CI))


def _scale(place: Place, number: int) -> None:
    place.patch({"spec": {"replicas": 2 + number % 2}}, place.stage.client(CI), subresource="scale")


def _status(place: Place, number: int) -> None:
    """As Argo writes it, many times per rollout."""
    place.patch({"status": {"HPAReplicas": number}}, place.argo, subresource="status")


def _set(place: Place, number: int) -> None:
    place.argo.patch(place.stage.set_path("shop-1"), {"spec": {"replicas": 1 + number % 2}})


def _set_scale(place: Place, number: int) -> None:
    place.argo.patch(place.stage.set_path("shop-1", "scale"), {"spec": {"replicas": 1 + number % 2}})


WRITES: dict[str, Write] = {
    "Rollout: new template": _template,
    "Rollout: label": _label,
    "Rollout: replicas": _replicas,
    "Rollout: scale subresource": _scale,
    "Rollout: status, by Argo": _status,
    "ReplicaSet: replicas, by Argo": _set,
    "ReplicaSet: scale subresource, by Argo": _set_scale,
}


@dataclass
class Times:
    """Seconds per write, without and with the policies."""

    without: list[float] = field(default_factory=list)
    guarded: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Milliseconds; the ratio is of the medians."""
        parts = [percentile(self.without, 50), percentile(self.guarded, 50)]
        tails = [percentile(self.without, 99), percentile(self.guarded, 99)]
        added = f"{parts[1] - parts[0]:+.1f}"
        ratio = parts[1] / parts[0]
        cells = (name, *(f"{p:.1f}" for p in parts), added, f"{ratio:.2f}", *(f"{p:.1f}" for p in tails))
        return "| " + " | ".join(cells) + f" | {tails[1] - tails[0]:+.1f} |"


def percentile(seconds: list[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1000


def made(cp: ControlPlane, namespace: str, mode: str) -> Place:
    stage = Stage(cp, namespace, labels={PREFIX + "mode": mode})
    place = Place(stage, stage.service_account("argo-rollouts", "argo-rollouts"))
    stage.client(CI).create(stage.path(), merged(rollout("shop", "v0", canary(*STEPS)), UNMANAGED))
    owner = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "shop",
        "uid": stage.live("shop")["metadata"]["uid"],
        "controller": True,
    }
    labels = {"app": "shop", "rollouts-pod-template-hash": "1"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "shop-1", "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": merged(pods("shop", "v0"), {"metadata": {"labels": labels}}),
        },
    }
    place.argo.create(stage.set_path(), body)
    return place


def measure(write: Write, without: Place, guarded: Place, writes: int) -> Times:
    times = Times()
    for number in range(WARM_UP + writes):
        turns = [(without, times.without), (guarded, times.guarded)]
        for place, record in turns if number % 2 else reversed(turns):
            began = time.perf_counter()
            write(place, number)
            if number >= WARM_UP:
                record.append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=400, help="per kind and namespace (default: %(default)s)")
    writes = parser.parse_args().writes
    with ControlPlane(Parts(argo=True, prometheus=False, node=False)) as cp:
        install_rollwarden(cp)
        # pods would only be pending, and the controllers that count them would take turns with us
        cp.stop_component("kube-controller-manager")
        without, guarded = made(cp, "without", "off"), made(cp, "guarded", "enforce")
        assert hold_of(guarded.stage.live("shop")) and not hold_of(without.stage.live("shop"))
        print(f"{writes} writes per kind and namespace, in ms; load average {os.getloadavg()[0]:.1f} at the start")
        print("| write | p50 without | p50 with | added | ratio | p99 without | p99 with | added |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, write in WRITES.items():
            print(measure(write, without, guarded, writes).row(name), flush=True)
        print(f"load average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
