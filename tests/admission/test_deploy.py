"""The hand-written manifests beside the policies: what the operator may do, and which roles people can be bound to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollwarden.admission import Identities, service_account
from rollwarden.api.enums import Tier

DEPLOY = Path(__file__).parents[2] / "deploy"
OPERATOR: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "operator.yaml").read_text()))
ROLES: dict[str, dict[str, Any]] = {
    role["metadata"]["name"]: role for role in yaml.safe_load_all((DEPLOY / "tiers.yaml").read_text())
}


def granted(role: dict[str, Any], group: str, resource: str) -> set[str]:
    """The verbs a role gives on a resource."""
    return {
        verb
        for rule in role["rules"]
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


def operator_role() -> dict[str, Any]:
    return next(m for m in OPERATOR if m["kind"] == "ClusterRole")


def test_the_policies_know_the_operator_by_the_account_it_has() -> None:
    account = next(m["metadata"] for m in OPERATOR if m["kind"] == "ServiceAccount")
    assert service_account(account["namespace"], account["name"]) == Identities().operator


def test_every_binding_is_for_that_account() -> None:
    account = next(m["metadata"] for m in OPERATOR if m["kind"] == "ServiceAccount")
    bindings = [m for m in OPERATOR if m["kind"].endswith("RoleBinding")]
    expected = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    assert [b["subjects"] for b in bindings] == [[expected]] * 2


@pytest.mark.parametrize("role", [*(m for m in OPERATOR if m["kind"].endswith("Role")), *ROLES.values()], ids=str)
def test_no_role_has_a_wildcard_or_the_sentinel(role: dict[str, Any]) -> None:
    for rule in role["rules"]:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert "never-granted" not in rule["verbs"]


@pytest.mark.parametrize(
    "group, resource, verbs",
    [
        ("argoproj.io", "rollouts", {"get", "list", "watch", "patch"}),
        ("apps", "replicasets", {"get", "list", "watch", "patch"}),
        ("apps", "replicasets/scale", set()),
        ("", "pods", {"get", "list", "watch"}),
        ("", "secrets", set()),
        ("rollwarden.dev", "approvals", {"get", "list", "watch", "patch"}),
        ("rollwarden.dev", "tiers", set()),
        ("rollwarden.dev", "holds", set()),
        ("rollwarden.dev", "modes", set()),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", {"get", "list", "watch"}),
        ("rbac.authorization.k8s.io", "clusterroles", {"get", "list", "watch"}),
        ("rbac.authorization.k8s.io", "rolebindings", {"get", "list", "watch"}),
    ],
)
def test_the_operator_may_do_no_more_than_it_needs(group: str, resource: str, verbs: set[str]) -> None:
    assert granted(operator_role(), group, resource) == verbs


@pytest.mark.parametrize("tier", Tier, ids=str)
def test_a_tier_holds_itself_and_the_ones_below(tier: Tier) -> None:
    role = ROLES[f"rollwarden-{tier.lower}"]
    (rule,) = [r for r in role["rules"] if "tiers" in r["resources"]]
    assert rule["verbs"] == ["approve"]
    assert rule["resourceNames"] == [each.lower for each in Tier if each <= tier]
    assert "create" in granted(role, "rollwarden.dev", "approvals")


@pytest.mark.parametrize(
    "resource, verb, holders",
    [
        ("modes", "loosen", ["rollwarden-principal"]),
        ("policies", "govern", ["rollwarden-principal"]),
        ("holds", "review", ["rollwarden-principal"]),
        ("holds", "break-glass", ["rollwarden-break-glass"]),
        ("workloads", "destroy", ["rollwarden-principal", "rollwarden-destroyer"]),
    ],
)
def test_who_holds_a_verb(resource: str, verb: str, holders: list[str]) -> None:
    assert [n for n, r in ROLES.items() if verb in granted(r, "rollwarden.dev", resource)] == holders


def test_a_destroyer_may_do_nothing_else() -> None:
    (rule,) = ROLES["rollwarden-destroyer"]["rules"]
    assert rule == {"apiGroups": ["rollwarden.dev"], "resources": ["workloads"], "verbs": ["destroy"]}


@pytest.mark.parametrize("name", ["rollwarden-viewer", "rollwarden-auditor"])
def test_readers_only_read(name: str) -> None:
    assert all(set(rule["verbs"]) == {"get", "list", "watch"} for rule in ROLES[name]["rules"])
