"""What really happened in the cluster, and when: every size of every ReplicaSet, every hold value, every abort."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from e2e.apiclient import JsonObject, follow
from e2e.controlplane import ControlPlane
from e2e.demo.services import HOLD

REPLICASETS = "/apis/apps/v1/replicasets"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/rollouts"
Key = tuple[str, str]


@dataclass
class Watching:
    """Times are Unix seconds of this machine's clock, which every component shares."""

    sizes: list[tuple[Key, int]] = field(default_factory=list)
    holds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    aborts: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self, cp: ControlPlane) -> None:
        for path, note in ((REPLICASETS, self._note_size), (ROLLOUTS, self._note_rollout)):
            threading.Thread(
                target=follow,
                args=(cp.access.client(), path, _each(note), _on_event(note), self._stop),
                daemon=True,
                name=path,
            ).start()

    def stop(self) -> None:
        self._stop.set()

    def mark(self) -> int:
        """A place in the record of sizes."""
        with self._lock:
            return len(self.sizes)

    def peak(self, replica_set: Key, since: int) -> int:
        """The largest size a ReplicaSet had from a mark on; 0 if none was seen."""
        with self._lock:
            return max((size for key, size in self.sizes[since:] if key == replica_set), default=0)

    def released_at(self, namespace: str, name: str, attempt: str, seconds: float) -> float | None:
        """When the hold of an attempt became ``released-``; None if it did not within ``seconds``."""
        return self._first(self.holds, (namespace, name, f"released-{attempt}"), seconds)

    def aborted_at(self, namespace: str, name: str, pod_hash: str, seconds: float) -> float | None:
        """When Argo's status of a revision first said abort."""
        return self._first(self.aborts, (namespace, name, pod_hash), seconds)

    def _first(
        self, seen: dict[tuple[str, str, str], float], key: tuple[str, str, str], seconds: float
    ) -> float | None:
        with self._lock:
            self._lock.wait_for(lambda: key in seen, seconds)
            return seen.get(key)

    def _note_size(self, live: JsonObject) -> None:
        meta = live["metadata"]
        with self._lock:
            self.sizes.append(((meta["namespace"], meta["name"]), live["spec"].get("replicas", 1)))

    def _note_rollout(self, live: JsonObject) -> None:
        now = time.time()
        meta, status = live["metadata"], live.get("status", {})
        with self._lock:
            key = (meta["namespace"], meta["name"])
            self.holds.setdefault((*key, meta.get("annotations", {}).get(HOLD, "")), now)
            if status.get("abort"):
                self.aborts.setdefault((*key, status.get("currentPodHash", "")), now)
            self._lock.notify_all()


def _each(note: Callable[[JsonObject], None]) -> Callable[[list[JsonObject]], None]:
    def on_list(listed: list[JsonObject]) -> None:
        for live in listed:
            note(live)

    return on_list


def _on_event(note: Callable[[JsonObject], None]) -> Callable[[str, JsonObject], None]:
    def on_event(kind: str, live: JsonObject) -> None:
        if kind != "DELETED":
            note(live)

    return on_event
