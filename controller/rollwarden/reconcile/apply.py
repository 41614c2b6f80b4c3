"""Apply: makes the writes of one outcome, in order, and stops at the first that is refused.

Each write is conditional (JSON Patch tests, names that are deterministic), so stopping half-way is safe: the next
reconcile decides from what really stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ..api.argo import Rollout
from ..api.change import Change
from ..core.writes import CreateChange, Emit, Op, PatchReplicaSet, PatchRollout, Write, WriteChangeStatus
from ..kube.client import KubeClient
from ..kube.errors import AlreadyExists, PatchTestFailed
from ..kube.informers import ObjectKey
from ..kube.recorder import ObjectRef
from ..kube.resources import CHANGES, REPLICASETS, ROLLOUTS

EmitEvent = Callable[[ObjectRef, Emit], None]

VERSION = "/metadata/resourceVersion"
TRIES = 8
"""Writes of one patch to an object that others write to all the time; each wins or loses within milliseconds."""


class OtherAttempt(Exception):
    """A Change of this name exists and is another attempt: written by hand, or the first digits of two uids collide."""


@dataclass(frozen=True, slots=True)
class Applier:
    client: KubeClient
    emit: EmitEvent

    def apply(self, key: ObjectKey, read: Rollout | None, writes: tuple[Write, ...]) -> None:
        """``read``: the Rollout as it was decided on, None where it is gone.

        Raises the KubeError of the write that was refused; those before it stand.
        """
        for write in writes:
            match write:
                case CreateChange():
                    self._create(write.change)
                case WriteChangeStatus():
                    self._status(key, write)
                case PatchRollout():
                    self._rollout(key, read, write)
                case PatchReplicaSet():
                    ops = list(write.ops)
                    self.client.json_patch(REPLICASETS, write.name, ops, namespace=key.namespace)
                case Emit():
                    self.emit(_rollout_ref(key, read.metadata.uid if read else ""), write)

    def _create(self, change: Change) -> None:
        """Idempotent: a Change of this name that is this attempt is as good as created."""
        body = msgspec.to_builtins(change)
        body.pop("status", None)
        try:
            self.client.create(CHANGES, body, namespace=change.metadata.namespace)
        except AlreadyExists:
            name = change.metadata.name
            found = self.client.get(CHANGES, name, namespace=change.metadata.namespace, type=Change)
            if (found.spec.rollout, found.spec.template_digest) != (change.spec.rollout, change.spec.template_digest):
                sentence = f'Change "{name}" exists and is another attempt; delete it if it is not ours'
                raise OtherAttempt(sentence) from None

    def _status(self, key: ObjectKey, write: WriteChangeStatus) -> None:
        ops = [
            {"op": "test", "path": "/metadata/uid", "value": write.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": write.resource_version},
            {"op": "add", "path": "/status", "value": msgspec.to_builtins(write.status)},
        ]
        self.client.json_patch(CHANGES, write.name, ops, namespace=key.namespace, subresource="status")

    def _rollout(self, key: ObjectKey, read: Rollout | None, write: PatchRollout) -> None:
        """Where only the resource version was in the way, it is tried again on the newer one.

        Argo and autoscalers write to a Rollout several times a second; a decision rests on none of what they write.
        """
        ops, subresource = list(write.ops), write.subresource or None
        for left in reversed(range(TRIES)):
            try:
                self.client.json_patch(ROLLOUTS, key.name, ops, namespace=key.namespace, subresource=subresource)
                return
            except PatchTestFailed:
                newer = self._on_newer(key, read, ops) if read is not None and left else None
                if newer is None:
                    raise
                ops = newer

    def _on_newer(self, key: ObjectKey, read: Rollout, ops: list[Op]) -> list[Op] | None:
        """The patch for the object as it is now; None where that is another one to decide on, or not newer."""
        version = next((op["value"] for op in ops if _tests_version(op)), None)
        if version is None:
            return None
        now = self.client.get(ROLLOUTS, key.name, namespace=key.namespace, type=Rollout)
        if now.metadata.resource_version == version or decided_on(now) != decided_on(read):
            return None
        return [{**op, "value": now.metadata.resource_version} if _tests_version(op) else op for op in ops]


def decided_on(rollout: Rollout) -> tuple[object, ...]:
    """What a decision about a Rollout rests on: all but its size and how far Argo is with that."""
    meta, spec, status = rollout.metadata, rollout.spec, rollout.status
    return (
        meta.uid,
        meta.labels,
        meta.annotations,
        msgspec.structs.replace(spec, replicas=None),
        (status.abort, status.promote_full, status.stable_rs, status.current_pod_hash),
    )


def _tests_version(op: Op) -> bool:
    return bool(op["op"] == "test" and op["path"] == VERSION)


def _rollout_ref(key: ObjectKey, uid: str) -> ObjectRef:
    return ObjectRef(ROLLOUTS.api_version, ROLLOUTS.kind, key.namespace, key.name, uid)
