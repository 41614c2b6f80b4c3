"""What holds for every policy, whatever it says; what the policies do is tried on a real API server in ``e2e``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollwarden.admission import Identities, policies, render, service_account
from rollwarden.admission.cel import variables_of
from rollwarden.admission.manifest import to_yaml
from rollwarden.core.integrity import fingerprint

ROOT = Path(__file__).parents[2]
MANIFESTS = render(Identities())
POLICIES = [m for m in MANIFESTS if not m["kind"].endswith("Binding")]
BINDINGS = {m["metadata"]["name"]: m for m in MANIFESTS if m["kind"].endswith("Binding")}

ENFORCED_ONLY = {"namespaceSelector": {"matchLabels": {"rollwarden.dev/mode": "enforce"}}}
NOT_OFF = {
    "namespaceSelector": {"matchExpressions": [{"key": "rollwarden.dev/mode", "operator": "NotIn", "values": ["off"]}]}
}
# Their subjects are Rollwarden's own records and rules, and namespaces, whose own labels say whether they are enforced.
EVERYWHERE = {
    "rollwarden-stamp-approver",
    "rollwarden-guard-approval",
    "rollwarden-keep-approval",
    "rollwarden-keep-changes",
    "rollwarden-guard-mode",
    "rollwarden-stamp-editor",
    "rollwarden-guard-policy",
    "rollwarden-keep-namespace",
    "rollwarden-keep-namespace-criticality",
}
THE_MAP = {"name": "rollwarden-governed", "parameterNotFoundAction": "Allow"}
TO_AGENTS = "This is a deliberate hold, not a failure: do not retry, delete or recreate; report it to your human."


def name_of(policy: dict[str, Any]) -> str:
    return str(policy["metadata"]["name"])


def expressions(policy: dict[str, Any]) -> list[str]:
    """Every CEL text of a policy but its variables."""
    spec = policy["spec"]
    found = [c["expression"] for c in spec.get("matchConditions", ())]
    for rule in spec.get("validations", ()):
        found += [rule["expression"], rule["messageExpression"]]
    return found + [m["jsonPatch"]["expression"] for m in spec.get("mutations", ())]


each_policy = pytest.mark.parametrize("policy", POLICIES, ids=name_of)


def test_the_checked_in_manifest_is_current() -> None:
    """``python -m rollwarden.admission > deploy/admission.yaml`` makes it so."""
    assert (ROOT / "deploy" / "admission.yaml").read_text() == to_yaml(MANIFESTS)


def test_yaml_keeps_every_expression_as_it_is() -> None:
    assert list(yaml.safe_load_all(to_yaml(MANIFESTS))) == MANIFESTS


def test_a_policy_is_followed_by_its_binding() -> None:
    kinds = [(m["kind"], m["metadata"]["name"]) for m in MANIFESTS]
    assert kinds[1::2] == [(f"{kind}Binding", name) for kind, name in kinds[::2]]
    assert [name for _, name in kinds[::2]] == [policy.name for policy in policies(Identities())]


@each_policy
def test_a_policy_fails_closed(policy: dict[str, Any]) -> None:
    assert policy["spec"]["failurePolicy"] == "Fail"


@each_policy
def test_a_policy_acts_where_its_mode_says(policy: dict[str, Any]) -> None:
    """Observe, the default, mutates and refuses nothing of the users'."""
    binding = BINDINGS[name_of(policy)]["spec"]
    assert binding["policyName"] == name_of(policy)
    warns = binding.get("validationActions") == ["Warn"]
    if name_of(policy) == "rollwarden-keep-witness":
        expected: Any = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "rollwarden-system"}}}
    else:
        expected = NOT_OFF if warns else None if name_of(policy) in EVERYWHERE else ENFORCED_ONLY
    assert binding.get("matchResources") == expected


@each_policy
def test_variables_are_defined_before_they_are_used(policy: dict[str, Any]) -> None:
    defined: set[str] = set()
    for variable in policy["spec"].get("variables", ()):
        assert set(variables_of(variable["expression"])) <= defined
        defined.add(variable["name"])
    used = {name for text in expressions(policy) for name in variables_of(text)}
    assert used <= defined


@each_policy
def test_match_conditions_read_no_variables(policy: dict[str, Any]) -> None:
    """The API server evaluates them before there are any."""
    for condition in policy["spec"].get("matchConditions", ()):
        assert not variables_of(condition["expression"])


@each_policy
def test_an_expression_makes_two_authorizer_checks_at_most(policy: dict[str, Any]) -> None:
    """A third one in the same expression exceeds what the API server lets it cost."""
    texts = expressions(policy) + [v["expression"] for v in policy["spec"].get("variables", ())]
    assert max(text.count(".allowed()") for text in texts) <= 2


@each_policy
def test_no_patch_writes_a_list_of_objects_at_once(policy: dict[str, Any]) -> None:
    """It would crash the request in kube-apiserver 1.36."""
    assert not any(re.search(r"value: \[[^\]]", text) for text in expressions(policy))


@each_policy
def test_a_refusal_is_one_line_and_says_what_to_do(policy: dict[str, Any]) -> None:
    for rule in policy["spec"].get("validations", ()):
        says = rule["messageExpression"]
        assert "\n" not in says
        assert "\n" not in rule["expression"]
        assert not re.search(r"\b(invalid|illegal|wrong|you must)\b", says, re.IGNORECASE)
        assert rule["reason"] == "Forbidden"


def test_every_identity_is_as_configured() -> None:
    other = Identities(operator=service_account("guard", "op"), argo=service_account("rollouts", "ctl"))
    text = to_yaml(render(other))
    assert "rollwarden-system" not in text
    assert "argo-rollouts:argo-rollouts" not in text
    restored = text.replace(other.operator, Identities().operator).replace(other.argo, Identities().argo)
    restored = restored.replace("metadata.name: guard", "metadata.name: rollwarden-system")
    assert [m["spec"] for m in yaml.safe_load_all(restored)] == [m["spec"] for m in MANIFESTS]


def test_status_and_main_resource_are_both_guarded() -> None:
    guarded = {resource for p in POLICIES for rule in _rules(p) for resource in rule["resources"]}
    assert {
        *("rollouts", "rollouts/status", "rollouts/scale", "replicasets", "replicasets/scale"),
        *("approvals", "approvals/*", "changes", "changes/*", "guardrailpolicies", "guardrailpolicies/*"),
        *("namespaces", "configmaps", "services", "serviceprofiles", "virtualservices", "destinationrules"),
        *("deployments", "statefulsets", "daemonsets", "pods", "replicationcontrollers"),
        *("jobs", "cronjobs", "experiments"),
    } == guarded


def test_scaling_a_rollout_meets_a_policy_only_on_its_way_to_zero() -> None:
    """An autoscaler works whatever happens to Rollwarden."""
    met = [p for p in POLICIES if any("rollouts/scale" in r["resources"] or "*" in r["resources"] for r in _rules(p))]
    assert [name_of(p) for p in met] == ["rollwarden-keep-scaled-above-zero"]
    assert "object.?spec.?replicas.orValue(0) == 0" in met[0]["spec"]["matchConditions"][-1]["expression"]


@each_policy
def test_who_reads_the_map_stands_aside_without_it(policy: dict[str, Any]) -> None:
    """A namespace that was enforced a moment ago has none yet, and one kind of param is all there is."""
    binding = BINDINGS[name_of(policy)]["spec"]
    reads = any("params" in text for text in expressions(policy) + [v["expression"] for v in _variables(policy)])
    assert binding.get("paramRef") == (THE_MAP if reads else None)
    assert policy["spec"].get("paramKind") == ({"apiVersion": "v1", "kind": "ConfigMap"} if reads else None)


@each_policy
def test_an_agent_is_told_what_not_to_do(policy: dict[str, Any]) -> None:
    for rule in policy["spec"].get("validations", ()):
        if "variables.agent" in rule["expression"]:
            assert TO_AGENTS in rule["messageExpression"]


@each_policy
def test_what_is_tidied_up_stands_in_nobodys_way(policy: dict[str, Any]) -> None:
    """Namespaces are deletable, and what has no owner any more is collected, also with a map that says otherwise."""
    deletes = any("DELETE" in rule["operations"] for rule in _rules(policy))
    cluster_wide = all({"namespaces", "guardrailpolicies"} & set(rule["resources"]) for rule in _rules(policy))
    people_only = name_of(policy) == "rollwarden-guard-profile"
    if deletes and not cluster_wide and not people_only:
        assert "generic-garbage-collector" in str(policy["spec"])
        assert "namespace-controller" in str(policy["spec"])


def _variables(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy["spec"].get("variables", [])
    return found


def _rules(policy: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = policy["spec"]["matchConstraints"]["resourceRules"]
    return rules


def test_each_piece_is_labelled_with_the_fingerprint_of_its_spec() -> None:
    """``kubectl get`` shows which version stands, and an edit does not match its label."""
    assert all(m["metadata"]["labels"]["rollwarden.dev/policy-version"] == fingerprint(m["spec"]) for m in MANIFESTS)
