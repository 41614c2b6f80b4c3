"""Who holds a tier: from watched RBAC objects, of which only what could give a tier is kept; the authorizer decides.

Naming people and evidence rests on the watched objects. Whether somebody still holds a tier is asked of the API
server's own authorizer where it matters: before a release, and where no binding explains it (another authorizer than
RBAC may have). An approval by annotation carries no groups: it is taken for held as long as a group holds that tier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from ..api.enums import GROUP, ApprovalSource, Decision, Tier
from ..core.approvals import Vote
from ..core.classify import SERVICE_ACCOUNT
from ..core.holders import (
    CLUSTER_ROLE,
    RESOURCE,
    USER_KIND,
    VERB,
    Binding,
    Holding,
    Role,
    Rule,
    Subject,
    evidence_of,
    holdings,
    service_account_user,
)
from ..kube.client import KubeClient
from ..kube.informers import ObjectKey, distilling_informer
from ..kube.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES
from ..runtime.informer import Informer

AUTHORIZER = "the API server's authorizer (no RBAC binding says so)"
UNRECORDED = "admission, when it was written (an annotation carries no groups)"
SENTINEL = ("never-granted", "sentinels")


class RawMeta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""


class RawRule(msgspec.Struct, frozen=True, rename="camel"):
    verbs: tuple[str, ...] | None = None
    api_groups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None


class RawRole(msgspec.Struct, frozen=True):
    metadata: RawMeta
    rules: tuple[RawRule, ...] | None = None


class RawRef(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class RawSubject(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class RawBinding(msgspec.Struct, frozen=True, rename="camel"):
    metadata: RawMeta
    role_ref: RawRef = RawRef()
    subjects: tuple[RawSubject, ...] | None = None


_ROLE = msgspec.json.Decoder(RawRole)
_BINDING = msgspec.json.Decoder(RawBinding)


def read_role(raw: msgspec.Raw) -> Role:
    found = _ROLE.decode(raw)
    rules = (
        Rule(one.verbs or (), one.api_groups or (), one.resources or (), one.resource_names or ())
        for one in found.rules or ()
    )
    tiers = frozenset(tier for rule in rules for tier in rule.tiers)
    return Role(found.metadata.namespace, found.metadata.name, tiers)


def read_binding(raw: msgspec.Raw) -> Binding:
    found = _BINDING.decode(raw)
    meta, ref = found.metadata, found.role_ref
    return Binding(meta.namespace, meta.name, ref.kind, ref.name, tuple(_subject(s) for s in found.subjects or ()))


def _subject(raw: RawSubject) -> Subject:
    if raw.kind == "ServiceAccount":
        return Subject(USER_KIND, service_account_user(raw.namespace, raw.name))
    return Subject(raw.kind, raw.name)


@dataclass(frozen=True, slots=True)
class Person:
    """``groups`` None: not known."""

    user: str
    groups: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether somebody holds a tier now, and what says so."""

    held: bool
    evidence: str


class Holders:
    """Safe to use from any thread."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        of_namespace: dict[str, Callable[[Binding], Iterable[str]]] = {"bound": lambda one: (one.namespace,)}
        tiered: dict[str, Callable[[Role], Iterable[str]]] = {"tiered": _namespace_if_tiered}
        self.roles: tuple[Informer[ObjectKey, msgspec.Raw, Role], ...] = tuple(
            distilling_informer(client, kind, read_role, indexers=tiered) for kind in (CLUSTERROLES, ROLES)
        )
        self.bindings: tuple[Informer[ObjectKey, msgspec.Raw, Binding], ...] = tuple(
            distilling_informer(client, kind, read_binding, indexers=of_namespace)
            for kind in (CLUSTERROLEBINDINGS, ROLEBINDINGS)
        )

    def watch(self, look_again: Callable[[str], None]) -> None:
        """``look_again(namespace)`` where somebody may have won or lost a tier; "" is everywhere."""

        def role_moved(old: Role | None, new: Role | None) -> None:
            given = [one.tiers if one else frozenset[Tier]() for one in (old, new)]
            item = new or old
            if item is not None and given[0] != given[1]:
                look_again(item.namespace)

        def binding_moved(old: Binding | None, new: Binding | None) -> None:
            item = new or old
            if item is not None and old != new and any(self._tiered(one) for one in (old, new) if one):
                look_again(item.namespace)

        for roles in self.roles:
            roles.add_handler(role_moved)
        for bindings in self.bindings:
            bindings.add_handler(binding_moved)

    def informers(self) -> tuple[Informer[ObjectKey, msgspec.Raw, Any], ...]:
        return (*self.roles, *self.bindings)

    def of(self, namespace: str) -> tuple[Holding, ...]:
        """Everybody who holds a tier in the namespace."""
        places = ("", namespace)
        roles = [one for kind in self.roles for place in places for one in kind.store.by_index("tiered", place)]
        bindings = [one for kind in self.bindings for place in places for one in kind.store.by_index("bound", place)]
        return holdings(bindings, roles, namespace)

    def standing(self, person: Person, tier: Tier, namespace: str, *, fresh: bool) -> Standing:
        """Whether that person holds the tier; ``fresh``: the authorizer is asked even where a binding explains it."""
        user, groups, held = person.user, person.groups, self.of(namespace)
        evidence = evidence_of(held, user, groups or (), tier)
        if evidence and not fresh:
            return Standing(True, evidence)
        if not evidence and groups is None and any(one.subject.is_group and tier in one.tiers for one in held):
            return Standing(True, UNRECORDED)
        if not self._may(user, groups or (), VERB, RESOURCE, tier.lower, namespace):
            return Standing(False, "")
        if evidence:
            return Standing(True, evidence)
        # allowed without a binding: by another authorizer, or by a wildcard, which is no tier
        wildcard = self._may(user, groups or (), *SENTINEL, "", namespace)
        return Standing(not wildcard, "" if wildcard else AUTHORIZER)

    def checked(
        self, votes: Iterable[Vote], groups: Mapping[str, Sequence[str]], namespace: str, *, fresh: bool
    ) -> tuple[Vote, ...]:
        """The votes with what gives each its tier, or that nothing does; ``groups`` of those that recorded them."""
        known: dict[tuple[object, ...], Standing] = {}

        def check(vote: Vote) -> Vote:
            if vote.decision is not Decision.APPROVE or vote.agent or vote.user.startswith(SERVICE_ACCOUNT):
                return vote
            mine = groups.get(vote.ref) if vote.source is ApprovalSource.OBJECT else None
            key = (vote.user, None if mine is None else tuple(mine), vote.tier)
            if key not in known:
                known[key] = self.standing(Person(vote.user, mine), vote.tier, namespace, fresh=fresh)
            return replace(vote, lost_tier=not known[key].held, evidence=known[key].evidence)

        return tuple(check(vote) for vote in votes)

    def _may(self, user: str, groups: Sequence[str], verb: str, resource: str, name: str, namespace: str) -> bool:
        return self._client.can(user, groups, verb, GROUP, resource, name=name, namespace=namespace)

    def _tiered(self, binding: Binding) -> bool:
        of = "" if binding.role_kind == CLUSTER_ROLE else binding.namespace
        key = ObjectKey(of, binding.role)
        return any((role := informer.store.get(key)) is not None and bool(role.tiers) for informer in self.roles)


def _namespace_if_tiered(role: Role) -> Iterable[str]:
    return (role.namespace,) if role.tiers else ()
