"""Manifests of the sample workloads, as an owner would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2e.apiclient import JsonObject

PORT = 8080


def service(namespace: str, name: str) -> JsonObject:
    """A Service over every pod labelled ``app: <name>``, stable and canary."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def rollout(
    namespace: str,
    name: str,
    replicas: int,
    steps: Sequence[Mapping[str, Any]],
    image: str = "registry.example/sample:v1",
    env: Mapping[str, str | int | float] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> JsonObject:
    """A canary Rollout of the sample service; ``env`` is what ``tools/sampleservice`` understands."""
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": [{"name": key, "value": str(value)} for key, value in (env or {}).items()],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
            },
            "strategy": {"canary": {"steps": [dict(step) for step in steps]}},
        },
    }
