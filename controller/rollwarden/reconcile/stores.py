"""The informers the operator reads from, and which Rollout each object belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from ..api import names
from ..api.approval import Approval
from ..api.argo import ConfigMap, Namespace, ReplicaSet, Rollout
from ..api.change import Change
from ..api.enums import Decision
from ..api.meta import Model, ObjectMeta
from ..api.profile import ServiceProfile
from ..core.reviews import open_review
from ..kube.client import KubeClient
from ..kube.informers import ObjectKey, kube_informer
from ..kube.resources import (
    APPROVALS,
    CHANGES,
    CONFIGMAPS,
    GUARDRAILPOLICIES,
    NAMESPACES,
    REPLICASETS,
    ROLLOUTS,
    SERVICEPROFILES,
)
from ..runtime.informer import Informer

Enqueue = Callable[[ObjectKey], None]


class RawPolicy(Model, frozen=True, kw_only=True):
    """A GuardrailPolicy before its spec is trusted: one that cannot be read must not hide the accepted one."""

    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stores:
    rollouts: Informer[ObjectKey, msgspec.Raw, Rollout]
    replica_sets: Informer[ObjectKey, msgspec.Raw, ReplicaSet]
    namespaces: Informer[ObjectKey, msgspec.Raw, Namespace]
    changes: Informer[ObjectKey, msgspec.Raw, Change]
    approvals: Informer[ObjectKey, msgspec.Raw, Approval]
    profiles: Informer[ObjectKey, msgspec.Raw, ServiceProfile]
    policies: Informer[ObjectKey, msgspec.Raw, RawPolicy]
    governed: Informer[ObjectKey, msgspec.Raw, ConfigMap]

    def all(self) -> tuple[Informer[ObjectKey, msgspec.Raw, Any], ...]:
        return (
            self.namespaces,
            self.policies,
            self.profiles,
            self.replica_sets,
            self.approvals,
            self.changes,
            self.rollouts,
            self.governed,
        )


def make_stores(client: KubeClient, on_undecodable: Callable[[Any, Exception], None]) -> Stores:
    return Stores(
        rollouts=kube_informer(
            client, ROLLOUTS, Rollout, indexers={"namespace": _namespace}, on_undecodable=on_undecodable
        ),
        replica_sets=kube_informer(
            client,
            REPLICASETS,
            ReplicaSet,
            label_selector=names.POD_TEMPLATE_HASH,
            indexers={"rollout": replica_set_owner},
        ),
        namespaces=kube_informer(client, NAMESPACES, Namespace),
        changes=kube_informer(client, CHANGES, Change, indexers={"rollout": change_owner}),
        approvals=kube_informer(client, APPROVALS, Approval, indexers={"change": approval_change}),
        profiles=kube_informer(
            client, SERVICEPROFILES, ServiceProfile, indexers={"namespace": _namespace}, on_undecodable=on_undecodable
        ),
        policies=kube_informer(client, GUARDRAILPOLICIES, RawPolicy),
        # the right to it is for this one name, and holds for a list only where it selects that name
        governed=kube_informer(client, CONFIGMAPS, ConfigMap, field_selector=f"metadata.name={names.GOVERNED_MAP}"),
    )


def _namespace(item: Rollout | ServiceProfile) -> Iterable[str]:
    return (item.metadata.namespace,)


def replica_set_owner(item: ReplicaSet) -> Iterable[ObjectKey]:
    return [
        ObjectKey(item.metadata.namespace, owner.name)
        for owner in item.metadata.owner_references
        if owner.kind == "Rollout" and owner.api_version.startswith("argoproj.io/")
    ]


def change_owner(item: Change) -> Iterable[ObjectKey]:
    return [ObjectKey(item.metadata.namespace, item.spec.rollout.name)]


def approval_change(item: Approval) -> Iterable[ObjectKey]:
    return [ObjectKey(item.metadata.namespace, item.spec.change_ref.name)]


def wire(stores: Stores, enqueue: Enqueue) -> None:
    """Every event ends in the keys of the Rollouts it may concern; the reconcile reads what it needs itself."""

    def own(old: Rollout | None, new: Rollout | None) -> None:
        item = new or old
        if item is not None:
            enqueue(ObjectKey(item.metadata.namespace, item.metadata.name))

    def owners(find: Callable[[Any], Iterable[ObjectKey]]) -> Callable[[Any, Any], None]:
        def handle(old: Any, new: Any) -> None:
            for item in (old, new):
                for key in find(item) if item is not None else ():
                    enqueue(key)

        return handle

    def of_approval(item: Approval) -> Iterable[ObjectKey]:
        change = stores.changes.store.get(ObjectKey(item.metadata.namespace, item.spec.change_ref.name))
        return change_owner(change) if change else ()

    def everything(namespace: str | None) -> None:
        keys = stores.rollouts.store.keys() if namespace is None else _keys_in(stores, namespace)
        for key in keys:
            enqueue(key)

    def namespace_changed(old: Namespace | None, new: Namespace | None) -> None:
        item = new or old
        if item is not None and (old is None or new is None or old.metadata.labels != new.metadata.labels):
            everything(item.metadata.name)

    def policy_changed(old: RawPolicy | None, new: RawPolicy | None) -> None:
        if old is None or new is None or old.spec != new.spec:
            everything(None)

    def profile_changed(old: ServiceProfile | None, new: ServiceProfile | None) -> None:
        item = new or old
        if item is not None and (old is None or new is None or old.spec != new.spec):
            everything(item.metadata.namespace)

    stores.rollouts.add_handler(own)
    stores.replica_sets.add_handler(owners(replica_set_owner))
    stores.changes.add_handler(owners(change_owner))
    stores.approvals.add_handler(owners(of_approval))
    stores.namespaces.add_handler(namespace_changed)
    stores.policies.add_handler(policy_changed)
    stores.profiles.add_handler(profile_changed)


def wire_profiles(stores: Stores, enqueue: Enqueue) -> None:
    """A profile's answer tells of the Rollouts it selects and of the profiles beside it: any of them may change it."""

    def all_beside(item: Rollout | ServiceProfile) -> None:
        for profile in stores.profiles.store.by_index("namespace", item.metadata.namespace):
            enqueue(ObjectKey(profile.metadata.namespace, profile.metadata.name))

    def profile_changed(old: ServiceProfile | None, new: ServiceProfile | None) -> None:
        item = new or old
        if item is not None and (old is None or new is None or old.spec != new.spec):
            all_beside(item)

    def rollout_changed(old: Rollout | None, new: Rollout | None) -> None:
        item = new or old
        if item is not None and (old is None or new is None or old.metadata.labels != new.metadata.labels):
            all_beside(item)

    stores.profiles.add_handler(profile_changed)
    stores.rollouts.add_handler(rollout_changed)


def wire_reviews(stores: Stores, enqueue: Enqueue) -> None:
    """A Change that owes a review is looked at when it moves and when somebody decides on it."""

    def change_moved(old: Change | None, new: Change | None) -> None:
        if new is not None and open_review(new) is not None:
            enqueue(ObjectKey(new.metadata.namespace, new.metadata.name))

    def decided(old: Approval | None, new: Approval | None) -> None:
        if new is not None and new.spec.decision is Decision.REVIEW:
            enqueue(ObjectKey(new.metadata.namespace, new.spec.change_ref.name))

    stores.changes.add_handler(change_moved)
    stores.approvals.add_handler(decided)


def _keys_in(stores: Stores, namespace: str) -> list[ObjectKey]:
    return [
        ObjectKey(item.metadata.namespace, item.metadata.name)
        for item in stores.rollouts.store.by_index("namespace", namespace)
    ]
