"""The four kinds on the real API server: as generated, what is refused and in which words, how kubectl shows them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.install import ROOT, install_rollwarden
from e2e.shop import POLICIES, refused
from e2e.stage import PRINCIPAL, SENIOR, Stage, merged
from rollwarden.api.crds import all_definitions

pytestmark = pytest.mark.e2e

DIGEST = "sha256:" + "ab" * 32
API = "rollwarden.dev/v1alpha1"


def approval(**spec: Any) -> JsonObject:
    whole = {
        "changeRef": {"name": "c", "uid": "u"},
        "templateDigest": DIGEST,
        "decision": "Approve",
        "tier": "Senior",
        **spec,
    }
    return {"apiVersion": API, "kind": "Approval", "metadata": {"generateName": "a-"}, "spec": whole}


def change(**spec: Any) -> JsonObject:
    whole = {
        "rollout": {"name": "checkout", "uid": "u", "attempt": "4"},
        "templateDigest": DIGEST,
        "matchDigest": DIGEST,
        "classification": {"origin": "AI", "criticality": "High"},
        "decision": {"rules": ["ai-on-high"]},
        **spec,
    }
    return {"apiVersion": API, "kind": "Change", "metadata": {"generateName": "checkout-"}, "spec": whole}


def profile(*indicators: JsonObject) -> JsonObject:
    spec = {"indicators": list(indicators)}
    return {"apiVersion": API, "kind": "ServiceProfile", "metadata": {"generateName": "p-"}, "spec": spec}


def errors(**fields: Any) -> JsonObject:
    return {"name": "errors", "type": "Errors", "objective": {"targetPercent": "99.9"}, **fields}


def policy(**spec: Any) -> JsonObject:
    return {"apiVersion": API, "kind": "GuardrailPolicy", "metadata": {"generateName": "p-"}, "spec": spec}


def ladder(**fields: Any) -> JsonObject:
    return policy(profiles=[{"name": "slow", **fields}])


def rule(**require: Any) -> JsonObject:
    return policy(profiles=[{"name": "slow"}], rules=[{"name": "one", "require": require}])


SENIOR_SLOT = [{"tier": "Senior"}]

# The object, the field the refusal names, and words of it.
REFUSED: dict[str, tuple[JsonObject, str, str]] = {
    "weights-unordered": (ladder(weights=[25, 5]), "spec.profiles[0].weights", "weights must ascend"),
    "weights-twice": (ladder(weights=[5, 5]), "spec.profiles[0].weights", "weights must ascend"),
    "weight-too-large": (ladder(weights=[100]), "spec.profiles[0].weights[0]", "should be less than or equal to 99"),
    "duration": (ladder(minSoak="five minutes"), "spec.profiles[0].minSoak", "should match"),
    "unknown-word": (ladder(atMaximum="Wait"), "spec.profiles[0].atMaximum", 'supported values: "Hold", "Promote"'),
    "unknown-preset": (policy(preset="Strict"), "spec.preset", "supported values"),
    "unknown-origin": (
        policy(rules=[{"name": "r", "when": {"origins": ["Robot"]}, "require": {}}]),
        "spec.rules[0].when.origins[0]",
        "supported values",
    ),
    "deny-and-approvals": (
        rule(deny={"message": "no"}, approvals=SENIOR_SLOT),
        "spec",
        "a rule that denies cannot also ask for approvals",
    ),
    "missing-profile": (rule(profile="fast"), "spec", "require.profile must name one of spec.profiles"),
    "preset-profile-without-preset": (rule(profile="careful"), "spec", "require.profile must name"),
    "rule-twice": (
        policy(rules=[{"name": "r", "require": {}}, {"name": "r", "require": {}}]),
        "spec.rules[1]",
        "Duplicate value",
    ),
    "tier-twice": (rule(approvals=SENIOR_SLOT * 2), "spec.rules[0].require.approvals[1]", "Duplicate value"),
    "no-approver": (rule(approvals=[{"tier": "Senior", "count": 0}]), "spec.rules[0].require.approvals[0].count", "1"),
    "percent": (policy(floors={"objectivePercent": "101"}), "spec.floors.objectivePercent", "should match"),
    "latency-without-threshold": (
        profile({**errors(), "name": "slow", "type": "Latency"}),
        "spec.indicators",
        "needs objective.threshold",
    ),
    "selector-with-function": (
        profile(errors(query={"total": "rate(http_requests_total[5m])", "bad": "x"})),
        "spec.indicators[0].query.total",
        "should match",
    ),
    "selector-joined": (
        profile(errors(query={"total": "a_total", "bad": "a_total + b_total"})),
        "spec.indicators[0].query.bad",
        "should match",
    ),
    "total-without-bad": (profile(errors(query={"total": "a_total"})), "spec.indicators", "come together"),
    "indicator-twice": (profile(errors(), errors()), "spec.indicators[1]", "Duplicate value"),
    "rejection-without-reason": (approval(decision="Reject"), "spec", "a rejection needs a reason"),
    "rejection-with-empty-reason": (approval(decision="Reject", reason=""), "spec", "a rejection needs a reason"),
    "quarantine-without-reason": (approval(acknowledgesQuarantine=True), "spec", "needs a reason"),
    "tier": (approval(tier="Chief"), "spec.tier", "supported values"),
    "digest": (approval(templateDigest="sha256:ab"), "spec.templateDigest", "should match"),
    "no-change-named": (approval(changeRef={"name": "c"}), "spec.changeRef.uid", "Required value"),
    "attempt": (change(rollout={"name": "c", "uid": "u", "attempt": "four"}), "spec.rollout.attempt", "should match"),
    "origin-of-a-change": (change(classification={"origin": "Cat"}), "spec.classification.origin", "supported values"),
}

ACCEPTED: dict[str, JsonObject] = {
    "empty-policy": policy(),
    "preset-with-its-profile": policy(preset="Memo", rules=[{"name": "r", "require": {"profile": "careful"}}]),
    "policy": policy(
        criticalityPins=[{"name": "payments", "minimum": "Critical", "namespaceSelector": {"matchLabels": {"t": "p"}}}],
        agents={"users": ["bot"], "serviceAccounts": [{"namespace": "ci", "name": "agent"}]},
        people=[{"level": "Senior", "users": ["ada@example.com"]}],
        floors={"objectivePercent": "99.95", "requiredIndicators": ["Errors"]},
        profiles=[{"name": "slow", "weights": [5, 25, 50], "minSoak": "1h30m", "bake": "0s", "coldPhi": 6}],
        rules=[{"name": "r", "when": {"origins": ["AI"]}, "require": {"approvals": SENIOR_SLOT, "profile": "slow"}}],
    ),
    "profile": profile(
        errors(query={"total": 'reqs_total{app="x"}', "bad": 'reqs_total{app="x",code=~"5.."}'}),
        {"name": "lat", "type": "Latency", "objective": {"targetPercent": "99", "threshold": "300ms"}},
    ),
    "rejection": approval(decision="Reject", reason="no tests"),
}


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "kinds")
    yield stage
    stage.close()


def create(stage: Stage, body: JsonObject, dry_run: bool = True) -> JsonObject:
    """As whoever may: people write approvals, the operator writes Changes."""
    path = {
        "GuardrailPolicy": POLICIES,
        "ServiceProfile": "/apis/rollwarden.dev/v1alpha1/namespaces/kinds/serviceprofiles",
        "Approval": "/apis/rollwarden.dev/v1alpha1/namespaces/kinds/approvals",
        "Change": "/apis/rollwarden.dev/v1alpha1/namespaces/kinds/changes",
    }[body["kind"]]
    clients = {"Approval": stage.client(SENIOR), "Change": stage.operator, "GuardrailPolicy": stage.client(PLATFORM)}
    client = clients.get(body["kind"], stage.client())
    return client.request("POST", path, copy.deepcopy(body), query={"dryRun": "All"} if dry_run else {})


def test_accepted_as_generated(stage: Stage) -> None:
    """Stored as they were generated, with nothing pruned: the schema means what the files say."""
    for definition in all_definitions().values():
        name = definition["metadata"]["name"]
        stored = stage.client().get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        conditions = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"
        assert stored["spec"]["versions"][0]["schema"] == definition["spec"]["versions"][0]["schema"]
        assert stored["spec"]["names"] == definition["spec"]["names"]


def test_files_are_current() -> None:
    assert {p.name for p in (ROOT / "crds").glob("*.yaml")} == set(all_definitions())


@pytest.mark.parametrize("case", REFUSED)
def test_refused(stage: Stage, case: str) -> None:
    body, field, words = REFUSED[case]
    error = refused(lambda: create(stage, body))
    assert error.code == 422, error
    assert f"{field}: " in error.message and words in error.message, error.message


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(stage: Stage, case: str) -> None:
    answer = create(stage, ACCEPTED[case])
    assert merged(answer["spec"], ACCEPTED[case]["spec"]) == answer["spec"]


def test_approval_is_immutable(stage: Stage) -> None:
    made = create(stage, approval(), dry_run=False)
    assert made["spec"]["approver"]["user"] == SENIOR
    path = f"/apis/rollwarden.dev/v1alpha1/namespaces/kinds/approvals/{made['metadata']['name']}"
    error = refused(lambda: stage.client(SENIOR).patch(path, {"spec": {"reason": "on second thought"}}))
    assert "never changes" in error.message
    assert "stay on record" in refused(lambda: stage.client(PRINCIPAL).delete(path)).message


def test_change_is_immutable_and_shown(stage: Stage) -> None:
    """Its spec never changes, its status does; kubectl shows phase, what it waits for, and its age."""
    made = create(stage, change(), dry_run=False)
    name = made["metadata"]["name"]
    path = f"/apis/rollwarden.dev/v1alpha1/namespaces/kinds/changes/{name}"
    error = refused(lambda: stage.operator.patch(path, {"spec": {"classification": {"origin": "Human"}}}))
    assert "spec: Invalid value" in error.message and "never changes" in error.message
    status = {"phase": "Rejected", "waitingFor": "1 senior of #pay"}  # a phase that a running operator leaves alone
    stage.operator.patch(f"{path}/status", {"status": status})
    assert "written by the operator only" in refused(lambda: stage.client().delete(path)).message
    shown = stage.cp.kubectl("get", "changes", "-n", "kinds").out
    heading, row = shown.splitlines()[0].split(), shown.splitlines()[1]
    assert heading == ["NAME", "PHASE", "WAITING", "FOR", "ORIGIN", "CRITICALITY", "AGE"]
    assert row.startswith(f"{name}   Rejected   1 senior of #pay   AI       High")


# Short name and columns of each kind; Changes are above.
SHOWN = {
    "chg": "changes.rollwarden.dev",
    "appr": "approvals.rollwarden.dev",
    "svcp": "serviceprofiles.rollwarden.dev",
    "grp": "guardrailpolicies.rollwarden.dev",
}


@pytest.mark.parametrize("short", SHOWN)
def test_short_names(stage: Stage, short: str) -> None:
    listed = stage.cp.kubectl("get", short, "-n", "kinds", "-o", "json")
    assert listed.ok, listed.err
    served = json.loads(stage.cp.kubectl("get", SHOWN[short], "-n", "kinds", "-o", "json").out)
    assert json.loads(listed.out)["items"] == served["items"]


def test_category(stage: Stage) -> None:
    create(stage, approval(reason="for the list"), dry_run=False)
    assert stage.cp.kubectl("api-resources").ok  # kubectl remembers for hours which kinds there were
    listed = stage.cp.kubectl("get", "rollwarden", "-n", "kinds")
    assert listed.ok, listed.err
    assert "approval.rollwarden.dev/a-" in listed.out
    assert "CHANGE" in listed.out and "COUNTED" in listed.out
