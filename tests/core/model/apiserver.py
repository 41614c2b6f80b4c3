"""The API server: objects with uid, resourceVersion and generation, conditional writes, admission, and one watcher.

The watcher is told of every write that a policy of the project is about, before and after, so that an oracle can judge
it. Changes are decoded with their schema's bounds on every read, as the real one checks them on every write.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from rollwarden.api import names
from rollwarden.api.approval import Approval
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Change, ChangeStatus
from rollwarden.core.digest import template_digest
from rollwarden.core.times import timestamp

from .admission import Refused, Request, admit_rollout, admit_scale_up, admit_status
from .jsonpatch import apply_patch

Json = dict[str, Any]
Ops = tuple[dict[str, Any], ...]


class Watcher(Protocol):
    """Judges writes as they are made."""

    def rollout_written(self, old: Json | None, new: Json, *, by_operator: bool) -> None: ...

    def pods_start(self, replica_set: Json) -> None: ...

    def scale_refused(self, replica_set: Json) -> None: ...

    def change_written(self, old: Change, new: Change) -> None: ...


@dataclass
class Snapshot:
    """What one reader may believe, now or a while ago."""

    rollout: Json | None
    sets: dict[str, Json]
    changes: dict[str, Json]
    approvals: list[Approval]

    def typed_rollout(self) -> Rollout | None:
        return None if self.rollout is None else msgspec.convert(self.rollout, Rollout)

    def typed_changes(self) -> tuple[Change, ...]:
        return tuple(msgspec.convert({"kind": "Change", **change}, Change) for change in self.changes.values())


@dataclass
class ApiServer:
    now: float
    watcher: Watcher
    live: Snapshot = field(default_factory=lambda: Snapshot(None, {}, {}, []))
    version: int = 1000
    uids: int = 0

    def snapshot(self) -> Snapshot:
        return copy.deepcopy(self.live)

    @property
    def rollout(self) -> Json:
        if self.live.rollout is None:
            raise Refused("the Rollout is gone")
        return self.live.rollout

    # people

    def create_rollout(self, manifest: Json, request: Request) -> None:
        if self.live.rollout is not None:
            raise Refused("it exists")
        self.uids += 1
        meta = {"uid": f"{self.uids:08x}-0000", "generation": 1, **manifest["metadata"]}
        new = admit_rollout(None, {**manifest, "metadata": meta, "status": {}}, request)
        self._store(None, new, by_operator=False)

    def update_rollout(self, new: Json, request: Request) -> None:
        old = self.rollout
        stored = admit_rollout(old, {**new, "status": old.get("status", {})}, request)
        self._store(old, stored, by_operator=False)

    def update_status(self, status: Json) -> None:
        old = self.rollout
        new = {**old, "status": status}
        admit_status(old, new)
        self._store(old, new, by_operator=False)

    def scale(self, replicas: int) -> None:
        """Through the scale subresource, which no policy on Rollouts sees."""
        new = copy.deepcopy(self.rollout)
        new["spec"]["replicas"] = replicas
        self._store(self.rollout, new, by_operator=False)

    def delete_rollout(self) -> None:
        self.live.rollout = None
        self.live.sets = {}

    def approve(self, approval: Approval) -> None:
        self.live.approvals.append(approval)

    # Argo's controller

    def argo_writes_status(self, status: Json) -> None:
        self._store(self.rollout, {**self.rollout, "status": status}, by_operator=False)

    def create_set(self, replica_set: Json) -> None:
        self.live.sets[replica_set["metadata"]["name"]] = replica_set

    def annotate_set(self, name: str, annotations: dict[str, str]) -> None:
        self.live.sets[name]["metadata"]["annotations"] = annotations

    def scale_set(self, name: str, replicas: int, desired: int) -> None:
        found = self.live.sets[name]
        if found["spec"]["replicas"] == 0 < replicas:
            try:
                admit_scale_up(found["metadata"]["annotations"])
            except Refused:
                self.watcher.scale_refused(found)
                raise
            self.watcher.pods_start(found)
        found["spec"]["replicas"] = replicas
        found["metadata"]["annotations"]["rollout.argoproj.io/desired-replicas"] = str(desired)
        found["status"]["readyReplicas"] = min(found["status"]["readyReplicas"], replicas)

    # the operator

    def patch_rollout(self, ops: Ops, subresource: str) -> None:
        """One JSON patch changes the main resource or its status, never both."""
        old = self.rollout
        patched = apply_patch(old, ops)
        if subresource == "status":
            new = {**old, "status": patched.get("status", {})}
        else:
            new = {**patched, "status": old.get("status", {})}
        self._store(old, new, by_operator=True)

    def patch_set(self, name: str, ops: Ops) -> None:
        if name not in self.live.sets:
            raise Refused(f"ReplicaSet {name} is gone")
        self.live.sets[name] = apply_patch(self.live.sets[name], ops)

    def create_change(self, change: Change) -> None:
        name = change.metadata.name
        if name in self.live.changes:
            found = msgspec.convert({"kind": "Change", **self.live.changes[name]}, Change)
            if (found.spec.rollout, found.spec.template_digest) != (change.spec.rollout, change.spec.template_digest):
                raise AssertionError(f"Change {name} exists and is another attempt")
            return
        body = msgspec.to_builtins(change)
        body.pop("status", None)
        self.uids += 1
        body["metadata"] |= {"uid": f"change-{self.uids}", "creationTimestamp": timestamp(self.now)}
        self.live.changes[name] = self._versioned(body)

    def patch_change_status(self, name: str, uid: str, version: str, status: ChangeStatus) -> None:
        found = self.live.changes.get(name)
        if found is None or (found["metadata"]["uid"], found["metadata"]["resourceVersion"]) != (uid, version):
            raise Refused(f"Change {name} moved on")
        old = msgspec.convert({"kind": "Change", **found}, Change)
        body = self._versioned({**found, "status": msgspec.to_builtins(status)})
        new = msgspec.convert({"kind": "Change", **body}, Change)
        self.live.changes[name] = body
        self.watcher.change_written(old, new)

    # storage

    def _store(self, old: Json | None, new: Json, *, by_operator: bool) -> None:
        new = copy.deepcopy(new)
        if old is not None and old["spec"] != new["spec"]:
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if old is None or old != new:
            new = self._versioned(new)
        self.live.rollout = new
        self.watcher.rollout_written(old, new, by_operator=by_operator)

    def _versioned(self, body: Json) -> Json:
        self.version += 1
        body = copy.deepcopy(body)
        body["metadata"]["resourceVersion"] = str(self.version)
        return body


def digest_of(holder: Json) -> str:
    """The template's digest of a Rollout or a ReplicaSet."""
    return template_digest(holder["spec"]["template"])


def hold_of(holder: Json) -> str:
    value: str = holder["metadata"].get("annotations", {}).get(names.HOLD, "")
    return value
