"""What a change wants to know, and the arm that a pod belongs to by the name of its ReplicaSet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollwarden.prometheus.pods import Scope, pod_base
from rollwarden.prometheus.templates import Indicator

Arm = Literal["canary", "stable"]
LONGEST_SAFE_ROLLOUT_NAME = 46
"""58 less two dashes and the ten characters of Argo's longest pod template hash."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one change wants to know: two ReplicaSets of one namespace and the indicators to read for both.

    An empty set name means that the arm does not exist (yet). `pod_starts` maps pod names to epoch seconds where they
    are known; they become PodCounter.started, so that a pod older than the first tick is not counted from 0.
    """

    key: str
    namespace: str
    canary_set: str
    stable_set: str
    indicators: tuple[Indicator, ...]
    first_tick: int = 0
    pod_starts: Mapping[str, float] = field(default_factory=dict)

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the ReplicaSets that exist."""
        return tuple(name for name in (self.canary_set, self.stable_set) if name)


def indistinguishable(subscription: Subscription) -> str | None:
    """A sentence if the two arms' pods cannot be told apart by name, else None."""
    canary, stable = subscription.canary_set, subscription.stable_set
    if not canary or not stable or pod_base(canary) != pod_base(stable):
        return None
    return (
        f"pods of {canary} and {stable} in namespace {subscription.namespace} cannot be told apart by name: both begin "
        f'with "{pod_base(canary)}"; give the Rollout a name of at most {LONGEST_SAFE_ROLLOUT_NAME} characters'
    )


def arms_by_base(subscription: Subscription) -> dict[str, Arm]:
    """Pod name base -> arm. Ask `indistinguishable` first."""
    arms: dict[str, Arm] = {}
    if subscription.stable_set:
        arms[pod_base(subscription.stable_set)] = "stable"
    if subscription.canary_set:
        arms[pod_base(subscription.canary_set)] = "canary"
    return arms


def scope_of(subscriptions: Iterable[Subscription]) -> Scope:
    """The scope that covers all `subscriptions`, sorted: the same changes give the same query text."""
    namespaces: set[str] = set()
    bases: set[str] = set()
    for subscription in subscriptions:
        namespaces.add(subscription.namespace)
        bases.update(pod_base(name) for name in subscription.sets)
    return Scope(tuple(sorted(namespaces)), tuple(sorted(bases)))
