"""Apply: makes the writes of one outcome, in order, and stops at the first that is refused.

Each write is conditional (JSON Patch tests, names that are deterministic), so stopping half-way is safe: the next
reconcile decides from what really stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ..api.change import Change
from ..core.writes import CreateChange, Emit, PatchReplicaSet, PatchRollout, Write, WriteChangeStatus
from ..kube.client import KubeClient
from ..kube.errors import AlreadyExists
from ..kube.informers import ObjectKey
from ..kube.recorder import ObjectRef
from ..kube.resources import CHANGES, REPLICASETS, ROLLOUTS

EmitEvent = Callable[[ObjectRef, Emit], None]


class OtherAttempt(Exception):
    """A Change of this name exists and is another attempt: written by hand, or the first digits of two uids collide."""


@dataclass(frozen=True, slots=True)
class Applier:
    client: KubeClient
    emit: EmitEvent

    def apply(self, key: ObjectKey, uid: str, writes: tuple[Write, ...]) -> None:
        """Raises the KubeError of the write that was refused; those before it stand."""
        for write in writes:
            match write:
                case CreateChange():
                    self._create(write.change)
                case WriteChangeStatus():
                    self._status(key, write)
                case PatchRollout():
                    self._rollout(key, write)
                case PatchReplicaSet():
                    ops = list(write.ops)
                    self.client.json_patch(REPLICASETS, write.name, ops, namespace=key.namespace)
                case Emit():
                    self.emit(_rollout_ref(key, uid), write)

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

    def _rollout(self, key: ObjectKey, write: PatchRollout) -> None:
        subresource = write.subresource or None
        self.client.json_patch(ROLLOUTS, key.name, list(write.ops), namespace=key.namespace, subresource=subresource)


def _rollout_ref(key: ObjectKey, uid: str) -> ObjectRef:
    return ObjectRef(ROLLOUTS.api_version, ROLLOUTS.kind, key.namespace, key.name, uid)
