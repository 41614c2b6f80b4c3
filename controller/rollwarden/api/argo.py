"""Argo's and Kubernetes' own objects as far as they are read here; the rest is not lost: it is never rewritten.

Rollouts are changed by JSON Patch only, so a partial view is safe. ``template`` and ``steps`` stay plain data: they are
compared and put back exactly as they were.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import field

from .meta import Model, ObjectMeta


class CanaryStrategy(Model, frozen=True, kw_only=True):
    steps: tuple[dict[str, Any], ...] | None = None
    analysis: dict[str, Any] | None = None
    traffic_routing: dict[str, Any] | None = None
    canary_service: str | None = None
    stable_service: str | None = None
    ping_pong: dict[str, Any] | None = None


class Strategy(Model, frozen=True, kw_only=True):
    canary: CanaryStrategy | None = None
    blue_green: dict[str, Any] | None = None


class RollbackWindow(Model, frozen=True, kw_only=True):
    revisions: int = 0


class RolloutSpec(Model, frozen=True, kw_only=True):
    replicas: int | None = None
    paused: bool = False
    selector: dict[str, Any] | None = None
    strategy: Strategy = Strategy()
    template: dict[str, Any] = field(default_factory=dict)
    workload_ref: dict[str, Any] | None = None
    rollback_window: RollbackWindow | None = None
    progress_deadline_seconds: int | None = None


class RolloutStatus(Model, frozen=True, kw_only=True):
    """``observed_generation`` is a string in Argo's API."""

    phase: str = ""
    message: str = ""
    abort: bool = False
    aborted_at: str | None = None
    promote_full: bool = False
    current_pod_hash: str = ""
    stable_rs: str = field(name="stableRS", default="")
    current_step_index: int | None = None
    current_step_hash: str = ""
    pause_conditions: tuple[dict[str, Any], ...] | None = None
    controller_pause: bool = False
    observed_generation: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[dict[str, Any], ...] | None = None


class Rollout(Model, frozen=True, kw_only=True):
    plural: ClassVar[str] = "rollouts"
    api_version: str = "argoproj.io/v1alpha1"
    kind: str = "Rollout"
    metadata: ObjectMeta = ObjectMeta()
    spec: RolloutSpec = field(default_factory=RolloutSpec)
    status: RolloutStatus = RolloutStatus()


class ReplicaSetSpec(Model, frozen=True, kw_only=True):
    replicas: int = 0
    template: dict[str, Any] = field(default_factory=dict)


class ReplicaSetStatus(Model, frozen=True, kw_only=True):
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0


class ReplicaSet(Model, frozen=True, kw_only=True):
    plural: ClassVar[str] = "replicasets"
    api_version: str = "apps/v1"
    kind: str = "ReplicaSet"
    metadata: ObjectMeta = ObjectMeta()
    spec: ReplicaSetSpec = field(default_factory=ReplicaSetSpec)
    status: ReplicaSetStatus = ReplicaSetStatus()


class ConfigMap(Model, frozen=True, kw_only=True):
    plural: ClassVar[str] = "configmaps"
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = field(default_factory=dict)
    immutable: bool = False


class Namespace(Model, frozen=True, kw_only=True):
    plural: ClassVar[str] = "namespaces"
    metadata: ObjectMeta = ObjectMeta()
