"""Paths of the API server."""

import pytest

from rollwarden.kube.resources import CHANGES, GUARDRAILPOLICIES, NAMESPACES, PODS, REPLICASETS, ROLLOUTS, Resource


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path"),
    [
        (PODS, None, None, None, "/api/v1/pods"),
        (PODS, "pay", None, None, "/api/v1/namespaces/pay/pods"),
        (PODS, "pay", "checkout-1", "eviction", "/api/v1/namespaces/pay/pods/checkout-1/eviction"),
        (NAMESPACES, None, "pay", None, "/api/v1/namespaces/pay"),
        (REPLICASETS, "pay", "checkout", "scale", "/apis/apps/v1/namespaces/pay/replicasets/checkout/scale"),
        (
            ROLLOUTS,
            "pay",
            "checkout",
            "status",
            "/apis/argoproj.io/v1alpha1/namespaces/pay/rollouts/checkout/status",
        ),
        (GUARDRAILPOLICIES, None, "default", None, "/apis/rollwarden.dev/v1alpha1/guardrailpolicies/default"),
        (CHANGES, "a/b", "../x?y", None, "/apis/rollwarden.dev/v1alpha1/namespaces/a%2Fb/changes/..%2Fx%3Fy"),
    ],
)
def test_path(resource: Resource, namespace: str | None, name: str | None, subresource: str | None, path: str) -> None:
    assert resource.path(namespace, name, subresource) == path


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "said"),
    [
        pytest.param(PODS, None, "x", None, "name the namespace of 'x'", id="a namespaced object without namespace"),
        pytest.param(NAMESPACES, "pay", "x", None, "cluster-scoped", id="a cluster-scoped object in a namespace"),
        pytest.param(PODS, "pay", "", None, "whole collection", id="an empty name"),
        pytest.param(PODS, "", None, None, "whole collection", id="an empty namespace"),
        pytest.param(PODS, "pay", None, "status", "whole collection", id="a subresource of nothing"),
    ],
)
def test_what_names_nothing_is_refused(
    resource: Resource, namespace: str | None, name: str | None, subresource: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        resource.path(namespace, name, subresource)


def test_names() -> None:
    assert str(ROLLOUTS) == "rollouts.argoproj.io"
    assert str(PODS) == "pods"
    assert (ROLLOUTS.api_version, PODS.api_version) == ("argoproj.io/v1alpha1", "v1")
