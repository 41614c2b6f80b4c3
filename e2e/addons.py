"""What the add-ons need in the cluster: Argo Rollouts' own CRDs and RBAC, and Prometheus's service account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from e2e.apiclient import ApiClient, JsonObject

ARGO_NAMESPACE = "argo-rollouts"
ARGO_ACCOUNT = "argo-rollouts"
MONITORING_NAMESPACE = "monitoring"
PROMETHEUS_ACCOUNT = "prometheus"

_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
}
"""The kinds installed here. Argo's Deployment and Service are not: its controller runs as a process."""


def namespace(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def argo_objects(install: Iterable[JsonObject]) -> list[JsonObject]:
    """The objects of Argo's ``install.yaml`` that the controller needs, after its namespace."""
    return [namespace(ARGO_NAMESPACE), *(o for o in install if o["kind"] in _COLLECTIONS)]


def prometheus_objects() -> list[JsonObject]:
    """A service account that may read pods and nothing else."""
    rbac = "rbac.authorization.k8s.io"
    name: dict[str, Any] = {"name": "prometheus-reads-pods"}
    account = {"kind": "ServiceAccount", "name": PROMETHEUS_ACCOUNT, "namespace": MONITORING_NAMESPACE}
    return [
        namespace(MONITORING_NAMESPACE),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": PROMETHEUS_ACCOUNT, "namespace": MONITORING_NAMESPACE},
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": name,
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name["name"]},
            "subjects": [account],
        },
    ]


def install(client: ApiClient, objects: Iterable[JsonObject], default_namespace: str) -> None:
    """Creates each object in order; one without a namespace goes to ``default_namespace``."""
    for each in objects:
        where = each["metadata"].get("namespace", default_namespace)
        client.create(_COLLECTIONS[each["kind"]].format(namespace=where), each)


def rollouts_are_served(client: ApiClient) -> bool:
    """Whether the API server serves every CRD of Argo."""
    items = client.get(_COLLECTIONS["CustomResourceDefinition"])["items"]
    argo = [i for i in items if i["spec"]["group"] == "argoproj.io"]
    return bool(argo) and all(_established(i) for i in argo)


def _established(crd: JsonObject) -> bool:
    # a CRD that was created this moment has "conditions": null
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
