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
from e2e.records import approval, change

ROOT = Path(__file__).parent.parent
PROBE = "rollwarden-probe"
DRY_RUN = {"dryRun": "All"}

ROLLOUTS = f"/apis/argoproj.io/v1alpha1/namespaces/{PROBE}/rollouts"
REPLICASETS = f"/apis/apps/v1/namespaces/{PROBE}/replicasets"
RECORDS = f"/apis/rollwarden.dev/v1alpha1/namespaces/{PROBE}"


@cache
def install_rollwarden(cp: ControlPlane) -> None:
    """Kinds first, then everything in ``deploy/``, once per control plane; returns when every policy acts.

    RuntimeError if kubectl refuses; TimeoutError names the policies that do not act.
    """
    _apply(cp, "crds")
    cp.wait_for("Rollwarden's kinds to be served", lambda: _served(cp.api))
    _apply(cp, "deploy")
    cp.api.create("/api/v1/namespaces", {"metadata": {"name": PROBE}})
    try:
        cp.api.create(ROLLOUTS, _rollout("probe"))
        cp.api.create(REPLICASETS, _replicaset("probe", 0))
        cp.api.patch(f"/api/v1/namespaces/{PROBE}", {"metadata": {"labels": {"rollwarden.dev/mode": "enforce"}}})
        _await_policies(cp)
    finally:
        # the Rollout first: an operator that starts now should not find it in a namespace on its way out
        cp.api.delete(f"{ROLLOUTS}/probe")
        cp.api.delete(f"/api/v1/namespaces/{PROBE}")


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
        # made before the policies act, and held all the same
        "metadata": {"name": name, "annotations": {"rollwarden.dev/hold": "held-0"}},
        "spec": {
            "replicas": 0,
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


def _warns(cp: ControlPlane) -> bool:
    image = '{"spec":{"template":{"spec":{"containers":[{"name":"probe","image":"example.com/probe:2"}]}}}}'
    done = cp.kubectl("patch", "rollout", "probe", "-n", PROBE, "--type=merge", "--dry-run=server", "-p", image)
    return "rollwarden-announce-hold" in done.err


_NEW_TEMPLATE = {"spec": {"template": {"metadata": {"annotations": {"probe": "2"}}}}}
_KNOWN_GOOD = {"metadata": {"annotations": {"rollwarden.dev/known-good": "true"}}}

# By policy. Deletion of an Approval cannot be tried without an approver; its policy arrives together with the others.
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
    "rollwarden-announce-hold": _warns,
    "rollwarden-guard-mode": _refuses(
        _patched(f"/api/v1/namespaces/{PROBE}", {"metadata": {"labels": {"rollwarden.dev/mode": "off"}}}), "verb loosen"
    ),
}
