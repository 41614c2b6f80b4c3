"""The health expressions of the Flux how-to, asked of a real CEL evaluator: the API server's.

A ValidatingAdmissionPolicy takes the Rollout as its parameter and refuses a ConfigMap with the first state that holds,
in the order in which Flux asks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from e2e.apiclient import ApiClient, ApiError, JsonObject

GUIDE = Path(__file__).parent.parent / "docs" / "how-to" / "flux.md"
STATES = ("inProgress", "failed", "current")
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
PROBE: JsonObject = {"metadata": {"name": "health", "labels": {"asks": "health"}}}


def expressions() -> dict[str, str]:
    """State to expression, from the Kustomization of the how-to."""
    (block,) = (b for b in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "healthCheckExprs" in b)
    (found,) = yaml.safe_load(block)["spec"]["healthCheckExprs"]
    return {state: found[state] for state in STATES}


class FluxHealth:
    """``of_it()`` is what Flux would say of one Rollout."""

    def __init__(self, client: ApiClient, namespace: str, rollout: str) -> None:
        self._client = client
        self._name = f"{namespace}-{rollout}"
        self._maps = f"/api/v1/namespaces/{namespace}/configmaps"
        client.create(POLICIES, {"metadata": {"name": self._name}, "spec": _policy(namespace)})
        binding: dict[str, Any] = {
            "policyName": self._name,
            "validationActions": ["Deny"],
            "paramRef": {"name": rollout, "namespace": namespace, "parameterNotFoundAction": "Deny"},
        }
        client.create(BINDINGS, {"metadata": {"name": self._name}, "spec": binding})

    def of_it(self) -> str:
        """The first state that holds; empty while the API server does not act on the policy yet."""
        try:
            self._client.request("POST", self._maps, PROBE, query={"dryRun": "All"})
        except ApiError as error:
            return next((state for state in STATES if f"state={state}." in error.message), error.message)
        return ""

    def close(self) -> None:
        self._client.delete(f"{BINDINGS}/{self._name}")
        self._client.delete(f"{POLICIES}/{self._name}")


def _policy(namespace: str) -> JsonObject:
    """Flux's variables are the top-level fields of the object; here they are those of the parameter."""
    checks = [
        {"expression": "!(" + re.sub(r"\b(status|metadata)\.", r"params.\1.", text) + ")", "message": f"state={state}."}
        for state, text in expressions().items()
    ]
    return {
        "failurePolicy": "Fail",
        "paramKind": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"},
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "objectSelector": {"matchLabels": {"asks": "health"}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ],
        },
        "validations": checks,
    }
