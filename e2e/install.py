"""Installs Rollwarden's kinds, policies and rights into a control plane, as a user would, and waits until they act.

A policy acts some moments after it was written, and nothing in its status says so: each is asked by dry runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from e2e.apiclient import MERGE, ApiClient, ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import ADMIN, PLATFORM
from e2e.records import approval, change

ROOT = Path(__file__).parent.parent
PROBE = "rollwarden-probe"
DRY_RUN = {"dryRun": "All"}

ROLLOUTS = f"/apis/argoproj.io/v1alpha1/namespaces/{PROBE}/rollouts"
REPLICASETS = f"/apis/apps/v1/namespaces/{PROBE}/replicasets"
RECORDS = f"/apis/rollwarden.dev/v1alpha1/namespaces/{PROBE}"
CORE = f"/api/v1/namespaces/{PROBE}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
POLICIES = "/apis/rollwarden.dev/v1alpha1/guardrailpolicies"


@cache
def install_rollwarden(cp: ControlPlane) -> None:
    """Kinds first, then everything in ``deploy/``, once per control plane; returns when every policy acts.

    RuntimeError if kubectl refuses; TimeoutError names the policies that do not act.
    """
    _apply(cp, "crds")
    cp.wait_for("Rollwarden's kinds to be served", lambda: _served(cp.api))
    _apply(cp, "deploy")
    _grant_platform(cp)
    platform = cp.access.client(PLATFORM)
    cp.api.create("/api/v1/namespaces", {"metadata": {"name": PROBE}})
    try:
        _furnish(cp.api)
        labels = {"rollwarden.dev/mode": "enforce", "rollwarden.dev/criticality": "high"}
        cp.api.patch(CORE, {"metadata": {"labels": labels}})
        _await_policies(cp)
    finally:
        # the Rollouts first: an operator that starts now should not find them in a namespace on its way out
        for name in ("probe", "train"):
            platform.delete(f"{ROLLOUTS}/{name}")
        platform.delete(CORE)


def _grant_platform(cp: ControlPlane) -> None:
    """Whoever runs Rollwarden may write policies and profiles, and end enforced namespaces and Rollouts."""
    rules = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "update", "patch", "delete"]},
        {"apiGroups": ["rollwarden.dev"], "resources": ["serviceprofiles"], "verbs": ["create", "patch", "delete"]},
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["delete"]},
    ]
    cp.api.create(f"{RBAC}/clusterroles", {"metadata": {"name": "platform"}, "rules": rules})
    for role in ("platform", "rollwarden-principal"):
        binding = {
            "metadata": {"name": f"platform-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": PLATFORM}],
        }
        cp.api.create(f"{RBAC}/clusterrolebindings", binding)


def _furnish(api: ApiClient) -> None:
    """What the probes ask about, and a map as the operator writes it, by which ``admin`` is an AI agent."""
    api.create(ROLLOUTS, _rollout("probe"))
    api.create(ROLLOUTS, _rollout("train"))
    api.create(REPLICASETS, _replicaset("probe", 0))
    service = {"selector": {"app": "probe"}, "ports": [{"port": 80}]}
    api.create(f"{CORE}/services", {"metadata": {"name": "probe"}, "spec": service})
    data = {
        "agents.users": f"\n{ADMIN}\n",
        "crit.probe": "high",
        "pods.probe": "\napp=probe\n",
        "sel.probe": "\napp=probe\n",
        "crit.train": "high",
        "train.train": "it is at 25 %",
    }
    api.create(f"{CORE}/configmaps", {"metadata": {"name": "rollwarden-governed"}, "data": data})


def _await_policies(cp: ControlPlane) -> None:
    """TimeoutError names the policies that do not act within 30 s."""
    deadline = time.monotonic() + 30
    while idle := idle_policies(cp):
        if time.monotonic() > deadline:
            raise TimeoutError(f"these admission policies do not act: {', '.join(idle)}")
        time.sleep(0.1)


def idle_policies(cp: ControlPlane) -> list[str]:
    """Names of the policies that do not act yet."""
    return [name for name, acts in PROBES.items() if not _acts(cp, acts)]


def _acts(cp: ControlPlane, ask: Callable[[ControlPlane], bool]) -> bool:
    try:
        return ask(cp)
    except ApiError as error:
        # the API server looks for the schema of a new kind every 5 s; until then it refuses what it cannot mutate
        if error.code == 503:
            return False
        raise


def _apply(cp: ControlPlane, folder: str) -> None:
    done = cp.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / folder))
    if not done.ok:
        raise RuntimeError(f"kubectl apply -f {folder}/ failed: {done.err}")


def _served(api: ApiClient) -> bool:
    """The API server offers all four kinds."""
    try:
        served = api.get("/apis/rollwarden.dev/v1alpha1")["resources"]
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return {"approvals", "changes", "guardrailpolicies", "serviceprofiles"} <= {r["name"] for r in served}


def _rollout(name: str) -> JsonObject:
    labels = {"app": name}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": name,
            # made before the policies act, and held all the same
            "annotations": {"rollwarden.dev/hold": "held-0", "provenance.rollwarden.dev/origin": "ai"},
            # no Argo controller looks at it
            "labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "strategy": {"canary": {"steps": [{"setWeight": 20}]}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "probe", "image": "example.com/probe:1"}]},
            },
        },
    }


def _replicaset(name: str, replicas: int) -> JsonObject:
    labels = {"app": name, "rollouts-pod-template-hash": "0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "probe", "image": "example.com/probe:1"}]},
            },
        },
    }


def _patched(path: str, body: JsonObject) -> Callable[[ControlPlane], JsonObject]:
    return lambda cp: cp.api.request("PATCH", path, body, MERGE, DRY_RUN)


def _created(path: str, body: JsonObject) -> Callable[[ControlPlane], JsonObject]:
    return lambda cp: cp.api.request("POST", path, body, query=DRY_RUN)


def _deleted(path: str) -> Callable[[ControlPlane], JsonObject]:
    return lambda cp: cp.api.request("DELETE", path, query=DRY_RUN)


def _refuses(ask: Callable[[ControlPlane], JsonObject], words: str) -> Callable[[ControlPlane], bool]:
    """True when the request is refused in these words."""

    def acts(cp: ControlPlane) -> bool:
        try:
            ask(cp)
        except ApiError as error:
            return words in error.message
        return False

    return acts


def _stamps(ask: Callable[[ControlPlane], JsonObject], hold: str) -> Callable[[ControlPlane], bool]:
    """True when the answer carries a hold of that form and a submitter."""

    def acts(cp: ControlPlane) -> bool:
        try:
            stamped = ask(cp)["metadata"].get("annotations", {})
        except ApiError as error:
            # guarded already, stamped not yet
            if "rollwarden-guard-rollout" in error.message:
                return False
            raise
        return str(stamped.get("rollwarden.dev/hold", "")).startswith(hold) and "rollwarden.dev/submitted-by" in stamped

    return acts


def _keeps_plan(cp: ControlPlane) -> bool:
    steps = {"spec": {"strategy": {"canary": {"steps": [{"setWeight": 100}]}}}}
    kept = _patched(f"{ROLLOUTS}/probe", steps)(cp)
    return bool(kept["spec"]["strategy"]["canary"]["steps"] == [{"setWeight": 20}])


def _warns(patch: str, policy: str) -> Callable[[ControlPlane], bool]:
    def acts(cp: ControlPlane) -> bool:
        done = cp.kubectl("patch", "rollout", "probe", "-n", PROBE, "--type=merge", "--dry-run=server", "-p", patch)
        return policy in done.err

    return acts


def _names_editor(cp: ControlPlane) -> bool:
    made = cp.access.client(PLATFORM).request("POST", POLICIES, _policy(), query=DRY_RUN)
    return bool(made["metadata"].get("annotations", {}).get("rollwarden.dev/edited-by") == PLATFORM)


def _policy() -> JsonObject:
    kind = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "GuardrailPolicy"}
    return {**kind, "metadata": {"name": PROBE}, "spec": {"preset": "Memo"}}


def _profile() -> JsonObject:
    kind = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "ServiceProfile"}
    return {**kind, "metadata": {"name": "probe"}, "spec": {}}


def _deployment(name: str, app: str) -> JsonObject:
    spec = _replicaset(app, 0)["spec"]
    labels = {"app": app}
    template = {"metadata": {"labels": labels}, "spec": spec["template"]["spec"]}
    whole = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole}


def _labelled(path: str, **labels: str) -> Callable[[ControlPlane], JsonObject]:
    return _patched(path, {"metadata": {"labels": {f"rollwarden.dev/{key}": value for key, value in labels.items()}}})


_NEW_TEMPLATE = {"spec": {"template": {"metadata": {"annotations": {"probe": "2"}}}}}
_KNOWN_GOOD = {"metadata": {"annotations": {"rollwarden.dev/known-good": "true"}}}
_IMAGE = '{"spec":{"template":{"spec":{"containers":[{"name":"probe","image":"example.com/probe:2"}]}}}}'
_STEPS = '{"spec":{"strategy":{"canary":{"steps":[{"setWeight":90}]}}}}'
_HUMAN = {"metadata": {"annotations": {"provenance.rollwarden.dev/origin": "human"}}}

# By policy. What takes an approver, a mesh or a profile to ask about is left out: those arrive with the others.
PROBES: dict[str, Callable[[ControlPlane], bool]] = {
    "rollwarden-hold-first-revision": _stamps(_created(ROLLOUTS, _rollout("another")), "held-0"),
    "rollwarden-hold-new-revision": _stamps(_patched(f"{ROLLOUTS}/probe", _NEW_TEMPLATE), "held-"),
    "rollwarden-keep-plan": _keeps_plan,
    "rollwarden-guard-rollout": _refuses(_patched(f"{ROLLOUTS}/probe", _KNOWN_GOOD), "stands on ReplicaSets only"),
    "rollwarden-guard-rollout-status": _refuses(
        _patched(f"{ROLLOUTS}/probe/status", {"status": {"promoteFull": True}}), "is not promoted past its steps"
    ),
    "rollwarden-hold-replicasets": _refuses(_created(REPLICASETS, _replicaset("another", 1)), "only Argo's controller"),
    "rollwarden-scale-through-the-rollout": _refuses(
        _patched(f"{REPLICASETS}/probe/scale", {"spec": {"replicas": 1}}), "rollwarden-scale-through-the-rollout"
    ),
    # the wildcard is refused after the stamp was found right
    "rollwarden-guard-approval": _refuses(
        _created(f"{RECORDS}/approvals", approval("probe")), "a wildcard is not a tier"
    ),
    "rollwarden-guard-approval-annotation": _refuses(
        _patched(f"{ROLLOUTS}/probe", {"metadata": {"annotations": {"approval.rollwarden.dev/nobody": "x"}}}),
        "names no tier",
    ),
    "rollwarden-keep-changes": _refuses(
        _created(f"{RECORDS}/changes", change("probe")), "written by the operator only"
    ),
    "rollwarden-stamp-editor": _names_editor,
    "rollwarden-keep-governed-map": _refuses(
        _patched(f"{CORE}/configmaps/rollwarden-governed", {"data": {"agents.users": ""}}), "by the operator only"
    ),
    "rollwarden-keep-claims": _refuses(_patched(f"{ROLLOUTS}/probe", _HUMAN), "the claim"),
    "rollwarden-keep-criticality": _refuses(_labelled(f"{ROLLOUTS}/probe", criticality="low"), "is not for AI agents"),
    "rollwarden-keep-rollouts": _refuses(_deleted(f"{ROLLOUTS}/probe"), 'deleting rollout "probe"'),
    "rollwarden-keep-scaled-above-zero": _refuses(
        _patched(f"{ROLLOUTS}/probe/scale", {"spec": {"replicas": 0}}), "scaling to 0"
    ),
    "rollwarden-keep-services": _refuses(_deleted(f"{CORE}/services/probe"), 'deleting service "probe"'),
    "rollwarden-keep-namespace": _refuses(_deleted(CORE), f"deleting namespace {PROBE}"),
    "rollwarden-no-second-workload": _refuses(
        _created(f"/apis/apps/v1/namespaces/{PROBE}/deployments", _deployment("second", "probe")), "behind the labels"
    ),
    "rollwarden-await-train": _refuses(_patched(f"{ROLLOUTS}/train", _NEW_TEMPLATE), "takes no new template"),
    "rollwarden-guard-policy": _refuses(_created(POLICIES, _policy()), "needs the verb govern"),
    "rollwarden-guard-profile": _refuses(_created(f"{RECORDS}/serviceprofiles", _profile()), "is not for AI agents"),
    "rollwarden-keep-namespace-criticality": _refuses(_labelled(CORE, criticality="low"), "lowering"),
    "rollwarden-announce-hold": _warns(_IMAGE, "rollwarden-announce-hold"),
    "rollwarden-announce-dropped-edit": _warns(_STEPS, "rollwarden-announce-dropped-edit"),
    "rollwarden-guard-mode": _refuses(
        _patched(f"/api/v1/namespaces/{PROBE}", {"metadata": {"labels": {"rollwarden.dev/mode": "off"}}}), "verb loosen"
    ),
}
