"""Keeps the ConfigMap ``rollwarden-governed`` of each enforced namespace: what admission has to know about it.

One key per namespace. Nothing is written where nothing changed; every write is on exactly what was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from ..api import names
from ..api.argo import ConfigMap, Namespace, Rollout
from ..api.enums import Mode
from ..api.profile import ServiceProfile
from ..core.classify import criticality_of
from ..core.governed import Governed, governed_map, on_new_template, trains_of, with_standing_trains
from ..core.policy import Place, Policy, in_force
from ..core.writes import Op
from ..kube.client import KubeClient
from ..kube.errors import AlreadyExists, Conflict, NotFound, PatchTestFailed
from ..kube.informers import ObjectKey
from ..kube.resources import CONFIGMAPS
from .gather import matching_profiles, mode_of, subject_of
from .inforce import policies
from .stores import Enqueue, RawPolicy, Stores

log = structlog.get_logger(__name__)

TRAIN_SECONDS = 60.0
"""A train's phrase is written again at most this often."""
TRY_AGAIN_SECONDS = 0.5


class Governing:
    """``clock`` gives Unix seconds, ``monotonic`` is what the time between two phrases is measured by."""

    def __init__(
        self,
        client: KubeClient,
        stores: Stores,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._stores = stores
        self._clock = clock
        self._monotonic = monotonic
        self._phrased: dict[str, float] = {}  # when a namespace's trains may be phrased anew
        self._left_out: dict[str, tuple[str, ...]] = {}

    def reconcile(self, key: ObjectKey) -> float | None:
        """Brings one namespace's map to what it should be; a namespace on its way out takes its own along."""
        namespace = self._stores.namespaces.store.get(key)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            self._phrased.pop(key.name, None)
            self._left_out.pop(key.name, None)
            return None
        standing = self._stores.governed.store.get(ObjectKey(key.name, names.GOVERNED_MAP))
        try:
            if mode_of(namespace) is not Mode.ENFORCE:
                if standing is not None:
                    self._delete(standing)
                return None
            if standing is not None and standing.immutable:
                self._delete(standing)
                return None
            return self._bring(namespace, standing)
        except (AlreadyExists, Conflict, NotFound, PatchTestFailed):
            return TRY_AGAIN_SECONDS  # the cache is behind

    def _bring(self, namespace: Namespace, standing: ConfigMap | None) -> float | None:
        name = namespace.metadata.name
        wanted = self._wanted(namespace)
        data = dict(standing.data) if standing else {}
        now = self._monotonic()
        allowed = self._phrased.get(name, now)
        kept = wanted if allowed <= now else with_standing_trains(wanted, data)
        if standing is None:
            self._create(name, kept)
        elif kept != data:
            self._replace(standing, kept)
        trains = trains_of(kept)
        if not trains:
            return None
        if trains != trains_of(data):
            self._phrased[name] = allowed = now + TRAIN_SECONDS
        return allowed - now if allowed > now else TRAIN_SECONDS

    def _wanted(self, namespace: Namespace) -> dict[str, str]:
        name, labels = namespace.metadata.name, namespace.metadata.labels
        used = in_force(policies(self._stores.policies.store.items()), Place(labels={}, namespace_labels=labels))
        profiles = tuple(self._stores.profiles.store.by_index("namespace", name))
        rollouts = self._stores.rollouts.store.by_index("namespace", name)
        told = governed_map(
            [self._governed(rollout, labels, used, profiles) for rollout in rollouts],
            [policy.spec for policy in used],
            self._clock(),
        )
        if told.left_out != self._left_out.get(name, ()):
            self._left_out[name] = told.left_out
            log.warning("some of it does not fit into the map of a namespace", namespace=name, keys=told.left_out[:20])
        return told.data

    def _governed(
        self, rollout: Rollout, labels: dict[str, str], used: tuple[Policy, ...], profiles: tuple[ServiceProfile, ...]
    ) -> Governed:
        meta = rollout.metadata
        own = matching_profiles(profiles, rollout)
        subject = subject_of(rollout, None, labels, own)
        return Governed(
            rollout=rollout,
            criticality=criticality_of(subject, [policy.spec for policy in used]),
            changes=tuple(self._stores.changes.store.by_index("rollout", ObjectKey(meta.namespace, meta.name))),
            on_new_template=on_new_template(own),
        )

    def _create(self, namespace: str, data: dict[str, str]) -> None:
        body = {
            "apiVersion": CONFIGMAPS.api_version,
            "kind": CONFIGMAPS.kind,
            "metadata": {"name": names.GOVERNED_MAP, "labels": {"app.kubernetes.io/name": "rollwarden"}},
            "data": data,
        }
        self._client.create(CONFIGMAPS, body, namespace=namespace)
        log.info("the governed map is written", namespace=namespace, keys=len(data))

    def _replace(self, standing: ConfigMap, data: dict[str, str]) -> None:
        meta = standing.metadata
        ops: list[Op] = [
            {"op": "test", "path": "/metadata/uid", "value": meta.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version},
            {"op": "add", "path": "/data", "value": data},
        ]
        self._client.json_patch(CONFIGMAPS, meta.name, ops, namespace=meta.namespace)

    def _delete(self, standing: ConfigMap) -> None:
        meta = standing.metadata
        self._client.delete(
            CONFIGMAPS, meta.name, namespace=meta.namespace, uid=meta.uid, resource_version=meta.resource_version
        )
        log.info("the governed map is deleted", namespace=meta.namespace)


def wire_governed(stores: Stores, enqueue: Enqueue) -> None:
    """Whatever may change a namespace's map ends in its key; sizes and Argo's other statuses do not."""

    def of(namespace: str) -> None:
        enqueue(ObjectKey("", namespace))

    def follow(shape: Callable[[Any], object]) -> Callable[[Any, Any], None]:
        def handle(old: Any, new: Any) -> None:
            if old is None or new is None or shape(old) != shape(new):
                of((new or old).metadata.namespace)

        return handle

    def namespace_changed(old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and (old is None or _namespace_shape(old) != _namespace_shape(new)):
            of(new.metadata.name)

    def policy_changed(old: RawPolicy | None, new: RawPolicy | None) -> None:
        if old is None or new is None or old.spec != new.spec:
            for namespace in stores.namespaces.store.items():
                of(namespace.metadata.name)

    stores.rollouts.add_handler(follow(rollout_shape))
    stores.changes.add_handler(follow(lambda change: (change.spec, change.status)))
    stores.profiles.add_handler(follow(lambda profile: profile.spec))
    stores.governed.add_handler(follow(lambda held: held))
    stores.namespaces.add_handler(namespace_changed)
    stores.policies.add_handler(policy_changed)


def _namespace_shape(namespace: Namespace) -> object:
    return namespace.metadata.labels, namespace.metadata.deletion_timestamp


def rollout_shape(rollout: Rollout) -> object:
    """All of it that the map tells of."""
    meta, status = rollout.metadata, rollout.status
    spec = msgspec.structs.replace(rollout.spec, replicas=None)
    argo = status.abort, status.stable_rs, status.current_pod_hash, status.current_step_index
    return meta.uid, meta.labels, meta.annotations, spec, argo
